"""The README's commands, as written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import cluster
from tests.docs.page import ROOT, blocks, environment, follow

README = ROOT / "README.md"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with cluster() as found:
        yield found


def test_a_reader_who_types_what_the_readme_says_gets_a_model_from_production(tmp_path: Path, address: str) -> None:
    printed = follow(README, tmp_path, environment(HPO_ADDRESS=address))
    assert "[0]" in printed, "the model loaded by its alias names the flower's class"
    assert (tmp_path / "report.html").stat().st_size > 10_000


def test_the_readme_begins_with_the_demo_and_the_tests() -> None:
    first = blocks(README)[0]
    assert [line.split("#")[0].split() for line in first.text.splitlines()] == [["make", "demo"], ["make", "test"]]


def test_every_make_command_of_the_readme_is_in_the_makefile() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z-]+)", README.read_text(encoding="utf-8")))
    assert named <= targets


def test_the_readme_is_filled_in() -> None:
    assert not re.search(r"\b[A-Z]+_OUTPUT\b", README.read_text(encoding="utf-8"))
