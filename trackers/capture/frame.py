"""A pandas table's index and columns; each type of column by what it is made of, not cell by cell."""

from __future__ import annotations

from typing import Any

from trackers.capture.array import feed_array
from trackers.capture.cell import feed_cells
from trackers.capture.tree import Feed
from trackers.models.schema import describe


def feed_frame(frame: Any, update: Feed) -> tuple[int | None, dict[str, Any]]:
    """Feed a DataFrame; return its rows and schema."""
    update(f"frame|{len(frame)}|".encode())
    _feed_index(frame.index, update)
    for position in range(frame.shape[1]):
        _feed_column(frame.iloc[:, position], update)
    return len(frame), describe(frame)


def feed_series(series: Any, update: Feed) -> tuple[int | None, dict[str, Any]]:
    """Feed a Series; return its rows and schema."""
    _feed_index(series.index, update)
    _feed_column(series, update)
    return len(series), {"kind": "array", "shape": [None], "dtype": str(series.dtype)}


def _feed_index(index: Any, update: Feed) -> None:
    """Feed an index that says more than which row it is."""
    if type(index).__name__ == "RangeIndex" and index.start == 0 and index.step == 1:
        return
    levels = index.to_frame(index=False, allow_duplicates=True) if index.nlevels > 1 else index.to_frame(index=False)
    update(f"index|{list(index.names)!r}|".encode())
    for position in range(levels.shape[1]):
        _feed_column(levels.iloc[:, position], update)


def _feed_column(column: Any, update: Feed) -> None:
    import numpy as np

    update(f"column|{column.name!r}|{column.dtype}|".encode())
    if isinstance(column.dtype, np.dtype):
        feed_array(column.to_numpy(), update)
        return
    kind = type(column.dtype).__name__
    if kind == "DatetimeTZDtype":
        feed_array(column.dt.tz_convert(None).to_numpy(), update)
    elif kind == "PeriodDtype":
        feed_array(column.array.asi8, update)
    elif kind == "CategoricalDtype":
        _feed_categories(column, update)
    elif kind == "ArrowDtype" or (kind == "StringDtype" and column.dtype.storage == "pyarrow"):
        _feed_arrow(column, update)
    elif hasattr(column.dtype, "numpy_dtype") and column.dtype.kind in "biuf":
        feed_array(column.isna().to_numpy(), update)
        feed_array(column.array.to_numpy(dtype=column.dtype.numpy_dtype, na_value=0), update)
    else:
        feed_cells(column.astype(object).where(column.notna(), None), update)


def _feed_categories(column: Any, update: Feed) -> None:
    """Feed a categorical column: its values, and where they have an order, all categories in theirs."""
    import numpy as np

    if column.dtype.ordered:
        update(b"ordered|")
        feed_array(column.dtype.categories.to_numpy(dtype=object), update)
    values = np.empty(len(column.dtype.categories) + 1, dtype=object)
    values[:-1] = column.dtype.categories.to_numpy(dtype=object)  # the last is None, where the code is -1
    feed_cells(values[column.cat.codes.to_numpy()], update)


def _feed_arrow(column: Any, update: Feed) -> None:
    """Feed a column that Arrow holds; pandas's own type of text as what it is where Python holds it."""
    import pyarrow as pa

    from trackers.capture import arrow

    held = pa.chunked_array([array] if isinstance(array := pa.array(column.array), pa.Array) else array.chunks)
    if type(column.dtype).__name__ == "ArrowDtype":
        arrow.feed_column(held, update)
    else:
        arrow.feed_text(held, update)
