"""scikit-learn: ``fit`` of every estimator, at the outermost call only (a grid search, a cross-validation is one training).

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
    return found + _cross_validation(settings)


def _cross_validation(settings: Settings) -> list[Patch]:
    """Replace ``cross_validate``, through which ``cross_val_score`` goes too."""
    import sklearn.model_selection
    from sklearn.model_selection import _validation

    def make(before: Callable[..., Any]) -> Callable[..., Any]:
        def cross_validate(estimator: Any, *args: Any, **kwargs: Any) -> Any:
            with outermost("sklearn") as first:
                if not first:
                    return before(estimator, *args, **kwargs)
                with Training("sklearn", type(estimator).__name__, estimator) as training:
                    training.log_data(settings, *features_and_target(args, kwargs))
                    _begin(training, estimator)
                    found = before(estimator, *args, **kwargs)
                    training.log(lambda run: _log_folds(run, found))
                    return found

        return cross_validate

    places = (_validation, sklearn.model_selection)
    return [Patch(place, "cross_validate", make) for place in places if callable(vars(place).get("cross_validate"))]


def _log_folds(run: Any, found: Any) -> None:
    """Log each score, with its fold as context, and the mean of all."""
    for name, values in found.items():
        if name.startswith(("test_", "train_")):
            for fold, value in enumerate(values):
                run.log_metric(name, float(value), context={"fold": fold})
            run.log_metric(name, float(sum(values) / len(values)))


def _watching(settings: Settings) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def make(before: Callable[..., Any]) -> Callable[..., Any]:
        def fit(self: Any, *args: Any, **kwargs: Any) -> Any:
            with outermost("sklearn") as first:
                if not first or f"{type(self).__module__}.".startswith(_PREPARING):
                    return before(self, *args, **kwargs)
                with Training("sklearn", type(self).__name__, self) as training:
                    training.log_data(settings, *features_and_target(args, kwargs))
                    _begin(training, self)
                    found = before(self, *args, **kwargs)
                    training.log(lambda run: _end(run, self, args, kwargs, settings))
                    return found

        return fit

    return make


def _begin(training: Training, estimator: Any) -> None:
    training.log(lambda run: training.log_params(_params(estimator)))


def _params(estimator: Any) -> dict[str, Any]:
    return {"estimator": type(estimator).__name__, **estimator.get_params(deep=True)}


def _end(run: Any, estimator: Any, args: tuple[Any, ...], kwargs: dict[str, Any], settings: Settings) -> None:
    data, target = features_and_target(args, kwargs)
    if data is not None and target is not None and hasattr(estimator, "score") and not hasattr(data, "__next__"):
        run.log_metric("training_score", float(estimator.score(data, target)))
    if hasattr(estimator, "best_score_"):
        run.log_metric("best_cv_score", float(estimator.best_score_))
    if isinstance(best := getattr(estimator, "best_params_", None), dict):
        run.set_tags({f"best_params.{name}": value for name, value in best.items()})
    if settings.models:
        run.log_model(estimator)
