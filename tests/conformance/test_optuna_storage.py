"""Optuna's own suite for storages, on ours, whole."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

import hpo
from trackers.errors import InvalidValueError, StudyBusyError
from trackers.interop.optuna import OptunaStorage
from trackers.store import Store

pytest.register_assert_rewrite("optuna.testing.pytest_storages")
from optuna.testing.pytest_storages import StorageTestCase  # noqa: E402


@pytest.fixture
def storage(store_url: str, tmp_path: object) -> Iterator[OptunaStorage]:
    storage = OptunaStorage(store_url)
    yield storage
    storage.store.close()


def test_results_of_named_objectives_are_found_and_are_no_reports(sqlite_url: str) -> None:
    storage = OptunaStorage(sqlite_url)
    study = optuna.create_study(storage=storage, study_name="s", directions=["maximize", "minimize"])
    study.set_metric_names(["accuracy", "size"])
    study.optimize(lambda trial: (trial.suggest_float("x", 0, 1), 2.0), n_trials=2)
    study.add_trial(optuna.create_trial(values=[0.5, 3.0]))
    assert len(storage.store.search_runs("metrics.accuracy <= 1 and metrics.size = 2")) == 2
    assert storage.store.search_runs("metrics.size = 3")[0].number == 2
    assert [trial.intermediate_values for trial in study.trials] == [{}, {}, {}]
    storage.store.close()


class TestOptunaStorage(StorageTestCase):
    """59 cases on each database."""


def test_what_cannot_be_kept_fails_at_the_call_that_gives_it_and_costs_one_trial(store: Store) -> None:
    theirs = optuna.create_study(study_name="strict", storage=OptunaStorage(store))

    def objective(trial: optuna.Trial) -> float:
        if trial.number == 0:
            trial.set_user_attr("acc", np.float32(0.5))
        if trial.number == 1:
            trial.set_user_attr("kinds", {1, 2})
        if trial.number == 2:
            trial.suggest_float("a\nb", 0, 1)
        if trial.number == 3:
            trial.report(1.0, step=2**70)
        if trial.number == 4:  # it would come back otherwise, and no sampler would learn of it
            trial.suggest_float("gro\u0308\u00dfe", 0, 1)
        return trial.suggest_float("gr\u00f6\u00dfe", 0, 1)

    theirs.optimize(objective, n_trials=6, catch=(TypeError, ValueError))
    assert [trial.state for trial in theirs.trials] == [TrialState.FAIL] * 5 + [TrialState.COMPLETE]
    assert list(theirs.best_params) == ["gr\u00f6\u00dfe"]
    with pytest.raises(TypeError, match="the attribute 'k' is no JSON"):
        theirs.set_user_attr("k", object())
    with pytest.raises(InvalidValueError, match="cannot be kept as JSON"):
        store.share_study(store.get_study("strict").id).set_attrs("user", {"k": object()})


def test_a_managed_study_is_not_deleted_by_tools_of_optuna(store: Store) -> None:
    study = hpo.create_study(study_name="kept", storage=store, sampler="random", pruner="none")
    study.optimize(lambda trial: 1.0, n_trials=1)
    with pytest.raises(StudyBusyError, match="hpo rename kept NAME"):
        optuna.delete_study(study_name="kept", storage=OptunaStorage(store))
    assert len(hpo.load_study(study_name="kept", storage=store).trials) == 1
