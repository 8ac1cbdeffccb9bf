"""Managers, drivers and all of Ray are killed, frozen and interrupted: nothing acknowledged is lost, no trial runs twice.

Each test runs a real sweep in a process of its own (``sweep.py``), on a Ray of its own.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

import hpo
import trackers
from trackers.errors import StudyBusyError
from trackers.states import RunState
from trackers.store import Store
from trackers.values import Owner, Trial

SWEEP = str(Path(__file__).with_name("sweep.py"))


def start(url: str, total: int, seconds: float = 0.2, workers: int = 2, lease: float = 10.0) -> subprocess.Popen[str]:
    """Start a sweep in a process (and process group) of its own."""
    command = [sys.executable, SWEEP, url, str(total), str(seconds), str(workers), str(lease)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )


def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait for *condition*."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.05)


def finish(process: subprocess.Popen[str], seconds: float = 90.0) -> str:
    """Wait for the end of a sweep; return what it printed."""
    output, _ = process.communicate(timeout=seconds)
    assert process.returncode == 0, output
    return output


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/hpo.db"


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    with trackers.connect(url) as store:
        yield store


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[str]]]:
    """Processes to end after the test, whatever became of it."""
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for process in processes:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def done(store: Store) -> int:
    """Count the finished trials of the study ``s`` (0 while there is none)."""
    try:
        row = store.get_study("s")
    except LookupError:
        return 0
    return sum(n for state, n in row.counts.items() if state.is_finished())


def owner(store: Store) -> Owner:
    """Return who runs the study."""
    found = store.get_study("s").owner
    assert found is not None
    return found


def check_whole(store: Store, total: int, before: list[Trial]) -> None:
    """Check that there are exactly *total* trials, each finished once, and that those of *before* are unchanged."""
    trials = store.get_trials(store.get_study("s").id)
    assert [t.number for t in trials] == list(range(total))
    assert all(t.state is RunState.COMPLETE for t in trials), [(t.number, t.state, t.error) for t in trials]
    assert all([a.outcome for a in t.attempts].count("complete") == 1 for t in trials), "no trial completes twice"
    for old in before:
        if old.state is RunState.COMPLETE:
            new = trials[old.number]
            assert (new.values, dict(new.params), dict(new.intermediate_values)) == (
                old.values,
                dict(old.params),
                dict(old.intermediate_values),
            )


def test_a_killed_manager_is_replaced_and_the_sweep_goes_on(store: Store, url: str, started: list) -> None:
    process = start(url, 20)
    started.append(process)
    until(lambda: done(store) >= 4)
    before = store.get_trials(store.get_study("s").id)
    os.kill(owner(store).pid, signal.SIGKILL)
    finish(process)
    check_whole(store, 20, before)
    assert store.get_study("s").epoch >= 2


def test_a_killed_driver_takes_everything_down_and_the_next_one_resumes(store: Store, url: str, started: list) -> None:
    process = start(url, 24)
    started.append(process)
    until(lambda: done(store) >= 4)
    manager = owner(store).pid
    process.kill()
    process.communicate()
    before = store.get_trials(store.get_study("s").id)
    until(lambda: not Path(f"/proc/{manager}").exists(), 30.0)
    finish(start(url, 24, seconds=0.05, workers=0))
    check_whole(store, 24, before)


def test_all_of_ray_is_killed_and_the_next_sweep_resumes(store: Store, url: str, started: list) -> None:
    process = start(url, 24)
    started.append(process)
    until(lambda: done(store) >= 4)
    for pid in _descendants(process.pid):
        if b"raylet" in _command(pid) or b"gcs_server" in _command(pid):
            os.kill(pid, signal.SIGKILL)
    process.communicate(timeout=90)
    assert done(store) >= 4
    before = store.get_trials(store.get_study("s").id)
    finish(start(url, 24, seconds=0.05, workers=0))
    check_whole(store, 24, before)


def test_an_interrupted_sweep_says_so_and_the_next_one_finishes_it(store: Store, url: str, started: list) -> None:
    process = start(url, 24)
    started.append(process)
    until(lambda: done(store) >= 4)
    begun = time.monotonic()
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert time.monotonic() - begun < 45.0
    assert process.returncode == 130, output
    assert "interrupted" in output
    before = store.get_trials(store.get_study("s").id)
    assert not any(t.state is RunState.RUNNING for t in before)
    finish(start(url, 24, seconds=0.05, workers=0))
    check_whole(store, 24, before)
    trials = store.get_trials(store.get_study("s").id)
    assert not any(a.counts for t in trials for a in t.attempts if a.outcome == "released")


def test_a_second_driver_is_told_who_runs_the_study(store: Store, url: str, started: list) -> None:
    process = start(url, 200, seconds=0.5, workers=1)
    started.append(process)
    until(lambda: done(store) >= 1)
    study = hpo.load_study(study_name="s", storage=url)
    with pytest.raises(StudyBusyError, match=rf"process {owner(store).pid}"):
        study.optimize(lambda trial: 1.0, n_trials=1)
    study.stop()
    output = finish(process, 40.0)
    assert "stopped" in output


SLOW = """
CREATE TRIGGER slow AFTER UPDATE ON trackers_runs WHEN (SELECT max(epoch) FROM trackers_studies) = 1
BEGIN SELECT length(hex(randomblob(50000000))); END
"""
"""Has the first manager hold the lock of the file for half a second with each trial, and its successor not."""


def test_a_frozen_manager_loses_its_study_and_changes_nothing_when_it_wakes(
    store: Store, url: str, started: list
) -> None:
    process = start(url, 30, lease=3.0)
    started.append(process)
    until(lambda: done(store) >= 4)
    frozen = owner(store).pid
    os.kill(process.pid, signal.SIGSTOP)
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"), timeout=60.0)) as connection:
        connection.executescript(SLOW)
    until(lambda: _frozen_in_a_commit(frozen, url))  # nobody else can write until it is ended
    before = store.get_trials(store.get_study("s").id)
    successor = start(url, 30, lease=3.0)
    started.append(successor)
    finish(successor)
    check_whole(store, 30, before)
    assert store.get_study("s").epoch == 2
    until(lambda: _state(frozen) in ("Z", ""), 10.0)


def _frozen_in_a_commit(pid: int, url: str) -> bool:
    """Freeze a manager; one that does not hold the lock of the file then goes on, and False is returned."""
    os.kill(pid, signal.SIGSTOP)
    until(lambda: _state(pid) == "T", 10.0)
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"), timeout=0.0, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
    os.kill(pid, signal.SIGCONT)
    return False


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def _descendants(pid: int) -> list[int]:
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
    found: list[int] = []
    frontier = [pid]
    while frontier:
        frontier = [child for child, parent in parents.items() if parent in frontier]
        found += frontier
    return found
