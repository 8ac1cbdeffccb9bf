"""What an earlier release wrote opens in this one, and reads the same."""

from __future__ import annotations

import gzip
import hashlib
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import trackers
from tests.migration.assets.content import describe
from trackers.errors import SchemaError
from trackers.sql import schema

ASSETS = Path(__file__).parent / "assets"
RELEASED = sorted(path.name.removesuffix(".json") for path in ASSETS.glob("*.json"))


def held(then: Any, now: Any, where: str = "store") -> list[str]:
    """Return where *now* lacks something that *then* had; what a later release adds is no difference."""
    if isinstance(then, dict) and isinstance(now, dict):
        return [fault for key in then for fault in held(then[key], now.get(key, "(missing)"), f"{where}.{key}")]
    if isinstance(then, list) and isinstance(now, list):
        known = [one["key"] for one in then if isinstance(one, dict) and "key" in one]
        now = [one for one in now if not isinstance(one, dict) or one.get("key", None) in (None, *known)]
    if isinstance(then, list) and isinstance(now, list) and len(then) == len(now):
        if then and isinstance(then[0], dict) and "uid" in then[0]:  # those of one moment have no order of their own
            then, now = (sorted(rows, key=lambda row: str(row["uid"])) for rows in (then, now))
        return [fault for i, item in enumerate(then) for fault in held(item, now[i], f"{where}[{i}]")]
    return [] if then == now else [f"{where} was {then!r} and is {now!r}"]


def read_by_its_release(revision: str, database: str) -> Any:
    return json.loads((ASSETS / f"{revision}.json").read_text(encoding="utf-8"))[database]


def test_there_is_a_store_of_each_earlier_schema() -> None:
    assert RELEASED[: len(schema.REVISIONS) - 1] == list(schema.REVISIONS[:-1])


@pytest.mark.parametrize("revision", RELEASED)
def test_a_sqlite_file_of_an_earlier_release_opens_with_everything_in_it(revision: str, tmp_path: Path) -> None:
    path = tmp_path / "hpo.db"
    path.write_bytes(gzip.decompress((ASSETS / f"{revision}.db.gz").read_bytes()))
    with trackers.connect(path) as store:
        assert held(read_by_its_release(revision, "sqlite"), describe(store)) == []
        assert schema.read_revision(store.database) == schema.HEAD
        store.start_run("fraud").end()


@pytest.mark.parametrize("revision", RELEASED)
def test_a_server_of_an_earlier_release_is_upgraded_with_everything_in_it(revision: str, postgresql_url: str) -> None:
    import psycopg

    with psycopg.connect(postgresql_url.replace("+psycopg", "")) as connection:
        text = gzip.decompress((ASSETS / f"{revision}.postgresql.sql.gz").read_bytes()).decode()
        connection.execute(text.encode())
    if revision != schema.HEAD:
        with pytest.raises(SchemaError, match="trackers db upgrade"):
            trackers.connect(postgresql_url)
        assert trackers.upgrade_store(postgresql_url) == (revision, schema.HEAD)
    with trackers.connect(postgresql_url) as store:
        assert held(read_by_its_release(revision, "postgresql"), describe(store)) == []
        store.start_run("fraud").end()


def back_up_as_its_release(database: Path, folder: Path, revision: str) -> None:
    """Lay the rows of a SQLite file out as ``backup`` does; the file holds no reference to a file of its own."""
    tables = []
    (folder / "rows-1").mkdir(parents=True)
    with closing(sqlite3.connect(database)) as raw:
        names = raw.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'trackers_%'").fetchall()
        for (name,) in names:
            if name in ("trackers_alembic_version", "trackers_store"):
                continue
            rows = raw.execute(f'SELECT * FROM "{name}"')
            columns = [column[0] for column in rows.description]
            lines = [json.dumps(row).encode() + b"\n" for row in rows]
            data = gzip.compress(b"".join(lines))
            (folder / "rows-1" / f"{name}.jsonl.gz").write_bytes(data)
            digest = hashlib.sha256(data).hexdigest()
            tables.append({"name": name, "columns": columns, "rows": len(lines), "sha256": digest})
        files = dict(raw.execute("SELECT digest, size FROM trackers_blobs").fetchall())
    about = {"format": 1, "revision": revision, "store": "", "uid": "", "created_at": 0, "rows": "rows-1"}
    # their bytes are not among the assets
    about |= {"tables": tables, "files": files, "missing": sorted(files)}
    (folder / "backup.json").write_text(json.dumps(about))


@pytest.mark.parametrize("revision", RELEASED)
def test_a_backup_of_an_earlier_release_is_upgraded_when_it_is_restored(revision: str, tmp_path: Path) -> None:
    (tmp_path / "old.db").write_bytes(gzip.decompress((ASSETS / f"{revision}.db.gz").read_bytes()))
    back_up_as_its_release(tmp_path / "old.db", tmp_path / "backup", revision)
    trackers.restore(tmp_path / "backup", tmp_path / "new.db")
    with trackers.connect(tmp_path / "new.db", create=False) as store:
        assert held(read_by_its_release(revision, "sqlite"), describe(store)) == []
        assert [one.problem for one in store.fsck().findings if one.check != "files"] == []
        store.start_run("fraud").end()


