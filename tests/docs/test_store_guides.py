"""What a page tells its reader to do works: the pages about a store alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.page import ROOT, environment, follow

STORES = (
    "docs/how-to/from-mlflow.md",
    "docs/how-to/keeping-house.md",
    "docs/how-to/models.md",
    "docs/how-to/offline.md",
)


@pytest.mark.parametrize("page", STORES)
def test_a_guide_does_what_it_says(page: str, tmp_path: Path) -> None:
    follow(ROOT / page, tmp_path, environment())
