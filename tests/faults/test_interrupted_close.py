"""Ctrl-C at any step of a close: what was acknowledged is in the journal when the process has ended."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import trackers
from trackers.errors import StoreError
from trackers.journal import Journal
from trackers.sql import whole as wholes
from trackers.sql import writer as writers
from trackers.sql.whole import whole

pytestmark = pytest.mark.usefixtures("state")

VICTIM = """
import linecache, sys, threading, trackers
url, presses = sys.argv[1], [int(step) for step in sys.argv[2].split(",")]
store = trackers.connect(url)
run = store.start_run("night")
run.flush()
print(run.uid, flush=True)
gate = threading.Event()
store.writer.defer(lambda connection: gate.wait(2))
for step in range(50):
    run.log_metric("loss", float(step), step=step)
left = [presses.pop(0)]

def trace(frame, event, arg):
    # No signal is handled where a "with" ends, after its last call: there only a trace could leave a lock held.
    with_line = linecache.getline(frame.f_code.co_filename, frame.f_lineno).lstrip().startswith("with ")
    if event == "line" and left and not with_line:
        left[0] -= 1
        if left[0] < 0:
            left[:] = presses[:1]
            del presses[:1]
            raise KeyboardInterrupt
    return trace

try:
    sys.settrace(trace)
    store.close()
except KeyboardInterrupt:
    sys.settrace(None)
    print("interrupted", flush=True)
    sys.exit(130)
"""


@pytest.mark.parametrize("presses", [*map(str, range(0, 56, 5)), "4,4", "12,20", "20,30", "30,12"])
def test_no_step_of_a_close_loses_what_is_queued_when_it_is_interrupted(sqlite_url: str, presses: str) -> None:
    trackers.connect(sqlite_url).close()
    ran = subprocess.run(
        [sys.executable, "-c", VICTIM, sqlite_url, presses], capture_output=True, text=True, timeout=90, check=False
    )
    uid, *told = ran.stdout.split()
    assert (told, ran.returncode) == (["interrupted"], 130), ran.stderr
    trackers.sync(store=sqlite_url)
    with trackers.connect(sqlite_url) as store:
        assert [point.step for point in store.metric_history(uid, "loss")] == list(range(50))


class Unheard(threading.Thread):
    """A thread that Ctrl-C keeps from being started."""

    def start(self) -> None:
        raise KeyboardInterrupt


def test_what_must_be_whole_is_done_though_its_thread_never_began(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wholes, "_MOMENT", 0.05)
    monkeypatch.setattr(threading, "Thread", Unheard)
    done: list[threading.Thread] = []
    with pytest.raises(KeyboardInterrupt):
        whole(lambda: done.append(threading.current_thread()))
    assert done == [threading.main_thread()]


def test_what_must_be_whole_is_done_once_and_its_failure_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[int] = []
    with pytest.raises(ZeroDivisionError):
        whole(lambda: done.append(1) or 1 // 0)
    assert done == [1]

    def start(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    whole(lambda: done.append(2))
    assert done == [1, 2]


def test_who_waits_for_room_hears_ctrl_c_at_once(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ctrl_c: Callable[[], None]
) -> None:
    """Where no journal can be made, and the database stands still."""

    def refused(*args: object) -> Journal:
        raise StoreError("no journal can be made here")

    monkeypatch.setattr(writers, "SPILL_AT", 10)
    monkeypatch.setattr("trackers.sql.queue.LARGEST_QUEUE", 50)
    gate = threading.Event()
    with trackers.connect(sqlite_url) as store:
        monkeypatch.setattr(Journal, "create", refused)
        run = store.start_run("night")
        run.flush()
        store.writer.defer(lambda connection: gate.wait(60))
        threading.Timer(1.0, ctrl_c).start()
        since, heard = time.monotonic(), 0.0
        try:
            for step in range(1000):
                run.log_metric("loss", float(step), step=step)
        except KeyboardInterrupt:
            heard = time.monotonic() - since
        gate.set()
        run.end()
    assert 0.0 < heard < 10.0
