"""What every suite shares: a store of its own on each database, gone after the test."""

from __future__ import annotations

import gc
import os
import shutil
import sqlite3
import sys
import threading
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from itertools import compress
from pathlib import Path

import pytest

import trackers
from tests import mariadb, postgresql
from trackers.capture import process
from trackers.store import Store


def pytest_collection_finish() -> None:
    """Leave what the imports made out of every later collection of garbage: it is most of what there is to look at."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="session")
def _time_to_read_code() -> None:
    """Let runs read all of their code, also beside other tests on slow cores: what there is no time for is left out."""
    process.SECONDS = 60.0


@pytest.fixture(autouse=True)
def _own_modules(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Forget the modules that a test imported from its own folder: to others they would be code that runs here."""
    before, base = set(sys.modules), str(tmp_path_factory.getbasetemp())
    yield
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", None) or "").startswith(base):
            del sys.modules[name]


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """Return the URL of a PostgreSQL server, or skip (never in CI, where there must be one)."""
    with ExitStack() as stack:
        try:
            url = stack.enter_context(postgresql.server())
        except postgresql.NoServerError as exc:
            if os.environ.get("CI") == "true":
                pytest.fail(str(exc))
            pytest.skip(str(exc))
        yield url


@pytest.fixture(scope="session")
def postgresql_database(postgresql_server: str) -> Iterator[str]:
    """Return the URL of a database of this session's own."""
    import psycopg

    name = f"hpo_test_{uuid.uuid4().hex[:16]}"
    with psycopg.connect(postgresql_server, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
        try:
            yield f"{postgresql_server.rpartition('/')[0]}/{name}"
        finally:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def _schema(database: str) -> Iterator[str]:
    """Make an empty place in a database, and yield the URL of a store there."""
    import psycopg

    name = f"t{uuid.uuid4().hex[:16]}"
    with psycopg.connect(database, autocommit=True) as admin:
        admin.execute(f"CREATE SCHEMA {name}")
        yield f"postgresql+psycopg://{database.partition('://')[2]}?options=-csearch_path%3D{name}"
        admin.execute("SET client_min_messages = warning")
        admin.execute(f"DROP SCHEMA {name} CASCADE")


@pytest.fixture
def postgresql_url(postgresql_database: str) -> Iterator[str]:
    """Return the URL of an empty place, for tests that make the schema themselves (which takes a second)."""
    with _schema(postgresql_database) as url:
        yield url


@pytest.fixture(scope="session")
def _postgresql_store(postgresql_database: str) -> Iterator[str]:
    with _schema(postgresql_database) as url:
        trackers.connect(url, artifacts="/nowhere").close()
        yield url


@pytest.fixture
def postgresql_store_url(_postgresql_store: str, tmp_path: Path) -> Iterator[str]:
    """Return the URL of a store that holds nothing; its files lie in ``tmp_path / "artifacts"``."""
    import psycopg

    with psycopg.connect(_postgresql_store.replace("+psycopg", ""), autocommit=True) as admin:
        admin.execute("UPDATE trackers_store SET artifact_root = %s", [str(tmp_path / "artifacts")])
        yield _postgresql_store
        admin.execute("SET session_replication_role = replica")  # neither foreign keys nor triggers are in the way
        found = admin.execute("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()").fetchall()
        kept = {"trackers_store", "trackers_counters", "trackers_alembic_version"}
        names = [table for (table,) in found if table not in kept]
        held = admin.execute("SELECT " + ", ".join(f"EXISTS (SELECT 1 FROM {t})" for t in names)).fetchone()
        assert held is not None
        for table in compress(names, held):
            admin.execute(f"DELETE FROM {table}")


@pytest.fixture(scope="session")
def mariadb_server() -> str:
    """Return the URL of a MariaDB server, or skip (never in CI, where there must be one)."""
    try:
        return mariadb.server()
    except mariadb.NoServerError as exc:
        if os.environ.get("CI") == "true":
            pytest.fail(str(exc))
        pytest.skip(str(exc))


@pytest.fixture
def mariadb_url(mariadb_server: str) -> Iterator[str]:
    """Return the URL of an empty database, for tests that make the schema themselves (which takes a second)."""
    with mariadb.database(mariadb_server) as url:
        yield url


@pytest.fixture(scope="session")
def _mariadb_store(mariadb_server: str) -> Iterator[str]:
    with mariadb.database(mariadb_server) as url:
        trackers.connect(url, artifacts="/nowhere").close()
        yield url


@pytest.fixture
def mariadb_store_url(_mariadb_store: str, tmp_path: Path) -> Iterator[str]:
    """Return the URL of a store that holds nothing; its files lie in ``tmp_path / "artifacts"``."""
    mariadb.execute(_mariadb_store, f"UPDATE trackers_store SET artifact_root = '{tmp_path / 'artifacts'}'")
    yield _mariadb_store
    mariadb.empty(_mariadb_store)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """Return the URL of a SQLite file that does not exist yet."""
    return f"sqlite:///{tmp_path / 'hpo.db'}"


@pytest.fixture(scope="session")
def _sqlite_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("empty") / "hpo.db"
    trackers.connect(f"sqlite:///{file}", artifacts="/nowhere").close()
    return file


@pytest.fixture
def sqlite_store_url(_sqlite_store: Path, sqlite_url: str, tmp_path: Path) -> str:
    """Return the URL of a store that holds nothing; its files lie in ``tmp_path / "artifacts"``."""
    file = sqlite_url.removeprefix("sqlite:///")
    shutil.copyfile(_sqlite_store, file)
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("UPDATE trackers_store SET artifact_root = ?", [str(tmp_path / "artifacts")])
    return sqlite_url


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def store_url(request: pytest.FixtureRequest) -> str:
    """Return the URL of a store that holds nothing, on each kind of database in turn."""
    url: str = request.getfixturevalue(f"{request.param}_store_url")
    return url


@pytest.fixture(params=["postgresql", "mariadb"])
def server_store_url(request: pytest.FixtureRequest) -> str:
    """Return the URL of a store that holds nothing, on each kind of server in turn."""
    url: str = request.getfixturevalue(f"{request.param}_store_url")
    return url


@pytest.fixture
def store(store_url: str, tmp_path: Path) -> Iterator[Store]:
    """Return a store on an empty database; its writer must have ended when the test is over."""
    before = {thread.ident for thread in threading.enumerate()}
    with trackers.connect(store_url, artifacts=str(tmp_path / "artifacts")) as connected:
        yield connected
    left = [t.name for t in threading.enumerate() if t.name == "trackers-writer" and t.ident not in before]
    assert not left, "a store that was opened in the test was not closed"


@pytest.fixture
def without_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep no code of the tests' own process, for tests that count files."""
    monkeypatch.setattr(Store, "own_launch", lambda self: None)
    monkeypatch.setattr(Store, "waiting_launch", lambda self: None)
