"""Migrations are a product: what they make equals what the code expects, and nothing is lost on the way."""

from __future__ import annotations

import re
import sqlite3
import stat
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import SAWarning

import trackers
from tests.conformance.managed import manage
from trackers.errors import NotFoundError, SchemaError
from trackers.sql import schema
from trackers.sql.address import read_address
from trackers.sql.engine import Database
from trackers.sql.migrations.upgrade import apply_revisions, upgrade
from trackers.sql.tables import metadata

NEXT = '''
"""A third revision, of this test alone.

Revision ID: 0003
"""
from alembic import op
from sqlalchemy import Column, Integer

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("trackers_runs", Column("colour", Integer))
'''


@pytest.fixture
def next_release(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Pretend to be the next release, with one more revision; return the folder that holds it."""
    folder = tmp_path / "versions"
    folder.mkdir()
    (folder / "r0003_next.py").write_text(NEXT)
    monkeypatch.setattr(schema, "REVISIONS", ("0001", "0002", "0003"))
    monkeypatch.setattr(schema, "HEAD", "0003")
    return folder


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest) -> str:
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


def described(connection: Connection) -> dict[str, Any]:
    """Return everything of the schema that tells one from another."""
    look = inspect(connection)
    found: dict[str, Any] = {}
    for table in look.get_table_names():
        found[table] = {
            "columns": [(c["name"], repr(c["type"]), c["nullable"], c.get("default")) for c in look.get_columns(table)],
            "key": look.get_pk_constraint(table),
            "foreign": sorted(map(str, look.get_foreign_keys(table))),
            "unique": sorted(map(str, look.get_unique_constraints(table))),
            "indexes": sorted(_as_text(index) for index in look.get_indexes(table)),
            "checks": sorted(map(str, look.get_check_constraints(table))),
        }
    found["views"] = {name: look.get_view_definition(name) for name in sorted(look.get_view_names())}
    if connection.dialect.name == "sqlite":
        also = "sql LIKE '%WITHOUT ROWID%' OR name = 'ix_trackers_runs_duration'"
        query = f"SELECT name, sql FROM sqlite_master WHERE type = 'trigger' OR {also} ORDER BY name"
        found["texts"] = [
            (name, " ".join(sql.split()).replace("(ended_at - started_at)", "ended_at - started_at"))
            for name, sql in connection.execute(text(query))
        ]
    else:
        triggers = (
            "SELECT tgname, tgtype, tgrelid::regclass::text FROM pg_trigger WHERE NOT tgisinternal AND tgrelid IN "
        )
        inside = "(SELECT oid FROM pg_class WHERE relnamespace = current_schema()::regnamespace) ORDER BY 1"
        found["triggers"] = [tuple(row) for row in connection.execute(text(triggers + inside))]
        functions = "SELECT proname, prosrc FROM pg_proc WHERE pronamespace = current_schema()::regnamespace"
        found["functions"] = [tuple(row) for row in connection.execute(text(functions))]
    return found


def _as_text(index: Any) -> str:
    return str({**index, "dialect_options": {name: str(value) for name, value in index["dialect_options"].items()}})


def described_after(url: str, make: Any) -> dict[str, Any]:
    """Describe what *make* makes in an empty database, and leave the database empty."""
    database = Database(read_address(url))
    try:
        connection = database.open_writer()
        transaction = connection.begin()
        with warnings.catch_warnings():  # of the index of an expression, on SQLite: its text is compared
            warnings.filterwarnings("ignore", "Skipped unsupported reflection", SAWarning)
            make(connection)
            found = described(connection)
        transaction.rollback()
        connection.close()
        return found
    finally:
        database.close()


def test_the_migrated_schema_is_the_one_the_code_expects(empty_url: str) -> None:
    migrated = described_after(empty_url, lambda connection: apply_revisions(connection, None))
    fresh = described_after(empty_url, schema.create_schema)
    assert set(migrated) >= set(metadata.tables)
    assert migrated == fresh


def test_every_revision_is_known_and_the_newest_is_the_one_that_is_looked_for() -> None:
    from trackers.sql.migrations.upgrade import _scripts

    scripts = _scripts(None)
    assert scripts.get_heads() == [schema.HEAD]
    assert [script.revision for script in scripts.walk_revisions()][::-1] == list(schema.REVISIONS)


def test_the_tables_live_beside_those_of_others() -> None:
    assert all(re.fullmatch("trackers_[a-z_]+", name) for name in metadata.tables)
    assert schema.VERSION_TABLE == "trackers_alembic_version"


def test_connecting_to_a_store_that_is_up_to_date_imports_no_migration_tool(sqlite_url: str) -> None:
    trackers.connect(sqlite_url).close()
    code = (
        "import sys, trackers\n"
        "with trackers.connect(sys.argv[1], create=False) as store: store.list_studies()\n"
        "print([name for name in ('alembic', 'ray', 'optuna', 'matplotlib', 'numpy') if name in sys.modules])\n"
    )
    said = subprocess.run([sys.executable, "-c", code, sqlite_url], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


def test_an_older_sqlite_store_that_nobody_holds_is_upgraded_and_a_copy_kept(
    sqlite_url: str, tmp_path: Path, next_release: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "HEAD", "0002")
    with trackers.connect(sqlite_url) as store:
        manager = manage(store)
        manager.lease.submit(manager.whole()).wait(10)
        before = store.get_trials(manager.lease.study.id)
    monkeypatch.setattr(schema, "HEAD", "0003")
    monkeypatch.setattr("trackers.sql.migrations.upgrade._scripts", _with(next_release))
    with trackers.connect(sqlite_url) as store:
        assert store.get_trials(manager.lease.study.id) == before
        assert schema.read_revision(store.database) == "0003"
    copy = tmp_path / "hpo.db.0002.bak"
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    monkeypatch.setattr(schema, "HEAD", "0002")
    monkeypatch.setattr(schema, "REVISIONS", ("0001", "0002"))
    with trackers.connect(copy) as old:
        assert old.get_trials(manager.lease.study.id) == before


def _with(folder: Path) -> Any:
    from trackers.sql.migrations import upgrade as module

    scripts = module._scripts
    return lambda versions: scripts(folder)


def test_an_older_sqlite_store_that_is_in_use_is_left_alone(
    sqlite_url: str, next_release: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "HEAD", "0002")
    with trackers.connect(sqlite_url) as user:
        user.list_studies()
        monkeypatch.setattr(schema, "HEAD", "0003")
        code = (
            "import sys, trackers\nfrom trackers.sql import schema\n"
            "schema.REVISIONS, schema.HEAD = ('0001', '0002', '0003'), '0003'\n"
            "try: trackers.connect(sys.argv[1])\n"
            "except trackers.errors.SchemaError as exc: print(exc)\n"
        )
        said = subprocess.run([sys.executable, "-c", code, sqlite_url], capture_output=True, text=True, check=True)
        assert "another process uses it" in said.stdout
        assert schema.read_revision(user.database) == "0002"


def test_an_older_server_is_refused_with_the_command_that_upgrades_it(
    postgresql_url: str, next_release: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(schema, "HEAD", "0002")
    with trackers.connect(postgresql_url, artifacts=str(tmp_path / "a")) as store:
        manager = manage(store)
        monkeypatch.setattr(schema, "HEAD", "0003")
        with pytest.raises(SchemaError, match="trackers db upgrade"):
            trackers.connect(postgresql_url)
        monkeypatch.setattr("trackers.sql.migrations.upgrade._WATCH_SECONDS", 5.0)
        monkeypatch.setattr("trackers.sql.holding.time.sleep", lambda seconds: manager.lease.renew())
        with pytest.raises(SchemaError, match="while a manager lives"):
            trackers.upgrade_store(postgresql_url)
        manager.lease.release("stopped", "")
    database = Database(read_address(postgresql_url))
    assert upgrade(database, versions=next_release) == ("0002", "0003")
    assert upgrade(database, versions=next_release) == ("0003", "0003")
    database.close()
    trackers.connect(postgresql_url).close()


def test_a_newer_store_is_refused_untouched(sqlite_url: str, tmp_path: Path) -> None:
    trackers.connect(sqlite_url).close()
    path = tmp_path / "hpo.db"
    with sqlite3.connect(path) as raw:
        raw.execute("UPDATE trackers_alembic_version SET version_num = '9999'")
    raw.close()
    before = path.read_bytes()
    for call in (trackers.connect, trackers.upgrade_store):
        with pytest.raises(SchemaError, match="newer release"):
            call(sqlite_url)
    assert path.read_bytes() == before


def test_there_is_nothing_to_upgrade_where_there_is_no_store(sqlite_url: str, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no store"):
        trackers.upgrade_store(sqlite_url)
    assert list(tmp_path.iterdir()) == []
