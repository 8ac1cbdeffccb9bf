"""A store that takes no writes for longer than a lease: its manager cannot renew, and keeps its study all the same."""

from __future__ import annotations

import os
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

import trackers
from tests import mariadb
from tests.conformance.managed import Manager, new_study
from tests.faults.test_writer_kill import HOLD, finish
from tests.processes import start
from trackers.errors import StudyBusyError
from trackers.processes import is_stopped
from trackers.sql.engine import BUSY_SECONDS
from trackers.store import Store
from trackers.values import Owner

LEASE = 1.0
STALL = 4.0

TAKE = """
import sys, trackers
from trackers.errors import StudyBusyError
store = trackers.connect(sys.argv[1])
print("looking", flush=True)
try:
    lease = store.acquire_study(int(sys.argv[2]), lease_seconds=float(sys.argv[3]))
except StudyBusyError as exc:
    print("busy", exc.owner.pid, flush=True)
else:
    print("won", lease.epoch, flush=True)
"""


@contextmanager
def stalled(url: str, study_id: int) -> Iterator[Callable[[], None]]:
    """Keep everybody from writing the study until the function is called (or the block is left)."""
    if url.startswith("sqlite"):
        lock = sqlite3.connect(url.removeprefix("sqlite:///"), check_same_thread=False, isolation_level=None)
        lock.execute("BEGIN IMMEDIATE")
        end: Callable[[], object] = lock.close
    elif url.startswith(mariadb.NAMES):
        other = mariadb.connect(url)
        other.begin()
        other.query(f"SELECT 1 FROM trackers_studies WHERE id = {study_id} FOR UPDATE")
        end = other.close
    else:
        import psycopg

        server = psycopg.connect(url.replace("+psycopg", ""))
        server.execute("SELECT 1 FROM trackers_studies WHERE id = %s FOR UPDATE", [study_id])
        end = server.close
    once = threading.Lock()

    def release() -> None:
        if once.acquire(blocking=False):
            end()

    try:
        yield release
    finally:
        release()


def never(owner: Owner) -> None:
    raise AssertionError(f"a living manager was ended: {owner}")


def test_a_manager_that_cannot_renew_since_nobody_can_write_keeps_its_study(store: Store, store_url: str) -> None:
    study = new_study(store)
    holder = start(HOLD, store_url, str(study.id), "30")
    assert holder.line() == "won 1"
    with stalled(store_url, study.id) as release:
        timer = threading.Timer(STALL, release)
        timer.start()
        begun = time.monotonic()
        with pytest.raises(StudyBusyError) as caught:
            store.acquire_study(study.id, lease_seconds=LEASE, on_previous=never)
        timer.join()
    assert time.monotonic() - begun >= STALL - 0.1, "it looked on while the store stood still"
    assert caught.value.owner.pid == holder.pid
    before = store.count_trials(study.id)
    while store.count_trials(study.id) == before:
        assert holder.poll() is None
        time.sleep(0.01)
    finish(holder)
    assert store.get_study(study.id).epoch == 1


def test_a_stopped_manager_loses_its_study_though_nobody_can_write(store: Store, store_url: str) -> None:
    study = new_study(store)
    holder = start(HOLD, store_url, str(study.id), "30")
    assert holder.line() == "won 1"
    os.kill(holder.pid, signal.SIGSTOP)
    until(lambda: is_stopped(holder.pid))
    ended: list[float] = []
    begun = time.monotonic()

    def end(owner: Owner) -> None:
        ended.append(time.monotonic() - begun)
        os.kill(owner.pid, signal.SIGKILL)  # it may be what keeps the lock
        release()

    with stalled(store_url, study.id) as release:
        lease = store.acquire_study(study.id, lease_seconds=LEASE, on_previous=end)
    assert lease.epoch == 2
    assert LEASE <= ended[0] < STALL
    assert holder.wait(10) == -signal.SIGKILL
    holder.communicate()
    manager = Manager(store, lease)
    manager.lease.submit(manager.whole()).wait(10)


def test_who_waits_for_a_store_that_never_takes_writes_is_told(
    store: Store, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trackers.sql.holding.BUSY_SECONDS", 1.0)
    study = new_study(store)
    holder = start(HOLD, store_url, str(study.id), "30")
    assert holder.line() == "won 1"
    with (
        stalled(store_url, study.id),
        pytest.raises(StudyBusyError, match=r"process \d+.* \(its process lives, and the store takes no writes\)"),
    ):
        store.acquire_study(study.id, lease_seconds=0.3, on_previous=never)
    finish(holder)


def test_a_taker_that_stood_still_itself_has_seen_nothing(sqlite_url: str) -> None:
    with trackers.connect(sqlite_url) as store:
        study = new_study(store)
        holder = start(HOLD, sqlite_url, str(study.id), "30")
        assert holder.line() == "won 1"
        taker = start(TAKE, sqlite_url, str(study.id), "2")
        os.kill(holder.pid, signal.SIGSTOP)
        assert taker.line() == "looking"
        time.sleep(0.5)  # it has looked at a stopped manager for a moment
        os.kill(taker.pid, signal.SIGSTOP)
        time.sleep(3.0)  # longer than the lease: a suspended machine
        os.kill(taker.pid, signal.SIGCONT)
        time.sleep(0.3)
        os.kill(holder.pid, signal.SIGCONT)
        assert taker.line() == f"busy {holder.pid}"
        taker.communicate(timeout=30)
        finish(holder)
        assert store.get_study(study.id).epoch == 1


def test_a_stopped_process_is_told_from_one_that_waits() -> None:
    sleeper = start("import sys; print('up', flush=True); sys.stdin.read()")
    assert sleeper.line() == "up"
    assert not is_stopped(sleeper.pid)
    os.kill(sleeper.pid, signal.SIGSTOP)
    until(lambda: is_stopped(sleeper.pid))
    os.kill(sleeper.pid, signal.SIGCONT)
    until(lambda: not is_stopped(sleeper.pid))
    sleeper.communicate("")
    assert not is_stopped(sleeper.pid), "gone is not stopped"


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10.0
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)


def test_a_run_begins_though_somebody_holds_the_store(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("tracking", "launching"):
        monkeypatch.setattr(f"trackers.{module}.PATIENCE", 0.3)
    with trackers.connect(sqlite_url) as store:
        holder = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        begun = time.monotonic()
        with store.start_run("e", params={"a": 1}) as run:
            run.log_metric("m", 1.0)
            child = run.start_run(name="child")
            assert run.known_id is None
            assert time.monotonic() - begun < BUSY_SECONDS / 2, "it waited until the store had given up"
            holder.close()
            child.end()
        found, below = store.get_run(run.uid), store.get_run(child.uid)
        assert (found.params, below.parent_id) == ({"a": 1}, found.id)
        assert store.launch(run) is not None
        with store.start_run("e") as later:
            assert later.known_id is not None
