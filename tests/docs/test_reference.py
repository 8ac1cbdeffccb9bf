"""The reference pages are what the code says, and leave no public name out."""

from __future__ import annotations

import importlib
import inspect
import os
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.docs.generator import generate, markdown, pages, reference, signature, source
from tests.docs.page import FENCE, HEADING, blocks

PYTHON = [page.file for page in pages.PAGES]
FILES = ["cli.md", "trackers-cli.md", *(f"python/{name}" for name in PYTHON)]
MODULES = (
    *("trackers", "trackers.models", "trackers.capture", "trackers.policy", "trackers.lineage", "trackers.values"),
    *("trackers.errors", "trackers.interop.optuna", "trackers.interop.mlflow", "hpo", "hpo.errors", "hpo.sampling"),
)
INNER = {"ArtifactStore", "Change", "Commit", "Curve", "Direction", "Field", "Found"}
"""Types that only the package itself has to do with, or that behave as text does."""


@cache
def made() -> dict[Path, str]:
    """Return all pages as the code says they are; made once, since that imports everything."""
    found: dict[Path, str] = generate.pages()
    return found


def entries() -> list[Any]:
    return [entry for page in pages.PAGES for entry in reference.entries(page)]


def classes(file: str) -> list[Any]:
    """Return the entries of a page that are classes, but for errors."""
    page = next(page for page in pages.PAGES if page.file == file)
    found = [entry for entry in reference.entries(page) if inspect.isclass(entry.thing)]
    return [entry for entry in found if not issubclass(entry.thing, BaseException)]


def public(module: str) -> list[str]:
    """Return the names that a module hands out."""
    home = importlib.import_module(module)
    listed = getattr(home, "__all__", None)
    if listed is not None:
        return list(listed)
    own = inspect.getmembers(home, lambda thing: inspect.isclass(thing) or inspect.isfunction(thing))
    return [name for name, thing in own if not name.startswith("_") and source.is_ours(thing)]


@pytest.mark.parametrize("file", FILES)
def test_a_page_is_what_the_code_says(file: str) -> None:
    path = generate.FOLDER / file
    assert path.read_text(encoding="utf-8") == made()[path], "run: python docs/generate.py"


def test_no_page_is_left_from_what_was_made_before() -> None:
    assert sorted(path.name for path in (generate.FOLDER / "python").iterdir()) == sorted(PYTHON)
    assert set(made()) == {generate.FOLDER / file for file in FILES}


@pytest.mark.parametrize("module", MODULES)
def test_every_public_name_is_on_a_page(module: str) -> None:
    documented = {id(entry.thing) for entry in entries()}
    home = importlib.import_module(module)
    things = {name: getattr(home, name) for name in public(module)}
    missing = [name for name, thing in things.items() if callable(thing) and id(thing) not in documented]
    assert not set(missing) - {"to_datetime"}  # a stored time's microseconds as a datetime: no value holds them


@pytest.mark.parametrize("file", PYTHON)
def test_every_public_member_of_a_class_is_on_its_page(file: str) -> None:
    text = (generate.FOLDER / "python" / file).read_text(encoding="utf-8")
    missing = []
    for entry in classes(file):
        part = text.split(f"\n### {entry.name}\n", 1)[1]
        part = re.split(r"^###? ", part, maxsplit=1, flags=re.MULTILINE)[0]
        missing += [f"{entry.name}.{name}" for name in sorted(own_names(entry.thing, part)) if not _told(name, part)]
    assert not missing


def own_names(cls: type, part: str) -> set[str]:
    """Return the public names of a class and its bases, but for those of a base that *part* sends its reader to."""
    own = [one for one in cls.__mro__ if source.is_ours(one)]
    names = {name for one in own for name in vars(one) if not name.startswith("_")}
    names -= {
        name for one in own for name, kind in vars(one).get("__annotations__", {}).items() if "ClassVar" in str(kind)
    }
    sent = re.search(r"^It has all that \[`(\w+)`\]", part, re.MULTILINE)
    base = next((one for one in own if sent is not None and one.__name__ == sent[1]), None)
    return names if base is None else names - {member.name for member in source.members(base)}


def _told(name: str, part: str) -> bool:
    return re.search(rf"^##### \S+\.{name}$|`{name}`|\*{name}\*", part, re.MULTILINE) is not None


@pytest.mark.parametrize("file", PYTHON)
def test_a_page_has_each_heading_once_and_no_trace_of_how_it_was_made(file: str) -> None:
    path = generate.FOLDER / "python" / file
    text = path.read_text(encoding="utf-8")
    anchors = [markdown.anchor(match["title"]) for match in HEADING.finditer(FENCE.sub("", text))]
    assert len(anchors) == len(set(anchors))
    prose = re.sub(r"^```\w*$", "", text, flags=re.MULTILINE)
    traces = (" object at 0x", "<class ", "<function ", "<factory>", "typing.", "``", "(self")
    assert not [trace for trace in traces if trace in prose]
    assert not re.findall(r"^def _\w+", "\n".join(block.text for block in blocks(path)), flags=re.MULTILINE)


@pytest.mark.parametrize("file", PYTHON)
def test_the_types_of_ours_that_public_calls_return_are_on_a_page(file: str) -> None:
    documented = reference.Reference(pages.PAGES).documented()
    missing = set()
    for entry in classes(file):
        for member in source.members(entry.thing):
            found = signature.types_in(member.returns, member.owner.__module__)
            missing |= {
                f"{entry.name}.{member.name}: {name}"
                for name, thing in found.items()
                if inspect.isclass(thing)
                and source.is_ours(thing)
                and id(thing) not in documented
                and name not in INNER
            }
    assert not missing


def test_a_docstring_becomes_paragraphs_links_and_code() -> None:
    doc = """Return *it*; see ``Store.close``.

    Raises StateError.

    >>> 1 + 1
    2

        x = {"a": 1}
    """
    made = markdown.markdown(doc, {"Store.close": "store.md#storeclose", "StateError": "#stateerror"}.get)
    assert made.split("\n\n") == [
        "Return *it*; see [`Store.close`](store.md#storeclose).",
        "Raises [StateError](#stateerror).",
        "```python\n1 + 1\n# 2\n```",
        '```python\nx = {"a": 1}\n```',
    ]


def test_a_long_signature_has_a_parameter_a_line_and_short_types() -> None:
    def call(a: os.PathLike[str], /, b: int = 1, *c: str, d: Mapping[str, Any], **e: object) -> None: ...

    assert signature.shown(call, "call") == (
        "def call(a: PathLike[str], /, b: int = 1, *c: str, d: Mapping[str, Any], **e: object) -> None: ..."
    )
    assert signature.shown(call, "a_name_so_long_that_it_does_not_fit_into_a_line").splitlines() == [
        "def a_name_so_long_that_it_does_not_fit_into_a_line(",
        "    a: PathLike[str],",
        "    /,",
        "    b: int = 1,",
        "    *c: str,",
        "    d: Mapping[str, Any],",
        "    **e: object,",
        ") -> None: ...",
    ]


def test_a_default_that_would_be_shown_by_its_address_is_refused() -> None:
    with pytest.raises(TypeError, match="has no short form"):
        signature.default(object(), "hpo")
