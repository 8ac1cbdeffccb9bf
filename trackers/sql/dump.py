"""The rows of a store as plain values, the same whatever database they come from or go to.

Values are those in the columns, not what they mean: text stays escaped, JSON stays text, a time is a number. So what
is read here from one database can be written to another, and is equal there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from sqlalchemy import Boolean, Connection, Table, delete, func, select, update

from trackers.errors import StoreError
from trackers.sql import tables as t
from trackers.sql.blobs import is_reachable
from trackers.sql.columns import FileName

_BATCH = 1000
_OWN = (t.store, t.garbage)
"""What belongs to the place and not to what is stored there."""


def dumped_tables() -> list[Table]:
    """Return the tables that are dumped, in the order in which their rows refer to each other."""
    return [table for table in t.metadata.sorted_tables if table not in _OWN]


def read_rows(connection: Connection, table: Table) -> Iterator[list[Any]]:
    """Yield the rows of a table by its primary key."""
    names = ", ".join(f'"{column.name}"' for column in table.columns)
    keys = ", ".join(f'"{column.name}"' for column in table.primary_key)
    names_of_files = [i for i, column in enumerate(table.columns) if isinstance(column.type, FileName)]
    flags = [i for i, column in enumerate(table.columns) if isinstance(column.type, Boolean)]
    streamed = connection.execution_options(stream_results=True, max_row_buffer=_BATCH)
    for row in streamed.exec_driver_sql(f'SELECT {names} FROM "{table.name}" ORDER BY {keys}'):
        values = list(row)
        for i in flags:
            values[i] = None if values[i] is None else bool(values[i])
        for i in names_of_files:
            values[i] = values[i].decode() if isinstance(values[i], bytes) else values[i]
        yield values


def write_rows(connection: Connection, table: Table, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> int:
    """Write rows to an empty table and return how many there are then.

    A row may refer to one of the same table that comes later. Raises StoreError for a column that is not there.
    """
    unknown = set(columns) - {column.name for column in table.columns}
    if unknown:
        raise StoreError(f"the backup has columns of {table.name} that this release does not know: {sorted(unknown)}")
    own = [i for i, name in enumerate(columns) if any(f.column.table is table for f in table.c[name].foreign_keys)]
    later: list[tuple[Any, str, Any]] = []
    given = iter(rows)
    while batch := [list(row) for row in islice(given, _BATCH)]:
        for row in batch:
            for i in own:
                if row[i] is not None:
                    later.append((row[0], columns[i], row[i]))
                    row[i] = None
        insert_rows(connection, table, columns, batch)
    key = next(iter(table.primary_key))
    for value, name, target in later:
        connection.execute(update(table).where(key == value).values({name: target}))
    return int(connection.execute(select(func.count()).select_from(table)).scalar_one())


def insert_rows(connection: Connection, table: Table, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Write rows of column values as they are stored."""
    marks = ", ".join(["?" if connection.dialect.name == "sqlite" else "%s"] * len(columns))
    names = ", ".join(f'"{name}"' for name in columns)
    statement = f'INSERT INTO "{table.name}" ({names}) VALUES ({marks})'
    connection.exec_driver_sql(statement, [tuple(row) for row in rows])


def reachable_files(connection: Connection) -> dict[str, int]:
    """Return every file that something refers to: digest -> size."""
    b = t.blobs.c
    return {row.digest: row.size for row in connection.execute(select(b.digest, b.size).where(is_reachable(b.digest)))}


def holds_something(connection: Connection) -> bool:
    """Tell whether anybody has written to this store."""
    tables = (t.experiments, t.registered_models, t.registry_history, t.blobs, t.datasets)
    return any(connection.execute(select(1).select_from(table).limit(1)).first() is not None for table in tables)


def clear_counters(connection: Connection) -> None:
    """Make room for the counters of a backup in a store that holds nothing; raises StoreError where it holds something."""
    if holds_something(connection):
        raise StoreError("this store holds something already: restore into one that does not exist yet")
    connection.execute(delete(t.counters))
