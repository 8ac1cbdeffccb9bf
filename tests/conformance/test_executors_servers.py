"""The core of the executors' suite on servers, and a server's connections ended under a sweep."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

import hpo
from hpo.study import Study
from tests import mariadb
from trackers.errors import StoreError
from trackers.states import RunState

SPACE = {"x": hpo.Float(0.0, 1.0), "kind": hpo.Categorical(["a", "b"]), "depth": hpo.Int(1, 4, when={"kind": "b"})}


@pytest.fixture(params=["inline", "ray"])
def workers(request: pytest.FixtureRequest) -> int:
    if request.param == "ray":
        request.getfixturevalue("cluster")
        return 2
    return 0


@pytest.fixture
def study(server_store_url: str) -> Iterator[Study]:
    study = hpo.create_study(
        study_name="sweep", storage=server_store_url, space=SPACE, sampler="random", pruner="median"
    )
    with study.store:
        yield study


def curve(trial: Any) -> float:
    for step in range(5):
        time.sleep(0.002)  # the work
        trial.report(trial.params["x"] + step, step=step)
        if trial.should_prune():
            raise hpo.TrialPruned
    return float(trial.params["x"])


def slow(trial: Any) -> float:
    for step in range(4):
        time.sleep(0.02)  # the work
        trial.report(trial.params["x"], step=step)
    return float(trial.params["x"])


def check_exact(study: Study, total: int) -> None:
    trials = study.trials
    assert [t.number for t in trials] == list(range(total))
    assert all(t.state in (RunState.COMPLETE, RunState.PRUNED) for t in trials), [(t.number, t.error) for t in trials]
    finals = [[a.outcome for a in t.attempts if a.outcome in ("complete", "pruned")] for t in trials]
    assert all(len(f) == 1 for f in finals), "no trial ends twice"
    assert all(("depth" in t.params) == (t.params["kind"] == "b") for t in trials)


def test_two_hundred_trials_with_pruning_are_two_hundred(study: Study, workers: int) -> None:
    summary = study.optimize(curve, n_trials=200, workers=workers)
    assert summary.status == "complete"
    check_exact(study, 200)
    states = [t.state for t in study.trials]
    assert 20 < states.count(RunState.PRUNED) < 195
    assert study.best_value == min(t.value for t in study.trials if t.state is RunState.COMPLETE)  # type: ignore[type-var]


@pytest.mark.usefixtures("cluster")
def test_a_stopped_study_is_resumed_exactly(study: Study) -> None:
    def stopping(trial: Any) -> float:
        if trial.number == 7:
            trial.study.stop()
        return slow(trial)

    assert study.optimize(stopping, total_trials=20, workers=2).status == "stopped"
    before = {t.number: t for t in study.get_trials(states=[RunState.COMPLETE])}
    assert 0 < len(before) < 20
    assert study.optimize(slow, total_trials=20, workers=2).status == "complete"
    check_exact(study, 20)
    for number, old in before.items():
        assert (study.trials[number].values, study.trials[number].params) == (old.values, old.params)


def test_ended_connections_cost_nothing_or_stop_the_study_with_a_sentence(study: Study, workers: int) -> None:
    """Each sweep loses every connection several times: it goes on where nothing can have been committed."""
    ended = 0
    sentences = []
    for _ in range(4):
        with Saboteur(study.store.url) as saboteur:
            try:
                summary = study.optimize(slow, total_trials=40, workers=workers)
            except StoreError as exc:
                sentences.append(str(exc))
                continue
            finally:
                ended += saboteur.stop()
        assert summary.status == "complete"
        break
    else:
        study.optimize(slow, total_trials=40, workers=workers)
    assert ended > 0
    assert all("was lost during a commit: connect again" in s or "cannot be reached" in s for s in sentences)
    check_exact(study, 40)


class Saboteur:
    """Ends the store's connections on the server, one after another, while a sweep runs."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._stop = threading.Event()
        self._ended = 0
        self._thread = threading.Thread(target=self._run, name="saboteur")

    def __enter__(self) -> Saboteur:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def stop(self) -> int:
        """End it; return how many connections it ended."""
        self._stop.set()
        self._thread.join()
        return self._ended

    def _run(self) -> None:
        if self._url.startswith(mariadb.NAMES):
            while not self._stop.wait(0.7):
                self._ended += mariadb.end_connections(self._url)
            return
        with psycopg.connect(self._url.replace("+psycopg", ""), autocommit=True) as connection:
            while not self._stop.wait(0.7):
                rows = connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'trackers'"
                    " AND datname = current_database() AND pid <> pg_backend_pid()"
                ).fetchall()
                self._ended += len(rows)
