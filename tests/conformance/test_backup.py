"""Backups: consistent while others write, restorable on any database, equal in every value."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import func, select

import trackers
from tests.conformance.managed import manage
from tests.processes import start
from trackers.cli.app import trackers as command
from trackers.errors import DigestError, InvalidValueError, NotFoundError, StoreError
from trackers.models.manifest import manifest_digest
from trackers.sql import dump
from trackers.sql import tables as t
from trackers.store import Store

pytestmark = pytest.mark.usefixtures("without_code")

ODD = {"big": 2**80, "nul": "a\0b\x1a", "nan": math.nan, "inf": -math.inf, "text": "𝄞 ü", "none": None, "json": [1, {}]}


def fill(store: Store, tmp_path: Path) -> None:
    manager = manage(store)
    manager.lease.submit([*manager.whole(), *manager.whole(math.inf)]).wait(10)
    manager.lease.release("stopped", "a\0reason")
    with store.start_run("odd", params=ODD, tags={"t": "x\0y"}) as parent:
        for step, value in enumerate([1.5, math.nan, math.inf, -math.inf, 5e-324, 1.7976931348623157e308]):
            parent.log_metrics({"m": value}, step=step)
        (tmp_path / "file.bin").write_bytes(bytes(range(256)) * 100)
        parent.log_artifact(tmp_path / "file.bin", "file.bin")
        with store.start_run(parent=parent) as child:
            child.log_metrics({"m": 2.0})


def rows(store: Store) -> dict[str, list[Any]]:
    store.flush()
    with store.database.reading() as connection:
        return {table.name: list(dump.read_rows(connection, table)) for table in dump.dumped_tables()}


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def target_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Return the URL of a store that does not exist yet."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'restored.db'}"
    else:
        yield request.getfixturevalue(f"{request.param}_url")


def test_a_backup_restored_on_any_database_is_the_same_store(store: Store, target_url: str, tmp_path: Path) -> None:
    fill(store, tmp_path)
    done = store.backup(tmp_path / "backup")
    assert (done.problems, done.files, done.added) == ((), 1, 1)
    restored = trackers.restore(tmp_path / "backup", target_url, artifacts=str(tmp_path / "new-files"))
    assert (restored.rows, restored.files) == (done.rows, 1)
    before = rows(store)
    with trackers.connect(target_url, create=False) as again:
        assert rows(again) == before
        run = next(run for run in again.search_runs("attributes.experiment = 'odd'") if run.params)
        assert run.params["big"] == 2**80
        assert run.params["nul"] == "a\0b\x1a"
        assert math.isnan(run.params["nan"])  # type: ignore[arg-type]
        assert again.read_artifact(run, "file.bin") == bytes(range(256)) * 100
        assert again.identity.uid != store.identity.uid
        with again.start_run("new") as new:
            new.log_metrics({"m": 1.0})
        assert new.id > run.id


def test_a_second_backup_copies_only_what_is_new_and_forgets_what_is_gone(store: Store, tmp_path: Path) -> None:
    fill(store, tmp_path)
    folder = tmp_path / "backup"
    assert store.backup(folder, link=False).added == 1
    with store.start_run("more") as run:
        (tmp_path / "more.txt").write_text("more")
        run.log_artifact(tmp_path / "more.txt", "more.txt")
    second = store.backup(folder, link=False)
    assert (second.files, second.added) == (2, 1)
    assert len(list(folder.glob("rows-*"))) == 1
    assert len([path for path in (folder / "files").rglob("*") if path.is_file()]) == 2


@pytest.mark.parametrize("link", [False, True])
def test_a_copy_that_was_damaged_since_is_made_again(store: Store, tmp_path: Path, link: bool) -> None:
    fill(store, tmp_path)
    folder = tmp_path / "backup"
    store.backup(folder, link=False)
    [copy] = [path for path in (folder / "files").rglob("*") if path.is_file()]
    whole = copy.read_bytes()
    copy.chmod(0o600)
    copy.write_bytes(bytes(len(whole)))
    assert store.backup(folder, link=link).added == 1
    assert copy.read_bytes() == whole
    assert store.backup(folder, link=link).added == 0


def test_a_folder_that_holds_something_else_is_left_alone(store: Store, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("...")
    with pytest.raises(InvalidValueError, match="thesis"):
        store.backup(tmp_path / "mine")
    store.backup(tmp_path / "backup")
    with (
        trackers.connect(f"sqlite:///{tmp_path / 'other.db'}") as other,
        pytest.raises(InvalidValueError, match="another store"),
    ):
        other.backup(tmp_path / "backup")


def test_nothing_is_restored_over_something(store: Store, tmp_path: Path) -> None:
    fill(store, tmp_path)
    store.backup(tmp_path / "backup")
    with pytest.raises(StoreError, match="holds something"):
        trackers.restore(tmp_path / "backup", store.url)
    with pytest.raises(NotFoundError, match="no backup"):
        trackers.restore(tmp_path, f"sqlite:///{tmp_path / 'x.db'}")


def _cut_rows(folder: Path) -> None:
    path = next(folder.glob("rows-*/trackers_points.jsonl.gz"))
    path.write_bytes(path.read_bytes()[:-3])


def _change_file(folder: Path) -> None:
    path = next(path for path in (folder / "files").rglob("*") if path.is_file())
    path.chmod(0o644)
    path.write_bytes(b"x" + path.read_bytes()[1:])


def _lose_file(folder: Path) -> None:
    next(path for path in (folder / "files").rglob("*") if path.is_file()).unlink()


def _forget_table(folder: Path) -> None:
    def without(found: Any) -> Any:
        return found | {"tables": [table for table in found["tables"] if table["name"] != "trackers_params"]}

    change_manifest(folder, without)


def change_manifest(folder: Path, change: Callable[[Any], Any], *, sealed: bool = True) -> None:
    """Change ``backup.json``; *sealed*: by a hand that writes its digest anew."""
    path = folder / "backup.json"
    manifest = json.loads(path.read_text())
    digest = manifest.pop("digest")
    assert digest == manifest_digest(manifest)
    changed = change(manifest)
    if isinstance(changed, dict):
        changed |= {"digest": manifest_digest(changed) if sealed else digest}
    path.write_text(changed if isinstance(changed, str) else json.dumps(changed))


def _change_a_size(folder: Path) -> None:
    change_manifest(folder, lambda found: found | {"files": dict.fromkeys(found["files"], 1)}, sealed=False)


@pytest.mark.parametrize("damage", [_cut_rows, _change_file, _lose_file, _forget_table, _change_a_size])
def test_a_damaged_backup_is_refused(sqlite_url: str, tmp_path: Path, damage: Callable[[Path], None]) -> None:
    with trackers.connect(sqlite_url) as store:
        fill(store, tmp_path)
        store.backup(tmp_path / "backup", link=False)
    damage(tmp_path / "backup")
    target = f"sqlite:///{tmp_path / 'new.db'}"
    with pytest.raises(DigestError):
        trackers.restore(tmp_path / "backup", target)
    try:
        with trackers.connect(target, create=False) as new:
            assert new.list_experiments() == []
    except NotFoundError:
        pass


DAMAGED = {
    "a list": lambda found: [],
    "a number": lambda found: 5,
    "no tables": lambda found: {key: value for key, value in found.items() if key != "tables"},
    "tables by name": lambda found: found | {"tables": {"trackers_runs": 1}},
    "a table without rows": lambda found: found | {"tables": [{"name": "trackers_runs"}]},
    "columns that are numbers": lambda found: found | {"tables": [found["tables"][0] | {"columns": [1]}]},
    "rows elsewhere": lambda found: found | {"rows": 7},
    "files that are a list": lambda found: found | {"files": list(found["files"])},
    "a file that is a path": lambda found: found | {"files": {"../../etc/passwd": 1}},
    "a size that is text": lambda found: found | {"files": dict.fromkeys(found["files"], "1")},
    "missing that is a number": lambda found: found | {"missing": 3},
    "a revision that is none": lambda found: found | {"revision": None},
    "a format that is none": lambda found: found | {"format": {}},
    "depth": lambda found: "[" * 100_000,
}


@pytest.mark.parametrize("what", DAMAGED)
def test_a_manifest_that_is_none_is_said_to_be_damaged(sqlite_url: str, tmp_path: Path, what: str) -> None:
    fill_two(sqlite_url, tmp_path)
    with trackers.connect(sqlite_url) as store:
        store.backup(tmp_path / "backup", link=False)
    change_manifest(tmp_path / "backup", DAMAGED[what])
    with pytest.raises(InvalidValueError, match="is damaged: use another copy"):
        trackers.restore(tmp_path / "backup", tmp_path / "new.db")
    assert not (tmp_path / "new.db").exists()


def test_a_file_that_rows_need_and_the_backup_does_not_name_stops_it(sqlite_url: str, tmp_path: Path) -> None:
    uid, lost = fill_two(sqlite_url, tmp_path)
    with trackers.connect(sqlite_url) as store:
        store.backup(tmp_path / "backup", link=False)
    change_manifest(
        tmp_path / "backup",
        lambda found: found | {"files": {name: size for name, size in found["files"].items() if name != lost.name}},
    )
    target = f"sqlite:///{tmp_path / 'new.db'}"
    with pytest.raises(DigestError, match=rf"does not name the file {lost.name[:12]}.*run {uid}: first.txt needs"):
        trackers.restore(tmp_path / "backup", target)
    (problem,) = trackers.restore(tmp_path / "backup", target, partial=True).problems
    assert f"needed by run {uid}: first.txt" in problem


def test_a_folder_without_a_finished_backup_is_told(sqlite_url: str, tmp_path: Path) -> None:
    trackers.connect(sqlite_url).close()
    (tmp_path / "half" / "rows-1").mkdir(parents=True)
    for folder in (tmp_path / "half", tmp_path / "nowhere"):
        said = CliRunner().invoke(command, ["restore", str(folder), "--storage", sqlite_url])
        assert isinstance(said.exception, NotFoundError)
        assert f"there is no (finished) backup in {folder}" in str(said.exception)


def test_names_that_no_store_takes_are_told_after_a_restore(sqlite_url: str, tmp_path: Path) -> None:
    with trackers.connect(sqlite_url) as store:
        store.start_run("e", tags={"mark": "1"}).end()
        with store.database.writing() as connection:
            connection.exec_driver_sql("UPDATE trackers_tags SET name = 'a\tb'")
        store.backup(tmp_path / "backup")
    (problem,) = trackers.restore(tmp_path / "backup", tmp_path / "new.db").problems
    assert "holds the character '\\t'" in problem


RESTORER = """
import sys, trackers
from trackers.errors import TrackersError
try:
    trackers.restore(sys.argv[1], sys.argv[2], artifacts=sys.argv[3])
    print("restored")
