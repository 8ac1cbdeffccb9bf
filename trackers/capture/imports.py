"""Which source files a process has imported: those of its project, and those from elsewhere that are not installed."""

from __future__ import annotations

import os
import site
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from trackers.processes import APART

ELSEWHERE = "imported-from-elsewhere"
"""The folder of a kept state in which modules lie that were imported from outside its own folder."""


class Imports(NamedTuple):
    """Source files of modules by the names under which they are kept: *below* a folder, and from *outside* it."""

    below: dict[str, Path]
    outside: dict[str, Path]


def imports(top: Path) -> Imports:
    """Return the source files of imported modules; what is installed is not among them, nor is this package outside *top*.

    A link is imported by its own name. Outside *top*, a module that was generated, in the folder of temporary files and
    on no path, is left out.
    """
    ours, temporary = Path(__file__).resolve().parents[2], Path(tempfile.gettempdir()).resolve()
    roots = sorted({Path(entry).resolve() for entry in sys.path if entry}, key=lambda root: -len(root.parts))
    below: dict[str, Path] = {}
    found: list[tuple[Path, Path, Path]] = []
    for place, path in _modules():
        if place.is_relative_to(top):
            below[place.relative_to(top).as_posix()] = path
            continue
        root = next((one for one in roots if place.is_relative_to(one)), None)
        if place.is_relative_to(ours) or (root is None and place.is_relative_to(temporary)):
            continue
        found.append((root or place.parent, place, path))
    labels = _labels({root for root, _, _ in found})
    outside = {f"{ELSEWHERE}/{labels[root]}/{place.relative_to(root).as_posix()}": path for root, place, path in found}
    return Imports(below, outside)


def _labels(roots: set[Path]) -> dict[Path, str]:
    """Return a name for each folder: its own, with a number where several have it."""
    labels: dict[Path, str] = {}
    for root in sorted(roots):
        name, taken = root.name or "root", set(labels.values())
        labels[root] = (
            name if name not in taken else next(n for i in range(2, 10_000) if (n := f"{name}-{i}") not in taken)
        )
    return labels


def _modules() -> Iterator[tuple[Path, Path]]:
    """Yield the source files of modules that are not installed: where each was imported, and what a link leads to."""
    without = installed()
    folders: dict[str, Path] = {}
    apart: dict[Path, bool] = {}
    for module in list(sys.modules.values()):
        facts = getattr(module, "__dict__", None) or {}  # not the attributes themselves, which may be code
        file = facts.get("__file__")
        if not isinstance(file, str) or not file.endswith((".py", ".pyw")) or facts.get(APART) is True:
            continue
        try:
            given = os.path.dirname(os.path.abspath(file))
            if given not in folders:
                folders[given] = Path(given).resolve()
            folder = folders[given]
            if folder not in apart:
                apart[folder] = any(folder.is_relative_to(other) for other in without)
            if apart[folder]:
                continue
            place = folder / os.path.basename(file)
            path = place.resolve()
            if path.is_file() and not any(path.is_relative_to(other) for other in without):
                yield place, path
        except (OSError, ValueError):
            continue


def installed() -> frozenset[Path]:
    """Return the folders of the standard library and of installed packages, also those that a path names."""
    return _installed(tuple(sys.path))


@lru_cache(maxsize=4)
def _installed(path: tuple[str, ...]) -> frozenset[Path]:
    paths = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib", "scripts")}
    paths |= {*site.getsitepackages(), site.getusersitepackages()} if hasattr(site, "getsitepackages") else set()
    paths |= {entry for entry in path if entry and _holds_packages(entry)}
    return frozenset(Path(entry).resolve() for entry in paths if entry)


def _holds_packages(folder: str) -> bool:
    try:
        return any(entry.endswith(".dist-info") for entry in os.listdir(folder))
    except OSError:
        return False
