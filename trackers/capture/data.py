"""The identity of a data set: equal digests mean equal data, wherever it was read.

A file's digest is the sha-256 of its bytes. In memory it covers the kind, the type, the shape and the values, so that
a C- and a Fortran-ordered array, or one of either byte order, are the same data. Everything is read in pieces.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from trackers.artifacts.store import walk_files
from trackers.errors import InvalidValueError
from trackers.models.schema import describe, is_frame

CHUNK = 1 << 23
_LIST_CHUNK = 50_000


class Data(NamedTuple):
    """*digest* (sha-256, hex), the number of *rows* where there are any, and the *schema* (JSON)."""

    digest: str
    rows: int | None
    schema: dict[str, Any] | None


def data_digest(data: Any) -> Data:
    """Return digest, rows and schema of a data set.

    *data*: a NumPy array or whatever converts to one, a pandas or Arrow table, a SciPy sparse matrix, bytes, a path
    (file or folder), a list or tuple of any of these or of plain values, a mapping of them, or scikit-learn's
    ``Bunch`` (its data and target). Raises InvalidValueError for anything else.
    """
    hasher = hashlib.sha256()
    if isinstance(data, bytes | bytearray | memoryview):
        return Data(hashlib.sha256(data).hexdigest(), None, {"kind": "bytes", "size": memoryview(data).nbytes})
    if isinstance(data, str | os.PathLike):
        return _of_path(Path(data))
    rows, schema = _feed(data, hasher.update)
    return Data(hasher.hexdigest(), rows, schema)


Update = Callable[[Any], None]
Facts = tuple[int | None, dict[str, Any]]


def _feed(data: Any, update: Update) -> Facts:
    if is_frame(data):
        return _feed_frame(data, update)
    if hasattr(data, "to_pandas"):
        return _feed_frame(data.to_pandas(), update)
    if isinstance(data, Mapping):
        return _feed_mapping(data, update)
    if hasattr(data, "tocsr"):
        return _feed_sparse(data.tocsr(), update)
    if hasattr(data, "to_frame") and hasattr(data, "iloc"):  # a pandas Series
        _feed_column(data, update)
        return len(data), {"kind": "array", "shape": [None], "dtype": str(data.dtype)}
    if isinstance(data, list | tuple):
        return _feed_list(data, update)
    if hasattr(data, "__array__"):
        import numpy as np

        array = np.asarray(data)
        _feed_array(array, update)
        return (len(array) if array.ndim else None), describe(array)
    raise InvalidValueError(
        f"No digest can be made of a {type(data).__module__}.{type(data).__qualname__}: give an array, a table, bytes, "
        "a path, or lists and mappings of these."
    )


def _of_path(path: Path) -> Data:
    if path.is_file():
        with path.open("rb") as source:
            digest = hashlib.file_digest(source, "sha256").hexdigest()
        return Data(digest, None, {"kind": "file", "size": path.stat().st_size})
    if not path.is_dir():
        raise InvalidValueError(f"There is no file or folder {str(path)[:200]!r} to make a digest of.")
    hasher, files, size = hashlib.sha256(b"folder"), walk_files(path), 0
    for file in files:
        with file.open("rb") as source:
            digest = hashlib.file_digest(source, "sha256").hexdigest()
        hasher.update(json.dumps([file.relative_to(path).as_posix(), digest]).encode())
        size += file.stat().st_size
    return Data(hasher.hexdigest(), None, {"kind": "folder", "files": len(files), "size": size})


def _feed_array(array: Any, update: Update) -> None:
    import numpy as np

    if array.dtype.hasobject or array.dtype.kind == "T":
        update(f"values|{array.shape}|".encode())
        _feed_values(array.reshape(-1), update)
        return
    update(f"array|{array.dtype.newbyteorder('<').str}|{array.dtype.names}|{array.shape}|".encode())
    if array.ndim == 0:
        array = array.reshape(1)
    row_bytes = max(1, array.dtype.itemsize * (array.size // max(1, len(array))))
    step = max(1, CHUNK // row_bytes)
    swap = array.dtype.byteorder == ">" or (array.dtype.byteorder == "=" and sys.byteorder == "big")
    for start in range(0, len(array), step):
        block = np.ascontiguousarray(array[start : start + step])
        update((block.byteswap() if swap else block).reshape(-1).view(np.uint8))


def _feed_values(values: Iterable[Any], update: Update) -> None:
    """Feed values of any kind as JSON: lengths and types are told apart, and the work is done in C."""
    items = values.tolist() if hasattr(values, "tolist") else list(values)
    for start in range(0, len(items), _LIST_CHUNK):
        chunk = items[start : start + _LIST_CHUNK]
        update(json.dumps(chunk, default=lambda value: [type(value).__name__, repr(value)]).encode())


def _feed_column(column: Any, update: Update) -> None:
    import numpy as np

    update(f"column|{column.name!r}|{column.dtype}|".encode())
    if isinstance(column.dtype, np.dtype):
        _feed_array(column.to_numpy(), update)
    else:
        _feed_values(column.astype(object).where(column.notna(), None), update)


def _feed_frame(frame: Any, update: Update) -> Facts:
    update(f"frame|{len(frame)}|".encode())
    if type(frame.index).__name__ != "RangeIndex":
        _feed_column(frame.index.to_frame(index=False).iloc[:, 0], update)
    for position in range(frame.shape[1]):
        _feed_column(frame.iloc[:, position], update)
    return len(frame), describe(frame)


def _feed_sparse(matrix: Any, update: Update) -> Facts:
    matrix = matrix.copy() if not matrix.has_canonical_format else matrix
    matrix.sum_duplicates()
    update(f"sparse|{matrix.shape}|".encode())
    for part in (matrix.data, matrix.indices.astype("int64"), matrix.indptr.astype("int64")):
        _feed_array(part, update)
    return int(matrix.shape[0]), describe(matrix)


def _feed_list(items: list[Any] | tuple[Any, ...], update: Update) -> Facts:
    plain = (str, bytes, int, float, bool, type(None), list, tuple, dict)
    if all(isinstance(item, plain) for item in items):
        update(f"list|{len(items)}|".encode())
        _feed_values(items, update)
        return len(items), {"kind": "list"}
    update(f"parts|{len(items)}|".encode())
    parts = [_feed(item, update) for item in items]
    return parts[0][0], {"kind": "parts", "parts": [schema for _, schema in parts]}


def _feed_mapping(data: Mapping[Any, Any], update: Update) -> Facts:
    names = [name for name in ("data", "target") if name in data] if type(data).__name__ == "Bunch" else sorted(data)
    update(f"mapping|{names}|".encode())
    facts = {}
    for name in names:
        part = data[name]
        part = part if hasattr(part, "__len__") and not isinstance(part, str) else [part]
        facts[str(name)] = _feed(part, update)
    rows = next((count for count, _ in facts.values() if count is not None), None)
    return rows, {"kind": "mapping", "parts": {name: schema for name, (_, schema) in facts.items()}}
