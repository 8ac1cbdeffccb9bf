"""A run goes on of which something waits in a journal, or that two want to go on with: nothing is hidden, nothing is lost."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import Connection

import trackers
from tests.faults.test_resumed_offline import AGAIN, killed, list_journals_of
from tests.processes import start
from trackers.errors import InvalidValueError, NotFoundError, StateError, StoreAwayError, StoreBusyError, StoreError
from trackers.journal.file import seal, unseal
from trackers.sql.journals import read_position
from trackers.store import Store

pytestmark = pytest.mark.usefixtures("state")

HALF = """
import os, sys, trackers
from trackers.errors import StoreAwayError
store = trackers.connect(sys.argv[1])
run = store.start_run("e")
for step in range(5):
    run.log_metric("loss", 1.0, step=step)
run.flush()
store.writer._may_drain = lambda: False  # it stays away as long as this process lives
store.writer.spill(StoreAwayError("it is said to be away"))
for step in range(5, 10):
    run.log_metric("loss", 2.0, step=step)
run.flush()
print(run.uid, flush=True)
sys.stdin.read()
"""
RACER = """
import sys, trackers
from trackers.errors import StateError
store = trackers.connect(sys.argv[1], offline=True)
store.waiting_launch()
print("ready", flush=True)
sys.stdin.readline()
mine = []
for uid in sys.argv[2:]:
    try:
        mine.append(store.resume_run(uid))
    except StateError:
        pass
print(*[run.uid for run in mine], flush=True)
sys.stdin.readline()
for run in mine:
    run.log_metric("loss", 5.0)
    run.end()
