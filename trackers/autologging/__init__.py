"""Logging without a line of code: ``trackers.autolog()`` watches the libraries that train.

Where no run is active, each outermost ``fit`` or ``train`` gets a run of its own; inside a run or an objective it lands
there; of several models that are trained in one run the second has its metrics in the context ``fit=2``, and so on. A
failure of the watching never breaks the training: it is warned about once.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable
from typing import Any

from trackers.autologging.patch import Patch, Settings
from trackers.errors import InvalidValueError

LIBRARIES = {
    "sklearn": "trackers.autologging.sklearn",
    "lightgbm": "trackers.autologging.lightgbm",
    "xgboost": "trackers.autologging.xgboost",
    "torch": "trackers.autologging.torch",
}
"""What can be watched, and the module that knows how."""

_on: dict[str, list[Patch]] = {}


def autolog(
    libraries: Iterable[str] | str | None = None,
    *,
    models: bool = False,
    data: bool = True,
    every: int = 1,
    disable: bool = False,
) -> tuple[str, ...]:
    """Log what scikit-learn, LightGBM, XGBoost and PyTorch train from now on; return which are watched.

    *libraries* are names (default: all that are installed; PyTorch only where it is imported already). Logged are the
    params, the score on the training data (scikit-learn), each round's evaluation (LightGBM, XGBoost), each optimizer's
    settings (PyTorch, see ``trackers.autologging.torch.watch`` for the loss), and with *models* the model. With *data*
    the digest of what the first model of a run is trained on, ``(X, y)``, is an input of the run, which takes about a
    second a gigabyte; of a ``DMatrix`` it is known where that was made of arrays or tables with their label since, of a
    ``Dataset`` where that still has them. A cross-validation is one training, whose scores have their folds as context
    (call this before ``cross_validate`` is imported). *every*: of the rounds, each that is a multiple of it. With
    *disable* everything is as it was before. Called again, the new settings replace the old ones. Raises
    InvalidValueError for a library that is not known.
    """
    names = list(LIBRARIES) if libraries is None else [libraries] if isinstance(libraries, str) else list(libraries)
    for name in names:
        if name not in LIBRARIES:
            raise InvalidValueError(f"autolog knows {', '.join(LIBRARIES)}, not {name!r}")
    if every < 1:
        raise InvalidValueError(f"every is 1 or more rounds, not {every}")
    for name in names:
        for patch in reversed(_on.pop(name, [])):
            patch.undo()
    if not disable:
        for name in names:
            if _installed(name, asked=libraries is not None):
                _on[name] = importlib.import_module(LIBRARIES[name]).patches(Settings(models, every, data))
    return tuple(_on)


def _installed(name: str, asked: bool) -> bool:
    if name == "torch" and not asked:
        return name in sys.modules
    try:
        importlib.import_module(name)
    except ImportError as exc:
        if asked:
            raise InvalidValueError(f"{name} is not installed: {exc}") from exc
        return False
    return True


def __getattr__(name: str) -> Any:
    if name in LIBRARIES:
        return importlib.import_module(LIBRARIES[name])
    raise AttributeError(f"module 'trackers.autologging' has no attribute {name!r}")
