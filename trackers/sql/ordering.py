"""An order as phases that are walked one after the other, and the place in it where a page ends.

The first key's order has phases: the runs with a value, those with NaN, those without. Each is a statement of its
own, so that an index can be walked; a page goes on in the next phase where one ends. What follows the first key is
ordered within it by ranks, and ties by the id, in the direction of the first key, so that one index serves both.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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
    literal,
    not_,
    or_,
    true,
    tuple_,
)

from trackers.errors import InvalidValueError
from trackers.query import Field, OrderKey
from trackers.sql import tables as t
from trackers.sql.columns import Content
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

    def not_after(self, value: Any) -> Condition:
        compare = operator.ge if self.descending else operator.le
        until: Condition = compare(self.column, value)
        return until

    @property
    def is_text(self) -> bool:
        return isinstance(self.column.type, String | Content)


@dataclass(frozen=True)
class Phase:
    """A part of the order: the rows of *table* for which *where* holds, by *columns*.

    *run* is the column with the run's id, *joins* are outer joins with one row a run each. *field* is what the first
    column is of, kept in *source*; *runs* the alias of ``runs`` that *table* is, if it is one. Where the part is of the
    runs that have no value, *absent* is what no row may satisfy. *leading* is how many of the columns an index of
    *table* orders by. *group* is there for an order by two keys.
    """

    table: FromClause
    run: ColumnElement[int]
    where: Condition
    columns: tuple[SortColumn, ...]
    joins: tuple[tuple[FromClause, Condition], ...] = ()
    field: Field | None = None
    source: Source | None = None
    runs: FromClause | None = None
    absent: tuple[Source, Condition] | None = None
    leading: int = 0
    group: Group | None = None

    def after(self, values: Sequence[Any]) -> Condition:
        """Return what is true of the runs that come after those with these *values* of the first columns."""
        return _beyond(self.columns[: len(values)], values)

    def until(self, values: Sequence[Any]) -> Condition:
        """Return what is true of the runs up to the one with these *values* of the first columns, it included."""
        columns = self.columns[: len(values)]
        if len(values) == 1:
            return columns[0].not_after(values[0])
        return not_(_beyond(columns, values))


@dataclass(frozen=True)
class Group:
    """The runs with one value of the first of two keys, in the order of the second, each part of it a phase of its own.

    Of them holds, in *source*, *holds* and that *column* is the value.
    """

    source: Source
    holds: Condition
    column: ColumnElement[Any]
    phases: tuple[Phase, ...]
    fillers: tuple[tuple[Any, ...], ...]
    """For each phase what its rows have in the columns of the second key: a value's own place holds ``VALUE``."""

    def outside(self, place: int, value: Any, row: Sequence[Any]) -> tuple[Any, ...]:
        """Return the values of a *row* of the phase at *place*, as the order of both keys has them."""
        *own, run = row
        return (value, *(own[0] if filler is VALUE else filler for filler in self.fillers[place]), run)

    def inside(self, values: Sequence[Any]) -> tuple[int, list[Any]] | None:
        """Return the place of the phase that a row with these *values* is in, and its values there."""
        _, *seconds, run = values
        for place, fillers in enumerate(self.fillers):
            if all(filler is VALUE or filler == given for filler, given in zip(fillers, seconds, strict=True)):
                own = [given for filler, given in zip(fillers, seconds, strict=True) if filler is VALUE]
                return place, [*own, run]
        return None


VALUE = object()


def _beyond(columns: Sequence[SortColumn], values: Sequence[Any]) -> Condition:
    if len(columns) == 1:
        return columns[0].after(values[0])
    if len({column.descending for column in columns}) == 1:
        row = tuple_(*(column.column for column in columns))
        other = tuple_(*(literal(value, column.column.type) for column, value in zip(columns, values, strict=True)))
        beyond: Condition = row < other if columns[0].descending else row > other
        return beyond
    cases: list[Condition] = []
    equal: list[Condition] = []
    for column, value in zip(columns, values, strict=True):
        cases.append(and_(*equal, column.after(value)))
        equal.append(column.column == value)
    # the first column alone again: an index can start from it
    return and_(columns[0].not_before(values[0]), or_(*cases))