store.close()
"""


def test_what_waits_in_a_journal_comes_into_the_store_before_its_run_goes_on(store: Store, store_url: str) -> None:
    uid = killed(store_url, HALF)
    run = store.resume_run(uid[:16])
    run.log_metric("loss", 3.0)
    run.end()
    history = store.metric_history(uid, "loss")
    assert [(point.step, point.attempt) for point in history] == [*((step, 0) for step in range(10)), (10, 1)]
    assert list_journals_of(store_url) == []


def test_a_run_that_only_a_journal_knows_goes_on_where_the_store_is_back(store: Store, store_url: str) -> None:
    uid = killed(store_url)
    with store.resume_run(uid) as run:
        run.log_metric("loss", 0.0)
    assert [point.step for point in store.metric_history(uid, "loss")] == list(range(201))
    with pytest.raises(NotFoundError):
        store.resume_run("0" * 32)


def test_a_run_whose_journal_is_held_does_not_go_on(store: Store, store_url: str) -> None:
    with start(HALF, store_url) as living:
        uid = living.line()
        with pytest.raises(StateError, match="the process that writes it will drain it"):
            store.resume_run(uid)
        living.kill()
    store.resume_run(uid).end()
    assert len(store.metric_history(uid, "loss")) == 10


def test_a_forked_child_does_not_hold_the_journal_of_its_parent(store_url: str) -> None:
    child = "if not os.fork():\n    print('child', flush=True)\n    sys.stdin.read()\n"
    forking = f"import os\n{AGAIN}".replace("print(run.uid", f"{child}print(run.uid")
    uid = killed(store_url)
    with start(forking, store_url, uid) as parent:
        assert {parent.line(), parent.line()} == {"child", uid}
        parent.kill()  # its child, which holds the other end of what it reads, lives on
        assert not any(one.busy or one.refused for one in trackers.sync(store=store_url))


def test_what_was_refused_at_the_end_of_a_journal_is_not_missing_later(store: Store, store_url: str) -> None:
    parent = store.start_run("e")
    parent.end()
    store.delete_run(parent)
    with trackers.connect(store_url, offline=True) as offline:
        offline.start_run("x").end()
        with offline.start_run("x", parent=parent.uid) as child:
            child.log_metric("m", 1.0)
    for _ in range(2):
        (done,) = trackers.sync(store=store)
        assert (len(done.refused), done.missing, done.damaged) == (3, (), 0)
    assert f"{parent.uid} was deleted" in done.refused[0]
    store.restore_run(parent.uid)
    (done,) = trackers.sync(store=store)
    assert (done.written, done.refused, done.missing) == (3, (), ())
    assert (len(store.search_runs()), trackers.sync(store=store)) == (3, [])


def test_attempts_follow_each_other_whatever_their_journals_are_called(store_url: str) -> None:
    """A clock that goes back names a later journal before the first."""
    uid = killed(store_url)
    killed(store_url, AGAIN, uid)
    with trackers.connect(store_url, offline=True) as offline, offline.resume_run(uid) as run:
        run.log_metric("loss", -1.0)
    for place, journal in enumerate(reversed(list_journals_of(store_url))):
        journal.rename(journal.with_name(f"{place:032x}"))
    done = trackers.sync(store=store_url)
    assert not any(one.refused or one.missing for one in done)
    with trackers.connect(store_url) as store:
        history = store.metric_history(uid, "loss")
        assert [point.step for point in history] == list(range(121))
        assert {point.attempt for point in history} == {0, 1, 2}
        assert [(one.number, one.outcome) for one in store.attempts(uid)] == [(0, "lost"), (1, "lost"), (2, "complete")]


def test_attempts_whose_journals_come_in_another_order_are_there_before_the_next(store: Store, store_url: str) -> None:
    uid = killed(store_url)
    killed(store_url, AGAIN, uid)
    for place, journal in enumerate(reversed(list_journals_of(store_url))):
        journal.rename(journal.with_name(f"{place:032x}"))
    with store.resume_run(uid) as run:
        run.log_metric("loss", -1.0)
    history = store.metric_history(uid, "loss")
    assert [(point.step, point.attempt) for point in history][99:] == [
        (99, 0),
        *((step, 1) for step in range(100, 120)),
        (120, 2),
    ]


def test_points_that_were_refused_while_the_run_was_deleted_are_there_before_it_goes_on(
    store: Store, store_url: str
) -> None:
    uid = killed(store_url, HALF)
    store.delete_run(uid)
    (refused,) = trackers.sync(store=store)
    assert len(refused.refused) == 5
    store.restore_run(uid)
    with store.resume_run(uid) as run:
        run.log_metric("loss", 3.0)
    assert [point.step for point in store.metric_history(uid, "loss")] == list(range(11))


def test_a_run_of_which_the_store_refuses_something_says_so_before_it_goes_on(
    store: Store, store_url: str, tmp_path: Path
) -> None:
    uid = killed(store_url)
    (journal,) = list_journals_of(store_url)
    shutil.rmtree(journal / "files")
    with pytest.raises(StateError, match=rf"run {uid} cannot go on .*its file .*move {journal} away"):
        store.resume_run(uid)
    assert store.attempts(uid)[-1].number == 0
    shutil.move(journal, tmp_path / "elsewhere")
    store.resume_run(uid).end()
    assert len(store.metric_history(uid, "loss")) == 200


def test_how_far_a_journal_is_is_asked_once(store: Store, store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    uid = killed(store_url, HALF)
    asked: list[str] = []

    def ask(connection: Connection, uid: str) -> int:
        asked.append(uid)
        return read_position(connection, uid)

    monkeypatch.setattr("trackers.resuming.read_position", ask)
    store.resume_run(uid).end()
    assert len(asked) == 1


def test_a_journal_that_was_put_aside_keeps_what_is_said_of_it(store: Store, store_url: str) -> None:
    run = store.start_run("e")
    run.end()
    store.delete_run(run)
    killed(store_url)
    with trackers.connect(store_url, offline=True) as offline:
        for step in range(3):
            with offline.start_run("e", parent=run.uid) as child:
                child.log_metric("m", 1.0, step=step)
    _, broken = list_journals_of(store_url)
    lines = (broken / "records").read_bytes().splitlines(keepends=True)
    (broken / "records").write_bytes(b"".join([*lines[:3], *lines[4:]]))
    whole, found = trackers.sync(store=store)
    assert whole.written > 200
    assert (len(found.refused), found.missing, found.journal.suffix) == (8, ("entry 3",), ".damaged")


def test_a_callback_of_a_commit_resumes_nothing(store: Store) -> None:
    run = store.start_run("e")
    run.flush()
    told: list[BaseException] = []

    def resume(_commit: object) -> None:
        try:
            store.resume_run(run.uid)
        except StoreError as exc:
            told.append(exc)

    gate = threading.Event()
    commit = store.writer.defer(lambda connection: gate.wait(20))
    commit.add_done_callback(resume)
    gate.set()
    store.writer.flush()
    assert "may submit, but not wait" in str(told[0])
    run.end()


def test_one_of_two_processes_goes_on_with_a_run(sqlite_url: str) -> None:
    code = "import sys, trackers\ns = trackers.connect(sys.argv[1], offline=True)\n"
    code += "runs = [s.start_run('e') for _ in range(40)]\n[r.flush() for r in runs]\n"
    code += "print(*[r.uid for r in runs], flush=True)\nsys.stdin.read()"
    uids = killed(sqlite_url, code).split()
    with start(RACER, sqlite_url, *uids) as one, start(RACER, sqlite_url, *uids) as other:
        racers = (one, other)
        for racer in racers:
            racer.line()
        for racer in racers:
            racer.stdin.write("go\n")
            racer.stdin.flush()
        won = [racer.line().split() for racer in racers]
        for racer in racers:
            racer.stdin.write("end\n")
            racer.stdin.flush()
        for racer in racers:
            assert racer.wait(60) == 0
    assert sorted(won[0] + won[1]) == sorted(uids), "each by one of them"
    assert not any(one.refused for one in trackers.sync(store=sqlite_url))


@pytest.mark.parametrize("offline", [False, True], ids=["online", "offline"])
def test_another_store_of_the_same_address_takes_the_run_over(store_url: str, offline: bool) -> None:
    with trackers.connect(store_url, offline=offline) as first, trackers.connect(store_url, offline=offline) as second:
        older = first.start_run("e")
        older.log_metric("m", 1.0)
        newer = second.resume_run(older.uid)
        newer.log_metric("m", 2.0)
        with pytest.raises(StateError, match="was resumed"):
            older.log_metric("m", 3.0)
        newer.end()
    assert not any(one.refused for one in trackers.sync(store=store_url))
    with trackers.connect(store_url) as store:
        assert [point.value for point in store.metric_history(older.uid, "m")] == [1.0, 2.0]


def test_a_store_whose_address_is_written_otherwise_is_the_same(sqlite_url: str, tmp_path: Path) -> None:
    file = Path(sqlite_url[10:])
    with trackers.connect(sqlite_url) as first:
        (tmp_path / "link").symlink_to(file.parent)
        with trackers.connect(f"sqlite:///{tmp_path}/link/{file.name}") as second:
            older = first.start_run("e")
            older.log_metric("m", 1.0)
            newer = second.resume_run(older.uid[:16].upper())  # which the database may not have yet
            with pytest.raises(StateError, match="was resumed"):
                older.log_metric("m", 3.0)
            newer.end()


@pytest.mark.parametrize("offline", [False, True], ids=["online", "offline"])
def test_a_handle_whose_successor_nobody_got_goes_on_as_that(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch, offline: bool
) -> None:
    with trackers.connect(sqlite_url, offline=offline) as store:
        with store.start_run("e") as older:
            older.log_metric("m", 1.0)
            with monkeypatch.context() as patched:
                patched.setattr("trackers.resuming.ActiveRun.known", lambda *_: signal.raise_signal(signal.SIGINT))
                with pytest.raises(KeyboardInterrupt):
                    store.resume_run(older.uid)
            older.log_metric("m", 2.0)
        assert older.ended
    assert not any(one.refused for one in trackers.sync(store=sqlite_url))
    with trackers.connect(sqlite_url) as store:
        assert [(point.value, point.attempt) for point in store.metric_history(older.uid, "m")] == [(1.0, 0), (2.0, 1)]
        assert [attempt.outcome for attempt in store.attempts(older.uid)] == ["lost", "complete"]
        assert store.get_run(older.uid).state.name == "COMPLETE"


HOLDER = """
import os, sys, trackers
from pathlib import Path
from trackers.journal import alone_in
with alone_in(Path(sys.argv[1])):
    print("held", flush=True)
    if not os.fork():
        print("child", flush=True)
        sys.stdin.read()
        os._exit(0)
    print("forked", flush=True)
    sys.stdin.readline()
