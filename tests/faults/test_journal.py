"""The database goes away and comes back, and processes are killed meanwhile: nothing is lost, nothing comes twice."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import func, select

import trackers
from tests import processes
from tests.faults.outage import Outage
from tests.faults.proxy import proxied
from tests.faults.stand_ins import RealOs
from tests.git import git, make_repository
from trackers import capture
from trackers.cli.app import trackers as command
from trackers.errors import InvalidValueError, StoreBusyError, StoreError, TrackersError
from trackers.journal import Again, Journal, add_refused, list_journals
from trackers.journal.file import seal, unseal
from trackers.keeping.doctor import examine
from trackers.sql import tables as t
from trackers.states import RunState
from trackers.store import Store

LOGGER = """
import os, sys, trackers
from trackers.sql import engine
engine.BUSY_SECONDS = 0.2
url, acknowledged, wanted = sys.argv[1], sys.argv[2], int(sys.argv[3])
store = trackers.connect(url, offline=len(sys.argv) > 4)
run = store.start_run("killed", name="victim", params={"lr": 0.1})
print(run.uid, flush=True)
for step in range(wanted):
    run.log_metrics({"loss": 1.0 / (step + 1), "acc": float(step)}, step=step)
    if step % 50 == 49:
        run.flush()
        with open(acknowledged + ".new", "w") as note:
            note.write(str(step))
        os.replace(acknowledged + ".new", acknowledged)
