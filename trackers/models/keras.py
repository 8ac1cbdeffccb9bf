"""Keras models as ``.keras`` archives: a config of Keras' own classes, and weights."""

from __future__ import annotations

import importlib
import importlib.util
import io
import os
import sys
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from trackers.errors import ModelError, UntrustedError
from trackers.models.archives import check_stored
from trackers.models.boosted import read_json
from trackers.models.flavor import Flavor, Saving
from trackers.models.trust import Trust

FILE = "model.keras"
_MEMBERS = ("metadata.json", "config.json", "model.weights.h5")
_RUNS_CODE = frozenset({"Lambda", "__lambda__", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer"})
"""Classes of Keras' own whose config holds code, or the path of it."""
_BACKENDS = {"torch": "torch", "tensorflow": "tensorflow", "jax": "jax"}


class KerasFlavor(Flavor):
    """``keras.Model`` of Keras 3."""

    name = "keras"
    distributions = ("keras", "numpy")

    def accepts(self, model: object) -> bool:
        library = sys.modules.get("keras")
        return library is not None and hasattr(library, "Model") and isinstance(model, library.Model)

    def save(self, model: Any, folder: Path, how: Saving) -> dict[str, Any]:
        import keras

        model.save(folder / FILE)
        backend = keras.backend.backend()
        return {"file": FILE, "backend": backend, "packages": [_BACKENDS.get(backend, backend)]}

    def load(self, folder: Path, details: Mapping[str, Any], trust: Trust) -> Any:
        return read_keras(folder / FILE, str(details.get("backend", "")), trust)

    def describe_input(self, model: Any) -> dict[str, Any] | None:
        inputs = getattr(model, "inputs", None)
        if not inputs or any(tensor.shape is None for tensor in inputs):
            return None
        parts = [{"name": t.name, "dtype": str(t.dtype), "shape": [None, *t.shape[1:]]} for t in inputs]
        if len(parts) == 1:
            return {"kind": "array", "shape": parts[0]["shape"], "dtype": parts[0]["dtype"]}
        return {"kind": "tensors", "tensors": parts}

    def predict(self, model: Any, data: Any, **kwargs: Any) -> Any:
        return model.predict(_plain(data), **{"verbose": 0, **kwargs})

    def mlflow_flavors(self, model: Any, details: Mapping[str, Any]) -> dict[str, Any]:
        import keras

        stanza = {"data": FILE.removesuffix(".keras"), "keras_version": keras.__version__}
        return {"keras": stanza | {"keras_backend": details["backend"], "save_exported_model": False}}


def read_keras(path: Path, backend: str, trust: Trust) -> Any:
    """Read a ``.keras`` file after looking at its members, its classes and its weights."""
    if not trust.everything:
        check_stored(path, "Keras", _MEMBERS, folder="assets/")
        _check_classes(path, trust)
    _choose_backend(backend)
    import keras

    if not trust.everything:
        _check_weights(path)
    return keras.saving.load_model(path, compile=False, safe_mode=not trust.everything)


def _choose_backend(saved_with: str) -> None:
    """Let Keras use the backend that the model was made with, where it is installed and nothing else was chosen.

    Files are the same for all backends; without this Keras insists on tensorflow.
    """
    if "keras" in sys.modules or os.environ.get("KERAS_BACKEND"):
        return
    able = [name for name in (saved_with, *_BACKENDS) if name in _BACKENDS and importlib.util.find_spec(name)]
    if not able:
        raise ModelError(f"Loading a Keras model needs a backend: pip install {_BACKENDS.get(saved_with, 'torch')}")
    os.environ["KERAS_BACKEND"] = able[0]


def _check_classes(path: Path, trust: Trust) -> None:
    with zipfile.ZipFile(path) as archive:
        if "config.json" not in archive.namelist():
            raise ModelError(f"{path.name} holds no config: it is damaged.")
        config = read_json(archive.read("config.json").decode("utf-8", "replace"))
    for module, name, registered in _classes(config):
        if name in _RUNS_CODE:
            raise UntrustedError(f"The model holds a {name}, which runs code of its file: if you trust it, trust=True.")
        if _is_keras(module) and ">" not in registered:
            continue
        full = f"{module}.{name}"
        if not trust.allows(full):
            raise UntrustedError(f"The model holds the class {full}: if you trust it, load it with trust=[{full!r}].")
        try:
            importlib.import_module(module)
        except ImportError as exc:
            raise ModelError(f"The model needs {module}, which cannot be imported here: install it. ({exc})") from exc


def _is_keras(module: str) -> bool:
    return module in ("", "builtins", "keras") or module.startswith("keras.")


def _classes(config: Any) -> Iterator[tuple[str, str, str]]:
    """Yield the module, the name and the registered name of every class that a config makes."""
    stack = [config]
    while stack:
        value = stack.pop()
        if isinstance(value, Mapping):
            if "class_name" in value:
                yield tuple(str(value.get(key) or "") for key in ("module", "class_name", "registered_name"))  # type: ignore[misc]
            stack += value.values()
        elif isinstance(value, list):
            stack += value


def _check_weights(path: Path) -> None:
    """Refuse weights that are a link to elsewhere, or that say to be larger than what the file holds of them."""
    import h5py

    with zipfile.ZipFile(path) as archive:
        content = io.BytesIO(archive.read("model.weights.h5"))
    try:
        with h5py.File(content, "r") as weights:
            _check_group(weights, h5py)
    except OSError as exc:
        raise ModelError(f"The weights in {path.name} cannot be read: the model is damaged ({exc}).") from exc


def _check_group(top: Any, h5py: Any) -> None:
    seen, stack = set(), [top]
    while stack:
        group = stack.pop()
        for name in group:
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise ModelError(f"The weights {group.name}/{name} are a link to elsewhere: the model is refused.")
            item = group[name]
            if isinstance(item, h5py.Dataset):
                if item.external or item.is_virtual or item.nbytes > item.id.get_storage_size():
                    raise ModelError(f"The weights {item.name} are not in the file at their size: it is refused.")
            elif item.id not in seen:
                seen.add(item.id)
                stack.append(item)


def _plain(data: Any) -> Any:
    return data.to_numpy() if hasattr(data, "to_numpy") else data
