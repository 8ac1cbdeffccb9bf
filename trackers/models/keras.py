"""Keras models as ``.keras`` archives: a config of Keras' own classes, and weights."""

from __future__ import annotations

import importlib.util
import io
import os
import random
import re
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from trackers.errors import ModelError
from trackers.models.archives import check_stored
from trackers.models.casting import frame_array
from trackers.models.conform import check_rows
from trackers.models.flavor import Flavor, Saving
from trackers.models.keras_classes import check_classes, own_homes, own_objects
from trackers.models.local_code import check_local
from trackers.models.schema import is_frame
from trackers.models.trust import Trust

FILE = "model.keras"
_CLOSE = {8: 1e-12, 4: 1e-5}
"""How far two outputs of one model may be apart, relative to the largest, by the bytes of a number."""
_LITTLE = 1e-2
"""The same for shorter ones."""
_MEMBERS = ("metadata.json", "config.json", "model.weights.h5")
_BACKENDS = {"torch": "torch", "tensorflow": "tensorflow", "jax": "jax"}


class KerasFlavor(Flavor):
    """``keras.Model`` of Keras 3."""

    name = "keras"
    distributions = ("keras", "numpy")
    lists_outputs = True

    def accepts(self, model: object) -> bool:
        library = sys.modules.get("keras")
        return library is not None and hasattr(library, "Model") and isinstance(model, library.Model)

    def save(self, model: Any, folder: Path, how: Saving) -> dict[str, Any]:
        import keras

        model.save(folder / FILE)
        homes = own_homes(folder / FILE)
        if homes:
            with _random_kept():
                made = _open(folder / FILE, own_objects(folder / FILE, homes), safe=False)
                if how.example is not None:
                    _check_same(model, made, lambda one: self.predict(one, how.example))
        backend = keras.backend.backend()
        details = {"file": FILE, "backend": backend, "packages": [_BACKENDS.get(backend, backend)]}
        # Where the loader looks for them; it trusts none of them for it.
        return details | {"own": homes} if homes else details

    def load(self, folder: Path, details: Mapping[str, Any], trust: Trust) -> Any:
        return read_keras(folder / FILE, str(details.get("backend", "")), trust, details.get("own", {}))

    def describe_input(self, model: Any) -> dict[str, Any] | None:
        inputs = getattr(model, "inputs", None)
        if not inputs or any(tensor.shape is None for tensor in inputs):
            return None
        parts = [{"name": t.name, "dtype": str(t.dtype), "shape": [None, *t.shape[1:]]} for t in inputs]
        if len(parts) == 1:
            return {"kind": "array", "shape": parts[0]["shape"], "dtype": parts[0]["dtype"]}
        return {"kind": "tensors", "tensors": parts}

    def describe_rows(self, model: Any, rows: Any) -> dict[str, Any]:
        """Let what the model says of itself win: sizes that may be any, and floats where the example has none."""
        schema, own = super().describe_rows(model, rows), self.describe_input(model)
        if own is None or schema["kind"] != own["kind"]:
            return schema
        if own["kind"] == "array":
            return _loosened(schema, own)
        known = {tensor["name"]: tensor for tensor in own["tensors"]}
        tensors = [_loosened(tensor, known.get(tensor["name"], tensor)) for tensor in schema["tensors"]]
        return schema | {"tensors": tensors}

    def predict(self, model: Any, data: Any, **kwargs: Any) -> Any:
        inputs = _inputs(model, data)
        check_rows(inputs if isinstance(inputs, Mapping) else {"": inputs})
        return model.predict(inputs, **{"verbose": 0, **kwargs})

    def mlflow_flavors(self, model: Any, details: Mapping[str, Any]) -> dict[str, Any]:
        import keras

        stanza = {"data": FILE.removesuffix(".keras"), "keras_version": keras.__version__}
        return {"keras": stanza | {"keras_backend": details["backend"], "save_exported_model": False}}


