"""Statements for many rows at once, at the driver's level: their text is made once for each database.

SQLite runs a statement once a row (``executemany``); PostgreSQL runs it once, with the rows as arrays. MariaDB's driver
makes one INSERT of many rows itself; for an UPDATE they go there as one JSON text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Double, Integer, SmallInteger, Table

Row = Sequence[Any]


# An array of PostgreSQL as its text: the driver writes one in Python, item by item, in several times the time.


def _whole(values: Row) -> str:
    return "{" + ",".join(["NULL" if value is None else str(int(value)) for value in values]) + "}"


def _floats(values: Row) -> str:
    return "{" + ",".join(["NULL" if value is None else repr(float(value)) for value in values]) + "}"


def _texts(values: Row) -> str:
    return "{" + ",".join(["NULL" if value is None else _quote(str(value)) for value in values]) + "}"


def _quote(text: str) -> str:
    if "\\" in text or '"' in text:
        text = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def _booleans(values: Row) -> str:
    return "{" + ",".join(["NULL" if value is None else "t" if value else "f" for value in values]) + "}"


_WRITERS = {"smallint": _whole, "integer": _whole, "bigint": _whole, "float8": _floats, "boolean": _booleans}


class Statement:
    """A statement with its text for each database; *columns* are those of the values of a row, in order."""

    def __init__(self, sqlite: str, postgresql: str, mariadb: str, columns: Sequence[Column[Any]]) -> None:
        self._texts = {"sqlite": sqlite, "postgresql": postgresql, "mysql": mariadb}
        self._arrays = [_WRITERS.get(_array(column), _texts) for column in columns]

    def run(self, dialect: str, cursor: Any, rows: Sequence[Row]) -> int:
        """Run it for *rows* and return how many rows of the table it wrote."""
        if not rows:
            return 0
        self.start(dialect, cursor, rows)
        count: int = cursor.rowcount
        return count

    def start(self, dialect: str, cursor: Any, rows: Sequence[Row]) -> None:
        """Run it for *rows*, of which there is one at least; *cursor* then has its answer."""
        text = self._texts[dialect]
        if dialect == "postgresql":
            columns = zip(*rows, strict=True)
            cursor.execute(text, [write(column) for write, column in zip(self._arrays, columns, strict=True)])
        elif dialect == "mysql" and "JSON_TABLE" in text:
            cursor.execute(text, [as_json(rows)])
        else:
            cursor.executemany(text, rows)


def insert(table: Table, *names: str, conflict: str = "") -> Statement:
    """Make an INSERT of these columns (all, where none is named); *conflict* is its ``ON CONFLICT ...``.

    On MariaDB any unique key is one to conflict with, and rows that were there count as written too.
    """
    columns = [table.c[name] for name in names] if names else list(table.c)
    listed = ", ".join(_quoted(column) for column in columns)
    head = f"INSERT INTO {table.name} ({listed})"
    return Statement(
        f"{head} VALUES ({', '.join('?' * len(columns))}) {conflict}",
        f"{head} SELECT {listed} FROM {_rows(columns)} WHERE true {conflict}",
        f"{head} VALUES ({', '.join(['%s'] * len(columns))}) {_on_duplicate(table, conflict)}",
        columns,
    )


def upsert(table: Table, *names: str, settle: Mapping[str, str] | None = None) -> Statement:
    """Make an INSERT that overwrites the row with the same primary key; *settle* says of a column what it becomes, as SQL."""
    columns = [table.c[name] for name in names] if names else list(table.c)
    keys = ", ".join(_quoted(column) for column in table.primary_key)
    changes = ", ".join(
        f"{_quoted(column)} = {(settle or {}).get(column.name, f'excluded.{_quoted(column)}')}"
        for column in columns
        if not column.primary_key
    )
    return insert(table, *names, conflict=f"ON CONFLICT ({keys}) DO UPDATE SET {changes}")


def update(table: Table, changes: str, where: str, *names: str) -> Statement:
    """Make an UPDATE whose text holds ``{name}`` for the values of a row: *names*, in order.

    A name is a column's, or a column's with a suffix after two underscores where one column needs several values.
    """
    columns = [table.c[name.partition("__")[0]] for name in names]
    text = f"UPDATE {table.name} SET {changes}{{source}} WHERE {where}"
    places = {name: f"?{place}" for place, name in enumerate(names, start=1)}
    values = {name: f"v.{name}" for name in names}
    source = f" FROM {_rows(columns, names)}"
    given = f"UPDATE {table.name} JOIN {json_rows(columns, names)} ON {where} SET {changes}"
    return Statement(
        text.format(source="", **places),
        text.format(source=source, **values),
        given.format(**{name: f"v.given_{name}" for name in names}),
        columns,
    )


def as_json(rows: Sequence[Row]) -> str:
    """Return *rows* as the text that ``json_rows`` reads."""
    return json.dumps(list(map(list, rows)), ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def json_rows(columns: Sequence[Column[Any]], names: Sequence[str]) -> str:
    """Return MariaDB's table ``v`` of rows that come as JSON, with ``given_NAME`` for what these columns hold."""
    fields = (
        f"given_{name} {_field(column)} PATH '$[{place}]'"
        for place, (column, name) in enumerate(zip(columns, names, strict=True))
    )
    return f"JSON_TABLE(%s, '$[*]' COLUMNS ({', '.join(fields)})) AS v"


