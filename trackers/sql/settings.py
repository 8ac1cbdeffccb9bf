"""What a database says of itself: version, settings, size."""

from __future__ import annotations

import time
from typing import Any

from sqlalchemy import Connection, inspect, select, text, update

from trackers.sql import schema
from trackers.sql import tables as t
from trackers.sql.objects import missing_objects
from trackers.states import RunState

MADE_AGAIN = ("the view", "the trigger", "the index")
"""What differences of the schema begin with that ``fsck --repair`` puts right: these hold nothing of their own."""

NOT_OURS = "is not one of ours"
"""What those end with where somebody added something."""


def has_tables(connection: Connection) -> bool:
    """Tell whether the tables of a store are here, whatever says of which revision they are."""
    return inspect(connection).has_table(t.runs.name)


def try_to_write(connection: Connection) -> None:
    """Write a row as it is, and take that back; raises what the database says where it does not let us."""
    connection.execute(update(t.store).values(artifact_root=t.store.c.artifact_root))
    connection.rollback()


def sqlite_facts(connection: Connection) -> dict[str, Any]:
    """Return SQLite's version and the settings of the file."""

    def pragma(name: str) -> Any:
        return connection.exec_driver_sql(f"PRAGMA {name}").scalar()

    facts = {name: pragma(name) for name in ("journal_mode", "page_count", "page_size", "freelist_count")}
    return {"version": connection.exec_driver_sql("SELECT sqlite_version()").scalar(), **facts}


def postgresql_facts(connection: Connection) -> dict[str, Any]:
    """Return the server's version, settings that safety rests on, its connections, and how far its clock is ahead."""
    names = ("server_version", "server_encoding", "fsync", "full_page_writes", "synchronous_commit", "max_connections")
    facts: dict[str, Any] = {name: connection.exec_driver_sql(f"SHOW {name}").scalar() for name in names}
    facts["connections"] = connection.execute(text("SELECT count(*) FROM pg_stat_activity")).scalar()
    facts["encrypted"] = connection.execute(text("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")).scalar()
    before = time.time()
    there = float(connection.execute(text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one())
    facts["ahead"] = there - (before + time.time()) / 2
    return facts


def is_standby(connection: Connection) -> bool:
    """Tell whether the server is a hot standby of PostgreSQL, which repeats what another one writes."""
    return connection.dialect.name == "postgresql" and bool(
        connection.exec_driver_sql("SELECT pg_is_in_recovery()").scalar()
    )


def mariadb_facts(connection: Connection) -> dict[str, Any]:
    """Return the server's version, settings that safety rests on, its connections, and how far its clock is ahead."""
    names = ("version", "innodb_flush_log_at_trx_commit", "innodb_doublewrite", "max_connections", "max_allowed_packet")
    facts: dict[str, Any] = {name: connection.exec_driver_sql(f"SELECT @@{name}").scalar() for name in names}
    for name in ("Threads_connected", "Ssl_cipher"):
        row = connection.exec_driver_sql(f"SHOW STATUS LIKE '{name}'").first()
        facts[name.lower()] = "" if row is None else row[1]
    before = time.time()
    there = float(connection.exec_driver_sql("SELECT UNIX_TIMESTAMP(NOW(6))").scalar_one())
    facts["ahead"] = there - (before + time.time()) / 2
    return facts


def held_studies(connection: Connection) -> list[Any]:
    """Return the name and the recorded owner of every living study that somebody holds."""
    s, e = t.studies.c, t.experiments.c
    query = select(e.name, s.owner_user, s.owner_host, s.owner_pid, s.owner_started).join(t.experiments, e.id == s.id)
    return list(
        connection.execute(query.where(s.owner_host.is_not(None), s.owner_ended.is_(None), e.deleted_at.is_(None)))
    )


def open_attempts(connection: Connection, host: str) -> list[Any]:
    """Return uid, experiment and process of the runs (no trials) that are running on *host*, as far as the store knows."""
    r, a, e = t.runs.c, t.attempts.c, t.experiments.c
    query = (
        select(r.uid, e.name, a.pid)
        .join(t.experiments, e.id == r.experiment_id)
        .join(t.attempts, a.run_id == r.id)
        .where(r.state == int(RunState.RUNNING), r.number.is_(None), a.ended_at.is_(None), a.host == host)
        .where(r.deleted_at.is_(None), e.deleted_at.is_(None))
    )
    return list(connection.execute(query.order_by(r.id)))


def running_in(connection: Connection, experiment_id: int) -> list[Any]:
    """Return uid, host and process of the runs (no trials) of an experiment that are running, as far as the store knows."""
    r, a = t.runs.c, t.attempts.c
    query = select(r.uid, a.host, a.pid).join(t.attempts, a.run_id == r.id).where(r.experiment_id == experiment_id)
    query = query.where(r.state == int(RunState.RUNNING), r.number.is_(None), a.ended_at.is_(None))
    return list(connection.execute(query.where(r.deleted_at.is_(None)).order_by(r.id)))


def schema_differences(connection: Connection) -> list[str]:
    """Return how the tables differ from those that this release makes: sentences."""
    look = inspect(connection)
    there = set(look.get_table_names())
    found = [f"the table {name} is missing" for name in sorted(t.metadata.tables.keys() - there)]
    extra = {name for name in there if name.startswith(t.PREFIX)} - t.metadata.tables.keys() - {schema.VERSION_TABLE}
    found += [f"the table {name} {NOT_OURS}" for name in sorted(extra)]
    for name, table in sorted(t.metadata.tables.items()):
        if name not in there:
            continue
        columns = {column["name"] for column in look.get_columns(name)}
        expected = {column.name for column in table.columns}
        found += [f"the column {name}.{one} is missing" for one in sorted(expected - columns)]
        found += [f"the column {name}.{one} {NOT_OURS}" for one in sorted(columns - expected)]
    found += [f"the {kind} {name} is missing" for name, kind in missing_objects(connection).items()]
    return found