def read_keras(path: Path, backend: str, trust: Trust, homes: Mapping[str, str] | None = None) -> Any:
    """Read a ``.keras`` file after looking at its members, its classes and its weights.

    *homes*: see ``check_classes``.
    """
    homes = homes or {}
    if not trust.everything:
        check_stored(path, "Keras", _MEMBERS, folder="assets/")
        check_classes(path, homes, trust)
        if homes:
            check_local(path.parent, {}, trust)
    _choose_backend(backend)
    import keras  # noqa: F401 - before the modules of the user, which import it

    if not trust.everything:
        _check_weights(path)
    return _open(path, own_objects(path, homes), safe=not trust.everything)


def _open(path: Path, own: Mapping[str, Any], safe: bool) -> Any:
    """Have Keras read the file with these classes and functions of the user's; what it says is cut to a sentence."""
    import keras

    try:
        return keras.saving.load_model(path, custom_objects=dict(own), compile=False, safe_mode=safe)
    except Exception as exc:
        innermost = str(exc).rpartition("Exception encountered: ")[2].strip()
        said = re.split(r"\n|config=|Full object config|Full config", innermost, maxsplit=1)[0].strip(" .:")
        raise ModelError(
            f"Keras cannot make the model of {path.name} anew ({type(exc).__name__}: {said[:300]})."
        ) from exc


def _check_same(model: Any, made: Any, predict: Callable[[Any], Any]) -> None:
    """Raise ModelError where *made*, of the config and the weights, predicts otherwise than *model*: something was lost.

    Where *model* itself cannot predict, or differs from itself, there is nothing to compare.
    """
    try:
        expected = predict(model)
    except Exception:  # noqa: BLE001 - whatever the user's layer raises; who describes the model says so
        return
    lost = (
        "What Keras makes of the config of this model holds its weights but does not predict input_example as the "
        "model does: an argument of a layer of your own is not in its get_config(), or was set later."
    )
    try:
        found = predict(made)
    except Exception as exc:
        raise ModelError(f"{lost} The new one fails: {type(exc).__name__}: {str(exc)[:200]}") from exc
    if not _same(expected, found) and _same(expected, predict(model)):
        raise ModelError(lost)


def _same(one: Any, other: Any) -> bool:
    """Tell whether two outputs are equal but for rounding; NaN equals NaN."""
    import numpy as np
    from keras import tree

    ours, theirs = ([np.asarray(leaf) for leaf in tree.flatten(outputs)] for outputs in (one, other))
    if [array.shape for array in ours] != [array.shape for array in theirs]:
        return False
    for a, b in zip(ours, theirs, strict=True):
        if a.dtype.kind != "f":
            if not np.array_equal(a, b):
                return False
            continue
        wide, size = np.asarray(a, dtype=np.float64), np.abs(a[np.isfinite(a)])
        near = _CLOSE.get(a.dtype.itemsize, _LITTLE) * float(size.max(initial=0.0))
        if not np.allclose(wide, np.asarray(b, dtype=np.float64), rtol=0.0, atol=near, equal_nan=True):
            return False
    return True


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


@contextmanager
def _random_kept() -> Iterator[None]:
    """Leave the random numbers that come after the block as they were: new layers draw theirs inside it."""
    state = random.getstate()
    with ExitStack() as stack:
        if torch := sys.modules.get("torch"):
            stack.enter_context(torch.random.fork_rng(devices=[]))
        try:
            yield
        finally:
            random.setstate(state)


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


def _loosened(shown: dict[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    floats = str(own["dtype"]).startswith("float") and str(shown["dtype"]).startswith(("int", "uint", "bool"))
    return shown | {"shape": own["shape"], "dtype": own["dtype"] if floats else shown["dtype"]}


def _inputs(model: Any, data: Any) -> Any:
    """Return *data* as Keras takes it; the columns of a frame one by one where they are the model's inputs."""
    import numpy as np

    if is_frame(data):
        names = [str(tensor.name) for tensor in getattr(model, "inputs", None) or ()]
        if len(names) < 2 or not set(names) <= set(data.columns):
            return frame_array(data)
        data = {name: frame_array(data[name]).reshape(-1, 1) for name in names}
    if isinstance(data, Mapping):
        return {str(name): np.asarray(value) for name, value in data.items()}
    return np.asarray(data)
