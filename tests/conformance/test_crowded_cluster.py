"""A cluster whose CPUs others hold: it is said what workers wait for, and a sweep inside a trial does not wait for ever."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import hpo
from hpo.progress import Progress
from trackers.states import RunState

pytestmark = pytest.mark.usefixtures("cluster")


@contextmanager
def held(cpus: int) -> Iterator[None]:
    """Hold CPUs of the cluster, as somebody else's sweep would."""
    import ray

    class Holder:
        def there(self) -> None: ...

    holder: Any = ray.remote(num_cpus=cpus)(Holder).remote()
    ray.get(holder.there.remote())
    try:
        yield
    finally:
        ray.kill(holder)


def test_it_is_said_what_the_workers_that_do_not_come_wait_for(
    sqlite_store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hpo.driver.crowd.PATIENCE", 0.5)
    said: list[str] = []
    told = threading.Event()

    def shown(progress: Progress) -> None:
        said.extend(note for note in progress.notes if "free" in note)
        if said and not told.is_set():
            told.set()
            study.stop()

    def endless(trial: Any) -> float:
        step = 0
        while True:
            threading.Event().wait(0.02)
            trial.report(0.0, step=(step := step + 1))

    study = hpo.create_study(storage=sqlite_store_url, sampler="random", pruner="none")
    with study.store, held(3):
        study.optimize(endless, total_trials=4, workers=2, on_progress=shown)
    assert said[0] == (
        "1 of 2 workers are there: a worker takes 1 CPU, and 0 of the cluster's 4 are free; the rest come when there is room"
    )


def test_a_sweep_inside_a_trial_that_finds_no_room_is_refused_and_says_what_to_do(
    sqlite_store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hpo.driver.crowd.WITHIN_TRIAL", 0.5)

    def inner(trial: Any) -> float:
        return float(trial.suggest_float("x", 0, 1))

    def outer(trial: Any) -> float:
        nested = hpo.create_study(study_name="inner", storage=sqlite_store_url)
        with nested.store:
            nested.optimize(inner, n_trials=2, workers=1)
        return 0.0

    study = hpo.create_study(study_name="outer", storage=sqlite_store_url)
    with study.store:
        with held(4):
            study.optimize(outer, n_trials=1)
        [trial] = study.trials
        assert trial.state is RunState.FAIL
        assert trial.error is not None
        assert trial.error.startswith(
            "NoRoomError: a sweep inside a trial has no room for its workers: a worker takes 1"
        )
        assert "workers=0" in trial.error
        row = study.store.get_study("inner")
        assert row.status == "stopped"
        assert not sum(row.counts.values())
