"""XGBoost: ``train`` (its scikit-learn classes go through it too), with a callback for each round's evaluation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from trackers.autologging.patch import Patch, Settings, Training, estimators, folds, outermost, rounds_of, safely


def patches(settings: Settings) -> list[Patch]:
    """Replace ``xgboost.train`` where it is called by."""
    import xgboost
    import xgboost.sklearn
    import xgboost.training

    places = [xgboost, xgboost.training, xgboost.sklearn]
    found = [Patch(place, "train", _watching(settings)) for place in places if callable(vars(place).get("train"))]
    crossed = [Patch(place, "cv", folds("xgboost", _split)) for place in places if callable(vars(place).get("cv"))]
    return found + crossed + estimators(xgboost.sklearn, "xgboost", settings)


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