print("done", flush=True)
sys.stdin.read()
"""


class Doubling:
    """A model with no files to speak of."""

    def save(self, folder: str) -> None:
        Path(folder, "factor").write_text("2")

    @classmethod
    def load(cls, folder: str) -> Doubling:
        return cls()

    def predict(self, rows: Any) -> Any:
        return [2 * row for row in rows]


def until(true: Callable[[], object], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.02)


def steps_of(store: Store, run: str, key: str = "loss") -> list[int]:
    return [point.step for point in store.metric_history(run, key)]


def journals(url: str) -> list[Path]:
    from trackers.journal import journal_folder
    from trackers.sql.address import read_address

    address = read_address(url)
    return list_journals(journal_folder(address.path, address.safe))


def test_what_is_logged_while_the_database_is_away_comes_back_by_itself(
    outage: Outage, caplog: pytest.LogCaptureFixture
) -> None:
    with trackers.connect(outage.url) as store:
        run = store.start_run("e", params={"a": 1})
        run.log_metric("loss", 0.0, step=0)
        run.flush()
        outage.away()
        for step in range(1, 500):
            run.log_metric("loss", float(step), step=step)
        run.log_params({"b": 2})
        run.set_tag("seen", "no")
        run.log_text("words", "note.txt") if outage.url == outage.direct else None
        run.flush()  # in the journal now: no error reaches the training
        told = [record.getMessage() for record in caplog.records if "what is logged waits in" in record.getMessage()]
        assert len(told) == 1
        assert not [record for record in caplog.records if record.name == "psycopg"]
        child = run.start_run(name="child")
        child.log_metric("late", 1.0)
        child.end()
        assert len(journals(outage.url)) == 1
        outage.back()
        run.log_metric("loss", 500.0, step=500)
        run.end()
        assert steps_of(store, run.uid) == list(range(501))
        found = store.get_run(run.uid)
        assert (found.params, found.tags, found.state) == ({"a": 1, "b": 2}, {"seen": "no"}, RunState.COMPLETE)
        assert store.get_run(child).parent_id == found.id
        assert child.id == store.get_run(child.uid).id
        (summary,) = store.metrics(run)
        assert (summary.count, summary.last, summary.min, summary.max) == (501, 500.0, 0.0, 500.0)
    assert journals(outage.url) == [], "a drained journal is gone"


def test_a_strict_store_raises_instead(outage: Outage) -> None:
    store = trackers.connect(outage.url, strict=True)
    run = store.start_run("e")
    outage.away()
    run.log_metric("loss", 1.0)
    with pytest.raises(StoreError):
        run.flush()

    def train() -> None:
        for step in range(1000):
            run.log_metric("loss", 1.0, step)
            time.sleep(0.01)  # the work

    with pytest.raises(StoreError):
        train()
    with pytest.raises(StoreError):
        store.start_run("e")
    assert journals(outage.url) == []
    outage.back()
    store.close()


def test_without_a_place_for_a_journal_the_database_is_all_there_is(
    outage: Outage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("HPO_JOURNAL", "/dev/null/journals")
    with trackers.connect(outage.url) as store:
        run = store.start_run("e")
        run.flush()
        outage.away()
        run.log_metric("loss", 1.0)  # no error reaches the training
        with pytest.raises(StoreError):
            run.flush()
        assert "cannot be made" in caplog.text
        with pytest.raises(StoreError):
            store.start_run("e")
        outage.back()
        run.log_metric("loss", 2.0)
        run.end()
        assert [point.value for point in store.metric_history(run, "loss")] == [2.0]
    with pytest.raises(StoreError, match="cannot be made"):
        trackers.connect(outage.url, offline=True)


def test_a_process_that_ends_meanwhile_leaves_its_journal_to_sync(
    outage: Outage, caplog: pytest.LogCaptureFixture
) -> None:
    store = trackers.connect(outage.url)
    run = store.start_run("e")
    run.flush()
    outage.away()
    for step in range(100):
        run.log_metric("loss", float(step), step=step)
    run.end()
    store.close()
    assert "trackers sync" in caplog.text
    outage.back()
    (left,) = journals(outage.url)
    first = trackers.sync(left, store=outage.direct)
    assert [(one.busy, one.refused, one.damaged) for one in first] == [("", (), 0)]
    assert sum(one.written for one in first) == 101
    assert trackers.sync(store=outage.url) == []
    with trackers.connect(outage.direct) as store:
        assert steps_of(store, run.uid) == list(range(100))
        assert store.get_run(run.uid).state is RunState.COMPLETE


def test_a_journal_is_found_however_the_url_of_its_store_is_written(outage: Outage) -> None:
    store = trackers.connect(outage.url)
    run = store.start_run("e")
    run.flush()
    outage.away()
    run.log_metric("loss", 1.0, step=0)
    run.end()
    store.close()
    outage.back()
    (left,) = journals(outage.url)
    assert any("1 journal of this host" in one.told for one in examine(outage.direct))
    (done,) = trackers.sync(store=outage.direct)
    assert (done.journal, done.busy, done.refused) == (left, "", ())
    with trackers.connect(outage.direct) as store:
        assert steps_of(store, run.uid) == [0]


def start(url: str, note: Path, wanted: int, *more: str) -> processes.Process:
    return processes.start(LOGGER, url, note, wanted, *more)


def kill(process: processes.Process) -> None:
    process.kill()
    process.communicate()


def test_a_process_killed_while_it_spills_loses_nothing_it_was_told_was_kept(outage: Outage, tmp_path: Path) -> None:
    note = tmp_path / "acknowledged"
    process = start(outage.url, note, 10_000_000)
    uid = process.line()
    until(lambda: note.exists() and int(note.read_text() or 0) > 200)
    outage.away()
    until(lambda: journals(outage.url))
    before = int(note.read_text() or 0)
    until(lambda: int(note.read_text() or 0) > before + 500)
    kill(process)
    acknowledged = int(note.read_text())
    outage.back()
    (left,) = journals(outage.url)
    (found,) = trackers.sync(left, store=outage.direct)
    assert (found.refused, found.damaged, found.busy) == ((), 0, "")
    with trackers.connect(outage.direct) as store:
        for key in ("loss", "acc"):
            steps = steps_of(store, uid, key)
            assert steps == list(range(len(steps))), "nothing is missing in the middle, and nothing is twice"
            assert len(steps) > acknowledged
        assert store.get_run(uid).params == {"lr": 0.1}


@pytest.mark.parametrize("seed", range(3))
def test_a_process_killed_while_it_drains_loses_nothing_either(outage: Outage, tmp_path: Path, seed: int) -> None:
    note = tmp_path / "acknowledged"
    process = start(outage.url, note, 10_000_000)
    uid = process.line()
    until(lambda: note.exists() and int(note.read_text() or 0) > 100)
    outage.away()
    until(lambda: journals(outage.url))
    before = int(note.read_text() or 0)
    until(lambda: int(note.read_text() or 0) > before + 3000)
    outage.back()
    with trackers.connect(outage.direct) as store:
        seen = len(steps_of(store, uid))
        until(lambda: len(steps_of(store, uid)) > seen)  # it drains
    time.sleep(random.Random(seed).random() / 5)
    kill(process)
    acknowledged = int(note.read_text())
    for left in journals(outage.url):
        assert trackers.sync(left, store=outage.direct)[0].busy == ""
    with trackers.connect(outage.direct) as store:
        for key in ("loss", "acc"):
            steps = steps_of(store, uid, key)
            assert steps == list(range(len(steps)))
            assert len(steps) > acknowledged


SYNC = "import sys, trackers; trackers.sync(store=sys.argv[1])"


def test_a_sync_that_is_killed_again_and_again_writes_everything_once(
    store_url: str, state: Path, tmp_path: Path
) -> None:
    trackers.connect(store_url).close()
    wanted = 12_000
    process = start(store_url, tmp_path / "note", wanted, "offline")
    uid = process.line()
    assert process.line() == "done"
    kill(process)
    luck = random.Random(7)
    kills = 0
    while journals(store_url) and kills < 60:
        sync = processes.start(SYNC, store_url)
        try:
            sync.wait(timeout=0.2 + luck.random() * (0.3 + kills / 10))
        except subprocess.TimeoutExpired:
            sync.kill()
            sync.wait()
            kills += 1
    assert journals(store_url) == []
    assert kills > 0
    with trackers.connect(store_url) as store:
        for key in ("loss", "acc"):
            assert steps_of(store, uid, key) == list(range(wanted))
        (one, other) = store.metrics(uid)
        assert (one.count, other.count) == (wanted, wanted)
        assert len(store.search_runs()) == 1
        assert store.launch(uid) is not None
        assert count(store, t.launches, t.attempts) == [1, 1]


def test_a_model_that_was_logged_while_the_database_was_away_is_registered_at_once(outage: Outage) -> None:
    with trackers.connect(outage.url) as store:
        store.start_run("e").end()
        store.flush()
        outage.away()
        with store.start_run("e") as run:
            model = run.log_model(Doubling())
            run.flush()
        outage.back()
        assert store.registry.register("doubling", model).version == 1


def test_a_commit_whose_answer_is_lost_is_not_written_again(postgresql_store_url: str, state: Path) -> None:
    trackers.connect(postgresql_store_url).close()
    with proxied(postgresql_store_url) as proxy, trackers.connect(proxy.url) as store:
        run = store.start_run("e")
        run.flush()
        for start in range(0, 100, 20):
            proxy.commits_to_lose = 1
            for step in range(20):
                run.log_metric("loss", 1.0, step=start + step)
            run.flush()
            assert steps_of(store, run.uid) == list(range(start + 20))
        assert steps_of(store, run.uid) == list(range(100))
        assert proxy.lost >= 5
        assert store.metrics(run)[0].count == 100
        proxy.commits_to_lose = 1
        late = store.start_run("e", name="lost and found")
        late.end()
        assert [one.name for one in store.search_runs()] == ["lost and found", ""]


def test_two_at_one_journal_do_not_write_it_twice(store_url: str, state: Path, tmp_path: Path) -> None:
    trackers.connect(store_url).close()
    process = start(store_url, tmp_path / "note", 20_000, "offline")
    uid = process.line()
    assert process.line() == "done"
    (found,) = trackers.sync(store=store_url)
    assert "in use" in found.busy, "its process lives"
    kill(process)
    syncs = [processes.start(SYNC, store_url) for _ in range(3)]
    assert [sync.wait() for sync in syncs] == [0, 0, 0]
    until(lambda: not trackers.sync(store=store_url))
    with trackers.connect(store_url) as store:
        assert steps_of(store, uid) == list(range(20_000))


@pytest.mark.usefixtures("without_code")
def test_offline_everything_goes_to_the_journal_and_then_to_the_store(
    store_url: str, state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "tree"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "x.bin").write_bytes(b"\0" * 3_000_000)
    (folder / "a.txt").write_text("a")
    before = Path(store_url.removeprefix("sqlite:///")).read_bytes() if store_url.startswith("sqlite") else b""
    monkeypatch.setenv("HPO_OFFLINE", "1")
    with trackers.connect(store_url) as store:
        assert store.offline
        with store.start_run("away", params={"a": [1, 2], "b": "\ud800"}, tags={"t": "1"}) as run:
            run.log_points("loss", [3.0, float("nan"), float("-inf")])
            run.log_artifact(folder)
            run.log_table({"x": [1, 2]}, "preds")
            with run.start_run(name="child") as child:
                child.log_metric("m", 1.0, context={"split": "val"})
            with pytest.raises(StoreError, match="offline"):
                store.get_run(run)
            with pytest.raises(StoreError, match=r"no id yet|offline"):
                run.id  # noqa: B018 - asking is the point
            with pytest.raises(StoreError, match="offline"):
                store.search_runs()
        with pytest.raises(ZeroDivisionError), store.start_run("away", name="bad"):
            1 / 0  # noqa: B018 - what a run fails by
    monkeypatch.delenv("HPO_OFFLINE")
    if store_url.startswith("sqlite"):
        assert Path(store_url.removeprefix("sqlite:///")).read_bytes() == before, (
            "offline the database is not looked at"
        )
    with trackers.connect(store_url, artifacts=str(tmp_path / "artifacts")) as store:
        (found,) = trackers.sync(store=store)
        assert found.files == 3
        assert trackers.sync(store=store) == []
        there = store.get_run(run.uid)
        assert (there.params, there.tags) == ({"a": [1, 2], "b": "\ud800"}, {"t": "1"})
        assert there.experiment == "away"
        assert [repr(point.value) for point in store.metric_history(there, "loss")] == ["3.0", "nan", "-inf"]
        assert store.read_artifact(there, "tree/deep/x.bin") == b"\0" * 3_000_000
        assert store.load_table("preds", there).columns == {"x": [1, 2]}
        assert store.get_run(child.uid).parent_id == there.id
        assert store.get_run(child.uid).metrics == {"m{split=val}": 1.0}
        (bad,) = store.search_runs("attributes.state = 'FAIL'")
        assert bad.error == "division by zero"
        assert (there.created_at <= bad.created_at, there.state) == (True, RunState.COMPLETE)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Be in a repository with a change that is not committed and a file that is new."""
    folder = make_repository(tmp_path / "repo")
    (folder / "study.py").write_text("x = 2\n")
    (folder / "new.py").write_text("y = 3\n")
    monkeypatch.chdir(folder)
    return folder


