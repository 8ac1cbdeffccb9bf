"""An Arrow table's values, whatever its chunks, offsets and the bytes below its nulls."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from trackers.capture.array import feed_array, feed_pieces
from trackers.capture.cell import CELLS, feed_joined, feed_lengths
from trackers.capture.tree import Feed
from trackers.errors import InvalidValueError
from trackers.models.schema import describe

Chunks = Callable[[], Iterable[Any]]
"""Gives a column's arrays, each time anew: where they are those of a data set, each time they are read anew."""
Facts = tuple[int | None, dict[str, Any]]


def feed_arrow(data: Any, update: Feed) -> Facts:
    """Feed a table, a record batch, a data set, a column or a scalar of Arrow; return its rows and schema.

    Raises InvalidValueError for a type that has no digest, and for a reader, which can be read only once.
    """
    with _in_a_sentence(data):
        return _feed(data, update)


@contextmanager
def _in_a_sentence(data: Any) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except pa.ArrowException as exc:
        raise InvalidValueError(
            f"No digest can be made of this {type(data).__qualname__} of Arrow ({exc}): cast what it names."
        ) from exc


def _feed(data: Any, update: Feed) -> Facts:
    import pyarrow as pa

    if isinstance(data, pa.RecordBatchReader):
        raise InvalidValueError(
            "A RecordBatchReader can be read only once, and its digest would read it: give the table or the data set."
        )
    if isinstance(data, pa.RecordBatch):
        data = pa.Table.from_batches([data])
    if isinstance(data, pa.Table):
        return _feed_table(data.schema, data.num_rows, lambda at: data.column(at).chunks, update)
    if (datasets := sys.modules.get("pyarrow.dataset")) and isinstance(data, datasets.Dataset):
        return _feed_dataset(data, update)
    if isinstance(data, pa.Array | pa.ChunkedArray):
        update(f"column|{data.type}|".encode())
        feed_column(data, update)
        return len(data), {"kind": "array", "shape": [None], "dtype": str(data.type)}
    if isinstance(data, pa.Scalar):
        update(f"scalar|{data.type}|".encode())
        feed_column(pa.array([data], type=data.type), update)
        return None, {"kind": "array", "shape": [None], "dtype": str(data.type)}
    import numpy as np

    array = np.asarray(data)
    if array.dtype.hasobject:
        raise InvalidValueError(f"No digest can be made of Arrow's {type(data).__qualname__}: give the table.")
    feed_array(array, update)
    return (len(array) if array.ndim else None), describe(array)


def _feed_table(schema: Any, rows: int, column: Callable[[int], Iterable[Any]], update: Feed) -> Facts:
    update(f"arrow|{rows}|".encode())
    for at, field in enumerate(schema):
        update(f"column|{field.name!r}|{field.type}|".encode())
        _feed_chunks(field.type, partial(column, at), update)
    return rows, {"kind": "table", "columns": [{"name": field.name, "dtype": str(field.type)} for field in schema]}


def _feed_dataset(data: Any, update: Feed) -> Facts:
    """Feed a data set as the table that it is, without holding it: a column at a time, read batch by batch.

    What a column needs before its values, as how many are missing, is read in a pass of its own: a digest that did not
    depend on where the batches end could not be that of the table otherwise.
    """
    import pyarrow.compute as pc

    def column(at: int) -> Iterable[Any]:
        batches = data.to_batches(columns={"values": pc.field(data.schema.field(at).name)})
        return (batch.column(0) for batch in batches)

    return _feed_table(data.schema, data.count_rows(), column, update)


def feed_column(column: Any, update: Feed) -> None:
    """Feed the values of an Array or a ChunkedArray; raises InvalidValueError for a type that has no digest."""
    import pyarrow as pa

    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    with _in_a_sentence(column):
        _feed_chunks(column.type, lambda: chunks, update)


