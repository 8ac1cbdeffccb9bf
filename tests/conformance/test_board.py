"""The leaderboard that is read by outlines is the leaderboard, whatever the trials are."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

import pytest

import hpo
from hpo.cli import main
from hpo.ranking import board
from hpo.study import Study


def odd(trial: Any) -> float:
    """End in every way there is."""
    number = trial.number
    for step in range(number % 4):
        trial.report([1.0, math.nan, -math.inf, 0.25][(number + step) % 4], step=step * 3)
    trial.set_constraint("memory", [-1.0, 0.0, 0.5, math.nan][number % 4 if number % 7 == 0 else 0])
    if number % 5 == 1:
        raise hpo.TrialPruned
    if number % 11 == 3:
        raise ValueError("as it happens")
    if number % 6 == 4 and not trial.attempt:
        raise ConnectionError("tried again")
    trial.set_user_attr("note", number)
    return [0.5, 0.5, math.nan, math.inf, -math.inf, 0.125 * number][number % 6]


@pytest.fixture
def study(store_url: str) -> Iterator[Study]:
    study = hpo.create_study(storage=store_url, sampler="random", pruner="none", direction="maximize")
    with study.store:
        study.optimize(odd, n_trials=60, retry_on="ConnectionError")
        study.store.archive_run(study.trials[0].uid)
        yield study


def test_its_first_lines_are_those_of_all_trials_read_whole(study: Study) -> None:
    for limit in (1, 7, 60, 100):
        for archived in (True, False):
            check(study, limit, archived)


def check(study: Study, limit: int, archived: bool) -> None:
    found = board(study.store, study.row, limit, archived=archived)
    expected = board(study.store, study.row, None, archived=archived)
    assert repr(found.to_rows(limit)) == repr(expected.to_rows(limit)), "NaN is no equal of itself"
    assert found.to_text(limit) == expected.to_text(limit)
    assert [s.trial.number for s in found] == [s.trial.number for s in expected]
    assert [(s.rank, s.group) for s in found] == [(s.rank, s.group) for s in expected]


def test_status_and_best_name_no_trial_that_breaks_a_constraint(
    sqlite_store_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def objective(trial: Any) -> float:
        trial.report(0.5, step=3)
        trial.set_constraint("size", 1.0 if trial.number == 1 else -1.0)
        return 9.0 if trial.number == 1 else float(trial.number)

    study = hpo.create_study(study_name="tight", storage=sqlite_store_url, direction="maximize")
    with study.store:
        study.optimize(objective, n_trials=3)
    assert main(["status", "tight", "--storage", sqlite_store_url]) == 0
    assert "value 2 (trial 2)" in capsys.readouterr().out
    assert main(["best", "tight", "--storage", sqlite_store_url, "--json"]) == 0
    best = json.loads(capsys.readouterr().out)
    assert (best["number"], best["reports"]) == (2, {"3": 0.5})