except TrackersError as exc:
    print(exc)
"""


def test_of_restores_into_one_store_one_wins_and_the_others_say_so(
    target_url: str, sqlite_url: str, tmp_path: Path
) -> None:
    with trackers.connect(sqlite_url) as store:
        fill(store, tmp_path)
        store.backup(tmp_path / "backup")
    words = [str(tmp_path / "backup"), target_url, str(tmp_path / "new-files")]
    runs = [start(RESTORER, *words) for _ in range(3)]
    said = sorted(run.communicate(timeout=60)[0].strip() for run in runs)
    assert said.count("restored") == 1
    others = [one for one in said if one != "restored"]
    assert all("another restore into" in one or "holds something already" in one for one in others), said
    with trackers.connect(target_url, create=False) as new:
        assert new.fsck().findings == ()


def test_a_server_looks_at_its_tables_after_a_restore(postgresql_url: str, sqlite_url: str, tmp_path: Path) -> None:
    with trackers.connect(sqlite_url) as store:
        with store.start_run("long") as run:
            run.log_metrics({f"m{i}": 1.0 for i in range(100)})
        store.backup(tmp_path / "backup")
    trackers.restore(tmp_path / "backup", postgresql_url, artifacts=str(tmp_path / "new-files"))
    with trackers.connect(postgresql_url, create=False) as new, new.database.reading() as connection:
        known = "SELECT reltuples FROM pg_class WHERE oid = 'trackers_points'::regclass"
        assert connection.exec_driver_sql(known).scalar() == 100


def fill_two(url: str, tmp_path: Path) -> tuple[str, Path]:
    """Fill a store with two files; return the uid of their run, and where the store keeps the first."""
    with trackers.connect(url) as store, store.start_run("odd") as run:
        for name in ("first.txt", "second.txt"):
            (tmp_path / name).write_text(name)
            run.log_artifact(tmp_path / name, name)
        store.flush()
        path = store.artifacts.path(next(row.digest for row in store.list_artifacts(run) if row.name == "first.txt"))
    assert path is not None
    return run.uid, path


def test_a_backup_of_a_store_that_lost_a_file_is_restored_without_it(sqlite_url: str, tmp_path: Path) -> None:
    uid, lost = fill_two(sqlite_url, tmp_path)
    lost.unlink()
    folder, target = str(tmp_path / "backup"), f"sqlite:///{tmp_path / 'new.db'}"
    made = CliRunner().invoke(command, ["backup", folder, "--storage", sqlite_url], standalone_mode=False)
    assert made.return_value == 1, made.output
    assert lost.name[:12] in made.stderr
    back = CliRunner().invoke(command, ["restore", folder, "--storage", target], standalone_mode=False)
    assert back.return_value == 1, back.output
    assert "and 1 file (10 bytes)" in back.stdout
    assert f"the file {lost.name[:12]}... was lost before the backup was made, needed by run {uid}: first.txt" in (
        back.stderr
    )
    with trackers.connect(target, create=False) as new:
        assert new.read_artifact(uid, "second.txt") == b"second.txt"
        assert [one.check for one in new.fsck().findings] == ["files"]
    said = CliRunner().invoke(command, ["fsck", "--storage", target], standalone_mode=False)
    assert said.stdout.splitlines()[-1] == "2 files (19 bytes) read; 1 problem is left."
    said = CliRunner().invoke(command, ["gc", "--storage", target], standalone_mode=False)
    assert said.stdout.splitlines()[0] == "0 files (0 bytes) deleted."


def test_a_file_that_the_store_lost_stays_in_the_backup_that_has_it(sqlite_url: str, tmp_path: Path) -> None:
    uid, lost = fill_two(sqlite_url, tmp_path)
    with trackers.connect(sqlite_url) as store:
        store.backup(tmp_path / "backup", link=False)
        lost.unlink()
        assert store.backup(tmp_path / "backup", link=False).problems == ()
    target = f"sqlite:///{tmp_path / 'new.db'}"
    assert trackers.restore(tmp_path / "backup", target).problems == ()
    with trackers.connect(target, create=False) as new:
        assert new.read_artifact(uid, "first.txt") == b"first.txt"


@pytest.mark.parametrize("damage", [_change_file, _lose_file])
def test_the_rest_of_a_damaged_backup_is_restored_when_asked_for(
    sqlite_url: str, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    fill_two(sqlite_url, tmp_path)
    with trackers.connect(sqlite_url) as store:
        store.backup(tmp_path / "backup", link=False)
    damage(tmp_path / "backup")
    with pytest.raises(DigestError, match="--partial"):
        trackers.restore(tmp_path / "backup", f"sqlite:///{tmp_path / 'refused.db'}")
    target = f"sqlite:///{tmp_path / 'new.db'}"
    back = CliRunner().invoke(
        command, ["restore", str(tmp_path / "backup"), "--partial", "--storage", target], standalone_mode=False
    )
    assert back.return_value == 1, back.output
    assert "is lost or damaged in the backup, needed by run" in back.stderr
    with trackers.connect(target, create=False) as new:
        assert len([one for one in new.fsck().findings if one.check == "files"]) == 1


WRITER = """
import sys, trackers
with trackers.connect(sys.argv[1], create=False) as store:
    while True:
        with store.start_run("busy") as run:
            run.log_metrics({"a": 1.0, "b": 2.0}, step=0)
            run.log_metrics({"a": 3.0, "b": 4.0}, step=1)
        print("ready", flush=True)
"""


def test_a_backup_taken_while_others_write_is_of_one_moment(store: Store, tmp_path: Path) -> None:
    writer = start(WRITER, store.url)
    try:
        assert writer.line() == "ready"
        for _ in range(3):
            store.backup(tmp_path / "backup")
    finally:
        writer.kill()
        writer.communicate()
    target = f"sqlite:///{tmp_path / 'new.db'}"
    trackers.restore(tmp_path / "backup", target)
    with trackers.connect(target, create=False) as new, new.database.reading() as connection:
        points = connection.execute(select(func.count()).select_from(t.points)).scalar_one()
        kept = connection.execute(select(func.sum(t.series.c["count"]))).scalar_one()
        assert points == kept > 0
