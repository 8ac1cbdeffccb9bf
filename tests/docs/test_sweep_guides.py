"""What a page tells its reader to do works: the pages that run sweeps, on one Ray cluster."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import cluster
from tests.copies import copies
from tests.docs.page import ROOT, environment, follow

SWEEPS = (
    "docs/tutorial.md",
    "docs/how-to/cluster-postgresql.md",
    "docs/how-to/optuna.md",
    "docs/how-to/pruning.md",
    "docs/how-to/registering.md",
    "docs/how-to/resuming.md",
)


@pytest.fixture(scope="module")
def commands() -> Iterator[Path]:
    with copies() as found:
        yield found


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with cluster() as found:
        yield found


@pytest.mark.parametrize("page", SWEEPS)
def test_a_guide_does_what_it_says(page: str, tmp_path: Path, commands: Path, address: str) -> None:
    follow(ROOT / page, tmp_path, environment(commands=commands, HPO_ADDRESS=address))
