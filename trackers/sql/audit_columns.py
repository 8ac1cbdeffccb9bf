"""What does not hold in single values: each column of each table is looked at by what the schema says that it holds.

SQLite keeps whatever it is given, and no database knows what a time or the kind of a number is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Double,
    Integer,
    Table,
    Text,
    exists,
    func,
    inspect,
    literal,
    or_,
    select,
    type_coerce,
    union_all,
)

from trackers.artifacts.names import check_name
from trackers.errors import InvalidValueError
from trackers.names import odd_character
from trackers.sql import tables as t
from trackers.sql.columns import FINITE, JSON, MINUS_INF, NONE, FileName, Json, Kind, Name, Time
from trackers.sql.flaw import Flaw

LATEST = 253_402_300_799_999_999
"""The end of the year 9999, the last that a datetime knows, in microseconds."""

_KINDS = {(t.params.name, "kind"): (NONE, JSON)}
"""The kinds of values that are no numbers: the first and the last."""

_UNCHECKED = frozenset({"word", "live_name", "user"})
"""Columns of names that repeat others, or begin any text."""

_SHAPES: dict[tuple[str, str], type] = {
    ("code_versions", "content"): dict,
    ("environments", "content"): dict,
    ("launches", "arguments"): list,
    ("studies", "directions"): list,
    ("studies", "metric_names"): list,
    ("distributions", "spec"): dict,
    ("events", "data"): dict,
    ("commands", "args"): dict,
    ("models", "manifest"): dict,
    ("model_versions", "metrics"): dict,
    ("model_versions", "lineage"): dict,
    ("model_version_figures", "values"): list,
    ("policies", "rule"): dict,
    ("registry_history", "details"): dict,
}
_WORDS: dict[type, str] = {dict: "an object", list: "a list"}


def missing_tables(connection: Connection) -> Iterator[Flaw]:
    """Tell which tables and columns are not there: without them nothing else can be looked at."""
    names = [table.name for table in t.metadata.sorted_tables]
    there = {name: columns for (_, name), columns in inspect(connection).get_multi_columns(filter_names=names).items()}
    for table in t.metadata.sorted_tables:
        if table.name not in there:
            yield Flaw("schema", f"the table {table.name} is missing: restore a backup")
            continue
        lacking = {column.name for column in table.columns} - {column["name"] for column in there[table.name]}
        for name in sorted(lacking):
            yield Flaw("schema", f"the column {table.name}.{name} is missing: restore a backup")


def filled(connection: Connection) -> list[Table]:
    """Return the tables that hold anything: no other need be asked, check by check."""
    tables = t.metadata.sorted_tables
    asked = (
        select(literal(place)).where(exists(select(literal(1)).select_from(one))) for place, one in enumerate(tables)
    )
    return [tables[place] for place in sorted(connection.execute(union_all(*asked)).scalars())]


def columns(connection: Connection) -> Iterator[Flaw]:
    """Check the type, the time and the kind of every value: one pass over each table."""
    for table in filled(connection):
        checks = [check for column in table.columns for check in _checks_of(connection.dialect.name, column)]
        if not checks:
            continue
        raw = [type_coerce(column, Text) for column in table.primary_key]
        values = [type_coerce(column, Text) for column, _, _ in checks]
        query = select(*raw, *values, *(wrong for _, wrong, _ in checks)).where(or_(*(wrong for _, wrong, _ in checks)))
        for row in connection.execute(query):
            key, found = row[: len(raw)], row[len(raw) :]
            for value, is_wrong, (column, _, what) in zip(found, found[len(checks) :], checks, strict=False):
                if is_wrong:
                    yield Flaw("values", f"{_place(column, key)} is {value!r:.60}, which is no {what}")


def _checks_of(dialect: str, column: Column[Any]) -> Iterator[tuple[Column[Any], Any, str]]:
    """Yield what may be wrong with the values of a column: the column, a condition, and what they are not."""
    if dialect == "sqlite":
        kinds, what = _lite_types(column)
        yield column, func.coalesce(func.typeof(column).not_in([*kinds, "null"]), False), what
    if column.type is Time:
        yield column, func.coalesce(or_(column < 0, column > LATEST), False), "time"
    elif column.type is Kind:
        first, last = _KINDS.get((column.table.name, column.name), (FINITE, MINUS_INF))
        yield column, or_(column < first, column > last), "kind of a value"


def _lite_types(column: Column[Any]) -> tuple[tuple[str, ...], str]:
    if isinstance(column.type, (Integer, Boolean)):
        return ("integer",), "whole number"
    if isinstance(column.type, Double):
        return ("real", "integer"), "number"
    return ("text",), "text"


def _place(column: Column[Any], key: Any) -> str:
    names = [one.name for one in column.table.primary_key]
    where = ", ".join(f"{name} {value}" for name, value in zip(names, key, strict=True))
    return f"{column.name} in {column.table.name} ({where})"


def wrong_with(column: Column[Any], value: Any) -> str:
    """Say what is wrong with a value that comes from outside, for *column*; '' where it may be written there."""
    if value is None:
        return ""
    if column.type is Time:
        return "" if isinstance(value, int) and 0 <= value <= LATEST else f"{value!r:.40} is no time"
    if column.type is Kind:
        first, last = _KINDS.get((column.table.name, column.name), (FINITE, MINUS_INF))
        return "" if value in range(first, last + 1) else f"{value!r:.40} is no kind of a value"
    check = _check_of(column)
    try:
        if check is not None:
            check(value)
    except InvalidValueError as exc:
        return str(exc)
    return ""


def _check_of(column: Column[Any]) -> Callable[[str], object] | None:
    """Return what checks the names in a column, None where it holds none."""
    if isinstance(column.type, FileName):
        return check_name
    return _check_characters if column.type is Name and column.name not in _UNCHECKED else None


def names_given(connection: Connection) -> Iterator[Flaw]:
    """Check that names are such as people may give."""
    for table in filled(connection):
        for column in table.columns:
            if (check := _check_of(column)) is not None:
                yield from _odd_names(connection, column, check)


def _odd_names(connection: Connection, column: Column[Any], check: Callable[[str], object]) -> Iterator[Flaw]:
    query = select(column).distinct().where(column.is_not(None))
    for (name,) in connection.execution_options(yield_per=1000).execute(query):
        try:
            check(name)
        except InvalidValueError as exc:
            yield Flaw("values", f"{column.name} in {column.table.name}: {exc}")


def _check_characters(name: Any) -> None:
    if isinstance(name, str) and not name.isprintable() and (char := odd_character(name)):
        raise InvalidValueError(f"{name!r} holds the character {char!r}, which no name may hold")


def json_values(connection: Connection) -> Iterator[Flaw]:
    """Check that what is to be JSON is, and what is to be an object or a list of it."""
    for table in filled(connection):
        keys = list(table.primary_key)
        for column in table.columns:
            if isinstance(column.type, Json):
                raw = type_coerce(column, Text)
                yield from _unreadable(connection, column, select(*keys, raw).where(raw.is_not(None)))
    p, a = t.params, t.attrs
    structured = select(*p.primary_key, type_coerce(p.c.text, Text)).where(p.c.kind == JSON, p.c.text.is_not(None))
    yield from _unreadable(connection, p.c.text, structured)
    if not isinstance(a.c.value.type, Json):
        yield from _unreadable(connection, a.c.value, select(*a.primary_key, type_coerce(a.c.value, Text)))


def _unreadable(connection: Connection, column: Any, query: Any) -> Iterator[Flaw]:
    shape = _SHAPES.get((column.table.name.removeprefix(t.PREFIX), column.name), object)
    for *key, text in connection.execution_options(yield_per=1000).execute(query):
        try:
            value = json.loads(text)
        except (ValueError, TypeError, RecursionError):
            yield Flaw("json values", f"{_place(column, key)} is no JSON: {text!r:.40}")
        else:
            if not isinstance(value, shape):
                yield Flaw("json values", f"{_place(column, key)} is not {_WORDS[shape]}: {text!r:.40}")
