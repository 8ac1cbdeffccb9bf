"""scikit-learn: ``fit`` of every estimator, at the outermost call only (a grid search is one training).

What prepares data, such as a scaler, is no training; within a pipeline its params are among the pipeline's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from trackers.autologging.patch import Patch, Settings, Training, features_and_target, outermost

_METHODS = ("fit", "fit_transform", "fit_predict")

_PREPARING = tuple(
    f"sklearn.{name}."
    for name in ("preprocessing", "impute", "feature_extraction", "feature_selection", "compose._column_transformer")
)
"""The modules of what prepares data for a training."""


def patches(settings: Settings) -> list[Patch]:
    """Replace the fitting methods of scikit-learn's estimators."""
    from sklearn.utils import all_estimators

    found: list[Patch] = []
    classes = dict.fromkeys(kind for _, estimator in all_estimators() for kind in estimator.__mro__)
    for kind in classes:
        if kind.__module__.startswith("sklearn.") and hasattr(kind, "get_params"):
            found += [Patch(kind, name, _watching(settings)) for name in _METHODS if callable(vars(kind).get(name))]
    return found


def _watching(settings: Settings) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def make(before: Callable[..., Any]) -> Callable[..., Any]:
        def fit(self: Any, *args: Any, **kwargs: Any) -> Any:
            with outermost("sklearn") as first:
                if not first or f"{type(self).__module__}.".startswith(_PREPARING):
                    return before(self, *args, **kwargs)
                with Training("sklearn", type(self).__name__, self) as training:
                    training.log_data(settings, *features_and_target(args, kwargs))
                    training.log(lambda run: _begin(training, self))
                    found = before(self, *args, **kwargs)
                    training.log(lambda run: _end(run, self, args, kwargs, settings))
                    return found

        return fit

    return make


def _begin(training: Training, estimator: Any) -> None:
    training.log_params({"estimator": type(estimator).__name__, **estimator.get_params(deep=True)})


def _end(run: Any, estimator: Any, args: tuple[Any, ...], kwargs: dict[str, Any], settings: Settings) -> None:
    data, target = features_and_target(args, kwargs)
    if data is not None and target is not None and hasattr(estimator, "score"):
        run.log_metric("training_score", float(estimator.score(data, target)))
    if hasattr(estimator, "best_score_"):
        run.log_metric("best_cv_score", float(estimator.best_score_))
    if isinstance(best := getattr(estimator, "best_params_", None), dict):
        run.set_tags({f"best_params.{name}": value for name, value in best.items()})
    if settings.models:
        run.log_model(estimator)