def check_launch(store: Store, uid: str, folder: Path) -> None:
    launch = store.launch(uid)
    assert launch is not None
    assert launch.code is not None
    assert launch.environment is not None
    assert launch.code.commit == git(folder, "rev-parse", "HEAD")
    assert (launch.branch, launch.code.dirty) == ("main", True)
    assert list(launch.code.content["files"]) == ["new.py"], "no file of the store or of its journal is code"
    assert "+x = 2" in store.code_diff(launch.code)
    assert launch.environment["python"] == ".".join(map(str, sys.version_info[:3]))
    assert launch.entry_point == capture.launch().entry_point


def count(store: Store, *tables: Any) -> list[int]:
    with store.database.reading() as connection:
        return [connection.execute(select(func.count()).select_from(table)).scalar_one() for table in tables]


def test_a_run_that_was_offline_knows_its_code_its_call_and_its_environment(
    store_url: str, state: Path, repository: Path, tmp_path: Path
) -> None:
    url = "sqlite:///hpo.db" if store_url.startswith("sqlite") else store_url
    with trackers.connect(url, offline=True) as away:
        uids = [away.start_run("e").uid for _ in range(3)]
    (journal,) = journals(url)
    copy = tmp_path / "copy" / journal.name
    shutil.copytree(journal, copy)
    with trackers.connect(url, artifacts=str(tmp_path / "artifacts")) as store:
        (found,) = trackers.sync(store=store)
        assert (found.files, found.refused) == (2, ()), "the changes and new files; the commits that no remote has"
        trackers.sync(copy, store=store)  # as after a kill, before the journal was removed
        for uid in uids:
            check_launch(store, uid, repository)
        here = store.start_run("e")
        check_launch(store, here.uid, repository)
        here.end()
        assert count(store, t.launches, t.code_versions, t.environments, t.runs, t.attempts) == [1, 1, 1, 4, 4]


