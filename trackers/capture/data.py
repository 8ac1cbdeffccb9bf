"""The identity of a data set: equal digests mean equal data, wherever it was read.

What is hashed says the kind, the type, the shape and the values, so that a C- and a Fortran-ordered array, one of
either byte order, or an Arrow table in other chunks, are the same data, and the same numbers of another type are not.
It is read in pieces of 8 MiB, which threads digest; see ``trackers.capture.tree``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from trackers.capture.array import feed_array, feed_masked
from trackers.capture.cell import feed_json
from trackers.capture.folder import path_digest
from trackers.capture.frame import feed_frame, feed_series
from trackers.capture.table_files import table_facts
from trackers.capture.tree import Feed, TreeHash
from trackers.errors import InvalidValueError
from trackers.models.schema import describe, is_frame


class Data(NamedTuple):
    """*digest* (sha-256, hex), the number of *rows* where there are any, and the *schema* (JSON)."""

    digest: str
    rows: int | None
    schema: dict[str, Any] | None


_DIGEST = re.compile(r"[0-9a-f]{64}", re.IGNORECASE)


def digest_of(data: Any) -> str:
    """Return the digest of *data*, which is one, or what ``data_digest`` takes; ``""`` for none. Raises InvalidValueError."""
    if data is None or (isinstance(data, str) and not data):
        return ""
    if isinstance(data, str) and _DIGEST.fullmatch(data):
        return data.lower()
    if isinstance(data, str) and "://" not in data and not os.path.lexists(data):
        raise InvalidValueError(f"There is no file or folder {data[:200]!r}, and a digest has 64 hex digits.")
    return data_digest(data).digest


def data_digest(data: Any) -> Data:
    """Return digest, rows and schema of a data set.

    *data*: a NumPy array or whatever converts to one, a pandas or Arrow table, a data set of Arrow, a SciPy sparse
    matrix, a PyTorch tensor, bytes, a path (file or folder, and what links there lead to), a list or tuple of any of
    these or of plain values, a mapping of them, or scikit-learn's ``Bunch`` (its data and target); what this returned is
    returned as it is. Rows and columns of Parquet files are read from their footers (needs pyarrow). Raises InvalidValueError for anything else, such as objects that show only where they lie in memory.
    """
    if isinstance(data, Data):
        return data
    if isinstance(data, str | os.PathLike):
        digest, schema = path_digest(data)
        rows, columns = table_facts(Path(data))
        return Data(digest, rows, schema if columns is None else {**schema, "columns": columns})
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
        return feed_frame(data, update)
    module = type(data).__module__.partition(".")[0]
    if module == "pyarrow":
        from trackers.capture.arrow import feed_arrow

        return feed_arrow(data, update)
    if hasattr(data, "to_arrow"):  # polars and its like
        return _feed(data.to_arrow(), update)
    if hasattr(data, "to_pandas"):
        return feed_frame(data.to_pandas(), update)
    if module == "torch" and hasattr(data, "detach"):
        return _feed_tensor(data, update)
    if hasattr(data, "tocsr"):
        return _feed_sparse(data, update)
    if isinstance(data, Mapping):
        return _feed_mapping(data, update)
    if hasattr(data, "to_frame") and hasattr(data, "iloc"):  # a pandas Series
        return feed_series(data, update)
    if isinstance(data, list | tuple):
        return _feed_list(data, update)
    if hasattr(data, "__array__"):
        import numpy as np

        if isinstance(data, np.ma.MaskedArray):
            feed_masked(data, update)
            return (len(data) if data.ndim else None), describe(data)
        array = np.asarray(data)
        if array.dtype != object or array.ndim:  # else NumPy wrapped what it cannot read: its name is not its values
            feed_array(array, update)
            return (len(array) if array.ndim else None), describe(array)
    raise InvalidValueError(
        f"No digest can be made of a {type(data).__module__}.{type(data).__qualname__}: give an array, a table, bytes, "
        "a path, or lists and mappings of these."
    )


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


def _feed_sparse(given: Any, update: Feed) -> Facts:
    if len(given.shape) > 2:
        raise InvalidValueError(
            f"No digest can be made of a sparse array of {len(given.shape)} dimensions: reshape it to two."
        )
    matrix = given.tocsr()
    if not matrix.has_canonical_format or not matrix.data.all():  # places that hold a zero are no part of the data
        matrix = matrix.copy()
        matrix.sum_duplicates()
        matrix.eliminate_zeros()
    update(f"sparse|{matrix.shape}|".encode())
    for part in (matrix.data, matrix.indices.astype("int64"), matrix.indptr.astype("int64")):
        feed_array(part, update)
    return int(matrix.shape[0]), describe(matrix)


def _feed_list(items: list[Any] | tuple[Any, ...], update: Feed) -> Facts:
    plain = (str, bytes, int, float, bool, type(None), list, tuple, dict)
    if all(isinstance(item, plain) for item in items):
        update(f"list|{len(items)}|".encode())
        feed_json(items, update)
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
