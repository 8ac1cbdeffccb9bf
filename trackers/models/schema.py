"""What a model takes and gives: read from an example, and checked when it predicts.

A schema is JSON: ``{"kind": "array", "shape": [None, 64], "dtype": "float64"}``, ``{"kind": "frame", "columns":
[{"name": "age", "dtype": "int64"}]}`` or ``{"kind": "list"}``. The first dimension, the rows, is always None.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping
from typing import Any

from trackers.errors import InvalidValueError

EXAMPLE_ROWS = 5


def is_frame(data: Any) -> bool:
    """Tell whether *data* is a pandas DataFrame, without importing pandas."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(data, pandas.DataFrame)


def describe(data: Any) -> dict[str, Any]:
    """Return the schema of *data*: an array, a frame, or a list of anything."""
    if is_frame(data):
        return {"kind": "frame", "columns": [{"name": str(n), "dtype": str(t)} for n, t in data.dtypes.items()]}
    shape, dtype = getattr(data, "shape", None), getattr(data, "dtype", None)
    if shape is not None and dtype is not None:
        return {"kind": "array", "shape": [None, *(int(n) for n in shape[1:])], "dtype": str(dtype)}
    if isinstance(data, list | tuple) and (array := _numeric(data)) is not None:
        return describe(array)
    return {"kind": "list"}


def head(data: Any) -> Any:
    """Return the first rows of *data*."""
    return data.iloc[:EXAMPLE_ROWS] if hasattr(data, "iloc") else data[:EXAMPLE_ROWS]


def to_json(data: Any) -> Any:
    """Return an example as JSON: rows of values, or ``{"columns": [...], "data": [...]}``; None where that fails."""
    if is_frame(data):
        rows = [[_plain(value) for value in row] for row in data.itertuples(index=False, name=None)]
        return {"columns": [str(name) for name in data.columns], "data": rows}
    if hasattr(data, "tolist"):
        return data.tolist()
    return data if isinstance(data, list | tuple) else None


def conform(data: Any, schema: Mapping[str, Any] | None) -> Any:
    """Return *data* in the form that the model was made for: NumPy, pandas, Arrow or lists become what it took.

    Raises InvalidValueError with what does not fit: a wrong number of dimensions or columns, or missing columns.
    """
    if hasattr(data, "to_pandas") and not is_frame(data):
        data = data.to_pandas()
    kind = (schema or {}).get("kind")
    if kind == "frame" and schema is not None:
        return _to_frame(data, [column["name"] for column in schema["columns"]])
    if kind == "array" and schema is not None:
        return _to_array(data, schema["shape"])
    if kind is None and isinstance(data, list | tuple):
        array = _numeric(data)
        return data if array is None else array
    return data


def _to_array(data: Any, shape: list[int | None]) -> Any:
    import numpy as np

    array = data if hasattr(data, "ndim") and hasattr(data, "shape") and not is_frame(data) else np.asarray(data)
    if tuple(array.shape[1:]) == tuple(shape[1:]) and array.ndim == len(shape):
        return array
    expected = "(rows, " + ", ".join(str(n) for n in shape[1:]) + ")"
    hint = "; for one row use X.reshape(1, -1)" if list(array.shape) == shape[1:] and array.ndim == 1 else ""
    raise InvalidValueError(f"The model takes an array of shape {expected}, not {tuple(array.shape)}{hint}.")


def _to_frame(data: Any, columns: list[str]) -> Any:
    if not is_frame(data):
        if importlib.util.find_spec("pandas") is None:
            return data
        import pandas as pd

        named = isinstance(data, Mapping) or (isinstance(data, list) and data and isinstance(data[0], Mapping))
        if not named:
            width = len(data[0]) if len(data) and hasattr(data[0], "__len__") else 0
            if width != len(columns):
                raise InvalidValueError(f"The model takes {len(columns)} columns ({_some(columns)}), not {width}.")
        data = pd.DataFrame(data) if named else pd.DataFrame(data, columns=columns)
    if missing := [name for name in columns if name not in data.columns]:
        raise InvalidValueError(f"The input lacks the columns {_some(missing)} that the model was made with.")
    return data[columns]


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _numeric(data: Any) -> Any:
    import numpy as np

    try:
        array = np.asarray(data)
    except ValueError:  # rows of different lengths
        return None
    return array if array.dtype.kind in "biufc" else None


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value
