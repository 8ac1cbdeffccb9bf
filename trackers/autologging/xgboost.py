"""XGBoost: ``train`` (its scikit-learn classes go through it too), with a callback for each round's evaluation.

A ``DMatrix`` does not keep what it was made of, and gives it back in another form. So the digest of data and label is
taken where one is made of both, while this is on: it is that of ``(X, y)``, as of any other model that is trained on
them, and nothing that is done to those later changes it; of one that is given other labels nothing is known. Hashing takes less time than the making, and one without a label,
as is made to predict, costs nothing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from trackers.autologging.patch import (
    Patch,
    Settings,
    Training,
    estimators,
    folds,
    outermost,
    plain_data,
    rounds_of,
    safely,
    watching,
)
from trackers.errors import InvalidValueError

_MADE_OF = "_trackers_made_of"
"""The attribute of a ``DMatrix`` that holds the digest of what it was made of, or the path of a file."""

_LABELLING = ("set_label", "set_float_info", "set_float_info_npy2d")
"""What gives a ``DMatrix`` labels; ``set_info`` calls the first."""

_READ = frozenset({"builtins", "numpy", "pandas", "polars", "pyarrow", "scipy"})
"""Where the types of data come from that have a digest at little cost; what lies on a GPU would have to be copied."""


def patches(settings: Settings) -> list[Patch]:
    """Replace ``xgboost.train`` where it is called by."""
    import xgboost
    import xgboost.core
    import xgboost.sklearn
    import xgboost.training

    places = [xgboost, xgboost.training, xgboost.sklearn]
    found = [Patch(place, "train", _watching(settings)) for place in places if callable(vars(place).get("train"))]
    crossed = [Patch(place, "cv", folds("xgboost", _split)) for place in places if callable(vars(place).get("cv"))]
    kinds = [getattr(xgboost.core, name, None) for name in ("DMatrix", "QuantileDMatrix", "ExtMemQuantileDMatrix")]
    made = [Patch(kind, "__init__", _remembering) for kind in kinds if settings.data and "__init__" in vars(kind or {})]
    base = xgboost.core.DMatrix
    labelled = [
        Patch(base, name, _forgetting) for name in _LABELLING if settings.data and callable(vars(base).get(name))
    ]
    return found + crossed + made + labelled + estimators(xgboost.sklearn, "xgboost", settings)


def _remembering(before: Callable[..., None]) -> Callable[..., None]:
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807 - it stands for that of the class
        before(self, *args, **kwargs)
        with safely("xgboost"):
            given = [*args[:2], *(kwargs.get(name) for name in ("data", "label")[len(args) :])]
            if not watching() and (made_of := _made_of(*given)) is not None:
                setattr(self, _MADE_OF, made_of)

    return __init__


def _forgetting(before: Callable[..., None]) -> Callable[..., None]:
    """Forget what a ``DMatrix`` was made of when it is given other labels."""

    def labelled(self: Any, *args: Any, **kwargs: Any) -> None:
        if before.__name__ == "set_label" or "label" in (kwargs.get("field"), *args[:1]):
            vars(self).pop(_MADE_OF, None)
        before(self, *args, **kwargs)

    return labelled


def _made_of(data: Any, label: Any) -> Any:
    """Return the digest of data and label, or the path of the file that has both; None where it cannot be had cheaply."""
    from trackers.capture import data_digest

    if isinstance(data, str | os.PathLike):
        return re.split(r"[?#]", os.fspath(data))[0]  # its format, and the name of a cache, may follow
    roots = {type(one).__module__.partition(".")[0] for one in (data, label)}
    if data is None or label is None or not roots <= _READ:
        return None
    with suppress(InvalidValueError, ValueError):
        return data_digest((plain_data(data), plain_data(label)))
    return None


def _split(name: str) -> tuple[str, str]:
    """Read ``test-logloss-mean``."""
    data, _, metric = name.partition("-")
    return data, metric


def _watching(settings: Settings) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def make(before: Callable[..., Any]) -> Callable[..., Any]:
        def train(params: Any, dtrain: Any, *args: Any, **kwargs: Any) -> Any:
            with outermost("xgboost") as first:
                if not first:
                    return before(params, dtrain, *args, **kwargs)
                with Training("xgboost", "xgboost") as training:
                    training.log_data(settings, getattr(dtrain, _MADE_OF, None))
                    training.log_params(dict(params or {}) | rounds_of(before, params, dtrain, *args, **kwargs))
                    with safely("xgboost"):
                        kwargs["callbacks"] = [*(kwargs.get("callbacks") or ()), _rounds(training, settings.every)]
                    booster = before(params, dtrain, *args, **kwargs)
                    training.log(lambda run: _end(run, booster, settings))
                    return booster

        return train

    return make


def _rounds(training: Training, every: int) -> Any:
    from xgboost.callback import TrainingCallback

    def after_iteration(self: Any, model: Any, epoch: int, evals_log: Any) -> bool:
        if training.run is not None and epoch % every == 0:
            with safely("xgboost"):
                for data, metrics in evals_log.items():
                    for metric, values in metrics.items():
                        last = values[-1][0] if isinstance(values[-1], tuple) else values[-1]
                        training.run.log_metric(metric, float(last), epoch, {"data": data})
        return False

    return type("Rounds", (TrainingCallback,), {"after_iteration": after_iteration})()


def _end(run: Any, booster: Any, settings: Settings) -> None:
    if getattr(booster, "best_iteration", None) is not None and booster.attr("best_iteration") is not None:
        run.log_metric("best_iteration", booster.best_iteration)
    if settings.models:
        run.log_model(booster)
