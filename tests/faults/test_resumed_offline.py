"""A run goes on after a crash while the store is away: no point comes twice, and it is one run when all is synced."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

import trackers
from tests.processes import start
from trackers.errors import InvalidValueError, NotFoundError, StateError, StoreAwayError, StoreError
from trackers.journal import list_journals
from trackers.states import RunState
from trackers.store import Store

VICTIM = """
import sys, trackers
store = trackers.connect(sys.argv[1], offline=True)
run = store.start_run("e", name="victim", params={"lr": 0.1}, tags={"t": "1"})
for step in range(200):
    run.log_metric("loss", 100.0 - step, step=step)
run.log_metric("other", 1.0, context={"split": "val"})
run.log_table({"x": [1, 2]}, "preds")
run.flush()
print(run.uid, flush=True)
sys.stdin.read()
"""
AGAIN = """
import sys, trackers
run = trackers.connect(sys.argv[1], offline=True).resume_run(sys.argv[2])
for step in range(100, 120):
    run.log_metric("loss", 0.0, step=step)
run.log_metric("other", 2.0, context={"split": "val"})
run.flush()
print(run.uid, flush=True)
sys.stdin.read()
"""


pytestmark = pytest.mark.usefixtures("state")


@pytest.fixture
def offline(store_url: str) -> Iterator[Store]:
    with trackers.connect(store_url, offline=True) as store:
        yield store


def killed(url: str, code: str = VICTIM, *args: str) -> str:
    """Run *code* until it has told its run's uid, and kill it; return that."""
    with start(code, url, *args) as victim:
        uid = victim.line()
        victim.kill()
    return uid


@pytest.mark.parametrize("synced", [False, True], ids=["synced at the end", "synced in between"])
def test_a_killed_run_goes_on_without_the_store(store_url: str, synced: bool) -> None:
    uid = killed(store_url)
    assert killed(store_url, AGAIN, uid[:12]) == uid
    with trackers.connect(store_url, offline=True) as offline:
        run = offline.resume_run(uid)
        assert run.uid == uid
        run.log_params({"lr": 0.1, "more": 2})
        with pytest.raises(InvalidValueError, match="lr"):
            run.log_param("lr", 0.2)
        if synced:  # what was logged before it comes into the store while it goes on
            done = trackers.sync(store=store_url)
            assert [bool(one.busy) for one in done] == [False, False, True]
            assert not any(one.refused for one in done)
        run.log_metric("loss", -1.0)
        run.log_metric("other", 3.0, context={"split": "val"})
        run.log_table({"x": [3]}, "preds")
        with pytest.raises(InvalidValueError, match="both a file and a folder"):
            run.log_text("", "tables/preds")
        run.end()
    assert not any(one.refused or one.missing for one in trackers.sync(store=store_url))
    assert trackers.sync(store=store_url) == []
    with trackers.connect(store_url) as store:
        there = store.get_run(uid)
        assert (there.name, there.state, there.experiment) == ("victim", RunState.COMPLETE, "e")
        assert dict(there.params) == {"lr": 0.1, "more": 2}
        history = store.metric_history(uid, "loss")
        assert [point.step for point in history] == list(range(121)), "it counts on from what the last attempt logged"
        assert [point.attempt for point in history] == [0] * 100 + [1] * 20 + [2]
        other = store.metric_history(uid, "other", {"split": "val"})
        assert [(point.step, point.attempt, point.value) for point in other] == [(0, 0, 1.0), (1, 1, 2.0), (2, 2, 3.0)]
        assert [(one.number, one.outcome) for one in store.attempts(uid)] == [(0, "lost"), (1, "lost"), (2, "complete")]
        assert store.attempts(uid)[2].pid == os.getpid()
        assert store.load_table("preds", uid).columns == {"x": [1, 2, 3]}


def test_a_run_goes_on_twice_and_each_has_an_attempt_of_its_own(store_url: str, tmp_path: Path) -> None:
    uid = killed(store_url)
    (first,) = list_journals_of(store_url)
    killed(store_url, AGAIN, uid)
    second = next(one for one in list_journals_of(store_url) if one != first)
    shutil.move(second, tmp_path / "elsewhere")  # another machine has only the first one
    killed(store_url, AGAIN, uid)
    shutil.move(tmp_path / "elsewhere", second)
    assert not any(one.refused for one in trackers.sync(store=store_url))
    with trackers.connect(store_url) as store:
        history = store.metric_history(uid, "loss")
        assert [point.step for point in history] == list(range(120)), "no step is there twice"
        assert {point.attempt for point in history} == {0, 2}
        assert len(store.attempts(uid)) == 3


def test_a_journal_that_was_copied_brings_its_attempt_once(store_url: str, tmp_path: Path) -> None:
    uid = killed(store_url)
    killed(store_url, AGAIN, uid)
    for journal in list_journals_of(store_url):
        shutil.copytree(journal, tmp_path / "copy" / journal.name)
    assert not any(one.refused for one in trackers.sync(store=store_url))
    assert all(one.written == 0 for one in trackers.sync(tmp_path / "copy", store=store_url))
    with trackers.connect(store_url) as store:
        assert len(store.attempts(uid)) == 2


