"""XGBoost's boosters and scikit-learn wrappers, in the JSON that XGBoost itself writes."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from trackers.errors import ModelError
from trackers.models.boosted import json_params, names_or_width, read_params
from trackers.models.fit import wrong_names, wrong_width
from trackers.models.flavor import Flavor, Saving
from trackers.models.trust import Trust
from trackers.models.xgboost_json import check_json

FILE = "booster.json"
_WRAPPERS = ("XGBClassifier", "XGBRegressor", "XGBRanker", "XGBRFClassifier", "XGBRFRegressor")


class XGBoostFlavor(Flavor):
    """``xgboost.Booster`` and its estimators, which come back as what they were."""

    name = "xgboost"
    distributions = ("numpy", "scipy")

    def accepts(self, model: object) -> bool:
        library = sys.modules.get("xgboost")
        return library is not None and type(model) in _kinds(library)

    def save(self, model: Any, folder: Path, how: Saving) -> dict[str, Any]:
        kind = type(model).__name__
        details: dict[str, Any] = {"file": FILE, "kind": kind, "packages": list(_installed_as()) or ["xgboost"]}
        if kind != "Booster":
            params, dropped = json_params(model)
            details |= {"params": params, "dropped_params": dropped}
            details["packages"].append("scikit-learn")
        model.save_model(folder / FILE)
        return details

    def load(self, folder: Path, details: Mapping[str, Any], trust: Trust) -> Any:
        import xgboost

        path = folder / FILE
        if not trust.everything:
            check_json(path.read_text(encoding="utf-8"))
        kind = str(details["kind"])
        if kind == "Booster":
            return xgboost.Booster(model_file=path)
        if kind not in _WRAPPERS:
            raise ModelError(f"{kind[:60]!r} is none of XGBoost's models: the model is damaged.")
        params = read_params(details["params"])
        model = getattr(xgboost, kind)(**params)
        model.load_model(path)
        # Reading the file puts what training found in the place of what was asked for, such as base_score.
        model.set_params(**params)
        return model

    def needs(self, details: Mapping[str, Any]) -> tuple[str, ...]:
        brought = [name for name in details.get("packages", ()) if str(name).startswith("xgboost")]
        own = (*(_installed_as() or brought or ("xgboost",)), "numpy", "scipy")
        return own if details.get("kind") == "Booster" else (*own, "scikit-learn")

    def describe_input(self, model: Any) -> dict[str, Any] | None:
        booster = model if type(model).__name__ == "Booster" else model.get_booster()
        return names_or_width(booster.feature_names, booster.num_features())

    def misfit(self, model: Any, schema: Mapping[str, Any]) -> str | None:
        booster = model if type(model).__name__ == "Booster" else model.get_booster()
        if names := booster.feature_names:
            return wrong_names(schema, names) or wrong_width(schema, booster.num_features())
        # Of a matrix the library refuses only what has more; estimators of trees predict from the array itself.
        from_matrix = booster is model or model.booster == "gblinear"
        return wrong_width(schema, booster.num_features(), or_fewer=from_matrix)

    def categories(self, model: Any, columns: Sequence[str]) -> Mapping[str, Sequence[Any]]:
        booster = model if type(model).__name__ == "Booster" else model.get_booster()
        if not hasattr(booster, "get_categories") or importlib.util.find_spec("pyarrow") is None:
            return {}
        known = booster.get_categories(export_to_arrow=True).to_arrow() or []
        return {name: values.to_pylist() for name, values in known if values is not None and name in columns}

    def predict(self, model: Any, data: Any, **kwargs: Any) -> Any:
        if type(model).__name__ != "Booster":
            return model.predict(data, **kwargs)
        import xgboost

        return model.predict(xgboost.DMatrix(data, enable_categorical=True), **kwargs)

    def mlflow_flavors(self, model: Any, details: Mapping[str, Any]) -> dict[str, Any]:
        import xgboost

        kind = (
            f"xgboost.core.{details['kind']}" if details["kind"] == "Booster" else f"xgboost.sklearn.{details['kind']}"
        )
        return {"xgboost": {"data": details["file"], "model_class": kind, "xgb_version": xgboost.__version__}}


def _installed_as() -> tuple[str, ...]:
    """Return the package that brings ``xgboost`` here: there is one without its GPU part."""
    from trackers.models.manifest import versions

    return tuple(versions(("xgboost", "xgboost-cpu")))


def _kinds(library: Any) -> tuple[type, ...]:
    return tuple(getattr(library, name) for name in ("Booster", *_WRAPPERS) if hasattr(library, name))
