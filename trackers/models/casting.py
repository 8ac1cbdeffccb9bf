"""Casts that lose nothing: numbers to wider ones, whole floats to integers, text to categories and times."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trackers.errors import InvalidValueError
from trackers.models.schema import is_frame, plain, some

_TEXT = ("str", "string")


def cast_array(array: Any, dtype: str | None, what: str) -> Any:
    """Return *array* with *dtype*; *what* is its name in the sentence of the InvalidValueError.

    Floats may become narrower while they stay finite; integers must fit; text never becomes a number.
    """
    import numpy as np

    if dtype is None or str(array.dtype) == dtype:
        return array
    try:
        wanted = np.dtype(dtype)
    except TypeError:  # a dtype of pandas, in the schema of an array that came from a frame
        return array
    if wanted.kind in "biuf":
        return _cast_numbers(array, wanted, what)
    if wanted.kind in "OUS" or array.dtype.kind == wanted.kind:
        return array
    if wanted.kind == "M" and array.dtype.kind in "OU":
        try:
            return array.astype(wanted)
        except ValueError as exc:
            raise InvalidValueError(f"{what} holds what is no time, where the model takes {dtype}.") from exc
    if wanted.kind == "c" and array.dtype.kind in "biuf":
        return array.astype(wanted)
    raise InvalidValueError(f"{what} holds {array.dtype}, where the model takes {dtype}.")


def _cast_numbers(array: Any, wanted: Any, what: str) -> Any:
    import numpy as np

    if array.dtype.kind == "O":
        array = _unboxed(array, wanted, what)
    if array.dtype.kind not in "biuf":
        raise InvalidValueError(f"{what} holds {_named(array.dtype)}, where the model takes numbers ({wanted}).")
    if wanted.kind == "f":
        with np.errstate(over="ignore"):
            made = array.astype(wanted)
        # A sparse matrix keeps its numbers in ``data``.
        after, before = (getattr(m, "data", m) if hasattr(m, "tocsr") else m for m in (made, array))
        if np.isinf(after).sum() > np.isinf(before).sum():
            raise InvalidValueError(f"{what} holds numbers too large for {wanted}, which the model takes.")
        return made
    if array.dtype.kind == "f":
        array = np.asarray(array)
        if np.isnan(array).any():
            raise InvalidValueError(f"{what} has missing values, which {wanted} cannot hold: fill them first.")
        if not (np.isfinite(array) & (np.floor(array) == array)).all():
            raise InvalidValueError(f"{what} holds fractions, where the model takes whole numbers ({wanted}).")
    low, high = (0, 1) if wanted.kind == "b" else (np.iinfo(wanted).min, np.iinfo(wanted).max)
    if array.size and (array.min() < low or array.max() > high):
        raise InvalidValueError(f"{what} holds numbers outside of {low} to {high}, which {wanted} holds.")
    return array.astype(wanted)


def _unboxed(array: Any, wanted: Any, what: str) -> Any:
    """Return an array of objects as one of numbers; what is no number is named."""
    import numpy as np

    for value in array.flat:
        if value is not None and (isinstance(value, str | bytes) or not isinstance(plain(value), int | float)):
            shown = repr(plain(value))[:40]
            raise InvalidValueError(f"{what} holds {shown}, where the model takes numbers ({wanted}).")
    floats = any(value is None or isinstance(plain(value), float) for value in array.flat)
    return array.astype(np.float64 if floats else np.int64)


def _named(dtype: Any) -> str:
    return "text" if getattr(dtype, "kind", "") in "US" else str(dtype)


def cast_column(series: Any, column: Mapping[str, Any]) -> Any:
    """Return a pandas Series as *column* of a schema describes it, the same object where nothing is to be done."""
    what, dtype = f"The column {column['name']}", column.get("dtype")
    if column.get("nullable") is False and series.isna().any():
        raise InvalidValueError(f"{what} has missing values, which the model does not take: fill them first.")
    if column.get("categories") is not None:
        return _cast_categories(series, column, what)
    if dtype is None or dtype == "object" or str(series.dtype) == dtype:
        return series
    if dtype.startswith(_TEXT):
        return _cast_text(series, what)
    if dtype.startswith("datetime64"):
        return _cast_times(series, dtype, what)
    return _cast_series(series, dtype, what)


def _cast_series(series: Any, dtype: str, what: str) -> Any:
    import numpy as np
    import pandas as pd

    try:
        wanted = np.dtype(dtype)
    except TypeError:  # an extension's: Int64, boolean, category without its categories
        try:
            return series.astype(dtype)
        except (TypeError, ValueError) as exc:
            raise InvalidValueError(f"{what} holds {series.dtype}, where the model takes {dtype}.") from exc
    if isinstance(series.dtype, np.dtype):
        values = series.to_numpy()
    elif pd.api.types.is_numeric_dtype(series.dtype) and series.isna().any():
        values = series.to_numpy(dtype="float64", na_value=np.nan)
    elif pd.api.types.is_string_dtype(series.dtype):
        raise InvalidValueError(f"{what} holds text, where the model takes {dtype}.")
    else:
        values = series.to_numpy()
    return pd.Series(cast_array(values, str(wanted), what), index=series.index, name=series.name)


def _cast_text(series: Any, what: str) -> Any:
    import pandas as pd

    held = pd.api.types.infer_dtype(series, skipna=True)
    if held in ("string", "empty") or (held == "categorical" and series.cat.categories.inferred_type == "string"):
        return series
    raise InvalidValueError(f"{what} holds {held} values, where the model takes text.")


def _cast_times(series: Any, dtype: str, what: str) -> Any:
    import pandas as pd

    if pd.api.types.is_numeric_dtype(series.dtype):
        raise InvalidValueError(f"{what} holds {series.dtype}, where the model takes times ({dtype}).")
    try:
        is_text = not pd.api.types.is_datetime64_any_dtype(series.dtype)
        return pd.to_datetime(series, format="ISO8601" if is_text else None).astype(dtype)
    except (TypeError, ValueError) as exc:
        raise InvalidValueError(f"{what} holds what is no time, where the model takes {dtype}.") from exc


def _cast_categories(series: Any, column: Mapping[str, Any], what: str) -> Any:
    import pandas as pd

    categories = column["categories"]
    wanted = pd.CategoricalDtype(categories, ordered=bool(column.get("ordered")))
    if series.dtype == wanted and list(series.dtype.categories) == categories:
        return series
    known = set(categories)
    if strange := [str(value) for value in series.dropna().unique() if plain(value) not in known]:
        raise InvalidValueError(
            f"{what} holds {some(strange)}, which the model was not made with: its categories are "
            f"{some([str(value) for value in categories])}."
        )
    return series.astype(wanted)


def to_numbers(value: Any) -> Any:
    """Return *value* as an array of numbers of its own, or raise InvalidValueError with what in it is no number."""
    import numpy as np

    if is_frame(value):
        value = frame_array(value)
    if hasattr(value, "toarray"):  # a sparse matrix
        value = value.toarray()
    try:
        array = np.ascontiguousarray(value)
    except ValueError as exc:
        raise InvalidValueError("The input has rows of different lengths: give each as many values.") from exc
    if array.dtype.kind not in "biufc":
        array = cast_array(array, "float64", "The input")
    return array if array.flags.writeable else array.copy()  # PyTorch warns of what it could write into


def frame_array(data: Any) -> Any:
    """Return a frame or a Series as an array: of floats where its numbers, truths and gaps have no dtype in common."""
    import numpy as np
    import pandas as pd

    array = data.to_numpy()
    dtypes = data.dtypes if is_frame(data) else [data.dtype]
    if array.dtype == object and all(pd.api.types.is_numeric_dtype(dtype) for dtype in dtypes):  # or truth
        return data.to_numpy(dtype="float64", na_value=np.nan)
    return array
