"""Bring what a caller predicts from into the form that the model was made for, or say what does not fit."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping
from typing import Any

from trackers.errors import InvalidValueError
from trackers.models.casting import cast_array, cast_column, frame_array
from trackers.models.schema import is_frame, numeric, row_counts, some
from trackers.models.tensors import without_tensors


def conform(data: Any, schema: Mapping[str, Any] | None) -> Any:
    """Return *data* in the form of *schema*: NumPy, pandas, Arrow, tensors, lists and dicts become what it names.

    Columns are put in order and those that the model does not know are left out; numbers are cast where they fit
    (a large integer is rounded to a float's digits); what a mask hides is missing. Raises InvalidValueError with what
    does not fit: a wrong shape, missing columns, a dtype, a category.
    """
    if hasattr(data, "to_pandas") and not is_frame(data):
        data = data.to_pandas()
    data = _unmasked(without_tensors(data))
    kind = (schema or {}).get("kind")
    if schema is not None and kind == "frame":
        return _to_frame(data, schema["columns"])
    if schema is not None and kind == "array":
        return _to_array(data, schema["shape"], schema.get("dtype"), "The input")
    if schema is not None and kind == "tensors":
        return _to_tensors(data, schema["tensors"], bool(schema.get("ragged")))
    if kind == "list" and is_frame(data):
        if data.shape[1] != 1:
            raise InvalidValueError(f"The model takes a list, not a table of {data.shape[1]} columns.")
        return data.iloc[:, 0].tolist()
    if kind is None and isinstance(data, list | tuple):
        array = numeric(data)
        return (_records(data) if _is_records(data) else data) if array is None else array
    return data


def _unmasked(data: Any) -> Any:
    """Return a masked array as one with NaN for what is hidden, which no model would see otherwise."""
    import numpy as np

    if not isinstance(data, np.ma.MaskedArray):
        return data
    if not np.ma.is_masked(data):
        return data.data
    if data.dtype.kind not in "iuf":
        raise InvalidValueError(
            f"The input hides values of {data.dtype} by a mask, and no {data.dtype} is missing: fill it."
        )
    return np.ma.asarray(data, dtype="float64" if data.dtype.kind in "iu" else data.dtype).filled(np.nan)


def _is_records(data: Any) -> bool:
    return isinstance(data, list) and bool(data) and isinstance(data[0], Mapping)


def _records(data: Any) -> Any:
    if importlib.util.find_spec("pandas") is None:
        return data
    import pandas as pd

    return pd.DataFrame(data)


def _to_array(data: Any, shape: list[int | None], dtype: str | None, what: str) -> Any:
    import numpy as np

    if _is_records(data):
        data = [list(row.values()) for row in data]
    if isinstance(data, Mapping):
        if len(data) != 1:
            raise InvalidValueError(f"The model takes one array, not several by name ({some(list(map(str, data)))}).")
        data = next(iter(data.values()))
    if is_frame(data):
        data = data.to_numpy()
    is_array = hasattr(data, "ndim") and hasattr(data, "shape")  # also a sparse matrix
    try:
        array = data if is_array else np.asarray(data)
    except ValueError as exc:
        raise InvalidValueError(f"{what} has rows of different lengths: give each the same number of values.") from exc
    if len(shape) == 1 and array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]  # a table of one column
    if len(shape) == 2 and shape[1] == 1 and array.ndim == 1:  # a column
        array = np.asarray(frame_array(array) if hasattr(array, "to_frame") else array).reshape(-1, 1)
    fits = array.ndim == len(shape) and all(n in (None, m) for n, m in zip(shape, array.shape, strict=True))
    if fits:
        return cast_array(array, dtype, what)
    expected = "(rows, " + ", ".join("any" if n is None else str(n) for n in shape[1:]) + ")"
    hint = _one_row(data) if list(array.shape) == shape[1:] and array.ndim == 1 else ""
    raise InvalidValueError(f"The model takes an array of shape {expected}, not {tuple(array.shape)}{hint}.")


def _to_tensors(data: Any, tensors: list[dict[str, Any]], ragged: bool) -> dict[str, Any]:
    names = [tensor["name"] for tensor in tensors]
    if _is_records(data):
        data = {name: [row[name] for row in data] for name in names if all(name in row for row in data)}
    if not isinstance(data, Mapping) and not is_frame(data):
        if len(tensors) == 1:
            return {names[0]: _to_array(data, tensors[0]["shape"], tensors[0].get("dtype"), f"{names[0]!r}")}
        raise InvalidValueError(f"The model takes arrays by name ({some(names)}): give a dict of them.")
    if missing := [name for name in names if name not in data]:
        raise InvalidValueError(f"The input lacks {some(missing)}: the model takes arrays named {some(names)}.")
    if is_frame(data):
        data = {name: frame_array(data[name]) for name in names}
    made = {t["name"]: _to_array(data[t["name"]], t["shape"], t.get("dtype"), f"{t['name']!r}") for t in tensors}
    if not ragged:
        check_rows(made)
    return made


def check_rows(arrays: Mapping[str, Any]) -> None:
    """Raise InvalidValueError unless named arrays have the same number of rows, and any."""
    counts = row_counts(arrays)
    if len(counts) > 1:
        each = some([f"{name} {value.shape[0]}" for name, value in arrays.items() if value.shape])
        raise InvalidValueError(f"The inputs have different numbers of rows: {each}.")
    if counts == {0}:
        raise InvalidValueError("The input has no rows: give at least one.")


def _one_row(data: Any) -> str:
    return f"; for one row use {'X.to_frame().T' if hasattr(data, 'to_frame') else 'X.reshape(1, -1)'}"


def _rows(data: Any, names: list[str]) -> Any:
    """Return rows without names, as a list or an array of as many columns as there are *names*."""
    if hasattr(data, "toarray"):
        data = data.toarray()
    takes = f"The model takes {len(names)} columns ({some(names)})"
    dimensions = getattr(data, "ndim", None)
    if dimensions is None and not isinstance(data, list | tuple):
        raise InvalidValueError(f"{takes}: give an array, a DataFrame, or a list of rows, not {type(data).__name__}.")
    if dimensions not in (None, 2):
        hint = _one_row(data) if dimensions == 1 and len(data) == len(names) else ""
        raise InvalidValueError(f"{takes}, not an array of shape {tuple(data.shape)}{hint}.")
    if dimensions == 2:
        widths = {data.shape[1]}
    else:
        widths = {len(row) if hasattr(row, "__len__") and not isinstance(row, str) else 0 for row in data}
    if len(widths) > 1:
        raise InvalidValueError(f"{takes}, and the rows have different lengths: {some(sorted(map(str, widths)))}.")
    if widths and widths != {len(names)}:
        hint = ": a list of one row is [[...]]" if widths == {0} else ""
        raise InvalidValueError(f"{takes}, not {widths.pop()}{hint}.")
    return data


def _respelled(data: Any, names: list[str]) -> Any:
    """Return a frame whose columns have the names that LightGBM gives them: with ``_`` for each space."""
    spelled = {str(name): re.sub(r"\s", "_", str(name)) for name in data.columns}
    wanted = set(names) - set(data.columns)
    renamed = {name: other for name, other in spelled.items() if other in wanted}
    return data.rename(columns=renamed) if renamed else data


def _to_frame(data: Any, columns: list[dict[str, Any]]) -> Any:
    names = [column["name"] for column in columns]
    if not is_frame(data):
        if importlib.util.find_spec("pandas") is None:
            raise InvalidValueError(
                f"The model takes the columns {some(names)}, which needs pandas: pip install pandas"
            )
        import pandas as pd

        named = isinstance(data, Mapping) or _is_records(data)
        if not named:
            data = _rows(data, names)
        elif isinstance(data, Mapping) and not all(hasattr(column, "__len__") for column in data.values()):
            raise InvalidValueError("A dict holds columns, each a list of values: one row is a list of one dict.")
        try:
            data = pd.DataFrame(data) if named else pd.DataFrame(data, columns=names)
        except ValueError as exc:
            raise InvalidValueError(f"The input is no table: {exc}.") from exc
    if getattr(data.columns, "nlevels", 1) > 1:
        raise InvalidValueError("The input has columns of several levels: name each by one text.")
    data = _respelled(data, names)
    if missing := [name for name in names if name not in data.columns]:
        there = some([str(name) for name in data.columns]) if len(data.columns) else "none"
        raise InvalidValueError(
            f"The input lacks the columns {some(missing)} that the model was made with; it has {there}."
        )
    if twice := [name for name in names if list(data.columns).count(name) > 1]:
        raise InvalidValueError(f"The input has the columns {some(twice)} more than once: rename one.")
    chosen = data[names]
    cast = {column["name"]: cast_column(chosen[column["name"]], column) for column in columns}
    return chosen.assign(**{name: made for name, made in cast.items() if made is not chosen[name]}) if cast else chosen
