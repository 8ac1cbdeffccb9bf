"""Every way in which a store cannot be used is one sentence that says what is wrong and what to do."""

from __future__ import annotations

import os
import re
import socket
import sqlite3
import stat
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine

import trackers
from tests.conformance.managed import manage
from trackers.errors import InvalidValueError, NotFoundError, StoreError
from trackers.sql import address as address_module
from trackers.sql.address import file_system, is_network, read_address


@pytest.mark.parametrize(
    ("url", "kind", "word"),
    [
        ("hpo.db", InvalidValueError, "sqlite:///hpo.db"),
        ("", InvalidValueError, "sqlite:///hpo.db"),
        ("sqlite://", InvalidValueError, "name a file"),
        ("sqlite:///:memory:", InvalidValueError, "name a file"),
        ("sqlite:///a.db?mode=ro", InvalidValueError, "no \\?options"),
        ("sqlite:/hpo.db", InvalidValueError, "write sqlite:///hpo.db, or sqlite:////hpo.db for a path from /"),
        ("sqlite://hpo.db", InvalidValueError, "write sqlite:///hpo.db, or "),
        ("file:./mlruns", StoreError, "`trackers import mlflow file:./mlruns` copies"),
        ("http://localhost:5000", StoreError, "of MLflow's.*`trackers import mlflow http://localhost:5000` copies"),
        ("postgresql:me@host/db", InvalidValueError, "write postgresql://USER@HOST/DATABASE"),
        ("oracle://host/db", StoreError, "oracle"),
        ("postgresql+asyncpg://host/db", InvalidValueError, r"postgresql\+psycopg"),
        ("postgresql://user:p@ss:word@host:port/db", InvalidValueError, "percent-encoded"),
    ],
)
def test_a_url_that_makes_no_store_is_refused(url: str, kind: type[Exception], word: str) -> None:
    with pytest.raises(kind, match=word):
        trackers.connect(url)


def test_a_password_is_hidden_wherever_the_url_carries_it() -> None:
    address = read_address("postgresql://me:s3cret@host/db?sslpassword=other&sslmode=require")
    assert "s3cret" not in address.safe
    assert "other" not in address.safe
    assert "s3cret" in address.full
    assert address.full.startswith("postgresql+psycopg://")
    with pytest.raises(StoreError, match="http://localhost:5000 is a server") as refused:
        read_address("http://me:s3cret@localhost:5000")
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize("password", ["Tr0ub4@dor", "a/b@c", "@"])
def test_a_password_with_an_at_sign_is_refused_and_no_part_of_it_shown(password: str) -> None:
    with pytest.raises(InvalidValueError, match=r"write %40 for it in postgresql://ann:\*\*\*@127\.0\.0\.1/hpo$"):
        read_address(f"postgresql://ann:{password}@127.0.0.1/hpo")
    encoded = password.replace("@", "%40").replace("/", "%2F")
    assert read_address(f"postgresql://ann:{encoded}@127.0.0.1/hpo").url.password == password


def test_a_server_that_does_not_answer_is_named() -> None:
    with pytest.raises(StoreError, match="cannot be reached"):
        trackers.connect("postgresql://me:s3cret@127.0.0.1:1/db")


def test_a_server_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trackers.sql.mariadb._GREETING_SECONDS", 1)
    with socket.create_server(("127.0.0.1", 0)) as server:
        begun = time.monotonic()
        with pytest.raises(StoreError, match="timed out"):
            trackers.connect(f"mariadb+pymysql://root@127.0.0.1:{server.getsockname()[1]}/hpo")
        assert time.monotonic() - begun < 60, "the driver waits ten minutes for an answer"


def test_a_database_that_is_not_there_is_named(postgresql_server: str) -> None:
    with pytest.raises(StoreError, match="no such database"):
        trackers.connect(postgresql_server.rpartition("/")[0] + "/no_such_database_here")


