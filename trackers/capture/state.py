"""A state of code: what it takes to have it again, as one value with one digest."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from trackers.capture.commits import Commits
from trackers.errors import InvalidValueError

MAX_BUNDLE_BYTES = 64 << 20
DIFF, CELLS, FILES = "diff.patch", "cells.py", "files/"
_LONGEST_LIST = 100
_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class SourceFile:
    """The bytes of a file, and whether it may be executed."""

    data: bytes
    executable: bool = False

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


@dataclass(frozen=True)
class CodeState:
    """The code of a process.

    *commit* and what follows are those of the git repository around it, None outside one; *diff* is what was changed
    since, binary files included. *files* are the untracked ones, or outside a repository the source files that were
    imported; *cells* what a notebook had executed. *hidden* maps files in whose changes a secret was hidden to whether
    all can be restored none the less; *left_out* says why a file is missing, and *traces* tell its content from another,
    as far as that is cheap. *submodules* map paths to commits. *commits* are those that no remote has.
    """

    commit: str | None = None
    author: str | None = None
    committed: str | None = None
    branch: str | None = None
    remote: str | None = None
    dirty: bool | None = None
    diff: bytes = b""
    files: Mapping[str, SourceFile] = field(default_factory=dict)
    cells: str = ""
    hidden: Mapping[str, bool] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    traces: Mapping[str, str] = field(default_factory=dict)
    submodules: Mapping[str, str] = field(default_factory=dict)
    commits: Commits | None = None
    notes: tuple[str, ...] = ()

    def record(self) -> dict[str, Any]:
        """Return what is known of it, as JSON; the bytes are in the bundle, their digests here."""
        listed = dict(list(self.left_out.items())[:_LONGEST_LIST])
        unkept = unkept_digest(self.commit, self.dirty, self.traces)
        return {
            "commit": self.commit,
            "author": self.author,
            "committed": self.committed,
            "dirty": self.dirty,
            "diff": _facts(self.diff) if self.diff else None,
            "files": {
                name: {**_facts(file.data), "executable": file.executable} for name, file in sorted(self.files.items())
            },
            "cells": _facts(self.cells.encode("utf-8", "backslashreplace")) if self.cells else None,
            "hidden": dict(sorted(self.hidden.items())),
            "left_out": listed,
            "left_out_count": len(self.left_out),
            **({"unkept": unkept} if unkept is not None else {}),
            "submodules": dict(self.submodules),
            **({"commits": _commits(self.commits)} if self.commits is not None else {}),
            "notes": list(self.notes),
        }

    def bundle(self) -> bytes | None:
        """Return diff, files and cells as one zip archive, the same for the same content; None where there are none."""
        parts = {DIFF: self.diff, CELLS: self.cells.encode("utf-8", "backslashreplace")}
        parts |= {FILES + name: file.data for name, file in sorted(self.files.items())}
        parts = {name: data for name, data in parts.items() if data or name.startswith(FILES)}
        if not parts:
            return None
        sink = io.BytesIO()
        with zipfile.ZipFile(sink, "w") as archive:
            for name, data in parts.items():
                entry = zipfile.ZipInfo(name, _EPOCH)
                entry.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(entry, data, compresslevel=6)
        return sink.getvalue()


def _commits(commits: Commits) -> dict[str, Any]:
    return {"count": commits.count, **({"why": commits.why} if commits.why else _facts(commits.bundle))}


def _facts(data: bytes) -> dict[str, Any]:
    return {"digest": hashlib.sha256(data).hexdigest(), "size": len(data)}


def unkept_digest(commit: str | None, dirty: bool | None, traces: Mapping[str, str]) -> str | None:
    """Return what tells states apart that differ in what is not kept of them (sha-256, hex); None where all is kept.

    Of a commit of which nobody knows whether it was changed, that is not known.
    """
    if not traces and (dirty is not None or not commit):
        return None
    return hashlib.sha256(json.dumps([dirty, sorted(traces.items())]).encode()).hexdigest()


def state_digest(record: Mapping[str, Any]) -> str:
    """Return the identity of a state (sha-256, hex): equal digests mean that the same code ran.

    It covers the commit, the changes, the files, the cells, the objective, and what is known of what was left out; not
    who committed where, nor what was pushed. The record of a state of which all is kept, and of an older release, has
    nothing of what was left out in its digest.
    """
    kept = {name: record.get(name) for name in ("commit", "diff", "files", "cells", "submodules", "objective")}
    objective = kept["objective"]
    if objective:
        kept["objective"] = {name: objective.get(name) for name in ("name", "digest")}
    if "unkept" in record:
        kept["unkept"] = record["unkept"]
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


def version_of(record: Mapping[str, Any], digest: str) -> str:
    """Return the short name of a state: ``3f786850.c1a2b3d4`` where the tree was clean, ``3f786850+...`` where not."""
    commit = str(record.get("commit") or "")[:8]
    if not commit:
        return digest[:8]
    return f"{commit}{'.' if record.get('dirty') is False else '+'}{digest[:8]}"


def read_bundle(data: bytes) -> dict[str, bytes]:
    """Return the parts of a bundle: name -> bytes. Raises InvalidValueError for one that is none, or unpacks too large."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            if sum(entry.file_size for entry in entries) > MAX_BUNDLE_BYTES or len(entries) > 10_000:
                raise InvalidValueError("the stored code unpacks to more than code takes: nothing was restored")
            found: dict[str, bytes] = {}
            for entry in entries:
                with archive.open(entry) as source:
                    found[entry.filename] = source.read(entry.file_size + 1)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, OSError, ValueError) as exc:
        if isinstance(exc, InvalidValueError):
            raise
        raise InvalidValueError(f"the stored code cannot be unpacked: {exc}") from exc
    return found
