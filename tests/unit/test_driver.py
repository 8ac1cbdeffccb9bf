"""Interruptions, takeovers and what a driver leaves behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import hpo
from hpo.driver.interruption import interruptions
from hpo.driver.takeover import end_processes
from hpo.errors import SpaceError
from hpo.study import Study
from trackers.processes import host_name, start_time
from trackers.states import RunState
from trackers.values import Owner


@pytest.fixture
def bystander() -> Any:
    process = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    yield process
    process.kill()
    process.wait()


def test_a_process_that_got_a_dead_managers_number_is_left_alone(bystander: Any) -> None:
    started = start_time(bystander.pid)
    assert started is not None
    end_processes(Owner("me", host_name(), bystander.pid, started - 100.0, workers=((host_name(), bystander.pid),)))
    assert bystander.poll() is None
    end_processes(Owner("me", host_name(), bystander.pid, started))
    assert bystander.wait(10) == -signal.SIGKILL


def test_the_first_signal_asks_the_second_insists_and_the_third_raises() -> None:
    asked: list[float] = []
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with interruptions(asked.append) as state:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        assert (asked, state.count) == ([10.0, 0.0], 2)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_a_turn_of_the_service_is_not_cut_off() -> None:
    turns = [True]
    with interruptions(lambda grace: None, inside=lambda: turns[0]) as state:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        assert state.count == 2
    turns[0] = False
    with interruptions(lambda grace: None, inside=lambda: turns[0]):
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return hpo.create_study(
        study_name="s", storage=f"sqlite:///{tmp_path}/hpo.db", space={"x": hpo.Float(0, 1)}, sampler="random"
    )


@pytest.mark.parametrize("times", [1, 2])
def test_an_inline_run_that_is_interrupted_goes_on_later(study: Study, times: int) -> None:
    def objective(trial: Any) -> float:
        if trial.number == 2 and trial.attempt == 0:
            for _ in range(times):
                os.kill(os.getpid(), signal.SIGINT)
            for step in range(1000):
                time.sleep(0.03)  # the work: longer than thresholds are taken for fresh
                trial.report(1.0, step=step)
        return 1.0

    with pytest.raises(KeyboardInterrupt):
        study.optimize(objective, n_trials=4, max_retries=0)
    assert len(study.trials[2].intermediate_values) < 10, "it stops at its next report"
    assert [t.state for t in study.trials] == [RunState.COMPLETE] * 2 + [RunState.WAITING]
    assert study.optimize(objective, total_trials=4, max_retries=0).status == "complete"
    assert [len(t.attempts) for t in study.trials] == [1, 1, 2, 1]


def test_a_trial_enqueued_after_a_killed_run_leaves_no_run_behind(study: Study) -> None:
    study.store.acquire_study(study.row.id)  # and its process was killed
    owner = study.row.owner
    assert owner is not None
    code = f"import hpo; hpo.load_study(study_name='s', storage={study.store.url!r}).store.acquire_study({study.row.id}, take_over=True)"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert study.row.status == "running"
    assert study.enqueue_trial({"x": 0.5}) == 0
    assert study.row.status == "stopped"


def test_a_refused_enqueue_is_told(study: Study) -> None:
    with pytest.raises(SpaceError, match="'y'"):
        study.enqueue_trial({"y": 0.5})