def test_what_goes_on_comes_behind_what_it_goes_on_with(store_url: str, tmp_path: Path) -> None:
    uid = killed(store_url)
    (first,) = list_journals_of(store_url)
    killed(store_url, AGAIN, uid)
    shutil.move(first, tmp_path / "first")
    (refused,) = trackers.sync(store=store_url)
    assert refused.written == 0
    assert all(uid in why for why in refused.refused)
    (again,) = trackers.sync(store=store_url)
    assert (again.refused, again.missing, again.journal.suffix) == (refused.refused, (), ""), "it waits on"
    shutil.move(tmp_path / "first", first)
    done = trackers.sync(store=store_url)
    assert not any(one.refused or one.missing for one in done), "it is tried again"
    assert list_journals_of(store_url) == []
    assert not list(first.parent.glob("*")), "none was put aside"
    with trackers.connect(store_url) as store:
        assert [point.step for point in store.metric_history(uid, "loss")] == list(range(120))


def test_what_ended_in_the_store_meanwhile_takes_nothing_more(store_url: str, tmp_path: Path) -> None:
    uid = killed(store_url)
    killed(store_url, AGAIN, uid)
    first, second = list_journals_of(store_url)
    trackers.sync(first, store=store_url)
    with trackers.connect(store_url) as store:
        elsewhere = shutil.move(second, tmp_path / "another machine")
        store.resume_run(uid).end()
        shutil.move(elsewhere, second)
        (done,) = trackers.sync(second, store=store)
        assert done.written == 0
        assert "has ended" in done.refused[0]
        assert all("it was resumed was refused" in why for why in done.refused[1:])
        assert {point.attempt for point in store.metric_history(uid, "loss")} == {0}


def test_which_run_goes_on_is_told_where_it_cannot(store_url: str, offline: Store) -> None:
    with pytest.raises(NotFoundError, match="connect when that is back, not offline"):
        offline.resume_run("0" * 32)
    uid = killed(store_url)
    with pytest.raises(NotFoundError, match=rf"there are {uid[:16]} \(e, victim\) that did not end"):
        offline.resume_run("0" * 32)
    for odd in (7, "e/1", "abc", ""):
        with pytest.raises(InvalidValueError, match="first 16 digits"):
            offline.resume_run(odd)
    with start(AGAIN, store_url, uid) as living:
        living.line()
        with pytest.raises(StateError, match=rf"process {living.pid} on .* still logs to it"):
            offline.resume_run(uid)
        living.kill()
    with offline.resume_run(uid):
        pass
    with pytest.raises(StateError, match=r"has ended \(COMPLETE\)"):
        offline.resume_run(uid)


def test_a_run_of_which_the_store_has_a_part_does_not_go_on_offline(store_url: str) -> None:
    """Its journal says less of it than the store: what is logged then would hide what is there."""
    with trackers.connect(store_url) as store:
        other = store.start_run("other", params={"lr": 1})
        other.flush()
        store.writer.spill(StoreAwayError("it is said to be away"))
        run = store.start_run("e")
        for step in range(3):
            run.log_metric("loss", 1.0, step=step)
        other._params.clear()  # as if another process had logged it: the entry is refused, and the journal kept
        other.log_params({"lr": 2})
        store.writer.drain()
        run.log_metric("loss", 2.0, step=7)
        run.flush()
    with trackers.connect(store_url, offline=True) as offline, pytest.raises(NotFoundError, match="trackers sync"):
        offline.resume_run(run.uid)


def test_while_the_store_is_away_nothing_is_resumed(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    uid = killed(sqlite_url)
    monkeypatch.setattr("trackers.sql.engine.BUSY_SECONDS", 0.2)
    with trackers.connect(sqlite_url) as store, closing(sqlite3.connect(sqlite_url[10:])) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        store.writer.spill(StoreAwayError("it is said to be away"))
        with pytest.raises((StoreError, NotFoundError)):
            store.resume_run(uid)


def test_who_ends_without_a_close_ends_in_silence(sqlite_url: str) -> None:
    code = "import sys, trackers; run = trackers.connect(sys.argv[1], offline=True).start_run('e'); run.end()"
    ran = subprocess.run(
        [sys.executable, "-c", code, sqlite_url], capture_output=True, text=True, check=True, timeout=60
    )
    assert (ran.stdout, ran.stderr) == ("", "")
    assert [one.written > 0 for one in trackers.sync(store=sqlite_url)] == [True]


def list_journals_of(url: str) -> list[Path]:
    from trackers.journal import journal_folder
    from trackers.sql.address import read_address

    address = read_address(url)
    return list_journals(journal_folder(address.path, address.safe))