def _field(column: Column[Any]) -> str:
    kind = {"float8": "DOUBLE", "text": "LONGTEXT", "boolean": "SMALLINT"}.get(_array(column), _array(column).upper())
    length = getattr(column.type, "length", None)
    return f"VARCHAR({length})" if length and kind == "LONGTEXT" else kind


def _on_duplicate(table: Table, conflict: str) -> str:
    """Return an ``ON CONFLICT ...`` as MariaDB writes it."""
    if not conflict:
        return ""
    _, _, changes = conflict.partition(" DO UPDATE SET ")
    key = next(iter(table.primary_key)).name
    written = re.sub(r"\bexcluded\.(\w+|\"\w+\")", r"VALUES(\1)", changes) or f'"{key}" = {table.name}."{key}"'
    return f"ON DUPLICATE KEY UPDATE {written}"


def delete(table: Table, *names: str) -> Statement:
    """Make a DELETE of the rows that have these values in the columns *names*."""
    columns = [table.c[name] for name in names]
    places = " AND ".join(f"{table.name}.{_quoted(column)} = ?" for column in columns)
    values = " AND ".join(f"{table.name}.{_quoted(column)} = v.{_quoted(column)}" for column in columns)
    return Statement(
        f"DELETE FROM {table.name} WHERE {places}",
        f"DELETE FROM {table.name} USING {_rows(columns)} WHERE {values}",
        f"DELETE {table.name} FROM {table.name} JOIN {json_rows(columns, names)} ON "
        + " AND ".join(f"{table.name}.{_quoted(column)} = v.given_{column.name}" for column in columns),
        columns,
    )


def _rows(columns: Sequence[Column[Any]], names: Sequence[str] | None = None) -> str:
    arrays = ", ".join(f"%s::{_array(column)}[]" for column in columns)
    listed = ", ".join(names if names is not None else [_quoted(column) for column in columns])
    return f"unnest({arrays}) AS v({listed})"


def _quoted(column: Column[Any]) -> str:
    return f'"{column.name}"'


def _array(column: Column[Any]) -> str:
    kind = column.type
    for types, name in (
        (SmallInteger, "smallint"),
        (BigInteger, "bigint"),
        (Integer, "integer"),
        (Double, "float8"),
        (Boolean, "boolean"),
    ):
        if isinstance(kind, types):
            return name
    return "text"
