"""What a page tells its reader to do works: the pages about a store alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.copies import copies
from tests.docs.page import ROOT, environment, follow

STORES = (
    "docs/how-to/from-mlflow.md",
    "docs/how-to/keeping-house.md",
    "docs/how-to/models.md",
    "docs/how-to/offline.md",
    "docs/how-to/runs.md",
)


@pytest.fixture(scope="module")
def commands() -> Iterator[Path]:
    with copies() as found:
        yield found


@pytest.mark.parametrize("page", STORES)
def test_a_guide_does_what_it_says(page: str, tmp_path: Path, commands: Path) -> None:
    printed = follow(ROOT / page, tmp_path, environment(commands=commands)).splitlines()
    promised = re.findall(r"  # prints (.+)$", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)
    assert not [line for line in promised if line not in printed]
