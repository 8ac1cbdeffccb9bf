"""A cluster that lives on its own: found by its address, joined and left by a second node in the middle of a sweep."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import trackers
from tests.cluster import cluster
from tests.faults.command import STUDY, called, processes, running, until
from trackers.states import RunState
from trackers.store import Store
from trackers.values import Trial


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A cluster of one node with one logical CPU, in a process of its own."""
    with cluster(1) as found:
        yield found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "study.py").write_text(STUDY)
    return tmp_path


@contextmanager
def node(address: str, cpus: int) -> Iterator[subprocess.Popen[bytes]]:
    """Add a node (a second raylet on this machine) to the cluster."""
    command = [str(Path(sys.executable).with_name("ray")), "start", f"--address={address}", f"--num-cpus={cpus}"]
    token = (Path.home() / ".ray" / "auth_token").is_file()
    env = {**os.environ, "RAY_AUTH_MODE": "token"} if token else dict(os.environ)
    process = subprocess.Popen(
        [*command, "--block"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env, start_new_session=True
    )
    try:
        yield process
    finally:
        kill(process)


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a node: its raylet and every process of it, at once."""
    for pid, session, _ in list(processes()):
        if session == process.pid:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
    process.wait()


def sweep(store: Store) -> list[Trial]:
    try:
        return store.get_trials(store.get_study("sweep").id)
    except LookupError:
        return []


def test_workers_join_with_a_node_and_their_trials_go_back_when_it_dies(folder: Path, address: str) -> None:
    args = ("run", "study.py:sweep", "--address", address, "--workers", "3", "--trials", "70")
    with trackers.connect(f"sqlite:///{folder}/hpo.db") as store, running(folder, *args) as run:
        until(lambda: any(t.state is RunState.COMPLETE for t in sweep(store)))
        assert len({a.worker for t in sweep(store) for a in t.attempts}) == 1, "one CPU, one worker"
        with node(address, 2) as second:
            until(lambda: len({t.attempts[-1].worker for t in sweep(store) if t.state is RunState.RUNNING}) == 3)
            kill(second)
        code, output = run.ended()
        assert code == 0, output
        trials = sweep(store)
    assert [t.number for t in trials] == list(range(70))
    assert all(t.state is RunState.COMPLETE for t in trials), [(t.number, t.error) for t in trials]
    assert all([a.outcome for a in t.attempts].count("complete") == 1 for t in trials)
    lost = [a for t in trials for a in t.attempts if a.outcome == "lost"]
    assert {a.reason for a in lost} <= {
        "its node is gone",
        "its process was killed or exited without a word (kill -9, out of memory, os._exit)",
    }
    assert 1 <= len(lost) <= 2
    assert "raylet" not in output


@pytest.mark.parametrize("how", ["auto", "host and port"])
def test_a_cluster_of_another_process_is_used_and_left_running(folder: Path, address: str, how: str) -> None:
    given = ("auto", {"RAY_ADDRESS": address}) if how == "auto" else (address, {})
    args = ("run", "study.py:sweep", "--workers", "1", "--trials", "3", "--address", given[0])
    code, output = called(folder, *args, env=given[1])
    assert (code, "sweep is complete" in output) == (0, True), output


def test_more_than_the_cluster_has_is_said_at_once(folder: Path, address: str) -> None:
    args = ("run", "study.py:sweep", "--workers", "1", "--address", address, "--cpus-per-trial", "5")
    code, output = called(folder, *args)
    assert code == 2
    assert "a trial needs 5 CPUs (--cpus-per-trial), and no node has more than 1: ask for less, or add a node" in output
    with trackers.connect(f"sqlite:///{folder}/hpo.db") as store:
        assert store.list_studies() == [], "nothing of it is left"
