"""The source of a process that runs outside a repository, and of a notebook."""

from __future__ import annotations

import sys
import time
from collections.abc import Collection
from functools import lru_cache
from pathlib import Path
from typing import Any

from trackers.capture.files import read_files, traces
from trackers.capture.imports import imports, installed
from trackers.capture.secret import redact
from trackers.capture.state import CodeState

MAX_CELLS_BYTES = 1 << 20


def read_source(place: Path, seconds: float, beside: Collection[Path] = ()) -> CodeState:
    """Return *place*, where it is a file, and the source of every module that was imported."""
    top = top_of(place)
    found = imports(top)
    paths = found.below | found.outside
    own: set[str] = set()
    if place.is_file():
        script = place.resolve()
        own = {script.relative_to(top).as_posix()}
        paths |= dict.fromkeys(own, script)
    deadline = time.monotonic() + seconds
    files, left_out = read_files(dict(sorted(paths.items())), deadline, beside, first=own)
    return CodeState(files=files, left_out=left_out, traces=traces(left_out, paths, deadline))


def top_of(place: Path) -> Path:
    """Return the folder whose modules are the code of *place*, a file or a folder."""
    return (place if place.is_dir() else place.parent).resolve()


def main_file() -> Path | None:
    """Return the script that this process runs, None for an installed program, a notebook or a prompt."""
    file = getattr(sys.modules.get("__main__"), "__file__", None)
    if not isinstance(file, str):
        return None
    path = Path(file).resolve()
    is_installed = any(path.is_relative_to(other) for other in installed())
    return path if path.is_file() and not is_installed else None


def cells() -> str:
    """Return what a notebook or a prompt of IPython has executed so far, secrets hidden; empty where there is none."""
    shell = _shell()
    history = [] if shell is None else list(getattr(shell, "user_ns", {}).get("In") or [])
    parts = [f"# In [{number}]:\n{text}\n" for number, text in enumerate(history) if number and isinstance(text, str)]
    return _redacted("\n".join(parts)[-MAX_CELLS_BYTES:])


@lru_cache(maxsize=1)  # every run looks again when it ends, and seldom was a cell executed since
def _redacted(text: str) -> str:
    return redact(text)


def cell_count() -> int:
    """Return how many cells were executed: where that changed, so did the code."""
    shell = _shell()
    return 0 if shell is None else len(getattr(shell, "user_ns", {}).get("In") or [])


def _shell() -> Any:
    if "IPython" not in sys.modules:
        return None
    get = getattr(sys.modules["IPython"], "get_ipython", None)
    return None if get is None else get()
