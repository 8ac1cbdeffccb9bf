"""``--detach``: a sweep on a cluster that lives on its own goes on without the terminal that started it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import trackers
from tests.faults.command import STUDY, called, command_line, processes, running, until
from tests.processes import Beside
from trackers.states import RunState
from trackers.store import Store
from trackers.values import StudyRow

ACTORS = """
import sys
from hpo.execution.ray.session import Need, session
with session(sys.argv[1], 0, Need()):
    import ray  # after the session's settings
    for _ in sys.stdin:
        print("actors", *ray.util.list_named_actors(), flush=True)
"""
"""Names the actors whenever it is asked: one process for all the questions of this module."""

Actors = Callable[[], list[str]]


@pytest.fixture(scope="module")
def head() -> Iterator[str]:
    """The address of a cluster of ``ray start --head``: in a session, on a port and in a folder of its own."""
    place = tempfile.mkdtemp(prefix="ray-")  # short: sockets lie in it
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    command = [str(Path(sys.executable).with_name("ray")), "start", "--head", f"--port={port}", "--num-cpus=2"]
    command += ["--include-dashboard=false", "--include-log-monitor=false", "--disable-usage-stats", "--block"]
    command += [f"--temp-dir={place}"]
    env = {name: value for name, value in os.environ.items() if not name.startswith(("HPO_", "RAY_"))}
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env, start_new_session=True
    )
    try:
        until(lambda: answers(port), 60.0)
        yield f"127.0.0.1:{port}"
    finally:
        for pid, session, _ in list(processes()):
            if session == process.pid:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
        process.wait()
        shutil.rmtree(place, ignore_errors=True)


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
    except OSError:
        return False
    return True


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "study.py").write_text(STUDY)
    return tmp_path


@pytest.fixture
def store(folder: Path) -> Iterator[Store]:
    with trackers.connect(f"sqlite:///{folder}/hpo.db") as store:
        yield store


def row(store: Store) -> StudyRow:
    return store.get_study("sweep")


def done(store: Store) -> int:
    return row(store).counts.get(RunState.COMPLETE, 0)


@pytest.fixture(scope="module")
def actors(head: str) -> Iterator[Actors]:
    """Return a function that returns the names of the actors of ours that live on the cluster."""
    command = [sys.executable, "-c", ACTORS, head]
    with Beside(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as asked:
        assert asked.stdin is not None
        assert asked.stdout is not None
        ask, answers = asked.stdin, asked.stdout

        def names() -> list[str]:
            print(file=ask, flush=True)
            line = next(line for line in answers if line.startswith("actors"))
            return line.split()[1:]

        yield names
        ask.close()
        asked.wait(timeout=60)


def detached(folder: Path, address: str, *more: str) -> str:
    """Start the sweep detached; return what was printed."""
    code, output = called(folder, "run", "study.py:sweep", "--workers", "2", "--address", address, "--detach", *more)
    assert code == 0, output
    return output


def test_a_detached_sweep_outlives_its_terminal_and_is_followed_and_stopped_from_elsewhere(
    folder: Path, store: Store, head: str, actors: Actors
) -> None:
    (folder / "study.py").write_text(STUDY.replace("time.sleep(0.05)", "time.sleep(0.15)"))
    output = detached(folder, head, "--trials", "2000")
    assert "hpo status sweep" in output
    assert "hpo stop sweep" in output
    until(lambda: done(store) >= 3)  # the call has ended, and with it its session; the sweep goes on
    owner = row(store).owner
    assert owner is not None
    assert owner.lives()
    code, status = called(folder, "status", "sweep", "--json")
    assert code == 0, status
    assert json.loads(status)["status"] == "running"
    code, again = called(folder, "run", "study.py:sweep", "--workers", "1", "--address", head, "--trials", "2000")
    assert code == 2, again
    assert "hpo stop sweep" in again, "whoever calls it again is told"
    code, stopped = called(folder, "stop", "sweep")
    assert code == 0, stopped
    assert row(store).status == "stopped"
    before = done(store)
    assert 3 <= before < 2000
    until(lambda: not actors())
    until(lambda: not owner.lives())
    assert not any(t.state is RunState.RUNNING for t in store.get_trials(row(store).id))
    code, output = called(folder, "resume", "sweep", "--workers", "0", "--trials", str(before + 2))
    assert code == 0, output
    assert row(store).counts.get(RunState.COMPLETE) == before + 2


def test_the_end_of_a_detached_sweep_ends_its_actors(folder: Path, store: Store, head: str, actors: Actors) -> None:
    detached(folder, head, "--trials", "12")
    until(lambda: row(store).status == "complete")
    until(lambda: not actors())
    assert [t.state for t in store.get_trials(row(store).id)] == [RunState.COMPLETE] * 12
    until(lambda: not [pid for pid, _, _ in processes() if "ManagerHost" in command_line(pid) and ours(pid, folder)])


def ours(pid: int, folder: Path) -> bool:
    try:
        return os.readlink(f"/proc/{pid}/cwd") == str(folder)
    except OSError:
        return False


def test_detaching_returns_at_once_though_trials_take_long(
    folder: Path, store: Store, head: str, actors: Actors
) -> None:
    (folder / "study.py").write_text(STUDY.replace("time.sleep(0.05)", "time.sleep(30)"))
    begun = time.monotonic()
    detached(folder, head, "--trials", "4")
    assert time.monotonic() - begun < 30.0
    until(lambda: row(store).counts.get(RunState.RUNNING))
    code, output = called(folder, "stop", "sweep", "--grace", "0")
    assert code == 0, output
    until(lambda: not actors())


def test_a_terminal_that_is_killed_while_it_detaches_leaves_nothing_half_begun(
    folder: Path, store: Store, head: str, actors: Actors
) -> None:
    args = ("run", "study.py:sweep", "--workers", "2", "--address", head, "--detach", "--trials", "2000")
    with running(folder, *args) as terminal:
        until(lambda: store.list_studies() and row(store).owner is not None)
        terminal.kill_all()
    owner = row(store).owner
    if owner is not None:  # the manager had begun: it goes on, and is stopped as any
        code, output = called(folder, "stop", "sweep")
        assert code == 0, output
    until(lambda: not actors())


@pytest.mark.parametrize("workers", ["0", "2"])
def test_detaching_without_a_cluster_of_its_own_is_refused(folder: Path, store: Store, workers: str) -> None:
    code, output = called(folder, "run", "study.py:sweep", "--workers", workers, "--detach")
    assert code == 2, output
    errors = [line for line in output.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1
    assert "--detach needs a Ray cluster that lives on its own" in errors[0]
    assert store.list_studies() == [], "nothing of it is left"
