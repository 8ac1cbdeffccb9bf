"""What a running trial reported, logged and printed is in the store while it computes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import hpo
import trackers
from hpo import Study
from hpo.execution.capture import PAST_PYTHON
from tests.faults.command import until
from trackers.errors import NotFoundError

pytestmark = pytest.mark.usefixtures("cluster")


@pytest.fixture
def study(tmp_path: Path) -> Iterator[Study]:
    url = f"sqlite:///{tmp_path}/hpo.db"
    made = hpo.create_study(study_name="s", storage=url, sampler="random", pruner="median")
    with made.store:
        yield made


@pytest.fixture
def looked(study: Study, tmp_path: Path) -> Any:
    """Return an objective that reports, logs and prints, and then computes until somebody has looked."""
    done = str(tmp_path / "looked")

    def objective(trial: Any) -> float:
        trial.report(1.0, step=1)
        trial.should_prune()
        trial.log_metrics({"loss": 3.0}, step=1)
        trial.set_user_attr("note", "here")
        trial.suggest_float("late", 0, 1)
        print("epoch 1 done")
        trial.report(0.5, step=2)
        end = time.monotonic() + 150
        while not os.path.exists(done) and time.monotonic() < end:
            time.sleep(0.05)
        return 1.0

    objective.done = Path(done)  # type: ignore[attr-defined]
    return objective


def test_a_trial_that_computes_for_long_shows_what_it_did(study: Study, looked: Any) -> None:
    import threading

    seen: list[Any] = []

    def look() -> None:
        with trackers.connect(study.store.url) as store:

            def everything() -> Any:
                try:
                    trial = store.get_trial(study.row.id, 0)
                except NotFoundError:
                    return None
                log = store.trial_log(trial.run_id)
                whole = len(trial.intermediate_values) == 2 and "loss" in trial.metrics and "late" in trial.params
                return (trial, log) if whole and trial.user_attrs and log else None

            try:
                seen.append(until(everything, 120))  # a worker's start is in it
            finally:
                looked.done.touch()

    watcher = threading.Thread(target=look)
    watcher.start()
    study.optimize(looked, n_trials=1, workers=1)
    watcher.join()
    trial, log = seen[0]
    assert trial.state.name == "RUNNING"
    assert trial.intermediate_values == {1: 1.0, 2: 0.5}
    assert trial.metrics["loss"] == 3.0
    assert log == "epoch 1 done\n"
    after = study.trials[0]
    assert after.intermediate_values == {1: 1.0, 2: 0.5}
    assert study.store.trial_log(after.run_id) == "epoch 1 done\n"
    assert len(study.store.metric_history(after.run_id, "loss")) == 1, "nothing is brought twice"


def test_what_a_trial_prints_after_a_study_of_its_own_is_kept(study: Study, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/inner.db"

    def objective(trial: Any) -> float:
        print("before")
        inner = hpo.create_study(study_name="inner", storage=url)
        inner.optimize(lambda one: print("within") or 1.0, n_trials=1, workers=0)  # type: ignore[func-returns-value]
        print("after")
        return inner.best_value

    study.optimize(objective, n_trials=1, workers=0)
    assert study.store.trial_log(study.trials[0].run_id) == "before\nafter\n"


def test_what_a_killed_attempt_printed_is_kept(study: Study) -> None:
    url = study.store.url

    def objective(trial: Any) -> float:
        print(f"attempt {trial.attempt}")
        if trial.attempt == 0:
            with trackers.connect(url) as store:
                run = store.get_trial(store.get_study("s").id, 0).run_id
                end = time.monotonic() + 30
                while not store.trial_log(run) and time.monotonic() < end:
                    time.sleep(0.05)
            os.kill(os.getpid(), signal.SIGKILL)
        return 1.0

    study.optimize(objective, n_trials=1, workers=1)
    assert study.store.trial_log(study.trials[0].run_id) == "attempt 0\nattempt 1\n"


def test_a_trial_that_hangs_while_it_prints_is_ended_by_report_timeout(study: Study) -> None:
    def objective(trial: Any) -> float:
        trial.report(1.0, step=0)
        while trial.number == 0:
            print("still here")
            time.sleep(0.1)  # the work that never ends
        return 1.0

    study.optimize(objective, n_trials=2, workers=1, report_timeout=2.5)
    first = study.trials[0]
    assert first.state.name == "FAIL"
    assert "did not report" in str(first.error)
    assert first.intermediate_values == {0: 1.0}
    assert "still here" in study.store.trial_log(first.run_id)


def test_inline_reports_are_written_at_once(tmp_path: Path) -> None:
    study = hpo.create_study(study_name="s", storage=f"sqlite:///{tmp_path}/hpo.db", pruner="median")

    def objective(trial: Any) -> float:
        trial.report(1.0, step=0)
        trial.report(2.0, step=1)
        with trackers.connect(study.store.url) as store:
            until(lambda: [len(t.intermediate_values) for t in store.get_trials(study.row.id)] == [2], 30)
        return 1.0

    with study.store:
        study.optimize(objective, n_trials=1, workers=0)
        assert study.trials[0].state.name == "COMPLETE", study.trials[0].traceback


def test_what_child_processes_print_is_in_the_log_of_their_trial(study: Study) -> None:
    def objective(trial: Any) -> float:
        print("own", trial.number)
        subprocess.run([sys.executable, "-c", f"print('program of', {trial.number})"], check=True)
        subprocess.run(f"echo shell of {trial.number} >&2", shell=True, check=True)
        copy = multiprocessing.get_context("fork").Process(target=print, args=(f"copy of {trial.number}",))
        copy.start()
        copy.join()
        return 1.0

    study.optimize(objective, n_trials=3, workers=1)
    for number in range(3):
        own, mark, *past = study.store.trial_log(study.trials[number].run_id).splitlines()
        assert (own, mark) == (f"own {number}", PAST_PYTHON)
        assert sorted(past) == [f"copy of {number}", f"program of {number}", f"shell of {number}"]


def test_where_trials_share_a_process_what_children_print_is_nobodys(study: Study) -> None:
    def objective(trial: Any) -> float:
        print("own", trial.number)
        subprocess.run(["echo", "whose?"], check=True)
        return 1.0

    study.optimize(objective, n_trials=2, workers=2, slots_per_worker=2)
    assert [study.store.trial_log(t.run_id) for t in study.trials] == ["own 0\n", "own 1\n"]