def test_a_run_that_starts_while_the_database_is_away_knows_its_code(outage: Outage, repository: Path) -> None:
    with trackers.connect(outage.url) as store:
        outage.away()
        first = store.start_run("e")
        second = store.start_run("e")
        assert store.writer.spilling
        outage.back()
        for run in (first, second):
            check_launch(store, run.uid, repository)
            run.end()
        assert count(store, t.launches, t.attempts) == [1, 2]


def offline(url: str, points: int = 10) -> tuple[str, Path]:
    with trackers.connect(url, offline=True) as store, store.start_run("e") as run:
        for step in range(points):
            run.log_metric("loss", float(step), step=step)
    return run.uid, journals(url)[-1]


def test_a_torn_tail_is_dropped_and_a_damaged_line_is_told(sqlite_url: str) -> None:
    uid, journal = offline(sqlite_url)
    records = journal / "records"
    whole = records.read_bytes()
    records.write_bytes(whole[:-5])  # the end of the run was being written when the power went
    (found,) = trackers.sync(store=sqlite_url)
    assert (found.written, found.damaged) == (11, 0)
    with trackers.connect(sqlite_url) as store:
        assert store.get_run(uid).state is RunState.RUNNING
        assert steps_of(store, uid) == list(range(10))
    uid, journal = offline(sqlite_url)
    lines = (journal / "records").read_bytes().splitlines(keepends=True)
    lines[5] = lines[5].replace(b"loss", b"lass")
    (journal / "records").write_bytes(b"".join(lines))
    (found,) = trackers.sync(store=sqlite_url)
    assert (found.written, found.damaged) == (11, 1)
    assert found.journal == journal.with_name(f"{journal.name}.damaged")
    assert (found.journal / "records").exists(), "what cannot be read is kept for a person to look at"
    assert trackers.sync(store=sqlite_url) == [], "and told once"
    (again,) = trackers.sync(found.journal, store=sqlite_url)
    assert (again.written, again.known, again.damaged) == (0, 11, 1)
    with trackers.connect(sqlite_url) as store:
        assert steps_of(store, uid) == [0, 1, 2, *range(4, 10)]


def as_first_release(journal: Path) -> None:
    """Write a journal as the first release did: no entry says which one comes before it."""
    head, *lines = map(unseal, (journal / "records").read_bytes().splitlines(keepends=True))
    assert head is not None
    kept = [json.dumps(json.loads(line or b"")[:4]).encode() for line in lines]
    (journal / "records").write_bytes(b"".join(map(seal, [head.replace(b'"journal": 2', b'"journal": 1'), *kept])))


def change_lines(journal: Path, change: Callable[[list[bytes]], object]) -> None:
    lines = (journal / "records").read_bytes().splitlines(keepends=True)
    change(lines)
    (journal / "records").write_bytes(b"".join(lines))


@pytest.mark.parametrize("first", [False, True], ids=["today", "first release"])
def test_an_entry_that_is_gone_from_a_journal_is_named_and_the_journal_is_kept(sqlite_url: str, first: bool) -> None:
    uid, journal = offline(sqlite_url)
    if first:
        as_first_release(journal)
    change_lines(journal, lambda lines: (lines.pop(5), lines.pop(7), lines.pop(7)))
    (found,) = trackers.sync(store=sqlite_url)
    assert (found.written, found.damaged, found.missing) == (9, 0, ("entry 5", "entries 8 to 9"))
    assert found.journal == journal.with_name(f"{journal.name}.damaged")
    trackers.sync(found.journal, store=sqlite_url)
    assert (found.journal / "records").exists()
    with trackers.connect(sqlite_url) as store:
        assert steps_of(store, uid) == [0, 1, 2, 4, 5, 8, 9]


