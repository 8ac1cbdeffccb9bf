"""Optuna's own suite for storages, on ours, whole."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from trackers.interop.optuna import OptunaStorage

pytest.register_assert_rewrite("optuna.testing.pytest_storages")
from optuna.testing.pytest_storages import StorageTestCase  # noqa: E402


@pytest.fixture
def storage(store_url: str, tmp_path: object) -> Iterator[OptunaStorage]:
    storage = OptunaStorage(store_url)
    yield storage
    storage.store.close()


class TestOptunaStorage(StorageTestCase):
    """59 cases on each database."""
