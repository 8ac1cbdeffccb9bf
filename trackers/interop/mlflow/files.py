"""Files that MLflow keeps, streamed into the artifact store.

What a database says about where files lie is not believed: a local folder serves only where it is one that MLflow
makes for that run or model, and no link is followed.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from trackers.artifacts import ArtifactStore
from trackers.artifacts.names import LEFT_BY_MLFLOW, check_name
from trackers.errors import ArtifactError, InvalidValueError
from trackers.interop.mlflow.client import first_line
from trackers.interop.mlflow.words import fit
from trackers.interop.outcome import Outcome

_DEEPEST = 50

Files = dict[str, tuple[str, int]]
"""Name -> digest and size."""


class Taker:
    """Takes files into *artifacts*; *note* is told of names that had to change, *problem* of what was refused."""

    def __init__(
        self, artifacts: ArtifactStore, uri: str, note: Callable[[str], None], problem: Callable[[str], None]
    ) -> None:
        self._artifacts, self._uri, self._note, self._problem = artifacts, uri, note, problem
        self.by_size: set[tuple[str, str]] = set()
        """Owners and names of files that were known by name and size, and not fetched."""

    def take(self, uri: str, owner: str, known: Mapping[str, tuple[str, int]] | None = None) -> Files:
        """Take every file below the artifact URI of the run or model *owner* (its id); return name -> digest, size.

        On another host one that is *known* by its name and size is not fetched again.
        """
        root = local_path(uri)
        if root is None:
            return dict(self._take_remote(uri, owner, known or {}))
        if not _is_of(root, owner):
            self._problem(f"{owner}: its files are said to be in {uri[:200]}, which is no folder of MLflow's: left out")
            return {}
        return dict(self._take_local(root, "", owner))

    def _take_local(
        self, folder: Path, prefix: str, owner: str, depth: int = 0
    ) -> Iterator[tuple[str, tuple[str, int]]]:
        if depth > _DEEPEST or folder.is_symlink() or not folder.is_dir():
            return
        for entry in sorted(os.scandir(folder), key=lambda one: one.name):
            name = f"{prefix}{entry.name}"
            if entry.is_symlink() or not (entry.is_file() or entry.is_dir()):
                self._problem(f"{owner}: {_shown(name)} is a link or a device: left out")
            elif entry.is_dir():
                yield from self._take_local(Path(entry.path), f"{name}/", owner, depth + 1)
            else:
                yield self._named(name, owner), self._artifacts.put_file(entry.path)

    def _take_remote(
        self, uri: str, owner: str, known: Mapping[str, tuple[str, int]]
    ) -> Iterator[tuple[str, tuple[str, int]]]:
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        repository: Any = get_artifact_repository(uri, tracking_uri=self._uri)
        for path, size in self._walk(repository, None, owner):
            name = self._named(path, owner)
            there = known.get(name)
            if there is not None and there[1] == size:
                self.by_size.add((owner, name))
                yield name, there
                continue
            with tempfile.TemporaryDirectory(prefix="trackers-mlflow-") as folder:
                yield name, self._artifacts.put_file(repository.download_artifacts(path, folder))

    def _walk(self, repository: Any, path: str | None, owner: str, depth: int = 0) -> Iterator[tuple[str, int]]:
        """Yield the path and size of every file below *path* that stays below it."""
        if depth > _DEEPEST:
            return
        for info in repository.list_artifacts(path):
            if not _is_below(str(info.path), path):
                self._problem(f"{owner}: the artifact {_shown(info.path)} would leave its folder: left out")
            elif info.is_dir:
                yield from self._walk(repository, info.path, owner, depth + 1)
            else:
                yield info.path, int(info.file_size or 0)

    def _named(self, path: str, owner: str) -> str:
        name = "/".join(_fit_part(part) for part in path.split("/"))
        if name != path:
            self._note(f"{owner}: the artifact {_shown(path)} is called {name!r} here")
        return name

    def take_model(self, uri: str, owner: str, known: Mapping[str, tuple[str, int]] | None = None) -> Files:
        """Take the files of a model likewise, but for what MLflow adds to its folder when it loads it."""
        return {name: one for name, one in self.take_or_say(uri, owner, known).items() if name not in LEFT_BY_MLFLOW}

    def take_or_say(self, uri: str, owner: str, known: Mapping[str, tuple[str, int]] | None = None) -> Files:
        """Take likewise; what cannot be read is a problem, and no end of the whole."""
        try:
            return self.take(uri, owner, known)
        except (ArtifactError, InvalidValueError, OSError) as exc:
            self._problem(f"{owner}: its files cannot be read: {first_line(exc)}")
        except Exception as exc:  # noqa: BLE001 - whatever a cloud's client raises
            self._problem(f"{owner}: its files cannot be fetched: {type(exc).__name__}: {first_line(exc)}")
        return {}


def _fit_part(part: str) -> str:
    """Return the name of a file or folder that we take, with its ending."""
    taken = fit(part, "file", check_name)
    stem, dot, ending = part.rpartition(".")
    if taken == part or not (stem and dot and ending.isalnum() and len(ending) < 12):
        return taken
    return f"{fit(part.removesuffix(dot + ending), 'file', check_name)}.{ending}"


def local_path(uri: str) -> Path | None:
    """Return the folder that an artifact URI names, None where it is on another host."""
    parts = urllib.parse.urlsplit(uri)
    if parts.scheme == "":
        return Path(uri)
    if parts.scheme != "file" or parts.netloc not in ("", "localhost"):
        return None
    return Path(urllib.parse.unquote(parts.path))


def is_same(outcome: Outcome, root: Path | None, name: str, digest: str, size: int) -> bool:
    """Tell whether a file that lies below *root* in MLflow has this digest; on another host (None) size alone is known.

    It is counted in *outcome* as what it was compared by.
    """
    if root is None:
        outcome.compared(size, by_digest=False)
        return True
    try:
        with Path(root, name).open("rb") as there:
            found = hashlib.file_digest(there, "sha256").hexdigest()
    except OSError:
        return False
    outcome.compared(size)
    return found == digest


def _is_of(root: Path, owner: str) -> bool:
    """Tell whether *root* is ``.../OWNER/artifacts`` or lies below that, written without a detour."""
    parts = root.parts
    if ".." in parts:
        return False
    return any(parts[i : i + 2] == (owner, "artifacts") for i in range(len(parts) - 1))


def _is_below(path: str, folder: str | None) -> bool:
    parts = PurePosixPath(path).parts
    above = PurePosixPath(folder).parts if folder else ()
    clean = "\\" not in path and "\0" not in path and not path.startswith("/") and path == "/".join(parts)
    return clean and ".." not in parts and len(parts) > len(above) and parts[: len(above)] == above


def _shown(path: object) -> str:
    text = repr(str(path))
    return text if len(text) <= 100 else text[:100] + "..."
