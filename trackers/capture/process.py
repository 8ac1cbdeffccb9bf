"""How a process was launched: which code, in which environment, by which call. Never fails what it describes."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from trackers.capture.git import GitError
from trackers.capture.secret import redact_arguments
from trackers.capture.state import CodeState, state_digest, version_of

SECONDS = 2.0
"""How long a process may take to look at its code, once."""


@dataclass(frozen=True)
class Capture:
    """What is recorded of a process: the *code* and its bytes, the *environment*, and the call.

    Without *has_code* nothing is known of the code, and none is recorded.
    """

    code: CodeState
    environment: Mapping[str, Any]
    entry_point: str
    arguments: tuple[str, ...]
    objective: Mapping[str, Any] = field(default_factory=dict)
    has_code: bool = True

    @property
    def record(self) -> dict[str, Any]:
        """What the store keeps of the code."""
        return {**self.code.record(), **({"objective": dict(self.objective)} if self.objective else {})}

    @property
    def digest(self) -> str:
        """The identity of the code's state."""
        return state_digest(self.record)

    @property
    def version(self) -> str:
        """The short name of the code's state."""
        return version_of(self.record, self.digest)


def launch(beside: Collection[Path] = ()) -> Capture:
    """Return what is to be recorded of this process, looked at once: the script, or the current folder."""
    from trackers.capture.source import cell_count

    try:
        folder = os.getcwd()
    except OSError:
        folder = os.sep  # it was deleted
    grown = cell_count(), _imports.looked
    return _launch(os.getpid(), folder, tuple(sys.argv), grown, tuple(sorted(beside)))


@lru_cache(maxsize=4)
def _launch(pid: int, folder: str, argv: tuple[str, ...], grown: tuple[int, int], beside: tuple[Path, ...]) -> Capture:
    from trackers.capture.source import main_file

    return capture(main_file() or Path(folder), beside=beside)


def has_grown(known: Capture) -> bool:
    """Tell whether this process ran code since that *known* lacks: cells, or modules imported outside a repository.

    ``launch`` looks again then. Never raises.
    """
    from trackers.capture.source import cells

    try:
        return cells() != known.code.cells or _imports.grew(known.code)
    except Exception:  # noqa: BLE001 - a run ends all the same
        return False


class _Imports:
    """Watches for more source of the project; *looked* counts how often there was."""

    def __init__(self) -> None:
        self.looked, self._modules = 0, 0

    def grew(self, known: CodeState) -> bool:
        """Tell whether a module was imported that *known*, outside a repository, lacks."""
        from trackers.capture.imports import imports
        from trackers.capture.source import main_file, top_of

        if known.commit is not None or len(sys.modules) == self._modules:
            return False
        self._modules = len(sys.modules)
        top = top_of(main_file() or Path.cwd())
        below, outside = imports(top)
        new = {*below, *outside} - {*known.files, *known.left_out}
        self.looked += bool(new)
        return bool(new)


_imports = _Imports()


def capture(
    place: str | os.PathLike[str], *, beside: Collection[Path] = (), objective: Mapping[str, Any] | None = None
) -> Capture:
    """Return what is to be recorded of this process, whose code is at *place*, a file or a folder.

    *objective* says which function of it runs: file, name and digest. Never raises.
    """
    code = code_state(Path(place), beside)
    return Capture(code, _environment(), entry_point(), tuple(redact_arguments(sys.argv[1:])), dict(objective or {}))


def capture_caller(*, beside: Collection[Path] = ()) -> Capture:
    """Return what is to be recorded of a program that logs what others computed, from a shell.

    Its own source is nobody's code: that of the run is the repository around the current folder. Outside one, nothing is
    known of it. Never raises.
    """
    from trackers.capture.repository import read_repository

    try:
        code = read_repository(Path.cwd(), SECONDS, beside)
    except Exception:  # noqa: BLE001 - whatever a repository can be: the run goes on, without code
        code = None
    arguments = tuple(redact_arguments(sys.argv[1:]))
    return Capture(code or CodeState(), _environment(), entry_point(), arguments, has_code=code is not None)


def _environment() -> Mapping[str, Any]:
    from trackers.capture.machine import environment

    try:
        return environment()
    except Exception as exc:  # noqa: BLE001 - whatever is installed: the run goes on, the note says so
        return {"note": f"the environment could not be read ({type(exc).__name__}: {exc})"}


def code_state(place: Path, beside: Collection[Path] = (), seconds: float | None = None) -> CodeState:
    """Return the state of the repository around *place*, or the imported source where there is none. Never raises.

    It is read for *seconds* (None: as many as a run has for it).
    """
    from trackers.capture.repository import read_repository
    from trackers.capture.source import cells, read_source

    notes: tuple[str, ...] = ()
    found: CodeState | None = None
    seconds = SECONDS if seconds is None else seconds
    try:
        found = read_repository(place, seconds, beside)
    except GitError as exc:
        notes = (f"{exc}: the imported source was kept instead",)
    except Exception as exc:  # noqa: BLE001 - whatever a repository can be: the run goes on, the note says so
        notes = (f"the repository could not be read ({type(exc).__name__}: {exc}): the imported source was kept",)
    try:
        if found is None:
            found = replace(read_source(place, seconds, beside), notes=notes)
        return replace(found, cells=cells())
    except Exception as exc:  # noqa: BLE001 - likewise
        note = f"the source could not be read ({type(exc).__name__}: {exc})"
        return replace(found or CodeState(), notes=(*notes, note))


def entry_point() -> str:
    """Return what was called: ``exp/train.py``, ``-m package.module``, ``hpo``; empty for a prompt.

    A script is named from the top of its repository: there may be others of its name.
    """
    from trackers.capture.source import main_file

    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    name = getattr(spec, "name", None)
    if isinstance(name, str) and name and name != "__main__":
        return f"-m {name.removesuffix('.__main__')}"
    script = main_file()
    top = script and next((folder for folder in script.parents if (folder / ".git").exists()), None)
    if script and top:
        return script.relative_to(top).as_posix()
    return os.path.basename(sys.argv[0]) if sys.argv else ""


def content_digest(value: Any) -> str:
    """Return the digest of a JSON value, whatever the order of its keys (sha-256, hex)."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()
