"""Workers that die of whatever there is: it costs no trial up to ``max_retries``, then one, with the reason in words."""

from __future__ import annotations

import ctypes
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import hpo
from hpo.errors import ClusterError
from hpo.execution.ray.session import Need, check_machine
from hpo.jobs import FileJob
from hpo.study import Study
from trackers.states import RunState

pytestmark = pytest.mark.usefixtures("cluster")


@pytest.fixture
def study(tmp_path: Path) -> Iterator[Study]:
    space = {"x": hpo.Float(0.0, 1.0)}
    url = f"sqlite:///{tmp_path}/hpo.db"
    study = hpo.create_study(study_name="s", storage=url, space=space, sampler="random", pruner="none")
    with study.store:
        yield study


def test_a_worker_killed_from_outside_costs_no_trial(study: Study) -> None:
    def slow(trial: Any) -> float:
        for step in range(4):
            time.sleep(0.05)  # the work
            trial.report(1.0, step=step)
        return 1.0

    killed: list[int] = []

    def kill_two() -> None:
        until = time.monotonic() + 30
        while len(killed) < 2 and time.monotonic() < until:
            attempts = [t.attempts[-1] for t in study.get_trials(states=[RunState.RUNNING]) if t.attempts]
            fresh = [a.pid for a in attempts if a.pid not in killed]
            if fresh:
                os.kill(fresh[0], signal.SIGKILL)
                killed.append(fresh[0])
            time.sleep(0.2)

    thread = threading.Thread(target=kill_two)
    thread.start()
    summary = study.optimize(slow, n_trials=30, workers=2)
    thread.join()
    trials = study.trials
    assert summary.status == "complete"
    assert len(killed) == 2
    assert [t.state for t in trials] == [RunState.COMPLETE] * 30
    assert [[a.outcome for a in t.attempts].count("complete") for t in trials] == [1] * 30
    assert {a.pid for t in trials for a in t.attempts if a.outcome == "lost"} <= set(killed)


def test_what_dies_again_and_again_fails_with_the_reason_in_words(study: Study) -> None:
    def deadly(trial: Any) -> float:
        if trial.number == 1:
            ctypes.string_at(0)
        if trial.number == 2:
            os._exit(137)
        if trial.number == 3 and trial.attempt == 0:
            os.kill(os.getpid(), signal.SIGTERM)
            signal.pause()
        return 1.0

    study.optimize(deadly, n_trials=5, workers=2, max_retries=1)
    trials = study.trials
    assert [t.state.name for t in trials] == ["COMPLETE", "FAIL", "FAIL", "COMPLETE", "COMPLETE"]
    crash, exit_, ended = trials[1], trials[2], trials[3]
    assert (crash.error or "").startswith("it crashed (segmentation fault) in ")
    assert "string_at" in (crash.error or "")
    assert "killed or exited without a word (kill -9, out of memory, os._exit) (2 attempts" in (exit_.error or "")
    assert {crash.error_type, exit_.error_type} == {"WorkerLost"}
    assert [[a.outcome for a in t.attempts] for t in (crash, exit_)] == [["lost", "lost"]] * 2
    assert [a.outcome for a in ended.attempts] == ["lost", "complete"]
    assert ended.attempts[0].reason == "its process was told to end (SIGTERM)"


def test_workers_that_all_die_before_they_join_end_the_study(study: Study, tmp_path: Path) -> None:
    pid = os.getpid()
    file = tmp_path / "deadly_study.py"
    file.write_text(f"import os\nif os.getpid() != {pid}: os._exit(3)\ndef objective(trial): return 1.0\n")
    summary = _optimize_file(study, file)
    assert summary.status == "failed"
    assert summary.reason.startswith("3 workers died before they joined: its process was killed or exited")
    assert study.trials == []


def test_a_file_that_a_worker_cannot_import_ends_the_study(study: Study, tmp_path: Path) -> None:
    pid = os.getpid()
    file = tmp_path / "lonely_study.py"
    file.write_text(f"import os\nif os.getpid() != {pid}: import not_there\ndef objective(trial): return 1.0\n")
    summary = _optimize_file(study, file)
    assert summary.status == "failed"
    assert "cannot load the objective" in summary.reason
    assert "No module named 'not_there'" in summary.reason


def _optimize_file(study: Study, file: Path) -> Any:
    from hpo.objective_file import load_objective

    loaded = load_objective(f"{file}:objective")
    assert FileJob(str(file), "objective", file.read_text())().objective(None) == 1.0
    return study.optimize(loaded, n_trials=4, workers=2)


def test_more_than_any_node_has_is_refused_at_once(study: Study) -> None:
    for need, sentence in (
        ({"cpus_per_trial": 64}, r"a trial needs 64 CPUs \(--cpus-per-trial\), and no node has more than 4"),
        ({"gpus_per_trial": 99}, r"a trial needs 99 GPUs \(--gpus-per-trial\), and (the cluster has none|no node has)"),
        ({"resources": {"tpu": 1.0}}, "a trial needs 1 of tpu, and the cluster has none"),
        ({"slots_per_worker": 8}, "a worker of 8 slots needs 8 CPUs"),
    ):
        begun = time.monotonic()
        with pytest.raises(ClusterError, match=sentence):
            study.optimize(lambda trial: 1.0, n_trials=1, workers=1, **need)  # type: ignore[arg-type]
        assert time.monotonic() - begun < 3.0
    assert study.trials == []


def test_more_than_this_machine_has_is_refused_before_ray_is_started() -> None:
    check_machine(Need(cpus=os.cpu_count() or 1))
    with pytest.raises(ClusterError, match=r"and this machine has \d+: ask for less, or give the --address"):
        check_machine(Need(cpus=10_000))
    with pytest.raises(ClusterError, match=r"a trial needs 10000 GPUs .* this machine has"):
        check_machine(Need(gpus=10_000))


def test_an_objective_that_raises_keyboard_interrupt_fails_its_trial(study: Study) -> None:
    def rude(trial: Any) -> float:
        if trial.number == 1:
            raise KeyboardInterrupt("not from the keyboard")
        return 1.0

    study.optimize(rude, n_trials=3, workers=1)
    states = [trial.state for trial in study.trials]
    assert states == [RunState.COMPLETE, RunState.FAIL, RunState.COMPLETE]
    assert "not from the keyboard" in (study.trials[1].error or "")
    assert len(study.trials[1].attempts) == 1