def order_phases(keys: Sequence[OrderKey], best: Mapping[str, Best]) -> list[Phase]:
    """Return the phases of an order by *keys* (one or more); ties go in the direction of the first key, by id."""
    first, *later = keys
    source = find_source(first.field, best)
    phases = []
    for place, (table, run, where, value, absent) in enumerate(_parts_of_all(source)):
        joins: list[tuple[FromClause, Condition]] = []
        columns = [] if value is None else [SortColumn(value, first.descending)]
        for key in later:
            other = find_source(key.field, best)
            joins.append((other.table, and_(other.run == run, other.own)))
            columns += _ranked(other, key.descending)
        columns.append(SortColumn(run, first.descending))
        leading = len(columns) if not joins else 0 if value is None else 1
        runs = source.runs if table is source.table else table if absent else None
        mine = source if table is source.table else None
        group = _group(first, later[0], place, best) if value is not None and len(later) == 1 else None
        sorts, joined = tuple(columns), tuple(joins)
        phases.append(Phase(table, run, where, sorts, joined, first.field, mine, runs, absent, leading, group))
    return phases


def _group(first: OrderKey, second: OrderKey, place: int, best: Mapping[str, Best]) -> Group:
    source = find_source(first.field, best)
    holds, column = _parts(source)[place]
    assert column is not None  # that of the part that the caller has a value of
    phases = []
    for phase in order_phases((second,), best):
        *values, run = phase.columns
        ties = SortColumn(run.column, first.descending)
        # an index has ties in the direction of its values
        leading = len(phase.columns) if first.descending == second.descending else max(1, len(values))
        phases.append(replace(phase, columns=(*values, ties), leading=leading))
    parts = _parts(find_source(second.field, best))
    blanks = [_blank(value) for _, value in parts if value is not None]
    fillers = []
    for rank in range(len(phases)):
        own = [VALUE if at == rank else _blank(value) for at, (_, value) in enumerate(parts) if value is not None]
        fillers.append(((rank,) if len(phases) > len(parts) else ()) + tuple(own or blanks))
    return Group(source, holds, column, tuple(phases), tuple(fillers))


_Part = tuple[FromClause, ColumnElement[int], Condition, ColumnElement[Any] | None, tuple[Source, Condition] | None]


def _parts_of_all(source: Source) -> list[_Part]:
    """Return the parts of the first key's order: where the rows are, what is true of them, what orders them."""
    parts: list[_Part] = [
        (source.table, source.run, and_(source.own, where), value, None) for where, value in _parts(source)
    ]
    if source.always:
        return parts
    if source.runs is not None:
        without = source.text == "" if source.number is None else source.number.is_(None)
        return [*parts, (source.table, source.run, without, None, None)]
    runs = t.runs.alias()
    return [*parts, (runs, runs.c.id, true(), None, (source, _has_any(source)))]


def _has_any(source: Source) -> Condition:
    return or_(*(func.coalesce(where, False) for where, _ in _parts(source)))


def _parts(source: Source) -> list[tuple[Condition, ColumnElement[Any] | None]]:
    """Return the parts of a key's order among the rows it has: what is true in each, what it is ordered by there."""
    parts: list[tuple[Condition, ColumnElement[Any] | None]] = []
    if source.number is not None:
        parts.append((source.number.is_not(None), source.number))
    if source.text is not None:
        parts.append((true() if source.always else source.text.is_not(None), source.text))
    if source.is_nan is not None and source.runs is None:
        parts.append((source.is_nan, None))
    return parts


def _ranked(source: Source, descending: bool) -> list[SortColumn]:
    """Return a later key's columns: the rank of the part, then what orders within parts."""
    parts = _parts(source)
    columns: list[SortColumn] = []
    if not source.always:
        ranks = [(and_(source.run.is_not(None), where), rank) for rank, (where, _) in enumerate(parts)]
        columns.append(SortColumn(case(*ranks, else_=len(parts)), descending=False))
    for where, value in parts:
        if value is not None:
            filler = _blank(value)
            shown = value if source.always else case((where, value), else_=filler)
            columns.append(SortColumn(func.coalesce(shown, filler), descending))
    return columns


def _blank(value: ColumnElement[Any]) -> Any:
    """Return what stands for a *value* in the rows of another part."""
    return "" if isinstance(value.type, String | Content) else 0


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
