"""One statement for rows that another process may have inserted a moment ago, on each database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Select, Table

from trackers.sql import mariadb


def insert_unless_there(connection: Connection, table: Table, row: Mapping[str, Any]) -> bool:
    """Insert *row* unless its key is taken, and tell whether it was inserted."""
    if connection.dialect.name == "mysql":
        return mariadb.insert_unless_there(connection, table, row)
    # Each is loaded where it is used: together they are a tenth of a second of every start.
    if connection.dialect.name == "postgresql":
        from sqlalchemy.dialects.postgresql import insert
    else:
        from sqlalchemy.dialects.sqlite import insert  # type: ignore[assignment]
    statement = insert(table).values(**row).on_conflict_do_nothing()
    # Without the option SQLAlchemy does not ask PostgreSQL how many rows an INSERT made.
    return connection.execute(statement, execution_options={"preserve_rowcount": True}).rowcount > 0


def insert_new(connection: Connection, table: Table, source: Select[Any] | Sequence[Mapping[str, Any]]) -> None:
    """Insert rows whose key is free: given ones, or those of a query that has all columns in their order, and a WHERE."""
    statement: Any
    if connection.dialect.name == "mysql":
        from sqlalchemy import insert as plain

        statement = plain(table).prefix_with("IGNORE")
    elif connection.dialect.name == "postgresql":
        from sqlalchemy.dialects.postgresql import insert

        statement = insert(table)
    else:
        from sqlalchemy.dialects.sqlite import insert as lite

        statement = lite(table)
    if isinstance(source, Select):
        statement = statement.from_select(list(table.columns.keys()), source)
    if connection.dialect.name != "mysql":
        statement = statement.on_conflict_do_nothing()
    connection.execute(statement) if isinstance(source, Select) else connection.execute(statement, source)
