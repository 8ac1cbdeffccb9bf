"""A journal whose own disk is full while the database is there, or that becomes usable while somebody waits; who hears of it."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import trackers
from tests.faults.outage import Outage
from tests.faults.stand_ins import RealOs, ToRun
from trackers.changes import StudyChanged
from trackers.errors import StateError, StoreAwayError, StoreError
from trackers.journal import file as journal_file
from trackers.sql import writer
from trackers.states import RunState
from trackers.store import Store

pytestmark = pytest.mark.usefixtures("state")


def until(condition: Any, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def values_of(store: Store, uid: str) -> list[float]:
    return [point.value for point in store.metric_history(uid, "loss")]


class Disk(RealOs):
    """The ``os`` of the journal, on a disk that takes no entry while it is *full*, and no file where *packed*."""

    def __init__(self) -> None:
        self.full = self.packed = False

    def open(self, *args: Any) -> int:
        if self.packed:
            raise OSError(28, "No space left on device")
        return os.open(*args)

    def write(self, descriptor: int, data: bytes) -> int:
        if self.full and b"PointsLogged" in data:
            raise OSError(28, "No space left on device")
        return os.write(descriptor, data)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    found = Disk()
    monkeypatch.setattr(journal_file, "os", found)
    return found


def test_what_a_full_disk_does_not_take_is_drained_from_memory(store_url: str, disk: Disk) -> None:
    store = trackers.connect(store_url)
    run = store.start_run("night")
    run.log_metric("loss", 0.0, step=0)
    run.flush()
    disk.full = True
    store.writer.spill(StoreAwayError("it is said to be away"))
    for step in range(1, 10):
        run.log_metric("loss", float(step), step=step)
    store.writer.drain()
    assert not store.writer.spilling
    run.end()
    assert values_of(store, run.uid) == [float(step) for step in range(10)]
    closing = threading.Thread(target=store.close, daemon=True)
    closing.start()
    closing.join(20)
    assert not closing.is_alive(), "it never ends"


def test_a_journal_for_which_there_is_no_room_at_all_is_in_memory_until_there_is(
    outage: Outage, disk: Disk, tmp_path: Path
) -> None:
    with trackers.connect(outage.url) as store:
        run = store.start_run("night")
        run.flush()
        disk.packed = True
        outage.away()
        for step in range(20):
            run.log_metric("loss", float(step), step=step)
        until(lambda: store.writer.spilling)
        with pytest.raises(StoreError, match="are in memory only: free some space"):
            run.flush()
        disk.packed = False
        for step in range(20, 30):
            run.log_metric("loss", float(step), step=step)
        run.flush()
        outage.back()
        assert values_of(store, run.uid) == [float(step) for step in range(30)]
        run.end()
    assert not list(tmp_path.rglob("records"))


def test_a_run_of_which_some_was_lost_for_certain_has_failed(
    outage: Outage, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_file, "LARGEST_HELD", 10)
    with trackers.connect(outage.url) as store:
        run = store.start_run("night")
        run.flush()
        disk.packed = True
        outage.away()
        run.log_metric("loss", 0.0, step=0)
        until(lambda: store.writer.spilling)
        for step in range(1, 30):
            run.log_metric("loss", float(step), step=step)
        outage.back()
        store.settle()
        with pytest.raises(StoreError, match="are in memory only"):
            run.end()
        there = store.get_run(run.uid)
        assert there.state is RunState.FAIL
        assert "are in memory only" in str(store.error(run.uid))
        kept = values_of(store, run.uid)
        assert kept == [float(step) for step in range(len(kept))]
        assert 10 <= len(kept) < 30


@pytest.mark.parametrize("what", ["another process", "backup", "archive", "delete"])
def test_what_the_journal_took_since_the_queue_was_long_is_there_when_the_run_has_ended(
    store_url: str, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "SPILL_AT", 100)
    monkeypatch.setattr("trackers.sql.spill.BATCH", 3)
    with trackers.connect(store_url) as store, trackers.connect(store_url) as other:
        run = store.start_run("night")
        for key in range(10):
            run.log_points(f"m{key}", [float(step) for step in range(200)])
        if what != "another process":
            _keep_or_remove(store, what, tmp_path)
        if what == "delete":
            with pytest.raises(StateError, match="was deleted"):
                run.end()
        else:
            run.end()
        view = "deleted" if what == "delete" else "active"
        (there,) = other.search_runs("", view=view)
        assert [one.count for one in other.metrics(there.uid)] == [200] * 10
        assert there.state is (RunState.RUNNING if what == "delete" else RunState.COMPLETE)


def _keep_or_remove(store: Store, what: str, folder: Path) -> None:
    if what == "backup":
        store.backup(folder / "kept")
        trackers.restore(folder / "kept", f"sqlite:///{folder / 'copy.db'}")
        with trackers.connect(f"sqlite:///{folder / 'copy.db'}") as copy:
            (one,) = copy.search_runs("")
            assert sum(each.count for each in copy.metrics(one.uid)) == 2000
    elif what == "archive":
        assert store.archive("night", folder / "kept").rows["metrics"] == 2000
    else:
        store.delete_experiment("night")


def test_a_callback_of_a_commit_that_reads_does_not_wait_for_itself(sqlite_url: str) -> None:
    with trackers.connect(sqlite_url) as store:
        store.start_run("night").end()
        found: list[Any] = []

        def read(_commit: Any) -> None:
            store.writer.spill(StoreAwayError("it is said to be away"))
            found.extend(store.list_experiments())

        store.writer.defer(lambda connection: None).add_done_callback(read)
        until(lambda: found)
        assert [one.name for one in found] == ["night"]
        store.writer.drain()


def test_a_run_waits_for_its_journal_though_the_database_was_away_before(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "SPILL_AT", 100)
    with trackers.connect(sqlite_url) as store, trackers.connect(sqlite_url) as other:
        with pytest.raises(StoreAwayError):
            store.writer.call(_fail_as_away)
        store.start_run("night").end()
        with store.start_run("night") as run:
            for key in range(10):
                run.log_points(f"m{key}", [float(step) for step in range(200)])
        assert [one.count for one in other.metrics(run.uid)] == [200] * 10


def _fail_as_away(connection: Any) -> None:
    raise StoreAwayError("it is said to be away")


def test_what_is_in_the_file_goes_before_what_is_in_memory(store_url: str, disk: Disk) -> None:
    with trackers.connect(store_url) as store:
        run = store.start_run("night")
        run.flush()
        store.writer.spill(StoreAwayError("it is said to be away"))
        for step in range(20):
            disk.full = step >= 10
            run.log_metric("loss", float(step), step=step)
        store.writer.drain()
        disk.full = False
        run.end()
        assert values_of(store, run.uid) == [float(step) for step in range(20)]


def test_what_waits_for_room_goes_to_the_journal_that_came_into_use_meanwhile(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trackers.sql.queue.LARGEST_QUEUE", 10)
    monkeypatch.setattr(writer, "SPILL_AT", 5)
    monkeypatch.setattr("trackers.sql.spill._AGAIN", 0.5)
    there = tmp_path / "journals"
    there.write_text("no folder can be made here")
    monkeypatch.setenv("HPO_JOURNAL", str(there / "inside"))
    with trackers.connect(sqlite_url) as store:
        run = store.start_run("night")
        run.flush()
        gate, away = threading.Event(), threading.Event()
        away.set()
        commit = store.writer._committer.commit

        def slow(group: Any) -> None:
            gate.wait()
            if away.is_set():
                raise StoreAwayError("the server is away")
            commit(group)

        monkeypatch.setattr(store.writer._committer, "commit", slow)
        logging_on = threading.Thread(
            target=lambda: [run.log_metric("loss", float(step), step=step) for step in range(30)]
        )
        logging_on.start()
        until(lambda: store.writer._queue.size >= 10)
        there.unlink()
        until(lambda: not store.writer._spill.unusable)  # type: ignore[union-attr]
        gate.set()
        logging_on.join(20)
        assert not logging_on.is_alive()
        away.clear()
        store.writer.drain()
        run.end()
        assert values_of(store, run.uid) == [float(step) for step in range(30)]


@pytest.fixture
def handlers() -> Iterator[SimpleNamespace]:
    log, added = logging.getLogger("trackers"), []
    yield SimpleNamespace(add=lambda one: (log.addHandler(one), added.append(one)))
    for one in added:
        log.removeHandler(one)


def test_who_logs_warnings_to_a_run_holds_no_lock_up(outage: Outage, handlers: SimpleNamespace) -> None:
    with trackers.connect(outage.url) as store:
        run = store.start_run("night")
        run.flush()
        lease = store.acquire_study(store.create_study("s", directions=["minimize"], metric_names=["v"]).id)
        handler = ToRun(run)
        handlers.add(handler)
        outage.away()
        waiting = lease.submit([StudyChanged(user_attrs={"a": 1})])
        run.log_metric("loss", 1.0, step=0)
        until(lambda: handler.heard)
        outage.back()
        waiting.wait(20)
        until(lambda: not store.writer.spilling)
        run.end()
        lease.release("stopped", "the test is over")
        heard = [point.value for point in store.metric_history(run.uid, "warnings")]
        assert heard == [float(number + 1) for number in range(len(heard))]
        assert heard


def test_a_second_copy_of_a_damaged_journal_is_put_aside_too(tmp_path: Path) -> None:
    names = set()
    for _ in range(3):
        journal = journal_file.Journal.create(tmp_path, {"uid": "a" * 32})
        names.add(journal.put_aside().name)
        journal.close()
    assert names == {"a" * 32 + end for end in (".damaged", "-2.damaged", "-3.damaged")}
