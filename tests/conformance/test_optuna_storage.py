"""Optuna's own suite for storages, on ours, whole."""

from __future__ import annotations

from collections.abc import Iterator

import optuna
import pytest

from trackers.interop.optuna import OptunaStorage

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
