"""LightGBM: ``cv``, and ``train`` (its scikit-learn classes go through it too), with a callback for each round's evaluation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from trackers.autologging.patch import Patch, Settings, Training, estimators, folds, outermost, rounds_of, safely


def patches(settings: Settings) -> list[Patch]:
    """Replace ``lightgbm.train`` where it is called by."""
    import lightgbm
    import lightgbm.engine
    import lightgbm.sklearn

    places = [lightgbm, lightgbm.engine, lightgbm.sklearn]
    found = [Patch(place, "train", _watching(settings)) for place in places if callable(vars(place).get("train"))]
    crossed = [Patch(place, "cv", folds("lightgbm", _split)) for place in places if callable(vars(place).get("cv"))]
    return found + crossed + estimators(lightgbm.sklearn, "lightgbm", settings)


def _split(name: str) -> tuple[str, str]:
    """Read ``valid auc-mean``."""
    data, _, metric = name.rpartition(" ")
    return data, metric


def _watching(settings: Settings) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def make(before: Callable[..., Any]) -> Callable[..., Any]:
        def train(params: Any, train_set: Any, *args: Any, **kwargs: Any) -> Any:
            with outermost("lightgbm") as first:
                if not first:
                    return before(params, train_set, *args, **kwargs)
                with Training("lightgbm", "lightgbm") as training:
                    # a Dataset that is made already may have let go of what it was made from
                    training.log_data(settings, getattr(train_set, "data", None), getattr(train_set, "label", None))
                    training.log_params(dict(params or {}) | rounds_of(before, params, train_set, *args, **kwargs))
                    kwargs["callbacks"] = [*(kwargs.get("callbacks") or ()), _rounds(training, settings.every)]
                    booster = before(params, train_set, *args, **kwargs)
                    training.log(lambda run: _end(run, booster, settings))
                    return booster

        return train

    return make


def _rounds(training: Training, every: int) -> Callable[[Any], None]:
    def log_round(env: Any) -> None:
        if training.run is None or env.iteration % every or not env.evaluation_result_list:
            return
        with safely("lightgbm"):
            for data, metric, value, *_ in env.evaluation_result_list:
                training.run.log_metric(metric, float(value), env.iteration, {"data": data})

    log_round.order = 25  # type: ignore[attr-defined]  # LightGBM's own: after the evaluation, before early stopping
    return log_round


def _end(run: Any, booster: Any, settings: Settings) -> None:
    if booster.best_iteration > 0:
        run.log_metric("best_iteration", booster.best_iteration)
    if settings.models:
        run.log_model(booster)
