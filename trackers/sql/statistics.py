"""What a server knows of how its tables are filled: it plans queries by that, and badly by what was true before.

SQLite plans ours well without.
"""

from __future__ import annotations

from sqlalchemy import Connection, text

from trackers.sql import tables as t
from trackers.sql.engine import Database
from trackers.sql.objects import OWN_SCHEMA

MANY = 10_000
"""A table of fewer rows is read in no time however a query is planned."""


def gather(database: Database) -> None:
    """Let the server look at its tables: after very many rows were written at once, before it would do so by itself."""
    if database.dialect == "sqlite":
        return
    names = ", ".join(f'"{table.name}"' for table in t.metadata.sorted_tables)
    with database.writing() as connection:
        connection.exec_driver_sql(f"ANALYZE {'TABLE ' if database.dialect == 'mysql' else ''}{names}")


def never_gathered(connection: Connection) -> list[str]:
    """Return the tables of many rows that PostgreSQL has never looked at."""
    query = text(
        f"SELECT relname FROM pg_stat_user_tables WHERE schemaname = {OWN_SCHEMA} AND relname = ANY(:names) "
        "AND n_live_tup >= :many AND last_analyze IS NULL AND last_autoanalyze IS NULL ORDER BY relname"
    )
    names = [table.name for table in t.metadata.sorted_tables]
    return list(connection.execute(query, {"names": names, "many": MANY}).scalars())
