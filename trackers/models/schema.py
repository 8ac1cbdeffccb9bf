"""What a model takes and gives, read from an example.

A schema is JSON: ``{"kind": "array", "shape": [None, 64], "dtype": "float64"}``, ``{"kind": "frame", "columns":
[{"name": "age", "dtype": "int64"}]}``, ``{"kind": "tensors", "tensors": [{"name": "x", "shape": ..., "dtype": ...}]}``
or ``{"kind": "list"}``. The first dimension, the rows, is always None. Tensors of an example with several numbers of rows
(the nodes and the edges of a graph) are ``ragged``. A column may say ``nullable``, and for the
dtype ``category`` its ``categories`` and whether they are ``ordered``.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from typing import Any

from trackers.errors import InvalidValueError

EXAMPLE_ROWS = 5
_MAX_CATEGORIES = 1000
_NEVER_NULL = frozenset("biu")
"""Kinds of NumPy's dtypes that have no value for what is missing: bool and the integers."""


def is_frame(data: Any) -> bool:
    """Tell whether *data* is a pandas DataFrame, without importing pandas."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(data, pandas.DataFrame)


def describe(data: Any) -> dict[str, Any]:
    """Return the schema of *data*: an array, a frame, named arrays, or a list of anything."""
    if is_frame(data):
        return {"kind": "frame", "columns": [{"name": str(n), "dtype": str(t)} for n, t in data.dtypes.items()]}
    shape, dtype = getattr(data, "shape", None), getattr(data, "dtype", None)
    if shape is not None and dtype is not None:
        return {"kind": "array", "shape": [None, *(int(n) for n in shape[1:])], "dtype": str(dtype)}
    if isinstance(data, Mapping) and data and all(hasattr(value, "shape") for value in data.values()):
        tensors = [{"name": str(name), **describe(value)} for name, value in data.items()]
        found = {"kind": "tensors", "tensors": [{k: v for k, v in t.items() if k != "kind"} for t in tensors]}
        return found | {"ragged": True} if len(row_counts(data)) > 1 else found
    if isinstance(data, list | tuple) and (array := numeric(data)) is not None:
        return describe(array)
    return {"kind": "list"}


def row_counts(arrays: Mapping[str, Any]) -> set[int]:
    """Return the numbers of rows that named arrays have."""
    return {value.shape[0] for value in arrays.values() if value.shape}


def describe_fully(data: Any) -> dict[str, Any]:
    """Return the schema of *data* with what each column may hold: missing values, which categories."""
    schema = describe(data)
    for at, column in enumerate(schema.get("columns", ())):
        series = data.iloc[:, at]
        column["nullable"] = getattr(series.dtype, "kind", "O") not in _NEVER_NULL
        categories = getattr(series.dtype, "categories", None)
        if categories is not None and len(categories) <= _MAX_CATEGORIES:
            values = [plain(value) for value in categories]
            finite = all(not isinstance(value, float) or math.isfinite(value) for value in values)
            if finite and all(isinstance(value, str | int | float | bool) for value in values):
                column |= {"categories": values, "ordered": bool(series.dtype.ordered)}
    return schema


def check_schema(schema: Any) -> dict[str, Any]:
    """Return *schema*, or raise InvalidValueError with what is wrong with its form."""
    kind = schema.get("kind") if isinstance(schema, Mapping) else None
    if kind == "frame":
        columns = schema.get("columns")
        fits = isinstance(columns, list) and all(_is_column(column) for column in columns)
    elif kind == "tensors":
        tensors = schema.get("tensors")
        fits = isinstance(tensors, list) and all(_is_array(t) and isinstance(t.get("name"), str) for t in tensors)
    else:
        fits = kind == "list" or (kind == "array" and _is_array(schema))
    if not fits:
        raise InvalidValueError(
            f"{str(schema)[:120]!r} is no schema: give an example of the data, or a mapping such as "
            '{"kind": "array", "shape": [None, 4], "dtype": "float64"}.'
        )
    return dict(schema)


def _is_column(column: Any) -> bool:
    if not isinstance(column, Mapping) or not isinstance(column.get("name"), str):
        return False
    return isinstance(column.get("dtype"), str | None) and isinstance(column.get("categories", []), list)


def _is_array(schema: Any) -> bool:
    if not isinstance(schema, Mapping) or not isinstance(schema.get("dtype"), str | None):
        return False
    shape = schema.get("shape")
    sizes = isinstance(shape, list) and all(n is None or (isinstance(n, int) and n >= 0) for n in shape)
    return isinstance(shape, list) and sizes and len(shape) > 0 and shape[0] is None


def named_outputs(found: Any, name: str = "") -> Any:
    """Return the outputs of a network that gives several by name: those of a list as output_0, output_1, ..."""
    if isinstance(found, Mapping):
        parts = [(f"{name}_{key}" if name else str(key), value) for key, value in found.items()]
    elif isinstance(found, list) and found and all(hasattr(v, "shape") or isinstance(v, list | Mapping) for v in found):
        parts = [(f"{name or 'output'}_{at}", value) for at, value in enumerate(found)]
    else:
        return {name: found} if name else found
    return {key: value for part, inner in parts for key, value in named_outputs(inner, part).items()}


def head(data: Any) -> Any:
    """Return the first rows of *data*."""
    if isinstance(data, Mapping):
        return {name: head(value) for name, value in data.items()}
    return data.iloc[:EXAMPLE_ROWS] if hasattr(data, "iloc") else data[:EXAMPLE_ROWS]


def to_json(data: Any) -> Any:
    """Return an example as JSON: rows of values, or ``{"columns": [...], "data": [...]}``; None where that fails."""
    if is_frame(data):
        rows = [[plain(value) for value in row] for row in data.itertuples(index=False, name=None)]
        return {"columns": [str(name) for name in data.columns], "data": rows}
    if hasattr(data, "tolist"):
        return data.tolist()
    if isinstance(data, Mapping):
        return {str(name): to_json(value) for name, value in data.items()}
    return data if isinstance(data, list | tuple) else None


def in_words(schema: Mapping[str, Any] | None) -> str:
    """Say a schema on one line, as in ``(rows, 4) float64`` or ``age: int64, kind: str``."""
    if not schema or "error" in schema:
        return "unknown"
    if schema["kind"] == "frame":
        return some([f"{c['name']}: {c['dtype']}" if c.get("dtype") else c["name"] for c in schema["columns"]])
    if schema["kind"] == "tensors":
        return some([f"{tensor['name']}: {_shape_in_words(tensor)}" for tensor in schema["tensors"]])
    return _shape_in_words(schema) if schema["kind"] == "array" else "a list"


def _shape_in_words(schema: Mapping[str, Any]) -> str:
    sizes = ", ".join("any" if n is None else str(n) for n in schema["shape"][1:])
    dtype = str(schema["dtype"] or "")
    # NumPy's text of at most so many characters: what the longest one of the example had is of no matter.
    shown = "str" if dtype.lstrip("<>=|").startswith("U") else dtype
    return f"(rows{', ' if sizes else ''}{sizes}) {shown}".rstrip()


def some(names: list[str]) -> str:
    """Name the first five of *names* and how many more there are."""
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def numeric(data: Any) -> Any:
    """Return *data* as an array of numbers, None where it is not made of them."""
    import numpy as np

    try:
        array = np.asarray(data)
    except ValueError:  # rows of different lengths
        return None
    return array if array.dtype.kind in "biufc" else None


def plain(value: Any) -> Any:
    """Return NumPy's scalars as Python's own."""
    return value.item() if hasattr(value, "item") else value
