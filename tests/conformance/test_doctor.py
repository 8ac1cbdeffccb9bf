"""The doctor finds what is wrong around a store, and says what to do; the schema is compared with the expected."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

import trackers
from tests.conformance.managed import manage
from trackers.cli.exit import run_command
from trackers.errors import StoreError
from trackers.keeping import doctor
from trackers.keeping.doctor import OK, PROBLEM, WARNING, examine
from trackers.keeping.revision import check_schema
from trackers.processes import host_name
from trackers.sql import settings
from trackers.sql.address import read_address
from trackers.sql.engine import Database
from trackers.sql.migrations.upgrade import apply_revisions
from trackers.sql.postgresql import pooler_mode
from trackers.sql.schema import HEAD
from trackers.store import Store


def levels(found: list[doctor.Diagnosis]) -> dict[str, str]:
    return {one.topic: one.level for one in found if one.level != OK}


def test_a_healthy_store_has_nothing_but_ok(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert levels(examine(store.url)) == {}
    assert run_command(["doctor", "--storage", store.url, "--json"]) == 0
    assert {one["topic"] for one in json.loads(capsys.readouterr().out)} >= {
        "packages",
        "schema",
        "database",
        "artifacts",
    }


def test_a_store_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    assert levels(examine(tmp_path / "none.db")) == {"schema": PROBLEM}
    assert run_command(["doctor", "--storage", f"sqlite:///{tmp_path / 'none.db'}"]) == 1
    assert not (tmp_path / "none.db").exists()
    assert PROBLEM in levels(examine("postgresql+psycopg://nobody@127.0.0.1:1/none")).values()


def test_large_tables_that_a_server_never_looked_at_are_named(
    postgresql_store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trackers.sql.statistics.MANY", 50)
    with trackers.connect(postgresql_store_url) as store:
        with store.start_run("long") as run:
            run.log_metrics({f"m{i}": 1.0 for i in range(100)})

        def found() -> list[doctor.Diagnosis]:
            store.writer.call(lambda connection: connection.execute(text("SELECT pg_stat_force_next_flush()")).all())
            return [one for one in examine(store.url) if one.topic == "statistics"]

        deadline = time.monotonic() + 20
        while not found() and time.monotonic() < deadline:
            time.sleep(0.3)
        (told,) = found()
        assert told.level == WARNING
        assert "trackers_points" in told.told
        assert "ANALYZE" in told.advice
        store.intake.finish()
        while found() and time.monotonic() < deadline:
            time.sleep(0.3)
        assert found() == []


def test_what_processes_that_are_gone_left_open_is_named_with_what_to_do(store: Store) -> None:
    manager = manage(store, "sweep")
    run = store.start_run("fraud")
    store.flush()
    gone = subprocess.Popen(["true"])
    gone.wait()
    with store.database.writing() as connection:
        connection.execute(
            text("UPDATE trackers_studies SET owner_pid = :pid, owner_host = :host"),
            {"pid": gone.pid, "host": host_name()},
        )
        connection.execute(text("UPDATE trackers_attempts SET pid = :pid"), {"pid": gone.pid})
    found = {one.topic: one for one in examine(store.url) if one.level == WARNING}
    assert found.keys() == {"lease", "runs"}
    assert "hpo resume sweep" in found["lease"].advice
    assert run.uid[:12] in found["runs"].told
    run.end()
    del manager


def test_a_folder_of_files_that_is_not_this_store_s_is_a_problem(store: Store) -> None:
    store.artifacts.put_bytes(b"claims the root")
    marks = Path(store.artifact_root) / "stores"
    (marks / store.identity.uid).rename(marks / ("0" * 32))
    assert levels(examine(store.url)) == {"artifacts": PROBLEM}


def test_a_disk_that_is_nearly_full_is_told(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")
    for free, level in ((50 << 20, PROBLEM), (500 << 20, WARNING)):
        monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _, free=free: usage._replace(free=free))
        assert levels(examine(store.url))["disk of the artifacts"] == level


def test_sqlite_on_a_network_disk_is_a_problem(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    trackers.connect(sqlite_url).close()
    monkeypatch.setattr(doctor, "file_system", lambda folder: "nfs4")
    assert levels(examine(sqlite_url))["file system"] == PROBLEM


def test_what_is_unsafe_on_a_mariadb_server_is_told(mariadb_store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(levels(examine(mariadb_store_url)).values()) <= {"ok"}
    real = settings.mariadb_facts

    def told(connection: Any) -> dict[str, Any]:
        unsafe = {"innodb_flush_log_at_trx_commit": 2, "innodb_doublewrite": "OFF", "max_allowed_packet": 2**20}
        return {**real(connection), **unsafe, "ahead": 7.5}

    monkeypatch.setattr(settings, "mariadb_facts", told)
    assert levels(examine(mariadb_store_url)) == {
        "clock": WARNING,
        "max_allowed_packet": WARNING,
        "innodb_flush_log_at_trx_commit": PROBLEM,
        "innodb_doublewrite": PROBLEM,
    }


def test_a_clock_that_is_wrong_and_a_server_that_forgets_are_told(
    postgresql_store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = settings.postgresql_facts

    def told(connection: Any) -> dict[str, Any]:
        return {**real(connection), "ahead": -7.5, "fsync": "off", "synchronous_commit": "off", "connections": 99}

    monkeypatch.setattr(settings, "postgresql_facts", told)
    expected = {"clock": WARNING, "fsync": PROBLEM, "synchronous_commit": PROBLEM, "connections": WARNING}
    assert levels(examine(postgresql_store_url)) == expected


@pytest.mark.parametrize("encrypted", [False, True])
def test_what_goes_to_another_host_in_the_clear_is_told(
    postgresql_store_url: str, encrypted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = postgresql_store_url.replace("@127.0.0.1", "@db.example.org") + "&hostaddr=127.0.0.1"
    if encrypted:  # the server of the tests has no certificate
        real = settings.postgresql_facts
        monkeypatch.setattr(settings, "postgresql_facts", lambda connection: real(connection) | {"encrypted": True})
    (found,) = [one for one in examine(elsewhere) if one.topic == "encryption"]
    assert (found.level, "db.example.org" in found.told) == (OK if encrypted else WARNING, True)
    assert ("sslmode=require" in found.advice) is not encrypted


def test_the_schema_is_compared_with_the_expected_one(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert check_schema(store.url).is_right
    with store.database.writing() as connection:
        if store.database.dialect == "mysql":  # where a foreign key needs an index
            connection.execute(text("ALTER TABLE trackers_runs RENAME INDEX ix_trackers_runs_parent_id TO other"))
        else:
            connection.execute(text("DROP INDEX ix_trackers_runs_parent_id"))
        connection.execute(text("ALTER TABLE trackers_pins ADD COLUMN colour INTEGER"))
    try:
        found = check_schema(store.url)
        assert found.differences == (
            "the column trackers_pins.colour is not one of ours",
            "the index ix_trackers_runs_parent_id is missing",
        )
        assert run_command(["db", "check", "--storage", store.url]) == 1
        assert "Different: the index" in capsys.readouterr().out
        assert PROBLEM in levels(examine(store.url)).values()
    finally:
        with store.database.writing() as connection:
            if store.database.dialect == "mysql":
                connection.execute(text("ALTER TABLE trackers_runs RENAME INDEX other TO ix_trackers_runs_parent_id"))
            else:
                connection.execute(text("CREATE INDEX ix_trackers_runs_parent_id ON trackers_runs (parent_id)"))
            connection.execute(text("ALTER TABLE trackers_pins DROP COLUMN colour"))


@pytest.mark.parametrize("name", ["ix_trackers_runs_state_id", "ix_trackers_runs_name_id"])
def test_an_index_that_is_missing_is_made_again(store: Store, name: str) -> None:
    on = " ON trackers_runs" if store.database.dialect == "mysql" else ""
    with store.database.writing() as connection:
        connection.execute(text(f"DROP INDEX {name}{on}"))
        connection.execute(text("ALTER TABLE trackers_pins ADD COLUMN colour INTEGER"))
    try:
        advice = {one.told: one.advice for one in examine(store.url) if one.topic == "schema"}
        assert advice[f"the index {name} is missing"] == "run `trackers fsck --repair`"
        assert "take it away" in advice["the column trackers_pins.colour is not one of ours"]
        (found,) = store.fsck(quick=True).findings
        assert found.problem == f"the index {name} is missing: fsck --repair makes it again"
        assert store.fsck(quick=True, repair=True).left == ()
        assert store.fsck(quick=True).findings == ()
    finally:  # other tests get this schema, emptied
        with store.database.writing() as connection:
            connection.execute(text("ALTER TABLE trackers_pins DROP COLUMN colour"))
    assert check_schema(store.url).is_right


def test_a_role_that_may_only_read_is_a_problem(postgresql_store_url: str) -> None:
    trackers.connect(postgresql_store_url).close()
    url = f"{postgresql_store_url}%20-cdefault_transaction_read_only%3Don"
    found = next(one for one in examine(url) if one.topic == "rights")
    assert (found.level, "not written" in found.told) == (PROBLEM, True)


def test_a_store_that_lost_its_revision_is_not_called_none(store: Store) -> None:
    with store.database.writing() as connection:
        connection.execute(text("DELETE FROM trackers_alembic_version"))
    try:
        (found,) = (one for one in examine(store.url) if one.topic == "schema")
    finally:  # other tests get this schema, emptied
        with store.database.writing() as connection:
            connection.execute(text(f"INSERT INTO trackers_alembic_version VALUES ('{HEAD}')"))
    assert found.level == PROBLEM
    assert "tables of a store are here" in found.told


@pytest.mark.parametrize("statement", ["DELETE FROM trackers_alembic_version", "DROP TABLE trackers_alembic_version"])
def test_every_command_says_that_the_revision_is_lost(
    sqlite_url: str, capsys: pytest.CaptureFixture[str], statement: str
) -> None:
    with trackers.connect(sqlite_url) as store, store.database.writing() as connection:
        connection.execute(text(statement))
    for words in (["fsck"], ["runs"], ["db", "check"], ["db", "upgrade"], ["log", "e", "--metric", "a=1"]):
        assert run_command([*words, "--storage", sqlite_url]) == 2
        said = capsys.readouterr().err
        assert "tables of a store are here" in said
    path = read_address(sqlite_url).path
    assert path is not None
    with sqlite3.connect(path) as raw:  # as it says
        raw.executescript(said.partition("if it was the newest, ")[2].partition(" (sqlite")[0])
    raw.close()
    assert check_schema(sqlite_url).is_right


def test_an_older_store_says_which_upgrade_is_pending(sqlite_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    with trackers.connect(sqlite_url) as store, store.database.writing() as connection:
        connection.execute(text("UPDATE trackers_alembic_version SET version_num = '0001'"))
    found = check_schema(sqlite_url)
    assert (found.pending, found.is_right, found.newer) == (("0002",), False, False)
    assert run_command(["db", "check", "--storage", sqlite_url]) == 1
    assert "upgrade is pending (0002)" in capsys.readouterr().out
    assert levels(examine(sqlite_url))["schema"] == PROBLEM


def test_an_upgrade_on_the_way_is_told(sqlite_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    database = Database(read_address(sqlite_url))
    with database.writing() as connection:
        apply_revisions(connection, None, last="0001")
        connection.execute(text("INSERT INTO trackers_store VALUES (1, 'u', 1, 'a')"))
    database.close()
    assert run_command(["runs", "--storage", sqlite_url]) == 0
    path = read_address(sqlite_url).path
    told = f"The store {path} was brought from schema 0001 to {HEAD}; as it was before it is in {path}.0001.bak.\n"
    assert capsys.readouterr().err == told
    assert run_command(["runs", "--storage", sqlite_url]) == 0
    assert capsys.readouterr().err == ""


def test_a_server_itself_is_no_pooler(postgresql_store_url: str) -> None:
    assert pooler_mode(read_address(postgresql_store_url)) == ""


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_a_database_that_cannot_hold_every_text_is_refused(
    encoding: str, postgresql_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import psycopg

    name = f"hpo_test_{os.urandom(8).hex()}"
    with psycopg.connect(postgresql_server.replace("+psycopg", ""), autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
        try:
            url = f"{postgresql_server.rpartition('/')[0]}/{name}"
            with pytest.raises(StoreError, match=f"has the encoding {encoding}.*ENCODING 'UTF8'"):
                trackers.connect(url, artifacts=str(tmp_path / "files"))
            monkeypatch.setattr("trackers.sql.schema._check_encoding", lambda *what: None)
            trackers.connect(url, artifacts=str(tmp_path / "files")).close()  # as one that was made by other means
            assert [one.told for one in examine(url) if one.topic == "encoding"] == [
                f"is {encoding}, which cannot hold every text"
            ]
        finally:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def role(postgresql_store_url: str) -> Iterator[tuple[str, Any]]:
    """A role of its own, without rights yet: its URL, and what runs a statement as the owner of the store."""
    address = read_address(postgresql_store_url)
    name = f"role_{uuid.uuid4().hex[:12]}"
    engine = create_engine(address.url, isolation_level="AUTOCOMMIT")
    with engine.connect() as admin:

        def run(statement: str) -> None:
            admin.exec_driver_sql(statement.format(role=name, schema=schema))

        schema = admin.exec_driver_sql("SELECT current_schema()").scalar_one()
        run("CREATE ROLE {role} LOGIN")
        run("GRANT USAGE ON SCHEMA {schema} TO {role}")
        try:
            yield address.url.set(username=name).render_as_string(hide_password=False), run
        finally:
            run("DROP OWNED BY {role}")
            run("DROP ROLE {role}")
    engine.dispose()


def test_a_role_with_a_schema_of_its_own_misses_nothing_of_another(role: tuple[str, Any]) -> None:
    url, run = role
    run("CREATE SCHEMA {role} AUTHORIZATION {role}")
    run("GRANT ALL ON ALL TABLES IN SCHEMA {schema} TO {role}")
    schema = (
        read_address(url).url.query["options"].partition("%3D")[2]
        or str(read_address(url).url.query["options"]).partition("=")[2]
    )
    name = read_address(url).url.username
    both = read_address(url).url.update_query_dict({"options": f"-csearch_path={name},{schema}"})
    found = {one.topic: one for one in examine(both.render_as_string(hide_password=False))}
    assert not [one for one in found.values() if one.level == PROBLEM]


def test_a_right_that_is_taken_away_for_a_while_loses_nothing(
    role: tuple[str, Any], postgresql_store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    url, run = role
    run("GRANT ALL ON ALL TABLES IN SCHEMA {schema} TO {role}")
    with trackers.connect(url) as store:
        logged = store.start_run("night")
        for step in range(90):
            if step == 30:
                run("REVOKE INSERT ON trackers_points FROM {role}")
            if step == 60:
                run("GRANT INSERT ON trackers_points TO {role}")
            logged.log_metric("loss", float(step), step=step)
            if step % 10 == 9:
                logged.flush()
        store.writer.drain()
        logged.end()
    with trackers.connect(postgresql_store_url) as store:
        assert [point.step for point in store.metric_history(logged.uid, "loss")] == list(range(90))


def test_a_view_that_is_missing_is_told_with_what_makes_it(sqlite_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    with trackers.connect(sqlite_url) as store, store.database.writing() as connection:
        connection.execute(text("DROP VIEW trackers_v_params"))
    assert run_command(["db", "check", "--storage", sqlite_url]) == 1
    assert "the view trackers_v_params is missing.\nViews, triggers and indexes are made" in capsys.readouterr().out
    assert run_command(["fsck", "--repair", "--storage", sqlite_url]) == 0
    assert run_command(["db", "check", "--storage", sqlite_url]) == 0


def test_a_role_that_has_its_connections_in_use_is_not_told_to_look_at_its_name(postgresql_store_url: str) -> None:
    url = read_address(postgresql_store_url).url
    role = f"hpo_few_{os.getpid()}"
    with trackers.connect(postgresql_store_url) as store, store.database.writing() as connection:
        connection.execute(text(f"CREATE ROLE {role} LOGIN CONNECTION LIMIT 0"))
    try:
        with pytest.raises(StoreError, match="has no connection left"):
            trackers.connect(url.set(username=role).render_as_string(hide_password=False))
    finally:
        with trackers.connect(postgresql_store_url) as store, store.database.writing() as connection:
            connection.execute(text(f"DROP ROLE {role}"))
