"""LightGBM's boosters and scikit-learn wrappers, in the text that LightGBM itself writes."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from trackers.errors import ModelError
from trackers.models.boosted import json_params, names_or_width, read_params
from trackers.models.fit import columns_of, wrong_width
from trackers.models.flavor import Flavor, Saving
from trackers.models.lightgbm_text import check_text
from trackers.models.trust import Trust

FILE = "model.txt"
_WRAPPERS = ("LGBMClassifier", "LGBMRegressor", "LGBMRanker")


class LightGBMFlavor(Flavor):
    """``lightgbm.Booster`` and the three estimators, which come back as what they were."""

    name = "lightgbm"
    distributions = ("lightgbm", "numpy", "scipy")

    def accepts(self, model: object) -> bool:
        library = sys.modules.get("lightgbm")
        return library is not None and type(model) in (library.Booster, *_wrappers(library))

    def save(self, model: Any, folder: Path, how: Saving) -> dict[str, Any]:
        details: dict[str, Any] = {"file": FILE, "kind": type(model).__name__, "packages": []}
        booster = model
        if details["kind"] != "Booster":
            booster = model.booster_
            params, dropped = json_params(model)
            details |= {"params": params, "dropped_params": dropped, "packages": ["scikit-learn"]}
            details["named"] = bool(model._fitted_with_feature_names)
            classes = getattr(model, "_classes", None)
            if classes is not None:
                details["classes"] = {"values": classes.tolist(), "dtype": str(classes.dtype)}
        details["best_iteration"] = int(booster.best_iteration)
        (folder / FILE).write_text(booster.model_to_string(num_iteration=-1), encoding="utf-8")
        return details

    def load(self, folder: Path, details: Mapping[str, Any], trust: Trust) -> Any:
        import lightgbm

        text = (folder / FILE).read_bytes().decode("utf-8")
        booster = lightgbm.Booster(model_str=text if trust.everything else check_text(text))
        booster.best_iteration = int(details["best_iteration"])
        if details["kind"] == "Booster":
            return booster
        if details["kind"] not in _WRAPPERS:
            raise ModelError(f"{str(details['kind'])[:60]!r} is none of LightGBM's models: the model is damaged.")
        return _wrap(lightgbm, booster, details)

    def needs(self, details: Mapping[str, Any]) -> tuple[str, ...]:
        return self.distributions if details.get("kind") == "Booster" else (*self.distributions, "scikit-learn")

    def describe_input(self, model: Any) -> dict[str, Any] | None:
        booster = getattr(model, "booster_", model)
        names = booster.feature_name()
        own = names != [f"Column_{i}" for i in range(len(names))]
        return names_or_width(names if own else None, booster.num_feature())

    def misfit(self, model: Any, schema: Mapping[str, Any]) -> str | None:
        # It takes columns by their places, whatever their names. The estimators ask scikit-learn about an array.
        if getattr(model, "predict_disable_shape_check", False) and columns_of(schema) is not None:
            return None
        return wrong_width(schema, getattr(model, "booster_", model).num_feature())

    def categories(self, model: Any, columns: Sequence[str]) -> Mapping[str, Sequence[Any]]:
        known = getattr(model, "booster_", model).pandas_categorical or []
        return dict(zip(columns, known, strict=True)) if len(known) == len(columns) else {}

    def mlflow_flavors(self, model: Any, details: Mapping[str, Any]) -> dict[str, Any]:
        import lightgbm

        if details["kind"] != "Booster":  # MLflow pickles the wrappers
            return {}
        stanza = {"data": FILE, "lgb_version": lightgbm.__version__, "model_class": "lightgbm.basic.Booster"}
        return {"lightgbm": stanza}


def _wrappers(library: Any) -> tuple[type, ...]:
    return tuple(getattr(library, name) for name in _WRAPPERS if hasattr(library, name))


def _wrap(library: Any, booster: Any, details: Mapping[str, Any]) -> Any:
    """Return the estimator around *booster* as ``fit`` leaves it; LightGBM has no public way to do so."""
    import numpy as np

    model = getattr(library, details["kind"])(**read_params(details["params"]))
    model._Booster = booster
    model._n_features = model._n_features_in = booster.num_feature()
    model._best_iteration, model._best_score, model._evals_result = booster.best_iteration, {}, {}
    model._fitted_with_feature_names = bool(details["named"])
    model._objective = model.objective or str(booster.params.get("objective", "regression"))
    model._class_weight = model.class_weight
    model.fitted_ = True
    if (classes := details.get("classes")) is not None:
        dtype = np.dtype(str(classes["dtype"]))
        if dtype.kind not in "biufUO":
            raise ModelError(f"Its classes cannot be of dtype {dtype}: the model is damaged.")
        model._classes = np.asarray(classes["values"], dtype=dtype)
        model._n_classes = len(model._classes)
        model._le = library.sklearn._LGBMLabelEncoder().fit(model._classes)
        numbers = model._le.transform(model._le.classes_)
        model._class_map = dict(zip(model._le.classes_, numbers, strict=True))
    return model