def test_the_last_line_is_damaged_where_it_has_its_end_and_torn_where_it_has_none(sqlite_url: str) -> None:
    _, journal = offline(sqlite_url)
    change_lines(journal, lambda lines: lines.append(lines.pop().replace(b"[", b"(", 1)))
    (found,) = trackers.sync(store=sqlite_url)
    assert (found.written, found.damaged, found.torn, found.journal.suffix) == (11, 1, 0, ".damaged")
    _, journal = offline(sqlite_url)
    change_lines(journal, lambda lines: lines.append(lines.pop()[:30]))
    (found,) = trackers.sync(store=sqlite_url)
    assert (found.written, found.damaged, found.torn, found.missing) == (11, 0, 30, ())
    assert not journal.exists()


def test_lines_in_another_order_are_all_written(sqlite_url: str) -> None:
    uid, journal = offline(sqlite_url)
    change_lines(journal, lambda lines: lines.insert(8, lines.pop(4)))
    (found,) = trackers.sync(store=sqlite_url)
    assert (found.written, found.damaged, found.missing) == (12, 0, ())
    with trackers.connect(sqlite_url) as store:
        assert steps_of(store, uid) == list(range(10))


def test_numbers_that_went_straight_to_the_database_are_not_missed(outage: Outage) -> None:
    store = trackers.connect(outage.url)
    run = store.start_run("e")
    for step in range(20):
        run.log_metric("loss", float(step), step=step)
    run.flush()
    outage.away()
    for step in range(20, 40):
        run.log_metric("loss", float(step), step=step)
    run.flush()
    (journal,) = journals(outage.url)
    copy = journal.parent.parent / "copy" / journal.name
    shutil.copytree(journal, copy)
    outage.back()
    whole = trackers.sync(copy, store=outage.direct)
    assert [(one.written > 0, one.missing, one.damaged) for one in whole] == [(True, (), 0)]
    store.close()


def test_a_line_that_is_gone_from_the_journal_of_an_outage_is_named(outage: Outage) -> None:
    store = trackers.connect(outage.url)
    run = store.start_run("e")
    run.flush()
    outage.away()
    for step in range(20):
        run.log_metric("loss", float(step), step=step)
        run.flush()
    (journal,) = journals(outage.url)
    copy = journal.parent.parent / "copy" / journal.name
    shutil.copytree(journal, copy)
    change_lines(copy, lambda lines: lines.pop(10))
    outage.back()
    (found,) = trackers.sync(copy, store=outage.direct)
    assert len(found.missing) == 1
    assert found.missing[0].startswith("entry ")
    store.close()


def test_sync_says_what_is_missing_and_where_a_journal_came_from(sqlite_url: str, tmp_path: Path) -> None:
    _, journal = offline(sqlite_url)
    change_lines(journal, lambda lines: lines.pop(5))
    other = f"sqlite:///{tmp_path}/other.db"
    trackers.connect(other).close()
    done = CliRunner().invoke(command, ["sync", str(journal), "--storage", other])
    assert done.exit_code == 1
    assert "entry 5 is missing" in done.output
    assert f"it was logged for {sqlite_url}" in done.output


def test_a_damaged_head_before_entries_is_no_empty_journal(sqlite_url: str) -> None:
    _, journal = offline(sqlite_url)
    change_lines(journal, lambda lines: lines.insert(0, lines.pop(0).replace(b"{", b"(", 1)))
    with pytest.raises(StoreError, match="damaged head, and entries lie behind it"):
        trackers.sync(store=sqlite_url)
    assert (journal / "records").exists()


@pytest.mark.parametrize(
    "forged",
    [b"[" * 100_000, b"[]", b'"x"', b"{", b'{"journal": 1}', b'{"journal": [1], "uid": "x"}'],
    ids=["deep", "list", "text", "cut", "without a name", "of a listed version"],
)
def test_what_a_hostile_hand_sealed_rightly_is_told_in_a_sentence(forged: bytes, sqlite_url: str) -> None:
    _, journal = offline(sqlite_url)
    lines = (journal / "records").read_bytes().splitlines(keepends=True)
    (journal / "records").write_bytes(b"".join([lines[0], seal(forged), *lines[1:]]))
    with pytest.raises(StoreError, match="holds an entry that this release does not know"):
        trackers.sync(store=sqlite_url)
    (journal / "records").write_bytes(b"".join([seal(forged), *lines[1:]]))
    with pytest.raises(StoreError, match="damaged head, and entries lie behind it"):
        trackers.sync(store=sqlite_url)
    assert (journal / "records").exists()


def test_a_journal_goes_into_one_store_only(sqlite_url: str, tmp_path: Path) -> None:
    other = f"sqlite:///{tmp_path}/other.db"
    trackers.connect(other).close()
    _, journal = offline(sqlite_url)
    content = (journal / "records").read_bytes()
    trackers.sync(store=sqlite_url)
    journal.mkdir(parents=True)
    (journal / "records").write_bytes(content)
    (journal / "store").write_text("0" * 32)
    with pytest.raises(StoreError, match="belongs to another store"):
        trackers.sync(journal, store=other)
    with pytest.raises(TrackersError, match="no journal"):
        trackers.sync(tmp_path / "nowhere", store=other)


