"""On MariaDB each change of the schema commits by itself: whatever a killed process left, the next one goes on from it."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import Connection

import trackers
from tests import mariadb
from tests.conformance.managed import manage
from trackers.errors import StoreError
from trackers.sql import schema, views
from trackers.sql.address import read_address
from trackers.sql.engine import Database
from trackers.sql.migrations.upgrade import upgrade
from trackers.sql.tables import metadata

KILLED = """
import os, signal, sys
from pathlib import Path
from sqlalchemy import Engine, event
import trackers
from trackers.sql import schema

url, place, versions = sys.argv[1], int(sys.argv[2]), sys.argv[3]
seen = 0

@event.listens_for(Engine, "after_cursor_execute")
def kill(connection, cursor, statement, *rest):
    global seen
    seen += statement.strip().startswith(("CREATE", "ALTER"))
    if seen == place:
        os.kill(os.getpid(), signal.SIGKILL)

if versions:
    from trackers.sql.address import read_address
    from trackers.sql.engine import Database
    from trackers.sql.migrations.upgrade import upgrade
    schema.REVISIONS, schema.HEAD = ("0001", "0002", "0003", "0004"), "0004"
    upgrade(Database(read_address(url)), versions=Path(versions))
else:
    trackers.connect(url, artifacts="/nowhere")
"""

NEXT = '''
"""A revision of this test alone.

Revision ID: 0003
"""
from alembic import op
from sqlalchemy import BigInteger, Column, Integer

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("trackers_runs", Column("colour", Integer))
    op.create_index("ix_trackers_runs_colour", "trackers_runs", ["colour"])
    op.create_table("trackers_colours", Column("id", BigInteger, primary_key=True), Column("red", Integer))
    op.execute("UPDATE trackers_runs SET colour = 7")
'''
AFTER = '''
"""Another one, which is only right once.

