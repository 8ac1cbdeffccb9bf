"""The identity of a data set: equal digests mean equal data, wherever it was read.

What is hashed says the kind, the type, the shape and the values, so that a C- and a Fortran-ordered array, one of
either byte order, or an Arrow table in other chunks, are the same data, and the same numbers of another type are not.
It is read in pieces of 8 MiB, which threads digest; see ``trackers.capture.tree``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from trackers.artifacts.store import walk_files
from trackers.capture.tree import CHUNK, Feed, TreeHash
from trackers.errors import InvalidValueError
from trackers.models.schema import describe, is_frame

_LIST_CHUNK = 50_000


class Data(NamedTuple):
    """*digest* (sha-256, hex), the number of *rows* where there are any, and the *schema* (JSON)."""

    digest: str
    rows: int | None
    schema: dict[str, Any] | None


def data_digest(data: Any) -> Data:
    """Return digest, rows and schema of a data set.

    *data*: a NumPy array or whatever converts to one, a pandas or Arrow table, a SciPy sparse matrix, a PyTorch
    tensor, bytes, a path (file or folder), a list or tuple of any of these or of plain values, a mapping of them, or
    scikit-learn's ``Bunch`` (its data and target). Raises InvalidValueError for anything else.
    """
    if isinstance(data, str | os.PathLike):
        return _of_path(Path(data))
    with TreeHash() as tree:
        if isinstance(data, bytes | bytearray | memoryview):
            view = memoryview(data)
            if not view.contiguous:
                view = memoryview(view.tobytes())
            tree.update(view)
            return Data(tree.hexdigest(), None, {"kind": "bytes", "size": view.nbytes})
        rows, schema = _feed(data, tree.update)
        return Data(tree.hexdigest(), rows, schema)


Facts = tuple[int | None, dict[str, Any]]


def _feed(data: Any, update: Feed) -> Facts:
    if is_frame(data):
        return _feed_frame(data, update)
    module = type(data).__module__.partition(".")[0]
    if module == "pyarrow":
        from trackers.capture.arrow import feed_arrow

        return feed_arrow(data, update)
    if hasattr(data, "to_arrow"):  # polars and its like
        return _feed(data.to_arrow(), update)
    if hasattr(data, "to_pandas"):
        return _feed_frame(data.to_pandas(), update)
    if module == "torch" and hasattr(data, "detach"):
        return _feed_tensor(data, update)
    if hasattr(data, "tocsr"):
        return _feed_sparse(data.tocsr(), update)
    if isinstance(data, Mapping):
        return _feed_mapping(data, update)
    if hasattr(data, "to_frame") and hasattr(data, "iloc"):  # a pandas Series
        _feed_index(data.index, update)
        _feed_column(data, update)
        return len(data), {"kind": "array", "shape": [None], "dtype": str(data.dtype)}
    if isinstance(data, list | tuple):
        return _feed_list(data, update)
    if hasattr(data, "__array__"):
        import numpy as np

        array = np.asarray(data)
        if array.dtype != object or array.ndim:  # else NumPy wrapped what it cannot read: its name is not its values
            feed_array(array, update)
            return (len(array) if array.ndim else None), describe(array)
    raise InvalidValueError(
        f"No digest can be made of a {type(data).__module__}.{type(data).__qualname__}: give an array, a table, bytes, "
        "a path, or lists and mappings of these."
    )


def _of_path(path: Path) -> Data:
    if path.is_file():
        return Data(_of_file(path), None, {"kind": "file", "size": path.stat().st_size})
    if not path.is_dir():
        raise InvalidValueError(f"There is no file or folder {str(path)[:200]!r} to make a digest of.")
    files, size = walk_files(path), 0
    with TreeHash() as tree:
        tree.update(b"folder")
        for file in files:
            tree.update(json.dumps([file.relative_to(path).as_posix(), _of_file(file)]).encode())
            size += file.stat().st_size
        return Data(tree.hexdigest(), None, {"kind": "folder", "files": len(files), "size": size})


def _of_file(path: Path) -> str:
    with TreeHash() as tree, path.open("rb", buffering=0) as source:
        while chunk := source.read(CHUNK):
            tree.update(chunk)
        return tree.hexdigest()


def _feed_tensor(tensor: Any, update: Feed) -> Facts:
    """Feed a tensor as the array it holds, wherever it lies; what NumPy has no type for as its bytes."""
    import torch

    tensor = tensor.detach()
    if tensor.layout is not torch.strided:
        tensor = tensor.coalesce() if tensor.layout is torch.sparse_coo else tensor
        update(f"tensor|{tensor.layout}|{tuple(tensor.shape)}|".encode())
        parts = (
            ("indices", "values") if tensor.layout is torch.sparse_coo else ("crow_indices", "col_indices", "values")
        )
        for part in parts:
            _feed_tensor(getattr(tensor, part)(), update)
    else:
        tensor = tensor.cpu().resolve_conj().resolve_neg()
        try:
            feed_array(tensor.numpy(), update)
        except TypeError:  # bfloat16 and the eight-bit floats
            update(f"tensor|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
            feed_array(tensor.contiguous().view(torch.uint8).numpy(), update)
    rows = int(tensor.shape[0]) if tensor.dim() else None
    return rows, {"kind": "array", "shape": [None, *map(int, tensor.shape[1:])], "dtype": str(tensor.dtype)}


def feed_array(array: Any, update: Feed) -> None:
    """Feed an array: its type, its shape, and its values in C's order, little end first."""
    import numpy as np

    if array.dtype.hasobject or array.dtype.kind == "T":
        update(f"values|{array.dtype.kind}|{array.shape}|".encode())
        _feed_values(array.reshape(-1), update)
        return
    little = array.dtype.newbyteorder("<")
    update(f"array|{little.descr if little.names else little.str}|{array.shape}|".encode())
    if array.ndim == 0:
        array = array.reshape(1)
    row_bytes = max(1, array.dtype.itemsize * (array.size // max(1, len(array))))
    step = max(1, CHUNK // row_bytes)
    for start in range(0, len(array), step):
        block = np.ascontiguousarray(array[start : start + step].astype(little, copy=False))
        update(block.reshape(-1).view(np.uint8))


def _feed_values(values: Iterable[Any], update: Feed) -> None:
    """Feed values of any kind as JSON: lengths and types are told apart, and the work is done in C."""
    items = values.tolist() if hasattr(values, "tolist") else list(values)
    for start in range(0, len(items), _LIST_CHUNK):
        chunk = items[start : start + _LIST_CHUNK]
        update(json.dumps(chunk, default=_as_json).encode())


def _as_json(value: Any) -> Any:
    """Return what tells *value* from others of its type: of an array all its values, whose ``repr`` leaves most out."""
    if hasattr(value, "tolist") and hasattr(value, "dtype"):
        return [type(value).__name__, str(value.dtype), value.tolist()]
    return [type(value).__name__, repr(value)]


def _feed_column(column: Any, update: Feed) -> None:
    import numpy as np

    update(f"column|{column.name!r}|{column.dtype}|".encode())
    if isinstance(column.dtype, np.dtype):
        feed_array(column.to_numpy(), update)
    else:
        _feed_values(column.astype(object).where(column.notna(), None), update)


def _feed_frame(frame: Any, update: Feed) -> Facts:
    update(f"frame|{len(frame)}|".encode())
    _feed_index(frame.index, update)
    for position in range(frame.shape[1]):
        _feed_column(frame.iloc[:, position], update)
    return len(frame), describe(frame)


def _feed_index(index: Any, update: Feed) -> None:
    """Feed an index that says more than which row it is."""
    if type(index).__name__ == "RangeIndex" and index.start == 0 and index.step == 1:
        return
    levels = index.to_frame(index=False)
    update(f"index|{list(index.names)!r}|".encode())
    for position in range(levels.shape[1]):
        _feed_column(levels.iloc[:, position], update)


def _feed_sparse(matrix: Any, update: Feed) -> Facts:
    matrix = matrix.copy() if not matrix.has_canonical_format else matrix
    matrix.sum_duplicates()
    update(f"sparse|{matrix.shape}|".encode())
    for part in (matrix.data, matrix.indices.astype("int64"), matrix.indptr.astype("int64")):
        feed_array(part, update)
    return int(matrix.shape[0]), describe(matrix)


def _feed_list(items: list[Any] | tuple[Any, ...], update: Feed) -> Facts:
    plain = (str, bytes, int, float, bool, type(None), list, tuple, dict)
    if all(isinstance(item, plain) for item in items):
        update(f"list|{len(items)}|".encode())
        _feed_values(items, update)
        return len(items), {"kind": "list"}
    update(f"parts|{len(items)}|".encode())
    parts = [_feed(item, update) for item in items]
    return parts[0][0], {"kind": "parts", "parts": [schema for _, schema in parts]}


def _feed_mapping(data: Mapping[Any, Any], update: Feed) -> Facts:
    names = (
        [name for name in ("data", "target") if name in data]
        if type(data).__name__ == "Bunch"
        else sorted(data, key=str)
    )
    update(f"mapping|{names}|".encode())
    facts = {}
    for name in names:
        part = data[name]
        part = part if hasattr(part, "__len__") and not isinstance(part, str) else [part]
        facts[str(name)] = _feed(part, update)
    rows = next((count for count, _ in facts.values() if count is not None), None)
    return rows, {"kind": "mapping", "parts": {name: schema for name, (_, schema) in facts.items()}}
