"""An Arrow table's values, whatever its chunks, offsets and the bytes below its nulls."""

from __future__ import annotations

from typing import Any

from trackers.capture.tree import Feed


def feed_arrow(data: Any, update: Feed) -> tuple[int | None, dict[str, Any]]:
    """Feed a table, a record batch, or a column of Arrow; return its rows and schema."""
    import pyarrow as pa

    if isinstance(data, pa.RecordBatch):
        data = pa.Table.from_batches([data])
    if isinstance(data, pa.Table):
        update(f"arrow|{data.num_rows}|".encode())
        for field, column in zip(data.schema, data.columns, strict=True):
            update(f"column|{field.name!r}|{field.type}|".encode())
            _feed_column(column, update)
        columns = [{"name": field.name, "dtype": str(field.type)} for field in data.schema]
        return data.num_rows, {"kind": "table", "columns": columns}
    if isinstance(data, pa.Array | pa.ChunkedArray):
        update(f"column|{data.type}|".encode())
        _feed_column(data, update)
        return len(data), {"kind": "array", "shape": [None], "dtype": str(data.type)}
    import numpy as np

    from trackers.capture.data import feed_array
    from trackers.models.schema import describe

    array = np.asarray(data)
    feed_array(array, update)
    return (len(array) if array.ndim else None), describe(array)


def _feed_column(column: Any, update: Feed) -> None:
    """Feed the values of a column: which are null, and then what its type holds."""
    import pyarrow as pa

    array = pa.concat_arrays(column.chunks) if isinstance(column, pa.ChunkedArray) and column.num_chunks else column
    if isinstance(array, pa.ChunkedArray):
        array = pa.array([], type=array.type)
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    update(f"values|{len(array)}|{array.null_count}|".encode())
    if array.null_count:
        _feed_numbers(array.is_null(), update)
        array = array.drop_null()
    _feed_values(array, update)


def _feed_values(array: Any, update: Feed) -> None:
    """Feed an array without nulls."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = array.type
    types = pa.types
    if types.is_null(kind):
        return
    if types.is_dictionary(kind):
        _feed_column(array.dictionary_decode(), update)
    elif types.is_struct(kind):
        for index in range(kind.num_fields):
            _feed_column(pc.struct_field(array, [index]), update)
    elif types.is_list(kind) or types.is_large_list(kind) or types.is_map(kind) or types.is_fixed_size_list(kind):
        if types.is_map(kind):
            array = array.cast(pa.list_(pa.struct([("key", kind.key_type), ("value", kind.item_type)])))
        _feed_numbers(pc.list_value_length(array).cast("int64"), update)
        _feed_column(array.flatten(), update)
    elif types.is_primitive(kind) or types.is_boolean(kind):
        _feed_numbers(array, update)
    else:  # text and bytes, decimals
        plain = array.cast(pa.large_string()) if types.is_decimal(kind) else array
        plain = plain.cast(pa.large_binary())
        _feed_numbers(pc.binary_length(plain).cast("int64"), update)
        for value in _joined(plain):
            update(value)


def _joined(array: Any) -> list[Any]:
    """Return the bytes of all values, one after the other, as they lie in memory."""
    import numpy as np

    _, offsets, data = array.buffers()
    if data is None or not len(array):
        return []
    places = np.frombuffer(offsets, dtype=np.int64)[array.offset : array.offset + len(array) + 1]
    return [memoryview(data)[int(places[0]) : int(places[-1])]]


def _feed_numbers(array: Any, update: Feed) -> None:
    from trackers.capture.data import feed_array

    feed_array(array.to_numpy(zero_copy_only=False), update)