def test_a_missing_driver_is_named_with_the_extra() -> None:
    code = (
        "import sys; sys.modules['psycopg'] = None\n"
        "import trackers\n"
        "try: trackers.connect('postgresql://host/db')\n"
        "except trackers.errors.StoreError as exc: print(exc)\n"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "hpo[postgres]" in said.stdout


@pytest.mark.parametrize("wrong", [None, 5, b"sqlite:///hpo.db"])
def test_what_is_no_url_and_no_path_is_refused_with_a_sentence(wrong: Any) -> None:
    with pytest.raises(
        InvalidValueError, match=r"named by its URL or the path of its SQLite file, not by a \w+: write"
    ):
        trackers.connect(wrong)


def test_a_store_that_waits_in_journals_is_told_with_the_command_that_makes_it(tmp_path: Path) -> None:
    with trackers.connect(tmp_path / "hpo.db", offline=True) as away, away.start_run("e") as run:
        run.log_metric("m", 1.0)
    said = f"no store at {tmp_path}/hpo.db yet, but 1 journal of it waits in {tmp_path}/hpo-journals: `trackers sync`"
    with pytest.raises(NotFoundError, match=re.escape(said)):
        trackers.connect(tmp_path / "hpo.db", create=False)


def test_the_root_of_artifacts_may_be_a_path(tmp_path: Path) -> None:
    with trackers.connect(tmp_path / "hpo.db", artifacts=tmp_path / "files") as store:
        assert store.artifact_root == str(tmp_path / "files")


def test_reading_makes_no_file(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no store at"):
        trackers.connect(tmp_path / "hpo.db", create=False)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "empty.db").touch()
    with pytest.raises(NotFoundError, match="no store in"):
        trackers.connect(tmp_path / "empty.db", create=False)
    with pytest.raises(StoreError, match="does not exist: create it"):
        trackers.connect(tmp_path / "nowhere" / "hpo.db")
    with pytest.raises(StoreError, match="is a folder"):
        trackers.connect(tmp_path)


def test_a_file_that_is_no_database_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database at all, but long enough to look like one to a careless reader\n" * 100)
    before = path.read_bytes()
    with pytest.raises(StoreError, match="is not a database"):
        trackers.connect(path)
    assert path.read_bytes() == before


def test_another_programs_database_keeps_its_tables(tmp_path: Path) -> None:
    path = tmp_path / "mine.db"
    raw = sqlite3.connect(path)
    raw.execute("CREATE TABLE alembic_version (version_num TEXT)")
    raw.execute("INSERT INTO alembic_version VALUES ('v2.4.0.a')")
    raw.commit()
    raw.close()
    trackers.connect(path).close()
    raw = sqlite3.connect(path)
    assert raw.execute("SELECT version_num FROM alembic_version").fetchall() == [("v2.4.0.a",)]
    raw.close()


def test_a_database_that_may_not_be_written_says_so(tmp_path: Path) -> None:
    with trackers.connect(tmp_path / "hpo.db") as store:
        store.writer.call(lambda connection: connection.exec_driver_sql("PRAGMA query_only=ON"))
        with pytest.raises(StoreError, match="read-only: make the file"):
            manage(store)


def test_a_store_is_its_owners_alone(tmp_path: Path) -> None:
    with trackers.connect(tmp_path / "hpo.db") as store:
        manager = manage(store)
        manager.lease.submit(manager.whole()).wait(10)
        for path in tmp_path.glob("hpo.db*"):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_a_write_waits_for_the_disk(tmp_path: Path) -> None:
    with trackers.connect(tmp_path / "hpo.db") as store:

        def pragma(name: str) -> object:
            return store.writer.call(lambda connection: connection.exec_driver_sql(f"PRAGMA {name}").scalar())

        assert [pragma(name) for name in ("journal_mode", "synchronous", "foreign_keys")] == ["wal", 2, 1]
        with store.database.reading() as connection:
            assert connection.exec_driver_sql("PRAGMA query_only").scalar() == 1


def test_a_network_file_system_is_refused_with_the_alternative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert file_system(tmp_path) not in {"", "nfs"}
    monkeypatch.setattr(address_module, "file_system", lambda folder: "nfs4")
    with pytest.raises(StoreError, match=r"nfs4.*PostgreSQL"):
        trackers.connect(tmp_path / "hpo.db")
    assert list(tmp_path.iterdir()) == []


MOUNTED = """\
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
31 27 0:40 / /home rw,relatime shared:2 - {kind} server:/export rw,vers=4.2
32 31 0:41 / /home/me/fast rw - xfs /dev/nvme0n1 rw
33 27 0:42 /sub /with\\040space rw master:1 propagate_from:2 - {kind} //host/share rw
34 27 0:43 / /over rw - tmpfs tmpfs rw
35 27 0:44 / /over rw - {kind} on-top-of-it rw
36 27 0:45 / /hom rw - tmpfs tmpfs rw
"""


def listed(folder: Path, kind: str) -> Path:
    table = folder / "mountinfo"
    table.write_text(MOUNTED.format(kind=kind))
    return table


@pytest.mark.parametrize(
    ("kind", "network"),
    [
        *((kind, True) for kind in ("nfs", "nfs4", "cifs", "smb3", "9p", "virtiofs", "fuse.sshfs", "lustre", "gpfs")),
        *((kind, True) for kind in ("beegfs", "ceph", "glusterfs", "fuse.glusterfs", "fuse.s3fs", "fuse.JuiceFS")),
        *((kind, False) for kind in ("overlay", "ext4", "xfs", "tmpfs", "btrfs", "zfs", "fuseblk", "fuse.mergerfs")),
        *((kind, False) for kind in ("sshfs", "fuse.", "")),
    ],
)
def test_network_file_systems_are_told_from_those_of_this_machine(tmp_path: Path, kind: str, network: bool) -> None:
    assert is_network(kind) is network


def test_the_file_system_of_a_folder_is_that_of_the_nearest_mount_above_it(tmp_path: Path) -> None:
    table = listed(tmp_path, "nfs4")
    found = {
        "/home/me": "nfs4",
        "/home": "nfs4",
        "/home/me/fast/deep": "xfs",
        "/homestead": "ext4",
        "/with space/x": "nfs4",
        "/over/x": "nfs4",  # what was mounted last lies on top
        "/": "ext4",
    }
    assert {place: file_system(Path(place), table) for place in found} == found
    assert file_system(tmp_path, tmp_path / "nothing") == "", "not Linux"


def test_a_link_into_a_network_file_system_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = tmp_path / "share"
    real.mkdir()
    (tmp_path / "link").symlink_to(real)
    table = tmp_path / "mountinfo"
    table.write_text(f"1 0 0:1 / / rw - ext4 /dev/vda1 rw\n2 1 0:2 / {real} rw - fuse.sshfs me@host:/ rw\n")
    monkeypatch.setattr(address_module, "MOUNTS", table)
    for place in (real, tmp_path / "link"):
        with pytest.raises(StoreError, match=r"network file system \(fuse\.sshfs.*use a PostgreSQL server instead"):
            trackers.connect(place / "hpo.db")
    assert list(real.iterdir()) == []
    trackers.connect(tmp_path / "hpo.db").close()


def test_the_place_of_the_files_is_recorded_once_and_inherited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with trackers.connect(tmp_path / "hpo.db") as store:
        assert store.artifact_root == str(tmp_path / "hpo-artifacts")
    moved = tmp_path / "moved"
    moved.mkdir()
    (tmp_path / "hpo.db").rename(moved / "hpo.db")
    with trackers.connect(moved / "hpo.db") as store:
        assert store.artifact_root == str(moved / "hpo-artifacts")
    with pytest.raises(InvalidValueError, match="leave artifacts= away"):
        trackers.connect(moved / "hpo.db", artifacts="/elsewhere")
    monkeypatch.setenv("HPO_ARTIFACTS", "s3://bucket/folder")
    with trackers.connect(tmp_path / "second.db") as store:
        assert store.artifact_root == "s3://bucket/folder"
    with trackers.connect(tmp_path / "third.db", artifacts=str(tmp_path / "x")) as store:
        assert store.artifact_root == str(tmp_path / "x")


def test_a_new_store_on_another_host_needs_a_place_that_all_see() -> None:
    from trackers.sql.schema import first_root

    with pytest.raises(InvalidValueError, match="--artifacts"):
        first_root(read_address("postgresql://db.example.org/hpo"), None)
    assert first_root(read_address("postgresql://localhost/hpo"), None) == os.path.abspath("hpo-artifacts")
    assert first_root(read_address("postgresql://db.example.org/hpo"), "s3://b/f") == "s3://b/f"


def test_a_short_file_of_something_else_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("x")
    with pytest.raises(StoreError, match="is not a database: name another file"):
        trackers.connect(path)
    assert path.read_text() == "x"
    (tmp_path / "empty.db").touch()
    trackers.connect(tmp_path / "empty.db").close()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql", "mariadb"])
def test_the_database_of_another_program_is_told_once_with_what_is_in_it(
    kind: str, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    url = request.getfixturevalue(f"{kind}_url")
    engine = create_engine(url)
    elsewhere = f"elsewhere_{uuid.uuid4().hex[:8]}"
    with engine.begin() as connection:
        for name in ("alembic_version", "experiments"):
            connection.exec_driver_sql(f"CREATE TABLE {name} (a INTEGER)")
        if kind == "postgresql":  # what is in another schema is nobody's neighbour
            connection.exec_driver_sql(f"CREATE SCHEMA {elsewhere}")
            connection.exec_driver_sql(f"CREATE TABLE {elsewhere}.customers (a INTEGER)")
    try:
        for _ in range(2):
            trackers.connect(url).close()
    finally:
        with engine.begin() as connection:
            if kind == "postgresql":
                connection.exec_driver_sql(f"DROP SCHEMA {elsewhere} CASCADE")
        engine.dispose()
    [said] = [record.getMessage() for record in caplog.records if "tables of others" in record.getMessage()]
    assert "holds 2 tables of others (alembic_version, experiments): the store's are added beside them" in said
    assert said.endswith(", as trackers_*")


@pytest.mark.parametrize("kind", ["sqlite", "postgresql", "mariadb"])
def test_an_empty_database_is_made_a_store_without_a_word(
    kind: str, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    trackers.connect(request.getfixturevalue(f"{kind}_url")).close()
    assert caplog.records == []