print("left", flush=True)
sys.stdin.read()
"""


def test_who_takes_too_long_to_go_on_is_told_and_a_fork_holds_nothing(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    uid = killed(sqlite_url)
    (journal,) = list_journals_of(sqlite_url)
    with (
        start(HOLDER, str(journal.parent)) as holder,
        trackers.connect(sqlite_url, offline=True) as store,
    ):
        assert {holder.line(), holder.line(), holder.line()} == {"held", "child", "forked"}
        with monkeypatch.context() as patched:
            patched.setattr("trackers.journal.resumable.PATIENCE", 0.2)
            with pytest.raises(StoreBusyError, match="try again"):
                store.resume_run(uid)
        holder.kill()  # its child lives on
        store.resume_run(uid).end()


FORKED = """
import os, sys, trackers
from trackers import resuming
from trackers.sql import ids
with ids._uid_lock, resuming._resuming:  # as another thread has them
    child = os.fork()
    if not child:
        with trackers.connect(sys.argv[1]) as store:
            with store.start_run("child") as run:
                run.log_metric("m", 1.0)
            store.resume_run(store.start_run("again").uid).end()
        os._exit(0)
    print(os.waitpid(child, 0)[1], flush=True)
"""


def test_a_child_that_is_forked_while_a_lock_is_held_has_its_own(sqlite_url: str) -> None:
    with start(FORKED, sqlite_url) as parent:
        assert parent.line() == "0"
    with trackers.connect(sqlite_url) as store:
        assert [run.state.name for run in store.search_runs()] == ["COMPLETE", "COMPLETE"]


def test_a_handle_that_began_while_the_store_was_away_is_taken_over_as_well(store: Store) -> None:
    store.writer.spill(StoreAwayError("it is said to be away"))
    older = store.start_run("e")
    older.log_metric("m", 1.0)
    assert older.known_id is None
    newer = store.resume_run(older.uid)
    with pytest.raises(StateError, match="was resumed"):
        older.log_metric("m", 2.0)
    newer.end()


def test_of_two_threads_that_go_on_with_a_run_one_handle_is_left(store: Store) -> None:
    first = store.start_run("e")
    found = []
    threads = [threading.Thread(target=lambda: found.append(store.resume_run(first.uid))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    (living,) = [one for one in found if not one.ended]
    living.log_metric("m", 1.0)
    living.end()
    assert len(store.attempts(first.uid)) == 5


def test_a_resume_that_fails_leaves_the_older_handle_as_it_was(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with trackers.connect(sqlite_url) as store:
        older = store.start_run("e", system_metrics=0.1)
        older.log_metric("m", 1.0)

        def away(*args: object, **kwargs: object) -> None:
            raise StoreAwayError("it is said to be away")

        for name in ("trackers.resuming.metrics.read_summaries", "trackers.resuming.runs.resume_run"):
            with monkeypatch.context() as patched:
                patched.setattr(name, away)
                with pytest.raises(StoreError, match="said to be away"):
                    store.resume_run(older.uid)
        older.log_metric("m", 2.0)
        assert len(store.attempts(older.uid)) == 1, "an attempt is written with what is read of it, or not at all"
        watched = lambda: sum(one.count for one in store.metrics(older) if one.key.startswith("system/"))  # noqa: E731
        assert older.system_metrics is not None
        ticks: list[float] = []
        wait = older.system_metrics._over.wait
        monkeypatch.setattr(older.system_metrics._over, "wait", lambda seconds: ticks.append(seconds) or wait(seconds))
        older.supersede()
        until = time.monotonic() + 20
        while len(ticks) < 3 and time.monotonic() < until:
            time.sleep(0.05)
        older.supersede(False)
        before = watched()
        while watched() == before and time.monotonic() < until:
            time.sleep(0.05)
        assert watched() > before, "what the machine does is logged on"
        older.end()


def test_what_the_machine_did_before_is_not_hidden(store: Store) -> None:
    first = store.start_run("e", system_metrics=0.1)

    def watched() -> list[int]:
        found = [one for one in store.metrics(first.uid) if one.key.endswith("system_memory_usage_megabytes")]
        return [point.attempt for point in store.metric_history(first.uid, found[0].key)] if found else []

    until = time.monotonic() + 20
    while len(watched()) < 3 and time.monotonic() < until:
        time.sleep(0.05)
    before = len(watched())
    second = store.resume_run(first.uid)
    while 1 not in watched() and time.monotonic() < until:
        time.sleep(0.05)
    second.end()
    assert watched().count(0) >= before
    assert 1 in watched()


def test_inside_the_block_of_an_older_handle_the_newer_one_is_active(store: Store) -> None:
    outer = store.start_run("e")
    outer.activate()
    with store.start_run("e") as older:
        newer = store.resume_run(older.uid)
        assert trackers.active_run() is newer
        newer.end()
        assert trackers.active_run() is outer
    assert trackers.active_run() is outer
    outer.end()
    assert trackers.active_run() is None


def test_a_step_that_counts_on_beyond_64_bits_is_refused_at_once(store: Store) -> None:
    with store.start_run("e") as run:
        run.log_metric("a", 1.0, step=2**63 - 1)
        with pytest.raises(InvalidValueError, match="64 bits"):
            run.log_metric("a", 2.0)
        with pytest.raises(InvalidValueError, match="64 bits"):
            run.log_points("a", [2.0])
        run.log_metric("b", 1.0)
    assert [one.key for one in store.metrics(run)] == ["a", "b"]


def test_a_journal_of_a_newer_release_is_named_and_holds_up_no_other(store_url: str) -> None:
    uid, other = killed(store_url), killed(store_url)
    newer, _ = list_journals_of(store_url)
    with (newer / "records").open("r+b") as records:
        lines = records.readlines()
        seq, kind, run, _, before = json.loads(unseal(lines[-1]) or b"")
        lines[-1] = seal(json.dumps([seq, kind, run, [["TagsSetAnew", {}]], before], separators=(",", ":")).encode())
        records.seek(0)
        records.truncate()
        records.writelines(lines)
    with trackers.connect(store_url, offline=True) as offline:
        with pytest.raises(StoreError, match=f"{newer} was written by a newer release"):
            offline.resume_run(uid)
        with pytest.raises(NotFoundError, match=f"there are .*{other[:16]}"):
            offline.resume_run("0" * 32)
    first, second = trackers.sync(store=store_url)
    assert (first.journal, second.refused, second.written > 200) == (newer, (), True)
    assert "does not know ('TagsSetAnew')" in first.refused[0]
    with pytest.raises(StoreError, match="does not know"):
        trackers.sync(newer, store=store_url)


STRICT = """
import os, signal, sqlite3, sys, threading, trackers
store = trackers.connect(sys.argv[1], strict=True)
run = store.start_run("e")
run.flush()
holder = sqlite3.connect(sys.argv[1][10:], check_same_thread=False)
holder.execute("BEGIN IMMEDIATE")
for step in range(100):
    run.log_metric("m", 1.0, step=step)
threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
try:
    store.close()
except KeyboardInterrupt:
    threading.Timer(0.3, holder.rollback).start()
    print(run.uid, flush=True)
"""


def test_a_strict_store_whose_close_was_interrupted_writes_what_is_queued(sqlite_url: str) -> None:
    with start(STRICT, sqlite_url) as ended:
        uid = ended.line()
        assert ended.wait(60) == 0
    with trackers.connect(sqlite_url) as store:
        assert len(store.metric_history(uid, "m")) == 100


def test_a_store_that_is_closed_while_it_is_read_keeps_no_connection(postgresql_store_url: str) -> None:
    import psycopg

    with psycopg.connect(postgresql_store_url.replace("+psycopg", ""), autocommit=True) as watcher:
        others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        before = watcher.execute(others).fetchone()
        kept = []
        for _ in range(6):
            store = trackers.connect(postgresql_store_url)
            kept.append(store)

            def read(store: Store = store) -> None:
                with contextlib.suppress(StoreError):
                    while True:
                        store.search_runs(limit=1)

            threads = [threading.Thread(target=read) for _ in range(4)]
            for thread in threads:
                thread.start()
            until = time.monotonic() + 20
            while watcher.execute(others).fetchone() == before and time.monotonic() < until:
                time.sleep(0.01)
            store.close()
            for thread in threads:
                thread.join(60)
        until = time.monotonic() + 20  # a server's process ends a moment after its connection
        while watcher.execute(others).fetchone() != before and time.monotonic() < until:
            time.sleep(0.05)
        assert watcher.execute(others).fetchone() == before