def test_one_journal_that_cannot_be_read_does_not_keep_the_others_back(sqlite_url: str, tmp_path: Path) -> None:
    for _ in range(2):
        offline(sqlite_url)
    broken, whole = journals(sqlite_url)
    (broken / "records").write_bytes(b"no head\n")
    said = {one.journal: one for one in trackers.sync(store=sqlite_url)}
    assert (said[whole].written, said[whole].refused) == (12, ())
    assert (said[broken].written, "has no head" in said[broken].refused[0]) == (0, True)
    with pytest.raises(StoreError, match="has no head"):
        trackers.sync(store=sqlite_url)


def test_a_copy_of_a_journal_that_was_brought_adds_nothing(sqlite_url: str, tmp_path: Path) -> None:
    with trackers.connect(sqlite_url, offline=True) as store, store.start_run("e") as run:
        for value in range(20):
            run.log_metric("m", value)
    (journal,) = journals(sqlite_url)
    shutil.copytree(journal.parent, tmp_path / "copied" / "of-a-server")
    (first,) = trackers.sync(tmp_path / "copied", store=sqlite_url)
    (second,) = trackers.sync(journal, store=sqlite_url)
    assert first.written > 0
    assert (second.written, second.known, second.refused) == (0, first.written, ())
    assert journals(sqlite_url) == []
    with trackers.connect(sqlite_url) as store:
        assert [point.value for point in store.metric_history(run.uid, "m")] == list(range(20))


def test_what_the_store_refuses_is_told_and_the_rest_is_written(sqlite_url: str) -> None:
    with trackers.connect(sqlite_url) as store, store.start_run("e") as parent:
        pass
    with trackers.connect(sqlite_url, offline=True) as away:
        with away.start_run("e", parent=parent.uid) as orphan:
            orphan.log_metric("m", 1.0)
        with away.start_run("e", name="good") as good:
            good.log_metric("m", 1.0)
            with pytest.raises(InvalidValueError, match="32 hex digits"):
                away.start_run(parent="e/1")
    with trackers.connect(sqlite_url) as store:
        store.delete_run(parent)
    (found,) = trackers.sync(store=sqlite_url)
    assert found.refused
    assert "deleted" in found.refused[0]
    assert (found.journal / "refused").exists()
    with trackers.connect(sqlite_url) as store:
        assert [run.name for run in store.search_runs()] == ["good"]


