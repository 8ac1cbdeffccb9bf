"""An order as phases that are walked one after the other, and the place in it where a page ends.

The first key's order has phases: the runs with a value, those with NaN, those without. Each is a statement of its
own, so that an index can be walked; a page goes on in the next phase where one ends. What follows the first key is
ordered within it by ranks, and ties by the newest id.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Float,
    FromClause,
    SmallInteger,
    String,
    and_,
    case,
    func,
    not_,
    or_,
    true,
)

from trackers.errors import InvalidValueError
from trackers.query import OrderKey
from trackers.sql import tables as t
from trackers.sql.columns import STR, Content
from trackers.sql.sources import LARGEST, Best, Condition, Source, find_source


@dataclass(frozen=True)
class SortColumn:
    """A column of the order, never NULL within its phase."""

    column: ColumnElement[Any]
    descending: bool

    @property
    def sorted(self) -> ColumnElement[Any]:
        return self.column.desc() if self.descending else self.column.asc()

    def after(self, value: Any) -> Condition:
        compare = operator.lt if self.descending else operator.gt
        after: Condition = compare(self.column, value)
        return after

    def not_before(self, value: Any) -> Condition:
        compare = operator.le if self.descending else operator.ge
        after: Condition = compare(self.column, value)
        return after

    @property
    def is_text(self) -> bool:
        return isinstance(self.column.type, String | Content)


@dataclass(frozen=True)
class Phase:
    """A part of the order: runs for which *where* holds, by *columns*."""

    where: Condition
    columns: tuple[SortColumn, ...]

    def after(self, values: Sequence[Any]) -> Condition:
        """Return what is true of the runs that come after the one with these *values*."""
        cases: list[Condition] = []
        equal: list[Condition] = []
        for column, value in zip(self.columns, values, strict=True):
            cases.append(and_(*equal, column.after(value)))
            equal.append(column.column == value)
        # the first column alone again: an index can start from it
        return and_(self.columns[0].not_before(values[0]), or_(*cases))


class Order:
    """The order of a search: *joins* are outer joins, one row a run each; *phases* come one after the other."""

    def __init__(self, keys: Sequence[OrderKey], best: Mapping[str, Best]) -> None:
        sources = [find_source(key.field, best) for key in keys]
        self.joins: list[tuple[FromClause, Condition]] = [
            (source.table, source.match) for source in sources if source.table is not None
        ]
        rest: list[SortColumn] = []
        for source, key in zip(sources[1:], keys[1:], strict=True):
            rest += _ranked(source, key.descending)
        rest.append(SortColumn(t.runs.c.id, descending=True))
        self.phases = [
            Phase(where, (*(() if value is None else (SortColumn(value, keys[0].descending),)), *rest))
            for where, value in (_parts(sources[0]) if keys else [(true(), None)])
        ]


def _parts(source: Source) -> list[tuple[Condition, ColumnElement[Any] | None]]:
    """Return the parts of a key's order: what is true in each, and what it is ordered by there."""
    parts: list[tuple[Condition, ColumnElement[Any] | None]] = []
    if source.number is not None:
        parts.append((source.number.is_not(None), source.number))
    if source.text is not None:
        is_text = source.text.is_not(None) if source.kind is None else source.kind == STR
        parts.append((is_text, source.text))
    if source.is_nan is not None and source.table is not None:
        parts.append((source.is_nan, None))
    if source.table is None and source.number is None:
        return parts  # a text column of the run itself: every run has it
    others = or_(*(func.coalesce(where, False) for where, _ in parts))
    parts.append((not_(others), None))
    return parts


def _ranked(source: Source, descending: bool) -> list[SortColumn]:
    """Return a later key's columns: the rank of the part, then what orders within parts."""
    parts = _parts(source)
    columns: list[SortColumn] = []
    if len(parts) > 1:
        rank = case(*((where, rank) for rank, (where, _) in enumerate(parts[:-1])), else_=len(parts) - 1)
        columns.append(SortColumn(rank, descending=False))
    for where, value in parts:
        if value is not None:
            filler: Any = "" if isinstance(value.type, String | Content) else 0
            shown = case((where, value), else_=filler) if len(parts) > 1 else value
            columns.append(SortColumn(shown, descending))
    return columns


# --- the page token ---------------------------------------------------------------------------------------------


def search_mark(*parts: object) -> str:
    """Return a short mark of a search, so that its tokens are not used with another."""
    return hashlib.sha256(repr(parts).encode("utf-8", "backslashreplace")).hexdigest()[:12]


def write_token(mark: str, phase: int, values: Sequence[Any]) -> str:
    """Return the opaque text that says where a page ended."""
    text = json.dumps([mark, phase, *values], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_token(token: str, mark: str, phases: Sequence[Phase]) -> tuple[int, list[Any]]:
    """Return the phase and the values in *token*. Raises InvalidValueError for one that is none of this search's."""
    try:
        found = json.loads(base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True))
        given, phase, *values = found
        columns = phases[phase].columns
        fits = isinstance(phase, int) and phase >= 0 and len(values) == len(columns)
        fits = fits and all(map(_fits, columns, values))
    except (binascii.Error, ValueError, TypeError, KeyError, IndexError, RecursionError):
        given, fits = mark, False
    if given != mark:
        raise InvalidValueError(
            "this page token belongs to another search: use it with the filter, order and experiments it came from"
        )
    if not fits:
        raise InvalidValueError("the page token cannot be read: use next_token of the last page as it is")
    return phase, values


def _fits(column: SortColumn, value: Any) -> bool:
    """Tell whether *value* can be bound beside *column*: a token may have been changed by anybody."""
    kind = column.column.type
    if column.is_text:
        return isinstance(value, str)
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        return False
    if isinstance(kind, Float):
        return abs(value) <= LARGEST
    bits = 15 if isinstance(kind, SmallInteger) else 63 if isinstance(kind, BigInteger) else 31
    return isinstance(value, int) and abs(value) < 2**bits
