"""The schema of a store: made when the database is empty, checked when it is not.

Connecting to a store that is up to date reads one row and imports no migration tool.
"""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from sqlalchemy import Connection, insert, literal, select, text

from trackers.clock import now_us
from trackers.errors import InvalidValueError, NotFoundError, SchemaError, StoreError
from trackers.journal import journal_folder, list_journals
from trackers.sql import views
from trackers.sql.address import Address, check_file
from trackers.sql.engine import Database
from trackers.sql.failures import CHANGED, number_of
from trackers.sql.ids import new_uid
from trackers.sql.tables import PREFIX, counters, lay_out, metadata, runs, store
from trackers.wording import counted

REVISIONS = ("0001", "0002")
"""Every revision this release knows, oldest first."""

HEAD = REVISIONS[-1]
VERSION_TABLE = f"{PREFIX}alembic_version"
_LOCK_SECONDS = 300
_LOOKS = 20
_ADVISORY_LOCK = 0x7472_6163_6B65  # "tracke": one lock for everything that makes or changes the schema
_log = logging.getLogger("trackers")
_THERE = {
    "sqlite": "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = :name",
    "postgresql": "SELECT 1 WHERE to_regclass(:name) IS NOT NULL",
    "mysql": "SELECT 1 FROM information_schema.tables WHERE table_schema = database() AND table_name = :name",
}
_TABLES = {
    "sqlite": "SELECT name FROM sqlite_master WHERE type = 'table'",
    "postgresql": "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()",
    "mysql": "SELECT table_name FROM information_schema.tables WHERE table_schema = database()",
}
_NAMED = 5
_HERE = frozenset({"", "localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True)
class Identity:
    """What a store says of itself: *artifact_root* is absolute, or a URL.

    *upgraded* is a sentence on the upgrade that opening it took, '' where it took none.
    """

    uid: str
    created_at: int
    artifact_root: str
    upgraded: str = ""


def open_database(address: Address, *, artifacts: str | None, create: bool) -> tuple[Database, Identity]:
    """Open a database, making the schema where it is empty (and the SQLite file where it is missing).

    Raises NotFoundError when there is no store and *create* is false, SchemaError for one of another release, and
    StoreError for a database that cannot be used.
    """
    if address.path is not None:
        if not create and not address.path.exists():
            raise _nothing(address, f"at {address.path}", ": name another with --storage or HPO_STORAGE")
        check_file(address.path, create)
    database = Database(address)
    try:
        revision, upgraded = read_revision(database), ""
        if revision is None:
            if not create or database.dialect != "mysql":  # there whoever makes the schema looks at more
                check_not_lost(database)
            if not create:
                raise _nothing(address, f"in {address.safe}", " yet: the first run makes it")
            _create(database, artifacts)
        elif revision != HEAD:
            upgraded = _meet(database, revision)
        return database, replace(_identity(database, artifacts), upgraded=upgraded)
    except BaseException:
        database.close()
        raise


def _nothing(address: Address, place: str, advice: str) -> NotFoundError:
    """Return the error for a store that is not there; one that was logged to offline waits in its journals."""
    folder = journal_folder(address.path, address.safe)
    if waiting := len(list_journals(folder)):
        wait = f"{counted(waiting, 'journal')} of it {'waits' if waiting == 1 else 'wait'}"
        advice = f" yet, but {wait} in {folder}: `trackers sync` makes the store of what was logged"
    return NotFoundError(f"there is no store {place}{advice}")


def check_not_lost(database: Database) -> None:
    """Raise SchemaError where the tables of a store are there, and nothing says of which revision they are."""
    with database.reading() as connection:
        if revision_of(connection) is None and _is_in_use(connection):
            told = f"{LOST}; {how_to_put_back(connection)} ({database.address.safe})"
            raise SchemaError(told)


LOST = f"the tables of a store are here, and {VERSION_TABLE} does not say of which revision"


def how_to_put_back(connection: Connection) -> str:
    """Say what to do where the tables of a store are there, and their revision is not."""
    there = connection.execute(text(_THERE[connection.dialect.name]), {"name": VERSION_TABLE}).first() is not None
    made = "" if there else f"CREATE TABLE {VERSION_TABLE} (version_num VARCHAR(32) PRIMARY KEY); "
    return f"restore a backup; or, if it was the newest, {made}INSERT INTO {VERSION_TABLE} VALUES ('{HEAD}')"


def _is_in_use(connection: Connection) -> bool:
    """Tell whether the tables are there; on MariaDB, where a process that was killed leaves some, whether they hold rows."""
    dialect = connection.dialect.name
    if dialect == "mysql":
        return next(_with_rows(connection), None) is not None
    return connection.execute(text(_THERE[dialect]), {"name": runs.name}).first() is not None


def read_revision(database: Database) -> str | None:
    """Return the revision of the schema, None where there is none."""
    for _ in range(_LOOKS):
        try:
            with database.reading() as connection:
                return revision_of(connection)
        except StoreError as exc:
            if number_of(exc.__cause__ or exc) != CHANGED:
                raise
    raise SchemaError("another process changes the schema again and again: wait until it is done")


def revision_of(connection: Connection) -> str | None:
    """Return the revision of the schema that *connection* sees, None where there is none."""
    there = text(_THERE[connection.dialect.name])
    if connection.execute(there, {"name": VERSION_TABLE}).first() is None:
        return None
    found = connection.exec_driver_sql(f"SELECT version_num FROM {VERSION_TABLE}").first()
    return None if found is None else str(found[0])


@contextmanager
def schema_lock(database: Database) -> Iterator[None]:
    """Hold the lock under which a schema is made or changed: on a SQLite file's folder, or the server's."""
    if database.address.path is None:
        with database.writing() as connection:
            if database.dialect == "mysql":
                _lock_mariadb(connection)
            else:
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
            yield
        return
    folder = os.open(database.address.path.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _create(database: Database, artifacts: str | None) -> None:
    root = first_root(database.address, artifacts)
    with schema_lock(database), database.writing() as connection:
        if revision_of(connection) is not None:
            return  # another process made it while this one waited for the lock
        _check_encoding(connection, database.address)
        others = _tables_of_others(connection)
        create_schema(connection)
        connection.execute(insert(store).values(id=1, uid=new_uid(), created_at=now_us(), artifact_root=root))
        connection.execute(insert(counters), [{"name": "ids", "next": 1}, {"name": "series", "next": 1}])
    if others:
        named = ", ".join(others[:_NAMED]) + (", ..." if len(others) > _NAMED else "")
        _log.warning(
            "the database %s holds %s of others (%s): the store's are added beside them, as %s*",
            database.address.path or database.address.safe,
            counted(len(others), "table"),
            named,
            PREFIX,
        )


def _tables_of_others(connection: Connection) -> list[str]:
    """Return the tables that are there already, where a store is made: another program's, in the same schema."""
    found = connection.exec_driver_sql(_TABLES[connection.dialect.name]).scalars()
    return sorted(name for name in map(str, found) if not name.startswith((PREFIX, "sqlite_")))


def _check_encoding(connection: Connection, address: Address) -> None:
    """Refuse a database of PostgreSQL that cannot hold text of every language; the tables of MariaDB bring their own."""
    if connection.dialect.name != "postgresql":
        return
    encoding = str(connection.exec_driver_sql("SHOW server_encoding").scalar())
    if encoding != "UTF8":
        raise StoreError(
            f"the database {address.safe} has the encoding {encoding}, which cannot hold every text: create it anew "
            "with ENCODING 'UTF8' TEMPLATE template0"
        )


def _lock_mariadb(connection: Connection) -> None:
    """Take the server's lock for the schema of one database; it goes with the connection."""
    query = text("SELECT GET_LOCK(SHA2(CONCAT('trackers ', database()), 224), :seconds)")
    if connection.execute(query, {"seconds": _LOCK_SECONDS}).scalar() != 1:
        raise SchemaError("another process has made or changed the schema for long: wait until it is done, or end it")


def _clear_the_way(connection: Connection) -> None:
    """Drop what a process that was killed left of a schema half made: MariaDB commits each table by itself.

    There the table of the revision is the first that is made and the last that is filled: a store that has it empty has
    nothing else in it. Raises SchemaError where somebody emptied or dropped it in a store that is in use.
    """
    _check_nothing_is_lost(connection)
    if connection.execute(text(_THERE["mysql"]), {"name": VERSION_TABLE}).first() is None:
        _make_version_table(connection)
        return
    for name in views.NAMES:
        connection.exec_driver_sql(f"DROP VIEW IF EXISTS trackers_v_{name}")
    metadata.drop_all(connection)


def _check_nothing_is_lost(connection: Connection) -> None:
    if (name := next(_with_rows(connection), None)) is not None:
        raise SchemaError(
            f"this database has a store without its schema's revision: {name} holds rows, and {VERSION_TABLE} "
            f"none; if you know the revision, put it back (INSERT INTO {VERSION_TABLE} (version_num) VALUES "
            f"('{HEAD}') for this release's), or restore a backup; nothing was changed"
        )


def _with_rows(connection: Connection) -> Iterator[str]:
    """Yield the names of the tables that hold rows which a store has only in use."""
    for table in metadata.sorted_tables:
        if table in (store, counters):
            continue  # filled before the revision is noted
        there = connection.execute(text(_THERE["mysql"]), {"name": table.name}).first() is not None
        if there and connection.execute(select(literal(1)).select_from(table).limit(1)).first() is not None:
            yield table.name


def create_schema(connection: Connection) -> None:
    """Make every table, trigger and view, and note the revision."""
    if connection.dialect.name == "mysql":
        _clear_the_way(connection)
    lay_out(connection.dialect.name)
    metadata.create_all(connection, checkfirst=False)
    for statement in views.statements(connection.dialect.name):
        connection.exec_driver_sql(statement)
    stamp(connection)


def _make_version_table(connection: Connection) -> None:
    connection.exec_driver_sql(
        f"CREATE TABLE {VERSION_TABLE} (version_num VARCHAR(32) NOT NULL, "
        f"CONSTRAINT {VERSION_TABLE}_pkc PRIMARY KEY (version_num))"
    )


def stamp(connection: Connection, revision: str = HEAD) -> None:
    """Note a revision, the newest unless it is named, in a database that has none noted."""
    if connection.dialect.name != "mysql":  # it is there, since it is made first
        _make_version_table(connection)
    connection.exec_driver_sql(f"INSERT INTO {VERSION_TABLE} (version_num) VALUES ('{revision}')")


def _meet(database: Database, revision: str) -> str:
    """Bring an older SQLite file up to date and say so; raises SchemaError for any other store."""
    if revision not in REVISIONS:
        raise SchemaError(
            f"the store {database.address.safe} was written by a newer release (schema {revision}, this one knows "
            f"{HEAD}): install that release; nothing was changed"
        )
    if database.address.path is None:
        raise SchemaError(
            f"the store {database.address.safe} has an older schema ({revision}, this release needs {HEAD}): "
            "stop what uses it and run `trackers db upgrade`"
        )
    from trackers.sql.migrations.upgrade import upgrade

    upgrade(database)
    path = database.address.path
    kept = path.with_name(f"{path.name}.{revision}.bak")
    said = f"The store {path} was brought from schema {revision} to {HEAD}; as it was before it is in {kept}."
    _log.info("%s", said)
    return said


def first_root(address: Address, artifacts: str | None) -> str:
    """Return the root of a new store's artifacts, as it is recorded: beside a SQLite file its name alone."""
    given = artifacts or os.environ.get("HPO_ARTIFACTS")
    if given:
        return given if "://" in given else os.path.abspath(os.path.expanduser(given))
    if address.path is not None:
        return f"{address.path.stem}-artifacts"
    host = str(address.url.host or address.url.query.get("host") or "")
    if host in _HERE or host.startswith("/") or host == os.uname().nodename:
        return os.path.abspath("hpo-artifacts")
    raise InvalidValueError(
        f"a new store on {host} needs a place for its files that every machine sees: give artifacts= "
        "(--artifacts, HPO_ARTIFACTS), a shared folder or s3://BUCKET/FOLDER"
    )


def _identity(database: Database, artifacts: str | None) -> Identity:
    with database.reading() as connection:
        row = connection.execute(select(store)).first()
    if row is None:
        raise SchemaError(f"the store {database.address.safe} is incomplete: restore a copy of it")
    root = row.artifact_root
    if "://" not in root and database.address.path is not None:
        root = str(Path(database.address.path.parent, root))
    if artifacts is not None:
        wanted = artifacts if "://" in artifacts else os.path.abspath(os.path.expanduser(artifacts))
        if wanted.rstrip("/") != root.rstrip("/"):
            raise InvalidValueError(
                f"the store {database.address.safe} keeps its files in {root}, as it was told when it was made: "
                f"leave artifacts= away instead of {artifacts}"
            )
    return Identity(row.uid, row.created_at, root)
