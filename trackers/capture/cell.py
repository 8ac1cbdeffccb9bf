"""Values of any kind, one by one: the cells of lists, of columns and of arrays of objects."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from trackers.capture.tree import Feed
from trackers.errors import InvalidValueError

CELLS = 50_000
"""How many are encoded at a time. Another number makes other digests."""
_SCALARS = frozenset({str, int, float, bool, type(None)})
_ADDRESS = re.compile(r"\bat 0x[0-9a-fA-F]+>")


def feed_cells(values: Iterable[Any], update: Feed) -> None:
    """Feed the cells of a column or an array: of text its letters, of all else JSON."""
    cells = _as_list(values)
    for start in range(0, len(cells), CELLS):
        chunk = cells[start : start + CELLS]
        if not _feed_text(chunk, update):
            _feed_json(chunk, update)


def feed_json(values: Iterable[Any], update: Feed) -> None:
    """Feed values of any kind as JSON: lengths and types are told apart, and the work is done in C."""
    items = _as_list(values)
    for start in range(0, len(items), CELLS):
        _feed_json(items[start : start + CELLS], update)


def feed_joined(count: int, nulls: bytes, joined: bytes, update: Feed) -> None:
    """Feed *count* texts, with a byte in *nulls* for each where any is missing, joined by bytes of zero in UTF-8."""
    update(f"text|{count}|{len(nulls)}|{len(joined)}|".encode())
    update(nulls)
    update(joined)


def feed_lengths(count: int, nulls: bytes, lengths: bytes, joined: bytes, update: Feed) -> None:
    """Feed texts of which one holds a byte of zero: joined by nothing, with their *lengths* in bytes, 64 bits each."""
    update(f"lengths|{count}|{len(nulls)}|{len(joined)}|".encode())
    update(nulls)
    update(lengths)
    update(joined)


def _as_list(values: Any) -> list[Any]:
    return values.tolist() if hasattr(values, "tolist") else list(values)


def _feed_text(cells: list[Any], update: Feed) -> bool:
    """Feed *cells* where they are text or None; tell whether they are."""
    import numpy as np

    nulls, texts = b"", cells
    try:
        joined = "\0".join(texts)
    except TypeError:
        texts = [cell for cell in cells if cell is not None]
        nulls = bytes([cell is None for cell in cells])
        try:
            joined = "\0".join(texts)
        except TypeError:
            return False
    if joined.count("\0") == max(0, len(texts) - 1):
        feed_joined(len(cells), nulls, joined.encode("utf-8", "surrogatepass"), update)
        return True
    encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
    lengths = np.fromiter(map(len, encoded), dtype="<i8", count=len(encoded))
    feed_lengths(len(cells), nulls, lengths.tobytes(), b"".join(encoded), update)
    return True


def _feed_json(items: list[Any], update: Feed) -> None:
    try:
        update(json.dumps(_plain(items), default=_as_json, sort_keys=True).encode())
    except InvalidValueError:
        raise
    except (TypeError, ValueError, RecursionError) as exc:
        raise InvalidValueError(
            f"No digest can be made of these values ({exc}): give numbers, text, dates, arrays, and lists and mappings "
            "of them that do not hold themselves."
        ) from exc


def _plain(value: Any) -> Any:
    """Return *value* with its mappings as JSON can hold them: JSON makes text of any key, and 1 is not "1"."""
    if isinstance(value, dict):
        if all(isinstance(key, str) for key in value):
            return {key: _plain(item) for key, item in value.items()}
        return ["dict", _in_order([[_key(key), _plain(item)] for key, item in value.items()])]
    if isinstance(value, list | tuple):
        return value if _SCALARS.issuperset(map(type, value)) else [_plain(item) for item in value]
    return value


def _key(key: Any) -> Any:
    if not isinstance(key, str | int | float | None):
        raise InvalidValueError(
            f"No digest can be made of a mapping with the key {str(key)[:80]!r}, a {type(key).__qualname__}: "
            "make it text or a number."
        )
    return key


def _in_order(items: Iterable[Any]) -> list[Any]:
    """Return items in the order of their JSON, which is that of no set and no mapping."""
    return sorted(items, key=lambda item: json.dumps(item, default=_as_json, sort_keys=True))


def _as_json(value: Any) -> Any:
    """Return what tells *value* from others of its type: of an array all its values, whose ``repr`` leaves most out."""
    name = type(value).__name__
    if hasattr(value, "tolist") and hasattr(value, "dtype"):
        return [name, str(value.dtype), _plain(value.tolist())]
    if isinstance(value, set | frozenset):
        return [name, _in_order(_plain(item) for item in value)]
    if isinstance(value, Mapping):
        return [name, _plain(dict(value))]
    shown = repr(value)
    if _ADDRESS.search(shown):
        raise InvalidValueError(
            f"No digest can be made of a {type(value).__module__}.{type(value).__qualname__} in a cell: it shows where "
            "it lies in memory, and not what it holds. Give numbers, text, or its bytes."
        )
    return [name, shown]
