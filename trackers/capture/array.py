"""An array's type, shape and values, whatever its layout in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from trackers.capture.cell import feed_cells
from trackers.capture.tree import CHUNK, Feed

_LINE = 64
"""Bytes of a processor's cache line: fewer of them at a time, and each line is fetched more than once."""
_LONG_SIDE = 4096
_MOST = 8 * CHUNK


def feed_array(array: Any, update: Feed) -> None:
    """Feed an array: its type, its shape, and its values in C's order, little end first."""
    import numpy as np

    if array.dtype.hasobject or array.dtype.kind == "T":
        kind = str(_packed(array.dtype)) if array.dtype.names else array.dtype.kind
        update(f"values|{kind}|{array.shape}|".encode())
        feed_cells(array.reshape(-1), update)
        return
    little = _packed(array.dtype)
    update(f"array|{little.descr if little.names else little.str}|{array.shape}|".encode())
    for block in _blocks(array.reshape(1) if array.ndim == 0 else array, little):
        update(block.reshape(-1).view(np.uint8))


def feed_pieces(dtype: str, count: int, pieces: Iterable[Any], update: Feed) -> None:
    """Feed *pieces*, one-dimensional arrays of *count* items together, as the array of *dtype* that they make."""
    import numpy as np

    little = np.dtype(dtype).newbyteorder("<")
    update(f"array|{little.str}|{(count,)}|".encode())
    for piece in pieces:
        for block in _blocks(piece, little):
            update(block.view(np.uint8))


def feed_masked(array: Any, update: Feed) -> None:
    """Feed a masked array: which places are masked, and the values of the others.

    One without a masked place is the same data as a plain array.
    """
    import numpy as np

    mask, values = np.ma.getmaskarray(array), np.ma.getdata(array)
    if np.ascontiguousarray(mask).reshape(-1).view(np.bool_).any():
        values = np.array(values, copy=True, subok=False)
        _clear(values, mask)
        update(b"masked|")
        feed_array(mask, update)
    feed_array(np.asarray(values), update)


def _clear(values: Any, mask: Any) -> None:
    """Set what is masked to zero, in place: what lies below a mask is no part of the data."""
    import numpy as np

    if values.dtype.names:
        for name in values.dtype.names:
            _clear(values[name], mask[name])
    else:
        values[mask] = np.zeros((), values.dtype)


def _packed(dtype: Any) -> Any:
    """Return *dtype* with the little end first and, of a structure, its fields side by side, without what is between."""
    import numpy as np

    if dtype.subdtype:
        base, shape = dtype.subdtype
        return np.dtype((_packed(base), shape))
    if not dtype.names:
        return dtype.newbyteorder("<")
    fields = [(name, *dtype.fields[name]) for name in dtype.names]
    return np.dtype([((*title, name) if title else name, _packed(kind)) for name, kind, _, *title in fields])


def _blocks(array: Any, dtype: Any) -> Iterator[Any]:
    """Yield the values of *array* as *dtype* in C's order, some rows at a time."""
    import numpy as np

    row_bytes = max(1, dtype.itemsize * (array.size // max(1, len(array))))
    rows = max(1, CHUNK // row_bytes)
    if array.flags.c_contiguous and array.dtype == dtype:
        for start in range(0, len(array), rows):
            yield array[start : start + rows]
        return
    if row_bytes > _MOST and array.ndim > 1:
        for row in array:
            yield from _blocks(row, dtype)
        return
    line = max(1, _LINE // max(1, dtype.itemsize))
    rows = max(rows, min(line, _MOST // row_bytes))
    for start in range(0, len(array), rows):
        source = array[start : start + rows]
        block = np.empty(source.shape, dtype)
        _copy(source, block, line)
        yield block


def _copy(source: Any, target: Any, line: int) -> None:
    """Copy *source* into *target*, which is in C's order, in tiles of *line* items on their short side.

    Whole rows of an array in Fortran's order are read from places that a cache cannot hold together.
    """
    if source.ndim < 2 or abs(source.strides[0]) >= abs(source.strides[-1]):
        target[...] = source
        return
    high, wide = (line, _LONG_SIDE) if len(source) <= 2 * line else (_LONG_SIDE, line)
    for top in range(0, len(source), high):
        for left in range(0, source.shape[-1], wide):
            tile = (slice(top, top + high), ..., slice(left, left + wide))
            target[tile] = source[tile]
