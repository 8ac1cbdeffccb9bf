"""Boosted estimators inside an estimator of scikit-learn: each in the format of its own library, beside the skops file.

skops would keep the booster of such an estimator as bytes that nobody can check before the library reads them. So
what the skops file holds of it is a number; below ``nested`` lies a folder of that number, as ``LightGBMFlavor`` and
``XGBoostFlavor`` write it, with their checks when it is read.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from importlib import import_module
from pathlib import Path
from typing import Any

from trackers.errors import ModelError, UntrustedError
from trackers.models.boosted import json_params, read_params
from trackers.models.flavor import Flavor, Saving, full_name
from trackers.models.lightgbm import LightGBMFlavor
from trackers.models.trust import Trust
from trackers.models.xgboost import XGBoostFlavor

FOLDER = "nested"
_KEY = "nested"
_FLAVORS: Mapping[str, Flavor] = {"lightgbm": LightGBMFlavor(), "xgboost": XGBoostFlavor()}
_KINDS = {
    "lightgbm": ("LGBMClassifier", "LGBMRegressor", "LGBMRanker"),
    "xgboost": ("XGBClassifier", "XGBRegressor", "XGBRanker", "XGBRFClassifier", "XGBRFRegressor"),
}
TYPES = frozenset(f"{library}.sklearn.{kind}" for library, kinds in _KINDS.items() for kind in kinds)
"""Full names, as skops reports them, of what is read from such folders."""

_at_work: ContextVar[_Writing | _Reading | None] = ContextVar("nested", default=None)
_patched = threading.RLock()
"""Held while the classes of the libraries are changed."""


class _Writing:
    """The folders that are being written, and what the manifest is to say of them."""

    def __init__(self, folder: Path, how: Saving) -> None:
        self._folder, self._how = folder, how
        self.details: list[dict[str, Any]] = []
        self.left: set[str] = set()
        """The types of those that the skops file holds itself: a loader has to trust them."""

        self._seen: list[Any] = []

    def state_of(self, model: Any) -> dict[str, Any] | None:
        """Write the folder of one estimator, the first time; return what stands for it in the skops file.

        None: its library's format cannot hold it, or it is of a class of the user's own.
        """
        if full_name(type(model)) not in TYPES:
            self.left.add(full_name(type(model)))
            return None
        number = next((number for number, seen in enumerate(self._seen) if seen is model), None)
        if number is None:
            number = len(self._seen)
            try:
                self.details.append(self._write(model, number))
            except ModelError:  # a function as its objective, say
                self.left.add(full_name(type(model)))
                return None
            self._seen.append(model)
        return {_KEY: number}

    def _write(self, model: Any, number: int) -> dict[str, Any]:
        library = type(model).__module__.partition(".")[0]
        about: dict[str, Any] = {"library": library, "kind": type(model).__name__}
        if not model.__sklearn_is_fitted__():
            params, _ = json_params(model)
            return about | {"params": params}
        place = self._folder / FOLDER / str(number)
        place.mkdir(parents=True, exist_ok=True)
        return about | {"details": _FLAVORS[library].save(model, place, self._how)}


class _Reading:
    """The folders of a model whose files were verified."""

    def __init__(self, folder: Path, details: Sequence[Mapping[str, Any]], trust: Trust) -> None:
        self._folder, self._details, self._trust = folder, details, trust

    def fill(self, model: Any, state: Any) -> bool:
        """Make *model* what its folder says; False where the skops file holds it itself and its type is trusted."""
        kind = type(model)
        if not isinstance(state, dict) or set(state) != {_KEY}:
            if self._trust.allows(full_name(kind)):
                return False
            raise UntrustedError(
                f"The model holds a {full_name(kind)} in a form that cannot be checked; if you trust it, load it with "
                f"trust={sorted({full_name(kind), *self._trust.names})}."
            )
        number = state[_KEY]
        if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < len(self._details):
            raise ModelError(f"The model is damaged: it has no estimator {str(number)[:20]!r}.")
        about = self._details[number]
        library = str(about["library"])
        if (library, about["kind"]) != (kind.__module__.partition(".")[0], kind.__name__):
            raise ModelError(f"The model is damaged: its estimator {number} is no {kind.__name__}.")
        if "details" in about:
            made = _FLAVORS[library].load(self._folder / FOLDER / str(number), about["details"], self._trust)
        else:
            made = kind(**read_params(about["params"]))
        if type(made) is not kind:
            raise ModelError(f"The model is damaged: its estimator {number} is no {kind.__name__}.")
        model.__dict__.update(made.__dict__)
        return True


@contextmanager
def written_apart(folder: Path, how: Saving) -> Iterator[_Writing]:
    """Write boosted estimators that this thread dumps below *folder*; yield what becomes known of them."""
    writing = _Writing(folder, how)
    with _hooked(writing):
        yield writing


@contextmanager
def read_apart(
    folder: Path, details: Sequence[Mapping[str, Any]], types: Iterable[str], trust: Trust
) -> Iterator[None]:
    """Read boosted estimators that this thread meets from below *folder*, by these *details*.

    *types* are all that the skops file asks for: those libraries are imported first, so that none of theirs is read
    unseen.
    """
    for name in sorted(TYPES.intersection(types)):
        import_module(name.partition(".")[0])
    with _hooked(_Reading(folder, details, trust)):
        yield


@contextmanager
def _hooked(worker: _Writing | _Reading) -> Iterator[None]:
    kinds = _loaded_kinds()
    with ExitStack() as stack:
        if kinds:
            stack.enter_context(_patched)
        for kind in kinds:
            stack.enter_context(_replaced(kind, "__getstate__", _get))
            stack.enter_context(_replaced(kind, "__setstate__", _set))
        token = _at_work.set(worker)
        stack.callback(_at_work.reset, token)
        yield


@contextmanager
def _replaced(kind: type, name: str, by: Any) -> Iterator[None]:
    own = vars(kind).get(name)
    plain = getattr(kind, name)
    setattr(kind, name, lambda self, *args: by(plain, self, *args))
    try:
        yield
    finally:
        if own is None:
            delattr(kind, name)
        else:
            setattr(kind, name, own)


def _get(plain: Any, model: Any) -> Any:
    with _resting() as worker:
        state = worker.state_of(model) if isinstance(worker, _Writing) else None
        return plain(model) if state is None else state


def _set(plain: Any, model: Any, state: Any) -> None:
    with _resting() as worker:
        if not (isinstance(worker, _Reading) and worker.fill(model, state)):
            plain(model, state)


@contextmanager
def _resting() -> Iterator[_Writing | _Reading | None]:
    """Yield who is at work in this thread; what is copied meanwhile is an estimator as any."""
    worker = _at_work.get()
    token = _at_work.set(None)
    try:
        yield worker
    finally:
        _at_work.reset(token)


def _loaded_kinds() -> list[type]:
    """Return the classes of those libraries that are imported here: of no others can there be an instance."""
    loaded = ((sys.modules.get(library), kinds) for library, kinds in _KINDS.items())
    return [getattr(library, kind) for library, kinds in loaded for kind in kinds if hasattr(library, kind)]


def packages(details: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the packages that these estimators need."""
    found = (_FLAVORS[str(about["library"])].needs(about.get("details", {})) for about in details)
    return sorted({name for names in found for name in names})
