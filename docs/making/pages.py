"""All pages of the Python reference."""

from __future__ import annotations

from making.hpo_page import HPO
from making.reference import Reference
from making.trackers_pages import TRACKERS_PAGES

PAGES = [*TRACKERS_PAGES, HPO]


def python_pages() -> dict[str, str]:
    """Return the text of each page by the name of its file."""
    return Reference(PAGES).pages()