def test_a_backup_of_a_later_release_is_refused_and_no_store_is_made(tmp_path: Path) -> None:
    with trackers.connect(tmp_path / "hpo.db") as store:
        store.backup(tmp_path / "backup")
    path = tmp_path / "backup" / "backup.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"revision": "9999"}))
    with pytest.raises(SchemaError, match="newer release"):
        trackers.restore(tmp_path / "backup", tmp_path / "new.db")
    assert not (tmp_path / "new.db").exists()


CODE = {
    "version": "abcdef12+01234567", "commit": "a" * 40, "dirty": True, "diff": "diff --git a/x b/x\n", "branch": "main",
    "author": "ann", "remote": "https://example.org/s.git", "entry_point": "hpo", "arguments": ["run", "study.py"], "file": "/s/study.py", "name": "objective",
    "digest": "0" * 64, "source": "x = 1\n",
}  # fmt: skip


OLDER = {**CODE, "version": "abcdef12.76543210", "dirty": False}
DOCUMENTS = {
    "code": CODE,
    "code-abcdef12+01234567": CODE,
    "code-abcdef12.76543210": OLDER,
    "environment": {"python": "3.11.1", "packages": {"numpy": "2.0"}},
}


def write_documents(connection: Any, mark: str) -> None:
    """Give the study ``digits`` code and environment as the first release kept them; two trials ran the older code."""
    cursor = connection.cursor()
    cursor.execute("SELECT id FROM trackers_experiments WHERE name = 'digits'")
    (study,) = cursor.fetchone()
    for name, content in DOCUMENTS.items():
        row = (study, name, json.dumps(content))
        cursor.execute(f"INSERT INTO trackers_study_documents VALUES ({mark}, {mark}, {mark})", row)
    numbered = f"SELECT id FROM trackers_runs WHERE experiment_id = {mark} AND number"
    for sign, version in (("<", OLDER["version"]), (">=", CODE["version"])):
        update = f"UPDATE trackers_attempts SET code = {mark} WHERE run_id IN ({numbered} {sign} 2)"
        cursor.execute(update, (version, study))
    cursor.close()


def check_moved(store: trackers.Store) -> None:
    row = store.get_study("digits")
    assert row.code is not None
    kept = {name: value for name, value in CODE.items() if name != "version"}
    assert {name: row.code[name] for name in kept} == kept
    assert row.code["version"] == CODE["version"]
    assert row.environment == DOCUMENTS["environment"]
    versions = [trial.attempts[0].code for trial in store.get_trials(row.id)]
    assert versions == [OLDER["version"]] * 2 + [CODE["version"]] * 4
    launch = store.launch("digits/0")
    assert launch is not None
    assert launch.code is not None
    assert (launch.code.commit, launch.code.dirty, launch.branch) == ("a" * 40, False, "main")
    assert (launch.remote, "remote" in launch.code.content) == ("https://example.org/s.git", False)
    assert launch.environment == DOCUMENTS["environment"]
    assert (launch.entry_point, launch.arguments) == ("hpo", ("run", "study.py"))
    assert store.code_diff(launch.code) == CODE["diff"]
    assert len(list(store.search_runs("commit like 'aaaa%' and python = '3.11.1'"))) == 6
    check_found(store)
    store.start_run("fraud").end()  # ids go on after those that were given


def check_found(store: trackers.Store) -> None:
    """Check that final values nobody reported are found by name, and are no reports."""
    found = store.search_runs("metrics.accuracy > 0.75 and min(metrics.size) < 7")
    assert [run.path for run in found] == ["pareto/1"]
    assert all(trial.intermediate_values == {} for trial in store.get_trials(store.get_study("pareto").id))
    assert store.metric_history("pareto/2", "size")[0].value == 50.0
    assert store.metric_history("digits/1", "accuracy")[-1].value != 0.97, "it reported: nothing is added"
    assert {one.check for one in store.fsck().findings} == {"files"}, "the asset has no artifacts beside it"


def test_the_code_and_environment_of_a_study_move_to_where_runs_have_them(tmp_path: Path) -> None:
    path = tmp_path / "hpo.db"
    path.write_bytes(gzip.decompress((ASSETS / "0001.db.gz").read_bytes()))
    with closing(sqlite3.connect(path)) as raw, raw:
        write_documents(raw, "?")
    with trackers.connect(path) as store:
        check_moved(store)


def test_the_same_on_a_server(postgresql_url: str) -> None:
    import psycopg

    with psycopg.connect(postgresql_url.replace("+psycopg", "")) as connection:
        connection.execute(gzip.decompress((ASSETS / "0001.postgresql.sql.gz").read_bytes()))
        write_documents(connection, "%s")
    trackers.upgrade_store(postgresql_url)
    with trackers.connect(postgresql_url) as store:
        check_moved(store)
