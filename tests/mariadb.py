"""The MariaDB server that tests use, or a MySQL that is given in its place, and places of their own in it."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import compress
from typing import Any

GIVEN = "HPO_TEST_MARIADB"
USUAL = "mariadb+pymysql://root@127.0.0.1:3306/test"
"""The server on which tests create and drop databases of their own."""
NAMES = ("mariadb", "mysql")
"""How URLs of such servers begin."""


class NoServerError(RuntimeError):
    """No MariaDB server answers; the message says where one was looked for."""


def server() -> str:
    """Return the URL of a server; raises NoServerError."""
    import pymysql

    url = os.environ.get(GIVEN, USUAL)
    try:
        connect(url).close()
    except pymysql.Error as exc:
        raise NoServerError(f"no MariaDB server answers at {url} (set {GIVEN}): {exc}") from exc
    return url


def connect(url: str) -> Any:
    """Open a connection of the driver's own to the database of a store's URL."""
    import pymysql
    from sqlalchemy import make_url

    at = make_url(url)
    place = {"host": at.host, "port": at.port or 3306, "user": at.username, "password": at.password or ""}
    seconds: dict[str, Any] = {"connect_timeout": 3, "read_timeout": 60}
    # without encryption: the driver would read all certificates of the machine for it, each time
    return pymysql.connect(**place, **seconds, database=at.database, autocommit=True, ssl_disabled=True)


def execute(url: str, *statements: str) -> Any:
    """Run statements one after the other, and return the rows of the last one."""
    connection = connect(url)
    try:
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchall()
    finally:
        connection.close()


@contextmanager
def database(url: str) -> Iterator[str]:
    """Make an empty database on the server at *url* and yield the URL of a store there."""
    name = f"hpo_test_{uuid.uuid4().hex[:16]}"
    # another character set and collation than the store's: it must not depend on them
    execute(url, f"CREATE DATABASE {name} CHARACTER SET latin1 COLLATE latin1_swedish_ci")
    try:
        yield f"{url.rpartition('/')[0]}/{name}"
    finally:
        execute(url, f"DROP DATABASE {name}")


def empty(url: str) -> None:
    """Delete everything in a store but its schema."""
    tables = "information_schema.tables WHERE table_schema = database() AND table_type = 'BASE TABLE'"
    kept = {"trackers_store", "trackers_counters", "trackers_alembic_version"}
    with closing(connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT table_name FROM {tables}")
        names = [name for (name,) in cursor.fetchall() if name not in kept]
        cursor.execute("SELECT " + ", ".join(f"EXISTS (SELECT 1 FROM {name})" for name in names))
        held = set(compress(names, cursor.fetchone()))
        cursor.execute("SET foreign_key_checks = 0")
        if "trackers_registry_history" in held:  # triggers keep its lines from being deleted
            held.remove("trackers_registry_history")
            cursor.execute("TRUNCATE TABLE trackers_registry_history")
        cursor.execute("BEGIN")
        for name in held:
            cursor.execute(f"DELETE FROM {name}")
        cursor.execute("COMMIT")


def end_connections(url: str) -> int:
    """End every other connection to the database of a store's URL, and return how many there were."""
    import pymysql

    others = "SELECT id FROM information_schema.processlist WHERE db = database() AND id <> connection_id()"
    ended = 0
    for (thread,) in execute(url, others):
        try:
            execute(url, f"KILL CONNECTION {thread}")
        except pymysql.Error:
            continue  # it went by itself
        ended += 1
    return ended
