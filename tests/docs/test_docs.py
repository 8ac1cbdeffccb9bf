"""The documentation is true: links lead somewhere, and what a page tells its reader to do works."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from tests.docs.page import ROOT, Block, anchors, blocks, links, pages
from tests.docs.test_store_guides import STORES
from tests.docs.test_sweep_guides import SWEEPS

PAGES = pages()
GUIDES = ["docs/tutorial.md", *(f"docs/how-to/{page.name}" for page in (ROOT / "docs" / "how-to").glob("*.md"))]
LANGUAGES = {"sh", "python", "text", "toml", "mermaid"}


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    broken = []
    for target in links(page):
        if target.startswith(("https://", "http://", "mailto:")):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        if not there.exists() or (anchor and anchor not in anchors(there)):
            broken.append(target)
    assert not broken


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_block_of_a_page_says_its_language_and_can_be_read_in_it(page: Path) -> None:
    for block in blocks(page):
        assert block.language in LANGUAGES, f"{block}: {block.language!r}"
        if block.language == "python":
            compile(block.text, str(block), "exec")
        if block.language == "toml":
            tomllib.loads(block.text)


def test_every_guide_is_followed() -> None:
    assert sorted([*SWEEPS, *STORES]) == sorted(GUIDES)


def test_every_guide_and_design_page_is_listed_where_readers_look() -> None:
    listed = {(page.parent / target).resolve() for page in PAGES for target in links(page) if "://" not in target}
    missing = [name(page) for page in PAGES if page.parent != ROOT and page not in listed and page.name != "README.md"]
    assert not missing


def test_no_page_names_a_command_that_is_not_there() -> None:
    from hpo.cli.app import TABLE
    from trackers.cli.app import TABLE as TRACKERS

    known = {"hpo": TABLE, "trackers": TRACKERS}
    wrong = []
    for page in PAGES:
        for block in blocks(page):
            wrong += [f"{block}: {line}" for line in _commands(block) if line.split()[1] not in known[line.split()[0]]]
    assert not wrong


def _commands(block: Block) -> list[str]:
    if block.language != "sh":
        return []
    return [line for line in block.text.splitlines() if line.startswith(("hpo ", "trackers "))]