def test_what_was_refused_is_noted_by_one_thread_at_a_time(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with trackers.connect(sqlite_url) as store, store.start_run("e") as gone:
        pass
    with trackers.connect(sqlite_url, offline=True) as away, away.start_run("e", parent=gone.uid) as run:
        run.log_metric("m", 1.0)
    inside: list[int] = []
    together: list[int] = []

    def alone(do: Callable[..., None]) -> Callable[..., None]:
        def done(*args: Any) -> None:
            inside.append(threading.get_ident())
            together.append(len(set(inside)))
            do(*args)
            threading.Event().wait(0.1)  # for the other thread to come, if it may
            inside.pop()

        return done

    monkeypatch.setattr("trackers.drain.add_refused", alone(add_refused))
    monkeypatch.setattr(Again, "write", alone(Again.write))
    with trackers.connect(sqlite_url) as store:
        store.delete_run(gone)
        (found,) = trackers.sync(store=store)
    assert found.refused
    assert set(together) == {1}


def test_what_was_refused_is_written_once_the_store_takes_it(sqlite_url: str) -> None:
    with trackers.connect(sqlite_url) as store, store.start_run("e") as gone, store.start_run("e") as parent:
        pass
    with trackers.connect(sqlite_url, offline=True) as away:
        for name, whose in (("one", gone), ("two", parent)):
            with away.start_run("e", name=name, parent=whose.uid) as run:
                for step in range(3):
                    run.log_metric("m", float(step), step)
        with away.start_run("e", name="good"):
            pass
    with trackers.connect(sqlite_url) as store:
        store.delete_run(gone)
        store.delete_run(parent)
        (first,) = trackers.sync(store=store)
        assert (len(first.refused) > 0, first.journal.exists()) == (True, True)
        (again,) = trackers.sync(store=store)
        assert (again.written, again.refused) == (0, first.refused), "nothing has changed"
        store.restore_run(gone)
        (half,) = trackers.sync(store=store)
        assert half.written > 0
        assert 0 < len(half.refused) < len(first.refused)
        store.restore_run(parent)
        (last,) = trackers.sync(store=store)
        assert (last.refused, last.journal.exists()) == ((), False)
        runs = {run.name: run for run in store.search_runs() if run.name}
        assert sorted(runs) == ["good", "one", "two"]
        for name in ("one", "two"):
            assert steps_of(store, runs[name].uid, "m") == [0, 1, 2]


KILLED_SYNC = """
import os, sys, trackers
from trackers.sql.committer import Committer
url, left = sys.argv[1], int(sys.argv[2])
plain = Committer.commit
def commit(self, group):
    global left
    if not left:
        os._exit(9)
    plain(self, group)
    left -= 1
Committer.commit = commit
trackers.sync(store=url)
"""


def test_a_sync_that_is_killed_after_a_refusal_does_not_forget_it(sqlite_url: str) -> None:
    with trackers.connect(sqlite_url) as store, store.start_run("e") as gone, store.start_run("e") as parent:
        pass
    with trackers.connect(sqlite_url, offline=True) as away:
        for name, whose in (("one", gone), ("good", None), ("two", parent), ("fine", None)):
            with away.start_run("e", name=name, parent=whose and whose.uid) as run:
                for step in range(3):
                    run.log_metric("m", float(step), step)
                    run.flush()
    with trackers.connect(sqlite_url) as store:
        store.delete_run(gone)
        store.delete_run(parent)

    def sync_killed_ever_later() -> None:
        for commits in range(40):
            process = processes.start(KILLED_SYNC, sqlite_url, commits)
            process.communicate(timeout=60)
            if process.returncode == 0:
                return
            assert process.returncode == 9
        raise AssertionError("no sync came to its end")

    sync_killed_ever_later()
    with trackers.connect(sqlite_url) as store:
        store.restore_run(gone)
        sync_killed_ever_later()  # "one" is tried again, "two" is refused once more, and neither is forgotten
        store.restore_run(parent)
        sync_killed_ever_later()
        assert journals(sqlite_url) == []
        runs = {run.name: run for run in store.search_runs() if run.name}
        assert sorted(runs) == ["fine", "good", "one", "two"]
        for run in runs.values():
            assert steps_of(store, run.uid, "m") == [0, 1, 2]
            assert run.state is RunState.COMPLETE


def test_what_is_refused_while_its_process_lives_is_not_lost(outage: Outage, caplog: pytest.LogCaptureFixture) -> None:
    with trackers.connect(outage.url) as store, trackers.connect(outage.direct) as other:
        run, kept = store.start_run("e", name="gone"), store.start_run("e", name="kept")
        store.flush()
        outage.away()
        for one in (run, kept):
            one.log_metric("loss", 1.0)
            one.flush()
        outage.back()
        other.delete_run(run.uid)
        kept.log_metric("loss", 2.0)
        assert steps_of(store, kept.uid) == [0, 1]
        assert [record for record in caplog.records if "the store refused what run" in record.getMessage()]
        outage.away()  # once more: what comes later goes through the same journal
        kept.log_metric("loss", 3.0)
        kept.flush()
        outage.back()
        kept.end()
        assert steps_of(store, kept.uid) == [0, 1, 2]
        other.restore_run(run.uid)
    (journal,) = journals(outage.url)
    assert f"run {run.uid}: " in (journal / "refused").read_text()
    with trackers.connect(outage.direct) as store:
        trackers.sync(store=outage.url)
        assert steps_of(store, run.uid) == [0]
        assert steps_of(store, kept.uid) == [0, 1, 2], "what was taken is not written again"
    assert journals(outage.url) == []


def offline_run(url: str) -> tuple[str, Path]:
    """Log a run with three points and two files offline; return its uid and its journal."""
    with trackers.connect(url, offline=True) as away, away.start_run("e") as run:
        for step in range(3):
            run.log_metric("m", float(step), step)
        run.log_text("one", "one.txt")
        run.log_text("two", "two.txt")
    (journal,) = journals(url)
    return run.uid, journal


def test_a_copied_line_or_journal_writes_nothing_twice(sqlite_url: str, tmp_path: Path) -> None:
    uid, journal = offline_run(sqlite_url)
    head, *lines = (journal / "records").read_text().splitlines(keepends=True)
    (journal / "records").write_text("".join([head, *(line for line in lines for _ in range(2))]))
    shutil.copytree(journal, tmp_path / "copy" / journal.name)
    with trackers.connect(sqlite_url) as store:
        trackers.sync(store=store)
        (found,) = trackers.sync(tmp_path / "copy", store=store)
        assert (found.written, found.refused) == (0, ())
        assert steps_of(store, uid, "m") == [0, 1, 2]


@pytest.mark.parametrize("harm", ["gone", "damaged", "pipe"])
def test_an_entry_whose_file_is_lost_waits_and_holds_up_nothing_else(
    sqlite_url: str, tmp_path: Path, harm: str
) -> None:
    uid, journal = offline_run(sqlite_url)
    digest = hashlib.sha256(b"one").hexdigest()
    (path,) = (journal / "files").rglob(digest)
    path.rename(tmp_path / "kept")
    if harm == "damaged":
        path.write_bytes(b"eno")
    elif harm == "pipe":
        os.mkfifo(path)
    with trackers.connect(sqlite_url) as store:
        (found,) = trackers.sync(store=store)
        assert len(found.refused) == 1
        assert digest[:12] in found.refused[0]
        assert [file.name for file in store.list_artifacts(uid)] == ["two.txt"]
        assert steps_of(store, uid, "m") == [0, 1, 2]
        assert store.fsck().findings == ()
        path.unlink(missing_ok=True)
        (tmp_path / "kept").rename(path)
        (found,) = trackers.sync(store=store)
        assert (found.refused, found.journal.exists()) == ((), False)
        assert store.read_artifact(uid, "one.txt") == b"one"


def test_a_run_begins_without_the_files_of_its_code(sqlite_url: str, repository: Path) -> None:
    uid, journal = offline_run(sqlite_url)
    shutil.rmtree(journal / "files")
    with trackers.connect(sqlite_url) as store:
        (found,) = trackers.sync(store=store)
        assert len(found.refused) == 2, "its two texts"
        launch = store.launch(uid)
        assert launch is not None
        assert launch.code is not None
        assert (launch.code.bundle, launch.code.commits) == (None, None)
        assert "were lost with the journal" in launch.code.content["notes"][-1]
        assert store.fsck().findings == ()


def test_an_offline_store_and_a_strict_one_are_two_things(sqlite_url: str) -> None:
    with pytest.raises(InvalidValueError, match="strict or offline"):
        trackers.connect(sqlite_url, strict=True, offline=True)
    with trackers.connect(sqlite_url, offline=True) as store, pytest.raises(InvalidValueError, match="offline"):
        trackers.sync(store=store)


def test_a_journal_is_open_once(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path, {"uid": "a" * 32})
    with pytest.raises(StoreBusyError):
        Journal.open(journal.folder)
    journal.close()
    Journal.open(journal.folder).close()


FULL = """
import resource, signal, sys, trackers
store = trackers.connect(sys.argv[1])
run = store.start_run("full")
run.flush()
print(run.uid, flush=True)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
for step in range(20_000):
    run.log_metric("loss", float(step), step=step)
try:
    run.flush()
    told = ""
except trackers.errors.TrackersError as exc:
    told = str(exc)
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
run.end()
store.close()
print(told, flush=True)
"""


def test_a_full_disk_is_told_when_asked_and_loses_nothing_once_there_is_room(sqlite_url: str) -> None:
    script = FULL.replace("import resource", "import trackers.errors, resource")
    done = subprocess.run([sys.executable, "-c", script, sqlite_url], capture_output=True, text=True, check=True)
    uid, told = done.stdout.strip().splitlines()
    assert "memory only" in told
    assert "free some space" in told
    trackers.sync(store=sqlite_url)
    with trackers.connect(sqlite_url) as store:
        assert steps_of(store, uid) == list(range(20_000))
        assert store.get_run(uid).state is RunState.COMPLETE


def test_many_threads_lose_nothing_over_an_outage(outage: Outage) -> None:
    with trackers.connect(outage.url) as store:
        runs = [store.start_run("e", name=str(i)) for i in range(4)]
        over = threading.Event()
        counts = [0] * 4

        def log(index: int) -> None:
            while not over.is_set():
                runs[index].log_metric("m", 1.0, step=counts[index])
                counts[index] += 1
                if counts[index] % 100 == 0:
                    time.sleep(0.001)

        threads = [threading.Thread(target=log, args=(i,)) for i in range(4)]
        for thread in threads:
            thread.start()
        for _ in range(3):
            seen = list(counts)
            until(lambda seen=seen: all(now > then + 300 for now, then in zip(counts, seen, strict=True)))
            outage.away()
            seen = list(counts)
            until(lambda seen=seen: all(now > then + 300 for now, then in zip(counts, seen, strict=True)))
            outage.back()
        over.set()
        for thread in threads:
            thread.join()
        for run in runs:
            run.end()
        for run, count in zip(runs, counts, strict=True):
            assert steps_of(store, run.uid, "m") == list(range(count))


def test_the_journal_is_plain_and_holds_no_password(state: Path, postgresql_store_url: str) -> None:
    scheme, server = postgresql_store_url.split("://")
    url = f"{scheme}://postgres:hunter2@{server.rpartition('@')[2]}"
    with trackers.connect(url, offline=True) as store, store.start_run("e"):
        pass
    (journal,) = journals(url)
    lines = (journal / "records").read_text().splitlines()
    head = json.loads(lines[0].partition(" ")[2])
    assert head["journal"] == 2
    assert "hunter2" not in "".join(lines)
    assert (os.stat(journal).st_mode & 0o077, os.stat(journal / "records").st_mode & 0o077) == (0, 0)


def test_a_journal_that_cannot_be_opened_is_told_and_not_taken_for_one_that_is_gone(
    store_url: str, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with trackers.connect(store_url, offline=True) as store, store.start_run("e") as run:
        run.log_metric("loss", 1.0)

    def refused(path: Any, *args: Any) -> int:
        if str(path).endswith("/records"):
            raise PermissionError(13, "Permission denied")
        return os.open(path, *args)

    class Refusing(RealOs):
        open = staticmethod(refused)

    monkeypatch.setattr("trackers.journal.file.os", Refusing())
    with pytest.raises(StoreError, match=r"cannot be opened to be drained: Permission denied"):
        trackers.sync(store=store_url)
    monkeypatch.undo()
    monkeypatch.setenv("XDG_STATE_HOME", str(state))
    assert [one.written > 0 for one in trackers.sync(store=store_url)] == [True]
