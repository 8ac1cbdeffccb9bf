"""ONNX graphs, predicted by onnxruntime."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from trackers.errors import ModelError
from trackers.models.flavor import Flavor, Saving
from trackers.models.schema import is_frame
from trackers.models.trust import Trust

FILE = "model.onnx"
_DTYPES = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(float16)": "float16",
    "tensor(int64)": "int64",
    "tensor(int32)": "int32",
    "tensor(int16)": "int16",
    "tensor(int8)": "int8",
    "tensor(uint8)": "uint8",
    "tensor(bool)": "bool",
    "tensor(string)": "object",
}
_PROBABILITIES = ("probabilities", "output_probability")


class OnnxFlavor(Flavor):
    """``onnx.ModelProto``; loaded, it is an ``OnnxModel``."""

    name = "onnx"
    distributions = ("onnx", "onnxruntime", "numpy")

    def accepts(self, model: object) -> bool:
        library = sys.modules.get("onnx")
        return isinstance(model, OnnxModel) or (library is not None and isinstance(model, library.ModelProto))

    def save(self, model: Any, folder: Path, how: Saving) -> dict[str, Any]:
        proto = model.proto if isinstance(model, OnnxModel) else model
        _refuse_external(proto)
        try:
            (folder / FILE).write_bytes(proto.SerializeToString())
        except ValueError as exc:  # protobuf's limit
            raise ModelError(
                "The ONNX model is larger than 2 GiB, which one file cannot hold: make it smaller."
            ) from exc
        return {"file": FILE}

    def load(self, folder: Path, details: Mapping[str, Any], trust: Trust) -> OnnxModel:
        return read_onnx(folder / FILE)

    def describe_input(self, model: Any) -> dict[str, Any] | None:
        return _opened(model).schema

    def predict(self, model: Any, data: Any, **kwargs: Any) -> Any:
        return _opened(model).predict(data)

    def predict_proba(self, model: Any, data: Any, **kwargs: Any) -> Any:
        return _opened(model).predict_proba(data)

    def mlflow_flavors(self, model: Any, details: Mapping[str, Any]) -> dict[str, Any]:
        import onnx

        return {"onnx": {"data": FILE, "onnx_version": onnx.__version__, "providers": ["CPUExecutionProvider"]}}


def read_onnx(path: Path) -> OnnxModel:
    """Read a graph; one that has parts in other files is refused, since it could name any file of the machine."""
    import onnx
    from google.protobuf.message import DecodeError

    proto = onnx.ModelProto()
    try:
        proto.ParseFromString(path.read_bytes())
    except DecodeError as exc:
        raise ModelError(f"{path.name} is not an ONNX model: it is damaged.") from exc
    _refuse_external(proto)
    return OnnxModel(proto)


class OnnxModel:
    """A graph and the session that computes it. *proto* is the ``onnx.ModelProto``."""

    def __init__(self, proto: Any) -> None:
        import onnxruntime

        self.proto = proto
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        try:
            self.session = onnxruntime.InferenceSession(
                proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as exc:
            raise ModelError(f"onnxruntime cannot read the ONNX model: {str(exc)[:300]}") from exc

    @property
    def schema(self) -> dict[str, Any] | None:
        """The schema of the inputs: columns where each is (rows, 1), an array where there is one input."""
        inputs = [(i.name, _DTYPES.get(i.type), i.shape) for i in self.session.get_inputs()]
        if any(dtype is None or not shape for _, dtype, shape in inputs):
            return None
        if len(inputs) > 1 and all(len(shape) == 2 and shape[1] == 1 for _, _, shape in inputs):
            columns = [{"name": name, "dtype": None if dtype == "object" else dtype} for name, dtype, _ in inputs]
            return {"kind": "frame", "columns": columns}
        parts = [{"name": name, "dtype": dtype, "shape": _sizes(shape)} for name, dtype, shape in inputs]
        if len(parts) == 1:
            return {"kind": "array", "shape": parts[0]["shape"], "dtype": parts[0]["dtype"]}
        return {"kind": "tensors", "tensors": parts}

    def run(self, data: Any) -> dict[str, Any]:
        """Compute every output by name. *data*: an array for a single input, a frame or a dict for several."""
        import numpy as np

        feeds = {}
        inputs = self.session.get_inputs()
        for node in inputs:
            if len(inputs) == 1 and not isinstance(data, Mapping):
                value = np.asarray(data)
            else:
                value = np.asarray(data[node.name])
                if is_frame(data):
                    value = value.reshape(-1, 1)
            dtype = _DTYPES.get(node.type)
            feeds[node.name] = value if dtype is None else value.astype(dtype, copy=False)
        names = [node.name for node in self.session.get_outputs()]
        return dict(zip(names, self.session.run(names, feeds), strict=True))

    def predict(self, data: Any) -> Any:
        """Return the output: of a classifier the labels, of a graph with several outputs all of them by name."""
        found = self.run(data)
        labels = [name for name in found if name not in _PROBABILITIES]
        return found[labels[0]] if len(labels) == 1 else found

    def predict_proba(self, data: Any) -> Any:
        """Return the probabilities (rows, classes) of a graph that has an output of that name."""
        import numpy as np

        found = self.run(data)
        name = next((name for name in _PROBABILITIES if name in found), None)
        if name is None:
            raise ModelError(f"The ONNX model gives no probabilities, only {', '.join(found)}: use predict.")
        rows = found[name]
        return np.array([list(row.values()) for row in rows]) if isinstance(rows, list) else rows


def _opened(model: Any) -> OnnxModel:
    return model if isinstance(model, OnnxModel) else OnnxModel(model)


def _sizes(shape: list[Any]) -> list[int | None]:
    return [None, *(n if isinstance(n, int) else None for n in shape[1:])]


def _refuse_external(proto: Any) -> None:
    for tensor in _tensors(proto):
        if tensor.data_location or len(tensor.external_data):
            raise ModelError(
                f"The ONNX model keeps the tensor {tensor.name[:60]!r} in another file: read it with "
                "onnx.load(path), which brings it in, and save that."
            )


def _tensors(message: Any) -> Iterator[Any]:
    """Yield every tensor inside a message, wherever it is."""
    stack = [message]
    while stack:
        one = stack.pop()
        if one.DESCRIPTOR.name == "TensorProto":
            yield one
        for field, value in one.ListFields():
            if field.message_type is not None:
                stack += list(value) if not hasattr(value, "DESCRIPTOR") else [value]