def feed_text(column: Any, update: Feed) -> None:
    """Feed a ChunkedArray of text as ``trackers.capture.cell`` feeds the same text held by Python."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for start in range(0, len(column), CELLS):
        texts = pa.concat_arrays(column.slice(start, CELLS).cast(pa.large_string()).chunks)
        count, nulls = len(texts), b""
        if texts.null_count:
            nulls = texts.is_null().to_numpy(zero_copy_only=False).tobytes()
            texts = texts.drop_null()
        together = pa.ListArray.from_arrays(pa.array([0, len(texts)], pa.int32()), texts)
        joined = pc.binary_join(together, pa.scalar("\0", pa.large_string()))[0].as_buffer().to_pybytes()
        if joined.count(b"\0") == max(0, len(texts) - 1):
            feed_joined(count, nulls, joined, update)
        else:
            lengths = pc.binary_length(texts).cast("int64").to_numpy().astype("<i8").tobytes()
            feed_lengths(count, nulls, lengths, b"".join(map(bytes, _joined(texts))), update)


def _feed_chunks(kind: Any, chunks: Chunks, update: Feed) -> None:
    """Feed the values of a column: which are null, and then what its type holds."""

    def simple() -> Iterable[Any]:
        return map(_simple, chunks())

    kind = _simple_type(kind)
    length = nulls = 0
    for array in simple():
        length, nulls = length + len(array), nulls + array.null_count
    update(f"values|{length}|{nulls}|".encode())
    if not nulls:
        _feed_values(kind, length, simple, update)
        return
    feed_pieces("|b1", length, (array.is_null().to_numpy(zero_copy_only=False) for array in simple()), update)
    _feed_values(kind, length - nulls, lambda: (array.drop_null() for array in simple()), update)


def _feed_values(kind: Any, count: int, chunks: Chunks, update: Feed) -> None:
    """Feed *count* values without nulls, in *chunks* of type *kind*."""
    import pyarrow as pa
    import pyarrow.compute as pc

    types: Any = pa.types
    if types.is_null(kind):
        return
    if types.is_dictionary(kind):
        _feed_chunks(kind.value_type, lambda: (array.dictionary_decode() for array in chunks()), update)
    elif types.is_struct(kind):
        for at in range(kind.num_fields):
            _feed_chunks(kind.field(at).type, partial(_parts, chunks, at), update)
    elif types.is_map(kind):
        plain = pa.list_(pa.struct([("key", kind.key_type), ("value", kind.item_type)]))
        _feed_values(plain, count, lambda: (array.cast(plain) for array in chunks()), update)
    elif types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        _feed_lengths(count, (pc.list_value_length(array) for array in chunks()), update)
        _feed_chunks(kind.value_type, lambda: (array.flatten() for array in chunks()), update)
    elif types.is_primitive(kind) or types.is_boolean(kind):
        feed_pieces(_numbers(pa.array([], kind)).dtype.str, count, map(_numbers, chunks()), update)
    elif types.is_decimal(kind):
        _feed_bytes(
            count, lambda: (array.cast(pa.large_string()).cast(pa.large_binary()) for array in chunks()), update
        )
    elif types.is_union(kind) or "list_view" in str(kind):
        raise InvalidValueError(f"No digest can be made of Arrow's type {kind}: cast it to lists, or give its parts.")
    else:  # text and bytes
        _feed_bytes(count, lambda: (array.cast(pa.large_binary()) for array in chunks()), update)


def _parts(chunks: Chunks, at: int) -> Iterable[Any]:
    import pyarrow.compute as pc

    return (pc.struct_field(array, [at]) for array in chunks())


def _feed_lengths(count: int, lengths: Iterable[Any], update: Feed) -> None:
    feed_pieces("<i8", count, (array.cast("int64").to_numpy(zero_copy_only=False) for array in lengths), update)


def _feed_bytes(count: int, chunks: Chunks, update: Feed) -> None:
    import pyarrow.compute as pc

    _feed_lengths(count, map(pc.binary_length, chunks()), update)
    for array in chunks():
        for value in _joined(array):
            update(value)


def _simple_type(kind: Any) -> Any:
    """Return the type of what ``_simple`` makes of an array of type *kind*."""
    import pyarrow as pa

    if isinstance(kind, pa.BaseExtensionType):
        return _simple_type(kind.storage_type)
    if pa.types.is_run_end_encoded(kind):
        return _simple_type(kind.value_type)
    if pa.types.is_string_view(kind) or pa.types.is_binary_view(kind):
        return pa.large_binary()
    return pa.binary(16) if pa.types.is_interval(kind) else kind


def _simple(array: Any) -> Any:
    """Return the same values as a type that the functions below know."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = array.type
    if isinstance(kind, pa.BaseExtensionType):
        return _simple(array.storage)
    if pa.types.is_run_end_encoded(kind):
        return _simple(pc.run_end_decode(array))
    if pa.types.is_string_view(kind) or pa.types.is_binary_view(kind):
        return array.cast(pa.large_binary())
    return array.view(pa.binary(16)) if pa.types.is_interval(kind) else array


def _joined(array: Any) -> list[Any]:
    """Return the bytes of all values, one after the other, as they lie in memory."""
    import numpy as np

    _, offsets, data = array.buffers()
    if data is None or not len(array):
        return []
    places = np.frombuffer(offsets, dtype=np.int64)[array.offset : array.offset + len(array) + 1]
    return [memoryview(data)[int(places[0]) : int(places[-1])]]


def _numbers(array: Any) -> Any:
    """Return an array as NumPy's; times of the day, which it has no type for, as integers."""
    import pyarrow as pa

    if pa.types.is_time(array.type):
        array = array.view(pa.int32() if pa.types.is_time32(array.type) else pa.int64())
    return array.to_numpy(zero_copy_only=False)
