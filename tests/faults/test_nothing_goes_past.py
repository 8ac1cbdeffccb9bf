"""What the database did not take in time, or a Ctrl-C came into: nothing that was numbered later is written before it."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

import trackers
from tests.faults.outage import Outage
from tests.faults.stand_ins import RealOs, ToRun
from trackers.changes import StudyChanged
from trackers.errors import StoreAwayError, StoreError
from trackers.journal import Journal, journal_folder, list_journals
from trackers.journal import file as journal_file
from trackers.sql import writer
from trackers.sql.address import read_address
from trackers.sql.whole import whole

pytestmark = pytest.mark.usefixtures("state")


def test_a_sync_whose_first_group_fails_writes_none_behind_it(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with trackers.connect(sqlite_url, offline=True) as store:
        uids = []
        for number in range(30):
            with store.start_run("off", tags={"number": str(number)}) as run:
                uids.append(run.uid)
    monkeypatch.setattr("trackers.sql.engine.BUSY_SECONDS", 0.2)
    monkeypatch.setattr("trackers.sql.queue.LARGEST_GROUP", 4)
    trackers.connect(sqlite_url).close()
    path = sqlite_url.removeprefix("sqlite:///")
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as holder:
        write = writer.Writer.write

        def locked(self: Any, works: Any) -> None:
            holder.execute("BEGIN IMMEDIATE")
            threading.Timer(0.3, holder.execute, ["ROLLBACK"]).start()  # the first group fails before, others are later
            write(self, works)

        monkeypatch.setattr(writer.Writer, "write", locked)
        with pytest.raises(StoreAwayError, match="locked"):
            trackers.sync(store=sqlite_url)
        monkeypatch.setattr(writer.Writer, "write", write)
        while holder.in_transaction:
            time.sleep(0.01)
    trackers.sync(store=sqlite_url)
    with trackers.connect(sqlite_url) as store:
        assert {run.uid for run in store.search_runs()} == set(uids)


@pytest.fixture
def slow(postgresql_store_url: str) -> Iterator[tuple[str, psycopg.Connection]]:
    """A store whose statements may take a moment, and a connection to hold them up with."""
    trackers.connect(postgresql_store_url).close()
    with psycopg.connect(
        read_address(postgresql_store_url).url.set(drivername="postgresql").render_as_string()
    ) as lock:
        yield f"{postgresql_store_url}%20-cstatement_timeout%3D500", lock


@pytest.mark.parametrize("slow_ones", [1, 5])
def test_what_takes_too_long_is_tried_by_the_next_sync(slow: tuple[str, psycopg.Connection], slow_ones: int) -> None:
    url, lock = slow
    with trackers.connect(url, offline=True) as store, store.start_run("off") as run:
        run.log_metrics({"loss": 1.0}, step=0)
        for number in range(slow_ones):
            run.set_tags({f"precious{number}": "yes"})
            run.flush()
        run.log_metrics({"loss": 2.0}, step=1)
    lock.execute("LOCK TABLE trackers_tags IN SHARE MODE")
    if slow_ones == 1:  # which is told, and holds up nothing else
        (synced,) = trackers.sync(store=url)
        assert ["took longer" in refused for refused in synced.refused] == [True]
    else:  # it is the server's affair
        with pytest.raises(StoreAwayError, match="took longer"):
            trackers.sync(store=url)
    with trackers.connect(url, strict=True) as store:
        assert store.get_run(run.uid).state.name == ("COMPLETE" if slow_ones == 1 else "RUNNING")
    lock.rollback()
    (synced,) = trackers.sync(store=url)
    assert synced.refused == ()
    with trackers.connect(url) as store:
        found = store.get_run(run.uid)
        assert [found.tags[f"precious{number}"] for number in range(slow_ones)] == ["yes"] * slow_ones
        assert found.state.name == "COMPLETE"
        assert len(store.metric_history(run.uid, "loss")) == 2


def test_what_a_manager_did_later_waits_behind_what_takes_too_long(
    slow: tuple[str, psycopg.Connection], caplog: pytest.LogCaptureFixture
) -> None:
    url, lock = slow
    with trackers.connect(url) as store:
        study = store.create_study("night", directions=["maximize"], metric_names=["value"])
        lease = store.acquire_study(study.id)
        lock.execute("LOCK TABLE trackers_study_attrs IN SHARE MODE")
        gate = threading.Event()
        store.writer.defer(lambda connection: gate.wait(10))  # so that what comes is one group
        first = lease.submit([StudyChanged(user_attrs={"mood": "good"})])
        commits = [
            first,
            lease.submit([StudyChanged(total_trials=77)]),
            lease.submit([StudyChanged(user_attrs={"a": 1})]),
        ]
        aside = store.writer.defer(lambda connection: 5)  # not of the manager's: it goes on
        gate.set()
        assert aside.result(20) == 5
        assert [commit.done() for commit in commits] == [False] * 3
        assert "the store is back" not in caplog.text
        lock.rollback()
        for commit in commits:
            commit.wait(30)
        found = store.get_study("night")
        assert (found.total_trials, found.user_attrs) == (77, {"mood": "good", "a": 1})
        lease.release("stopped", "the test is over")


def test_ctrl_c_while_the_queue_goes_over_to_the_journal_loses_nothing(
    outage: Outage, ctrl_c: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "SPILL_AT", 20)
    append, pressed = Journal.append, []

    def interrupted(self: Journal, entries: Any) -> None:
        if len(entries) > 1 and not pressed:
            pressed.append(True)
            ctrl_c()
            time.sleep(0.05)  # steps enough for a handler to come between
        append(self, entries)

    with trackers.connect(outage.url) as store:
        run = store.start_run("night")
        run.flush()
        gate = threading.Event()
        store.writer.defer(lambda connection: gate.wait(20))
        monkeypatch.setattr(Journal, "append", interrupted)
        try:
            for logged in range(1, 200):
                run.log_metric("loss", float(logged), step=logged)
        except KeyboardInterrupt:
            pass
        assert logged < 199, "nothing was interrupted"
        gate.set()
        run.flush()
        run.end()
        store.writer.drain()
        steps = [point.step for point in store.metric_history(run.uid, "loss")]
        assert steps[: logged - 1] == list(range(1, logged)), "what was acknowledged"
        assert len(set(steps)) == len(steps)


def test_ctrl_c_after_a_write_to_the_journal_leaves_its_lines_there_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupted(RealOs):
        def write(self, descriptor: int, data: bytes) -> int:
            os.write(descriptor, data)
            raise KeyboardInterrupt

    journal = Journal.create(tmp_path, {"uid": "a" * 32})
    line = b'{"seq":%d,"before":0,"kind":"tags","run":"r","content":{}}'
    journal.append([line % 1])
    with monkeypatch.context() as patch:
        patch.setattr(journal_file, "os", Interrupted())
        with pytest.raises(KeyboardInterrupt):
            journal.append([line % 2])
    journal.append([line % 3])
    kept = (journal.folder / "records").read_bytes().splitlines()[1:]
    assert [one[9:] for one in kept] == [line % 1, line % 2, line % 3]
    assert journal.size == (journal.folder / "records").stat().st_size
    journal.close()


@pytest.mark.parametrize("what", ["open", "write"])
def test_a_journal_that_could_not_be_made_is_made_once_there_is_room(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(RealOs):
        def open(self, *args: Any) -> int:
            if what == "open":
                raise OSError(24, "Too many open files")
            return os.open(*args)

        def write(self, descriptor: int, data: bytes) -> int:
            return os.write(descriptor, data[:5])  # which is all the room there is

    with monkeypatch.context() as patch:
        patch.setattr(journal_file, "os", Full())
        with pytest.raises(StoreError, match="cannot be made"):
            Journal.create(tmp_path, {"uid": "a" * 32}).make()
    assert list(tmp_path.iterdir()) == []
    Journal.create(tmp_path, {"uid": "a" * 32}).close()
    with pytest.raises(StoreError, match="File exists"):
        Journal.create(tmp_path, {"uid": "a" * 32})
    Journal.open(tmp_path / ("a" * 32)).close()


def test_a_store_writes_once_there_may_be_threads_again(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with trackers.connect(sqlite_url) as store:
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", none_left)
            with pytest.raises(StoreError, match="can't start new thread"):
                store.start_run("night")
        run = store.start_run("night")
        run.end()
        assert store.get_run(run.uid).state.name == "COMPLETE"


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # of Python 3.12: it is forked with threads
def test_a_flush_in_a_forked_child_says_so(sqlite_url: str) -> None:
    with trackers.connect(sqlite_url) as store:
        run, gate = store.start_run("night"), threading.Event()
        store.writer.defer(lambda connection: gate.wait(20))
        run.log_metric("loss", 1.0)
        pid = os.fork()
        if pid == 0:
            signal.alarm(10)  # rather than wait for ever
            said = []
            for ask in (run.flush, store.writer.drain, lambda: store.writer.spill(StoreAwayError("away"))):
                try:
                    ask()
                except StoreError as exc:
                    said.append("does not survive a fork" in str(exc))
            os._exit(0 if said == [True] * 3 else 1)
        _, status = os.waitpid(pid, 0)
        gate.set()
        assert os.waitstatus_to_exitcode(status) == 0
        run.end()


def test_what_is_done_on_a_connection_of_its_own_is_watched(server_store_url: str) -> None:
    with trackers.connect(server_store_url) as store:
        watched: list[int] = []
        over = store.database.watch.over
        store.database.watch.over = lambda raw: (watched.append(id(raw)), over(raw))[1]  # type: ignore[method-assign]
        with store.database.writing() as connection:
            assert connection.execute(sa.text("SELECT 1")).scalar_one() == 1
        with store.database.reading() as connection:
            assert connection.execute(sa.text("SELECT 1")).scalar_one() == 1
        assert len(watched) >= 2


def test_a_sync_that_began_before_an_earlier_commit_landed_writes_nothing_twice(
    store_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with trackers.connect(store_url) as store, trackers.connect(store_url, offline=True) as off:
        with off.start_run("off") as run:
            for step in range(10):
                run.log_metric("loss", float(step), step=step)
        off.close()
        (folder,) = list_journals(journal_folder(store.database.address.path, store.database.address.safe))
        shutil.copytree(folder, tmp_path / folder.name)
        (first,) = trackers.sync(store=store_url)
        with monkeypatch.context() as patch:
            patch.setattr("trackers.drain.read_position", lambda connection, uid: 0)  # it lands after that was read
            (second,) = trackers.sync(tmp_path, store=store_url)
        assert (second.written, second.known, second.refused) == (0, first.written, ())
        assert [point.step for point in store.metric_history(run.uid, "loss")] == list(range(10))


def test_what_a_manager_did_and_a_late_commit_wrote_has_not_failed(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trackers.sql.waiting.FIRST_WAIT", 0.05)
    with trackers.connect(store_url) as store:
        lease = store.acquire_study(store.create_study("s", directions=["minimize"], metric_names=["v"]).id)
        commit, late = store.writer._committer.commit, []

        def lands_late(group: Any) -> None:
            if any(work.deadline for work in group) and len(late) < 2:
                late.append(group)
                if len(late) == 1:
                    raise StoreAwayError("its answer was lost")
                commit(late[0])  # after the store was asked whether it is there
            commit(group)

        monkeypatch.setattr(store.writer._committer, "commit", lands_late)
        gate = threading.Event()
        store.writer.defer(lambda connection: gate.wait(20))
        commits = [lease.submit([StudyChanged(user_attrs={f"k{number}": number})]) for number in range(4)]
        gate.set()
        for one in commits:
            one.wait(30)
        assert len(late) == 2
        assert store.get_study("s").user_attrs == {f"k{number}": number for number in range(4)}
        lease.release("stopped", "the test is over")


def test_ctrl_c_while_a_store_closes_leaves_what_is_queued_in_the_journal(
    sqlite_url: str, ctrl_c: Callable[[], None]
) -> None:
    store = trackers.connect(sqlite_url)
    run, gate = store.start_run("night"), threading.Event()
    run.flush()
    store.writer.defer(lambda connection: gate.wait(20))
    for step in range(50):
        run.log_metric("loss", float(step), step=step)
    pressed = threading.Timer(0.5, ctrl_c)
    pressed.start()
    with pytest.raises(KeyboardInterrupt):
        store.close()
    pressed.join()
    assert store.writer.spilling
    gate.set()
    thread = store.writer._thread
    assert thread is not None
    while store.writer._dead is None:
        time.sleep(0.01)
    store.writer.close()
    trackers.sync(store=sqlite_url)
    with trackers.connect(sqlite_url) as other:
        assert [point.step for point in other.metric_history(run.uid, "loss")] == list(range(50))


def test_a_handler_of_log_records_may_wait_for_what_it_logs(outage: Outage) -> None:
    with trackers.connect(outage.url) as store:
        run = store.start_run("night")
        run.flush()
        handler = ToRun(run, waits=True)
        logging.getLogger("trackers").addHandler(handler)
        try:
            outage.away()
            run.log_metric("loss", 1.0)
            run.flush()
            outage.back()
            while store.writer.spilling:
                time.sleep(0.05)
        finally:
            logging.getLogger("trackers").removeHandler(handler)
        assert handler.heard
        run.end()
        assert store.get_run(run.uid).state.name == "COMPLETE"


def test_a_journal_that_cannot_be_cut_off_is_not_written_twice(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(RealOs):
        def ftruncate(self, descriptor: int, size: int) -> None:
            raise OSError(28, "No space left on device")

    with trackers.connect(sqlite_url) as store:
        run = store.start_run("night")
        run.flush()
        store.writer.spill(StoreAwayError("it is said to be away"))
        for step in range(5):
            run.log_metric("loss", float(step), step=step)
        run.flush()
        monkeypatch.setattr(journal_file, "os", Full())
        store.writer.drain()
        run.end()
    monkeypatch.undo()
    (synced,) = trackers.sync(store=sqlite_url)
    assert synced.written == 0
    with trackers.connect(sqlite_url) as other:
        assert [point.step for point in other.metric_history(run.uid, "loss")] == list(range(5))


def test_who_presses_ctrl_c_twice_while_something_must_be_whole_waits_for_it(ctrl_c: Callable[[], None]) -> None:
    heard: list[int] = []
    done: list[int] = []

    def interrupted(number: int, frame: Any) -> None:
        heard.append(number)
        raise KeyboardInterrupt

    def action() -> None:
        for presses in (1, 2):
            ctrl_c()
            while len(heard) < presses:
                time.sleep(0.01)
        done.append(len(heard))

    signal.signal(signal.SIGINT, interrupted)
    with pytest.raises(KeyboardInterrupt):
        whole(action)
    assert done == [2]


def test_a_store_whose_close_was_interrupted_lets_go_of_its_journal(
    sqlite_url: str, ctrl_c: Callable[[], None]
) -> None:
    store = trackers.connect(sqlite_url)
    run, gate = store.start_run("night"), threading.Event()
    run.flush()
    store.writer.defer(lambda connection: gate.wait(20))
    run.log_metric("loss", 1.0, step=1)
    threading.Timer(0.3, ctrl_c).start()
    with pytest.raises(KeyboardInterrupt):
        store.close()
    gate.set()
    while (synced := trackers.sync(store=sqlite_url)) and synced[0].busy:
        time.sleep(0.05)  # in a notebook this process lives on, and its writer ends when it can
    with trackers.connect(sqlite_url) as other:
        assert [point.step for point in other.metric_history(run.uid, "loss")] == [1]


def test_what_a_user_may_not_write_holds_up_no_other_journal(postgresql_store_url: str) -> None:
    role = f"hpo_denied_{os.getpid()}"
    url = read_address(postgresql_store_url).url
    schema = str(url.query["options"]).partition("=")[2]
    with trackers.connect(postgresql_store_url, strict=True) as store, store.database.writing() as connection:
        connection.execute(sa.text(f"CREATE ROLE {role} LOGIN"))
        for what in ("SCHEMA", "ALL TABLES IN SCHEMA", "ALL SEQUENCES IN SCHEMA"):
            connection.execute(sa.text(f"GRANT ALL ON {what} {schema} TO {role}"))
        connection.execute(sa.text(f"REVOKE INSERT ON trackers_tags FROM {role}"))
    theirs = url.set(username=role).render_as_string(hide_password=False)
    try:
        uids = []
        for journal in range(2):
            with trackers.connect(theirs, offline=True) as store, store.start_run(f"run{journal}") as run:
                uids.append(run.uid)
                for tag in range(4):
                    run.set_tags({f"tag{tag}": "x"})
                    run.log_metric("loss", float(tag), step=tag)
        for _ in range(2):  # the next one tries what was refused again, one after the other
            assert sum(len(synced.refused) for synced in trackers.sync(store=theirs)) == 8
        with trackers.connect(postgresql_store_url) as store:
            assert [store.get_run(uid).state.name for uid in uids] == ["COMPLETE"] * 2
            assert [len(store.metric_history(uid, "loss")) for uid in uids] == [4, 4]
        assert [synced.refused for synced in trackers.sync(store=postgresql_store_url)] == [(), ()]
        with trackers.connect(postgresql_store_url) as store:
            assert [sorted(store.get_run(uid).tags) for uid in uids] == [[f"tag{tag}" for tag in range(4)]] * 2
    finally:
        with trackers.connect(postgresql_store_url, strict=True) as store, store.database.writing() as connection:
            connection.execute(sa.text(f"DROP OWNED BY {role}"))
            connection.execute(sa.text(f"DROP ROLE {role}"))
