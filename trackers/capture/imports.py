"""Which source files a process has imported: those of its project, and those from elsewhere that are not installed."""

from __future__ import annotations

import os
import site
import sys
import sysconfig
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from trackers.processes import APART

ELSEWHERE = "imported-from-elsewhere"
"""The folder of a kept state in which modules lie that were imported from outside its own folder."""


def imported(top: Path) -> dict[str, Path]:
    """Return the source files of imported modules below *top*: name below it -> path; what is installed is not among them."""
    found = {}
    for place, path in _modules(installed()):
        if place.is_relative_to(top):  # a link is imported by its own name
            found[place.relative_to(top).as_posix()] = path
    return found


def elsewhere(top: Path) -> dict[str, Path]:
    """Return those of modules outside *top*, by the names under which they are kept; this package is not among them."""
    ours = Path(__file__).resolve().parents[2]
    roots = sorted({Path(entry).resolve() for entry in sys.path if entry}, key=lambda root: -len(root.parts))
    found: dict[str, Path] = {}
    for place, path in _modules(frozenset({*installed(), ours})):
        if place.is_relative_to(top):
            continue
        root = next((one for one in roots if place.is_relative_to(one)), place.parent)
        found[f"{ELSEWHERE}/{root.name or 'root'}/{place.relative_to(root).as_posix()}"] = path
    return found


def _modules(without: frozenset[Path]) -> Iterator[tuple[Path, Path]]:
    """Yield the source files of modules but for those below *without*: where it was imported, and what a link leads to."""
    prefixes = tuple(f"{path}{os.sep}" for path in without)
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if not isinstance(file, str) or not file.endswith((".py", ".pyw")) or file.startswith(prefixes):
            continue
        if getattr(module, APART, False) is True:
            continue
        try:
            given = Path(file).absolute()
            place, path = given.parent.resolve() / given.name, given.resolve()
        except (OSError, ValueError):
            continue
        if not any(path.is_relative_to(other) for other in without) and path.is_file():
            yield place, path


@lru_cache(maxsize=1)
def installed() -> frozenset[Path]:
    """Return the folders of the standard library and of installed packages."""
    paths = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib", "scripts")}
    paths |= {*site.getsitepackages(), site.getusersitepackages()} if hasattr(site, "getsitepackages") else set()
    return frozenset(Path(path).resolve() for path in paths if path)
