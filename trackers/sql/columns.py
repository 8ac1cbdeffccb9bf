"""What the columns hold: text that is equal on every database, JSON, and numbers with their kind.

PostgreSQL stores no NUL in text, and neither driver encodes a lone surrogate: both are escaped behind U+001A, which
is escaped itself. No two databases agree on NaN: a number that is not finite has its *kind* beside it, and what it
orders by in its own column (the largest and smallest double for the infinities, NULL for NaN).
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

from sqlalchemy import VARBINARY, BigInteger, Double, Integer, SmallInteger, String, Text
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

from trackers.capture.secret import HIDDEN
from trackers.errors import DamagedError, InvalidValueError

FINITE, NAN, PLUS_INF, MINUS_INF = 0, 1, 2, 3
NONE, BOOL, INT, FLOAT, STR, JSON = 0, 1, 2, 3, 4, 5

_LARGEST = 1.7976931348623157e308
EXACT = 2**53
"""Up to here a double holds every integer."""
_ESCAPED = re.compile("[\x00\x1a\ud800-\udfff]")
_ESCAPE = re.compile("\x1a(\x1a|u[0-9a-f]{4})")


def escape(text: str) -> str:
    """Return *text* as it is stored."""
    if _ESCAPED.search(text) is None:
        return text
    return _ESCAPED.sub(lambda m: "\x1a\x1a" if m[0] == "\x1a" else f"\x1au{ord(m[0]):04x}", text)


def unescape(text: str) -> str:
    """Return the text that was stored as *text*."""
    if "\x1a" not in text:
        return text
    return _ESCAPE.sub(lambda m: "\x1a" if m[1] == "\x1a" else chr(int(m[1][1:], 16)), text)


def to_json(value: Any) -> str:
    """Return *value* as JSON text (ASCII; NaN and the infinities as Python writes them).

    Raises InvalidValueError for a value that JSON cannot hold.
    """
    try:
        return json.dumps(value, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as exc:
        raise InvalidValueError(f"a value of type {type(value).__name__} cannot be kept as JSON: {exc}") from exc


def from_json(text: str) -> Any:
    """Return what JSON *text* of the store stands for. Raises DamagedError where it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise DamagedError(
            f"a value in the store is no JSON ({text[:40]!r}): run `trackers fsck`, which names it, and restore a backup"
        ) from exc


def split_number(value: float) -> tuple[float | None, int]:
    """Return what the number's column and the kind's column hold."""
    value = float(value)
    if math.isfinite(value):
        return value, FINITE
    if value != value:
        return None, NAN
    return (_LARGEST, PLUS_INF) if value > 0 else (-_LARGEST, MINUS_INF)


def join_number(number: float | None, kind: int) -> float:
    """Return the number that was stored as *number* and *kind*."""
    if kind == FINITE and number is not None:
        return number
    if kind == PLUS_INF:
        return math.inf
    return -math.inf if kind == MINUS_INF else math.nan


def split_param(value: Any) -> tuple[int, float | None, int, str | None]:
    """Return the columns kind, number, number_kind and text of a param."""
    if value is None:
        return NONE, None, FINITE, None
    if isinstance(value, bool):
        return BOOL, float(value), FINITE, None
    if isinstance(value, int):
        if -EXACT <= value <= EXACT:
            return INT, float(value), FINITE, None
        # What it orders by is as near as a double comes; the text is exact.
        near = float(max(-_LARGEST, min(_LARGEST, value)))
        return INT, near, FINITE, str(value)
    if isinstance(value, float):
        number, number_kind = split_number(value)
        return FLOAT, number, number_kind, None
    if isinstance(value, str):
        return STR, None, FINITE, escape(str(value))
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        return split_param(value.item())
    return JSON, None, FINITE, to_json(value)


WORD = 250
"""How much of a text an index holds, in characters: text is ordered by so much of it."""


