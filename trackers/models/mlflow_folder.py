"""Model folders that MLflow wrote: those of its flavours that need no unpickling, and the others when trusted.

Such a folder has no digests of its own, so that nothing can be verified; what it names is read from a closed list.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from trackers.artifacts.names import check_name
from trackers.artifacts.store import walk_files
from trackers.errors import ModelError, TrackersError, UntrustedError
from trackers.models.flavor import Flavor, find_flavor, full_name
from trackers.models.loaded import LoadedModel
from trackers.models.mlmodel import read_mlmodel, read_signature, refuse_ours
from trackers.models.requirements import check_installed
from trackers.models.trust import Trust


class MLflowFlavor(Flavor):
    """A model that only MLflow itself can read, by its ``python_function``."""

    name = "mlflow"
    distributions = ("mlflow-skinny",)


def load_mlflow(folder: Path, trust: Trust) -> LoadedModel:
    """Load the MLflow model in *folder*.

    LightGBM's and XGBoost's own files, ONNX, Keras and skops need no trust; what is pickled, and what brings code,
    needs ``trust=True``. Raises UntrustedError, or ModelError with what is missing or damaged.
    """
    walk_files(folder)  # links, devices and pipes are refused before anything is read
    content = read_mlmodel(folder)
    refuse_ours(folder, content)
    stanzas = content["flavors"]
    name = next((name for name in _READERS if name in stanzas), None)
    flavor = MLflowFlavor() if name is None else find_flavor(name)
    kind = f"{name or '/'.join(sorted(stanzas))} model of MLflow"
    manifest = {
        "flavor": flavor.name,
        "class": kind,
        "libraries": {},
        "details": {"kind": "Booster"} if name in ("lightgbm", "xgboost") else {},
        **read_signature(content),
    }
    check_installed(manifest, flavor)
    try:
        if name is None:
            model = _read_by_mlflow(folder, kind, trust)
        else:
            model = _READERS[name](folder, stanzas[name], trust)
    except TrackersError:
        raise
    except Exception as exc:
        raise ModelError(f"The {kind} cannot be loaded: {type(exc).__name__}: {exc}") from exc
    if name is not None:
        manifest["class"] = full_name(type(model))
        manifest["input"] = manifest["input"] or flavor.describe_input(model)
    return LoadedModel(model, manifest, flavor, folder=folder)


def _part(folder: Path, stanza: Mapping[str, Any], key: str = "data") -> Path:
    """Return the file that a stanza names; a name that leaves the folder is refused."""
    if not isinstance(stanza.get(key), str):
        raise ModelError(f"MLmodel does not say where the model's file is ({key}): the folder is damaged.")
    path = folder / check_name(stanza[key].rstrip("/"))
    if not path.exists() and not path.with_suffix(".keras").exists():
        raise ModelError(f"The model folder {folder} lacks {stanza[key]!r}: fetch the model again.")
    return path


def _lightgbm(folder: Path, stanza: Mapping[str, Any], trust: Trust) -> Any:
    path = _part(folder, stanza)
    if path.suffix == ".skops":
        from trackers.models.sklearn import read_skops

        return read_skops(path, trust)
    if stanza.get("model_class", "lightgbm.basic.Booster") != "lightgbm.basic.Booster":
        return _unpickle(path, "lightgbm", trust)
    import lightgbm

    from trackers.models.lightgbm_text import check_text

    text = path.read_bytes().decode("utf-8")
    return lightgbm.Booster(model_str=text if trust.everything else check_text(text))


def _xgboost(folder: Path, stanza: Mapping[str, Any], trust: Trust) -> Any:
    import xgboost

    from trackers.models.xgboost_json import check_json

    path = _part(folder, stanza)
    _, _, name = str(stanza.get("model_class", "xgboost.core.Booster")).rpartition(".")
    known = ("Booster", "XGBClassifier", "XGBRegressor", "XGBRanker", "XGBRFClassifier", "XGBRFRegressor", "XGBModel")
    if name not in known:
        raise ModelError(f"{name[:60]!r} is none of XGBoost's models: the folder is damaged.")
    is_json = path.read_bytes()[:1] == b"{" and path.suffix == ".json"
    if is_json and not trust.everything:
        check_json(path.read_text(encoding="utf-8"))
    model = getattr(xgboost, name)()
    model.load_model(path)
    if not is_json and not trust.everything:  # the binary form of the same: what was read is looked at
        check_json(bytes((model if name == "Booster" else model.get_booster()).save_raw("json")).decode())
    return model


def _onnx(folder: Path, stanza: Mapping[str, Any], trust: Trust) -> Any:
    from trackers.models.onnx import read_onnx

    return read_onnx(_part(folder, stanza))


def _keras(folder: Path, stanza: Mapping[str, Any], trust: Trust) -> Any:
    from trackers.models.keras import read_keras

    path = _part(folder, stanza)
    path = path / "model.keras" if path.is_dir() else path.with_suffix(".keras")
    if stanza.get("save_exported_model") or not path.is_file():
        raise ModelError("The Keras model is not in a .keras file: save it again without save_exported_model.")
    return read_keras(path, str(stanza.get("keras_backend", "")), trust)


def _sklearn(folder: Path, stanza: Mapping[str, Any], trust: Trust) -> Any:
    path = _part(folder, stanza, "pickled_model")
    if stanza.get("serialization_format") != "skops":
        return _unpickle(path, "scikit-learn", trust)
    from trackers.models.sklearn import read_skops

    return read_skops(path, trust)


def _unpickle(path: Path, library: str, trust: Trust) -> Any:
    if not trust.everything:
        raise UntrustedError(
            f"{path.name} of this {library} model is a pickle, which runs what its author put there: if you trust "
            "them, load it with trust=True."
        )
    import cloudpickle

    with path.open("rb") as source:
        return cloudpickle.load(source)


def _read_by_mlflow(folder: Path, kind: str, trust: Trust) -> Any:
    if not trust.everything:
        raise UntrustedError(f"The {kind} is unpickled or runs its code: if you trust it, load it with trust=True.")
    import mlflow

    return mlflow.pyfunc.load_model(str(folder))


_READERS: dict[str, Callable[[Path, Mapping[str, Any], Trust], Any]] = {
    "lightgbm": _lightgbm,
    "xgboost": _xgboost,
    "onnx": _onnx,
    "keras": _keras,
    "sklearn": _sklearn,
}