Revision ID: 0004
"""
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_column("trackers_colours", "red")
    op.create_index("ix_trackers_colours_id", "trackers_colours", ["id"])
'''


def killed(url: str, place: int, versions: str = "") -> bool:
    """Run it in a process that is killed after so many changes of the schema; tell whether it was."""
    command = [sys.executable, "-c", KILLED, url, str(place), versions]
    code = subprocess.run(command, check=False).returncode
    assert code in {0, -signal.SIGKILL}
    return code != 0


def names(url: str) -> set[str]:
    rows = mariadb.execute(url, "SELECT table_name FROM information_schema.tables WHERE table_schema = database()")
    return {name for (name,) in rows}


@pytest.mark.parametrize("place", [1, 2, 40, 75])
def test_a_schema_whose_maker_was_killed_is_made_anew(mariadb_url: str, place: int) -> None:
    assert killed(mariadb_url, place)
    assert names(mariadb_url)
    with trackers.connect(mariadb_url, artifacts="/nowhere") as store:
        manager = manage(store)
        manager.lease.submit(manager.whole()).wait(20)
    whole = {*metadata.tables, *(f"trackers_v_{name}" for name in views.NAMES), schema.VERSION_TABLE}
    assert names(mariadb_url) == whole
    triggers = mariadb.execute(
        mariadb_url, "SELECT 1 FROM information_schema.triggers WHERE trigger_schema = database()"
    )
    assert len(triggers) == 2


def test_tables_that_nobody_was_making_are_not_dropped(mariadb_url: str) -> None:
    mariadb.execute(mariadb_url, "CREATE TABLE trackers_store (id BIGINT)", "INSERT INTO trackers_store VALUES (77)")
    with pytest.raises(StoreError, match="exists"):
        trackers.connect(mariadb_url, artifacts="/nowhere")
    assert mariadb.execute(mariadb_url, "SELECT id FROM trackers_store") == ((77,),)


@pytest.mark.parametrize("harm", ["DELETE FROM", "DROP TABLE"])
def test_a_store_whose_revision_was_lost_is_not_made_anew(mariadb_store_url: str, harm: str) -> None:
    with trackers.connect(mariadb_store_url) as store, store.start_run("names") as run:
        run.log_metric("m", 1.0)
    mariadb.execute(mariadb_store_url, f"{harm} {schema.VERSION_TABLE}")
    for _ in range(2):
        with pytest.raises(StoreError, match=f"put it back .INSERT INTO {schema.VERSION_TABLE}"):
            trackers.connect(mariadb_store_url)
    assert mariadb.execute(mariadb_store_url, "SELECT count(*) FROM trackers_runs") == ((1,),)
    if harm == "DROP TABLE":
        mariadb.execute(
            mariadb_store_url, f"CREATE TABLE {schema.VERSION_TABLE} (version_num VARCHAR(32) NOT NULL PRIMARY KEY)"
        )
    mariadb.execute(mariadb_store_url, f"INSERT INTO {schema.VERSION_TABLE} VALUES ('{schema.HEAD}')")
    with trackers.connect(mariadb_store_url) as store:
        assert store.get_run(run.uid).metrics == {"m": 1.0}


def test_an_upgrade_that_was_killed_goes_on_from_there(
    mariadb_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with trackers.connect(mariadb_url, artifacts="/nowhere") as store:
        run = store.start_run("e", name="kept")
        run.end()
    (tmp_path / "r0003_next.py").write_text(NEXT)
    (tmp_path / "r0004_after.py").write_text(AFTER)
    for _ in range(3):  # each time one operation gets further: those before it are done already
        assert killed(mariadb_url, 1, str(tmp_path))
        assert mariadb.execute(mariadb_url, "SELECT version_num FROM trackers_alembic_version") == (("0002",),)
    assert killed(mariadb_url, 1, str(tmp_path))  # the first change of the second revision
    assert mariadb.execute(mariadb_url, "SELECT version_num FROM trackers_alembic_version") == (("0003",),)
    monkeypatch.setattr(schema, "REVISIONS", ("0001", "0002", "0003", "0004"))
    monkeypatch.setattr(schema, "HEAD", "0004")
    database = Database(read_address(mariadb_url))
    assert upgrade(database, versions=tmp_path) == ("0003", "0004")
    database.close()
    assert mariadb.execute(mariadb_url, "SELECT name, colour FROM trackers_runs") == (("kept", 7),)
    indexes = "SELECT index_name FROM information_schema.statistics WHERE table_schema = database() AND index_name LIKE '%colour%'"
    assert set(mariadb.execute(mariadb_url, indexes)) == {("ix_trackers_runs_colour",), ("ix_trackers_colours_id",)}


def test_the_lines_of_the_registrys_history_cannot_be_changed(mariadb_store_url: str) -> None:
    import pymysql

    with trackers.connect(mariadb_store_url) as store:
        store.registry.create("a")
    for statement in ("UPDATE trackers_registry_history SET actor = 'x'", "DELETE FROM trackers_registry_history"):
        with pytest.raises(pymysql.Error, match="append-only"):
            mariadb.execute(mariadb_store_url, statement)


def test_a_schema_that_is_made_while_somebody_looks_is_looked_at_again(
    mariadb_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    look, looks = schema.revision_of, []

    def slow(connection: Connection) -> str | None:
        looks.append(1)
        if len(looks) == 1:  # the snapshot is older than the table
            mariadb.execute(mariadb_url, f"CREATE TABLE {schema.VERSION_TABLE} (version_num varchar(32) PRIMARY KEY)")
        return look(connection)

    monkeypatch.setattr(schema, "revision_of", slow)
    database = Database(read_address(mariadb_url))
    try:
        assert schema.read_revision(database) is None
    finally:
        database.close()
    of_mariadb = "MariaDB" in str(
        mariadb.execute(mariadb_url, "SELECT version()")
    )  # in MySQL a snapshot has its tables
    assert len(looks) == 1 + of_mariadb