def word_of(text: str) -> str:
    """Return what an index holds of *text*, as both are stored."""
    return text[:WORD]


def param_columns(value: Any) -> tuple[int, float | None, int, str | None, str | None]:
    """Return the columns kind, number, number_kind, text and word of a param; only text has a word."""
    kind, number, number_kind, text = split_param(value)
    return kind, number, number_kind, text, word_of(text) if kind == STR and text is not None else None


def join_param(kind: int, number: float | None, number_kind: int, text: str | None) -> Any:
    """Return the param that was stored in these columns."""
    if kind == FLOAT:
        return join_number(number, number_kind)
    if kind == STR:
        return unescape(text or "")
    if kind == INT:
        return int(text) if text is not None else int(number or 0)
    if kind == BOOL:
        return bool(number)
    return None if kind == NONE else from_json(text or "null")


def check_param(name: str, old: Any, new: Any) -> None:
    """Raise InvalidValueError, which names both, unless *new* is stored as *old* is.

    What is hidden in one of them may be the other: what is taken for a secret changes with the release.
    """
    hidden = any(isinstance(value, str) and value == HIDDEN for value in (old, new))
    if not hidden and split_param(old) != split_param(new):
        raise InvalidValueError(
            f"param {name!r} is {_shown(old)} and cannot become {_shown(new)}: a param is written once; "
            "log what changes as a metric or a tag"
        )


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:80] + "..."


COLLATION = "/*!80017 utf8mb4_0900_bin */ /*M!100200 utf8mb4_nopad_bin */"
"""How MySQL (which reads the first comment, from 8.0.17 on) and MariaDB (the second, from 10.2 on) call the collation
that compares text byte by byte and without padding."""

_LONGEST = 2**32 - 1
"""MariaDB has texts of four sizes: asked for room for so much, it takes the one without a bound of its own."""

LongText = Text().with_variant(Text(_LONGEST), "mysql")
"""Text of any length that nothing compares."""


class Content(TypeDecorator[str]):
    """Any text, NUL and lone surrogates included; compared byte by byte."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        kinds = {"postgresql": Text(collation="C"), "mysql": Text(_LONGEST)}
        return dialect.type_descriptor(kinds.get(dialect.name, Text()))

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else escape(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else unescape(value)


class Json(TypeDecorator[Any]):
    """A JSON value kept as text, since the databases' own types refuse NaN and the infinities."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        return (
            dialect.type_descriptor(Text(_LONGEST)) if dialect.name == "mysql" else super().load_dialect_impl(dialect)
        )

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else to_json(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        return None if value is None else from_json(value)


class JsonOrNull(Json):
    """A JSON value that may be JSON's null, where NULL would say that there is none."""

    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return to_json(value)


def name_type(length: int = 250) -> String:
    """Return the type of a bounded name, compared byte by byte (see ``trackers.names``)."""
    return String(length).with_variant(String(length, collation="C"), "postgresql")


class FileName(TypeDecorator[str]):
    """The name of a file, of at most so many bytes of UTF-8; as bytes an index of MariaDB has room for it."""

    impl = String
    cache_ok = True

    def __init__(self, length: int) -> None:
        super().__init__(length)
        self.length = length

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        if dialect.name == "mysql":
            return dialect.type_descriptor(VARBINARY(self.length))
        return dialect.type_descriptor(String(self.length, collation="C" if dialect.name == "postgresql" else None))

    def process_bind_param(self, value: str | None, dialect: Dialect) -> Any:
        return value.encode() if value is not None and dialect.name == "mysql" else value

    def process_result_value(self, value: Any, dialect: Dialect) -> str | None:
        return value.decode() if isinstance(value, bytes) else value


Id = BigInteger().with_variant(Integer, "sqlite")
Time = BigInteger()
"""Microseconds since the epoch, UTC."""
Number: Double[float] = Double()
Kind = SmallInteger()
Name = name_type()
Uid = name_type(32)
Digest = name_type(64)
