"""``trial_timeout`` and ``report_timeout`` end a hung trial in every executor, and that one only."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import hpo
from hpo.study import Study
from trackers.states import RunState


@pytest.fixture(params=["inline", "ray"])
def workers(request: pytest.FixtureRequest) -> int:
    if request.param == "ray":
        request.getfixturevalue("cluster")
        return 1
    return 0


@pytest.fixture
def limit(workers: int) -> float:
    """Return seconds that a hanging trial is given: on a busy machine a worker may take one to begin a short trial."""
    return 3.0 if workers else 0.6


@pytest.fixture
def study(tmp_path: Path) -> Iterator[Study]:
    space = {"x": hpo.Float(0.0, 1.0)}
    url = f"sqlite:///{tmp_path}/hpo.db"
    study = hpo.create_study(study_name="s", storage=url, space=space, sampler="random", pruner="none")
    with study.store:
        yield study


def check(study: Study, hung: int, total: int, reason: str) -> None:
    trials = study.trials
    states = [RunState.FAIL if n == hung else RunState.COMPLETE for n in range(total)]
    assert [t.state for t in trials] == states, [t.error for t in trials]
    assert trials[hung].error == reason
    assert trials[hung].error_type == "TrialTimeout"
    assert [a.outcome for a in trials[hung].attempts] == ["timeout"]


def test_a_trial_that_hangs_is_ended(study: Study, workers: int, limit: float) -> None:
    def objective(trial: Any) -> float:
        if trial.number == 1:
            signal.pause()
        return 1.0

    begun = time.monotonic()
    study.optimize(objective, n_trials=4, workers=workers, trial_timeout=limit)
    check(study, 1, 4, f"it ran longer than trial_timeout={limit:g} s")
    assert time.monotonic() - begun < 60.0


def test_a_trial_that_reports_for_ever_is_ended(study: Study, workers: int, limit: float) -> None:
    def objective(trial: Any) -> float:
        for step in range(100_000 if trial.number == 0 else 1):
            time.sleep(0.01)  # the work
            trial.report(1.0, step=step)
        return 1.0

    study.optimize(objective, n_trials=3, workers=workers, trial_timeout=limit)
    check(study, 0, 3, f"it ran longer than trial_timeout={limit:g} s")
    assert len(study.trials[0].intermediate_values) > 3, "what it reported is kept"


def test_a_trial_that_falls_silent_is_ended(study: Study, workers: int) -> None:
    silence = 2.5 if workers else 1.0

    def objective(trial: Any) -> float:
        for step in range(4 if trial.number == 0 else 1):
            time.sleep(0.3 * silence)  # the work: longer in all than the limit between two reports
            trial.report(1.0, step=step)
        if trial.number == 1:
            signal.pause()
        return 1.0

    study.optimize(objective, n_trials=3, workers=workers, report_timeout=silence)
    check(study, 1, 3, f"it did not report for longer than report_timeout={silence:g} s")


def test_an_objective_that_swallows_exceptions_is_ended_all_the_same(study: Study) -> None:
    def objective(trial: Any) -> float:
        while trial.number == 0:
            try:
                time.sleep(30)
            except Exception:
                continue
        return 1.0

    study.optimize(objective, n_trials=2, trial_timeout=0.3)
    check(study, 0, 2, "it ran longer than trial_timeout=0.3 s")


def test_somebody_elses_timer_goes_on_after_the_trials(study: Study) -> None:
    rung = threading.Event()
    before = signal.signal(signal.SIGALRM, lambda number, frame: rung.set())
    left, interval = signal.setitimer(signal.ITIMER_REAL, 0.5)
    try:
        study.optimize(lambda trial: 1.0, n_trials=3, trial_timeout=60.0)
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 0 or rung.is_set()
        assert rung.wait(5.0) or rung.is_set()
    finally:
        signal.signal(signal.SIGALRM, before)
        signal.setitimer(signal.ITIMER_REAL, left, interval)


def test_beside_the_main_thread_a_trial_is_ended_at_its_next_report(study: Study) -> None:
    def objective(trial: Any) -> float:
        for step in range(200 if trial.number == 0 else 1):
            time.sleep(0.05)  # the work
            trial.report(1.0, step=step)
        return 1.0

    thread = threading.Thread(target=study.optimize, args=(objective, 2), kwargs={"trial_timeout": 0.4})
    thread.start()
    thread.join(30)
    assert not thread.is_alive()
    check(study, 0, 2, "it ran longer than trial_timeout=0.4 s")


def test_a_study_around_another_ends_its_own_trial(study: Study, tmp_path: Path) -> None:
    def inner(trial: Any) -> float:
        signal.pause()
        return 0.0

    def outer(trial: Any) -> float:
        if trial.number == 0:
            nested = hpo.create_study(storage=f"sqlite:///{tmp_path}/inner.db", sampler="random", pruner="none")
            with nested.store:
                nested.optimize(inner, n_trials=1)
        return 1.0

    study.optimize(outer, n_trials=2, trial_timeout=0.5)
    check(study, 0, 2, "it ran longer than trial_timeout=0.5 s")


def test_an_alarm_of_the_objectives_own_is_left_alone(study: Study) -> None:
    def objective(trial: Any) -> float:
        rung = threading.Event()
        before = signal.signal(signal.SIGALRM, lambda number, frame: rung.set())
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            signal.pause()
        finally:
            signal.signal(signal.SIGALRM, before)
        return float(rung.is_set())

    study.optimize(objective, n_trials=2, trial_timeout=60.0)
    assert [trial.values for trial in study.trials] == [(1.0,), (1.0,)]
