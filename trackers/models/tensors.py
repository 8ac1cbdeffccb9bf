"""Tensors of PyTorch as arrays of NumPy, so that examples and signatures are the same for every library."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any


def without_tensors(data: Any) -> Any:
    """Return *data*, with an array for each tensor that it is, that it has by name, or that it lists."""
    torch = sys.modules.get("torch")
    kind = getattr(torch, "Tensor", None)
    if kind is None:
        return data
    if isinstance(data, kind):
        return to_array(data)
    if isinstance(data, Mapping) and any(isinstance(value, kind) for value in data.values()):
        return {name: without_tensors(value) for name, value in data.items()}
    if isinstance(data, list | tuple) and any(isinstance(value, kind) for value in data):
        return [without_tensors(value) for value in data]
    return data


def to_array(tensor: Any) -> Any:
    """Return the numbers of a tensor wherever it lies; bfloat16 and the like, which NumPy lacks, as float32."""
    if tensor.is_quantized:
        tensor = tensor.dequantize()
    tensor = tensor.detach().cpu().to_dense().resolve_conj().resolve_neg()
    try:
        return tensor.numpy()
    except TypeError:  # "Got unsupported ScalarType"
        return tensor.float().numpy()
