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
from tests.processes import Beside
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


LATE = """
import sys
from hpo.execution.ray.session import Need, session

with session(sys.argv[1], 0, Need()):
    from ray._private import worker
    def told():
        worker.print_to_stdstream({"lines": ["a node is gone"], "pid": "raylet", "is_err": False}, ignore_prefix=False)
    disconnect = worker.disconnect
    def late(*given, **named):
        worker.disconnect = disconnect
        told()
        print("shut down", flush=True)
        disconnect(*given, **named)
    worker.disconnect = late
    told()
told()
"""


def test_what_ray_says_while_it_ends_is_kept_off_the_terminal_too(address: str) -> None:
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "NO_COLOR": "1"}
    done = subprocess.run(
        [sys.executable, "-c", LATE, address], capture_output=True, text=True, env=env, timeout=120, check=True
    )
    assert "a node is gone" not in done.stdout.partition("shut down")[0]
    assert done.stdout.count("a node is gone") == 1, "and Ray prints again afterwards"


ELSEWHERE = """
import ctypes, sys
import hpo.execution.ray.death as death
from hpo.execution.ray.session import Need, session

class Doomed:
    def traces(self):
        return death.Traces.of_this_process()
    def die(self):
        ctypes.string_at(0)

with session(sys.argv[1], 0, Need()):
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy as At
    here = ray.get_runtime_context().get_node_id()
    import time
    while not (others := [n["NodeID"] for n in ray.nodes() if n["Alive"] and n["Resources"].get("CPU") == 3]):
        time.sleep(0.1)
    other = others[0]
    def doomed(node):
        actor = ray.remote(Doomed).options(num_cpus=0, scheduling_strategy=At(node, soft=False)).remote()
        traces = ray.get(actor.traces.remote())
        try:
            ray.get(actor.die.remote())
        except ray.exceptions.RayActorError as exc:
            return exc, traces
    read_here = []
    usual, death.LOOK_SECONDS = death.LOOK_SECONDS, 30.0  # on a busy machine the process that looks starts late
    reading = death.Traces.read
    death.Traces.read = lambda traces: read_here.append(traces.node) or reading(traces)
    for node in (here, other):
        print("reason:", death.why(*doomed(node)), "| read here:", len(read_here), flush=True)
    death.LOOK_SECONDS = usual
    _, traces = doomed(other)
    print("ready", flush=True)
    sys.stdin.readline()
    print("reason:", death.why(RuntimeError("the actor died"), traces), flush=True)
"""


def test_the_traces_of_a_worker_on_another_node_are_read_there(folder: Path, address: str) -> None:
    command = [sys.executable, "-c", ELSEWHERE, address]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with (
        node(address, 3) as second,  # by its three CPUs it is told from one that died a moment ago
        Beside(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env) as asking,
    ):
        assert asking.stdin is not None
        assert asking.stdout is not None
        lines = iter(asking.stdout)
        told = [next(line for line in lines if line.startswith("reason:")) for _ in range(2)]
        assert next(lines) == "ready\n"
        kill(second)
        rest, _ = asking.communicate("go on\n", timeout=60)
    assert all("it crashed (segmentation fault) in " in line and "string_at" in line for line in told), told
    assert [line.strip()[-1] for line in told] == ["1", "1"], "that of the other node was not read here"
    assert "reason: its process was killed or exited without a word" in rest, "a node that is gone tells nothing more"
