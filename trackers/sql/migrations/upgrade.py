"""An older schema brought up to date: in one transaction, with nobody in the way.

A SQLite file is upgraded when no other process has it open, and a copy of it is kept beside it. On a server the
managers of every study must have ended. Whatever goes wrong, the database is as it was; only MariaDB and MySQL, which
commit each change of the schema by itself, keep what was done, and the next upgrade goes on from there.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from alembic.config import Config
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, select
from sqlalchemy.pool import StaticPool

from trackers.errors import SchemaError, StudyBusyError
from trackers.sql import holding, schema
from trackers.sql.engine import Database
from trackers.sql.failures import translated
from trackers.sql.migrations.again import make_restartable
from trackers.sql.tables import studies

VERSIONS = Path(__file__).parent / "versions"
_WATCH_SECONDS = 10.0


def upgrade(database: Database, *, versions: Path | None = None) -> tuple[str | None, str]:
    """Apply every revision that is missing, and return the one that was there and the one that is.

    *versions* is a folder of revisions besides this package's. Raises SchemaError when the database is in use or
    newer than this release; nothing is changed then.
    """
    found = schema.read_revision(database)
    if found == schema.HEAD:
        return found, schema.HEAD
    if found is not None and found not in schema.REVISIONS:
        raise SchemaError(f"the store {database.address.safe} was written by a newer release ({found}): install that")
    if database.address.path is None:
        _refuse_living_managers(database)
    database.release()
    with schema.schema_lock(database), translated(database.address), _alone(database) as connection:
        now = schema.revision_of(connection)
        if now != schema.HEAD:
            apply_revisions(connection, now, versions)
    return found, schema.HEAD


def apply_revisions(
    connection: Connection, current: str | None, versions: Path | None = None, *, last: str | None = None
) -> None:
    """Apply the revisions after *current* up to *last* (None: all) in the transaction of *connection*, noting each."""
    scripts, last = _scripts(versions), last or schema.HEAD
    context = MigrationContext.configure(connection, opts={"version_table": schema.VERSION_TABLE})
    if connection.dialect.name == "mysql":
        make_restartable(context)
    with Operations.context(context):
        steps = list(scripts.iterate_revisions(last, current or "base"))
        for script in reversed(steps):
            script.module.upgrade()
            if current is not None:
                connection.exec_driver_sql(f"UPDATE {schema.VERSION_TABLE} SET version_num = '{script.revision}'")
    if current is None:
        schema.stamp(connection, last)


def _scripts(versions: Path | None) -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(VERSIONS.parent).replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    folders = [VERSIONS, *([versions] if versions is not None else [])]
    config.set_main_option("version_locations", "\n".join(str(folder).replace("%", "%%") for folder in folders))
    return ScriptDirectory.from_config(config)


@contextmanager
def _alone(database: Database) -> Iterator[Connection]:
    """Hand out a connection in a transaction that nobody else can disturb."""
    path = database.address.path
    if path is None:
        with database.writing() as connection:
            yield connection
        return
    with closing(sqlite3.connect(path, timeout=0.0, isolation_level=None)) as raw:
        try:
            # With this mode a WAL database opens only where no other connection has it open.
            raw.execute("PRAGMA locking_mode=EXCLUSIVE")
            raw.execute("BEGIN EXCLUSIVE")
            raw.execute("COMMIT")
        except sqlite3.OperationalError as exc:
            if "locked" not in str(exc):
                raise
            raise SchemaError(
                f"the store {path} has an older schema, and another process uses it: stop that process and try again"
            ) from exc
        # The locks stay held between the transactions, so the copy is what the upgrade starts from.
        _copy(raw, path)
        engine = create_engine("sqlite://", creator=lambda: raw, poolclass=StaticPool)
        connection = engine.connect()  # its first act is a ROLLBACK, so the transaction begins after it
        try:
            raw.execute("BEGIN EXCLUSIVE")
            yield connection
            raw.execute("COMMIT")
        finally:
            if raw.in_transaction:
                raw.execute("ROLLBACK")
            connection.close()  # while the database is open: nothing is left to be put in order afterwards


def _copy(raw: sqlite3.Connection, path: Path) -> None:
    """Keep a copy of a SQLite file as it was before the upgrade, named after its revision."""
    found = raw.execute(f"SELECT version_num FROM {schema.VERSION_TABLE}").fetchone()
    copy = path.with_name(f"{path.name}.{found[0]}.bak")
    copy.unlink(missing_ok=True)
    copy.touch(0o600)
    with closing(sqlite3.connect(copy)) as target:
        raw.backup(target)


def _refuse_living_managers(database: Database) -> None:
    with database.reading() as connection:
        running = connection.execute(
            select(studies.c.id).where(studies.c.owner_ended.is_(None), studies.c.owner_host.is_not(None))
        ).scalars()
        ids = list(running)
    for study_id in ids:
        try:
            holding.await_free(database, study_id, _WATCH_SECONDS, take_over=False)
        except StudyBusyError as exc:
            raise SchemaError(f"the schema cannot be upgraded while a manager lives: study {study_id}: {exc}") from exc
