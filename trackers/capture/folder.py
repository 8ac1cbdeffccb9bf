"""The digest of files and of folders of them, whatever is a link: nothing is stored, so links are followed."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trackers.capture.secret import redact
from trackers.capture.tree import CHUNK, TreeHash
from trackers.errors import InvalidValueError
from trackers.wording import without_credentials

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_KINDS = {
    stat.S_IFIFO: "pipe",
    stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "device",
    stat.S_IFBLK: "device",
}


def path_digest(given: str | os.PathLike[str]) -> tuple[str, dict[str, Any]]:
    """Return the digest and the schema of a file, or of a folder: the paths below it, sorted, and what they hold.

    Links are followed. Raises InvalidValueError for an address with a scheme, a path where nothing is, a link that
    leads nowhere or back to a folder around it, a device, a pipe and a socket.
    """
    if _SCHEME.match(os.fspath(given)):
        shown = without_credentials(os.fspath(given)).partition("?")[0]
        raise InvalidValueError(
            f"{redact(shown)[:200]!r} is no local path, and only local paths are read: give the data itself, and "
            "this address as its source=."
        )
    path = Path(given)
    if not os.path.lexists(path):
        raise InvalidValueError(f"There is no file or folder {str(path)[:200]!r} to make a digest of.")
    status = _status(path)
    if stat.S_ISREG(status.st_mode):
        digest, size = _file(path)
        return digest, {"kind": "file", "size": size}
    files = total = 0
    with TreeHash() as tree:
        tree.update(b"folder")
        for file in _files(path, status, ()):
            digest, size = _file(file)
            tree.update(json.dumps([file.relative_to(path).as_posix(), digest]).encode())
            files, total = files + 1, total + size
        return tree.hexdigest(), {"kind": "folder", "files": files, "size": total}


def _files(folder: Path, status: os.stat_result, around: tuple[tuple[int, int], ...]) -> Iterator[Path]:
    """Yield every file below *folder*, sorted; *around* are the device and the number of the folders around it."""
    here = (status.st_dev, status.st_ino)
    if here in around:
        raise InvalidValueError(f"{str(folder)[:200]!r} is a link to a folder around it: it has no end. Remove it.")
    for entry in sorted(_entries(folder)):
        below = _status(entry)
        if stat.S_ISDIR(below.st_mode):
            yield from _files(entry, below, (*around, here))
        else:
            yield entry


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError as exc:
        raise _unreadable(folder, exc) from exc


def _status(path: Path) -> os.stat_result:
    """Return what is at *path*, or at the end of the links there: a file or a folder."""
    try:
        status = path.stat()
    except FileNotFoundError as exc:
        raise InvalidValueError(
            f"{str(path)[:200]!r} is a link that leads nowhere: mend or remove it, and call again."
        ) from exc
    except OSError as exc:
        raise _unreadable(path, exc) from exc
    if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "special file")
        raise InvalidValueError(f"{str(path)[:200]!r} is a {kind}: a digest is made of files and folders only.")
    return status


def _file(path: Path) -> tuple[str, int]:
    """Return the digest of a file and how many bytes it was made of."""
    size = 0
    try:
        # Without waiting for a pipe's other end, should one have taken the file's place.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with TreeHash() as tree, os.fdopen(descriptor, "rb", buffering=0) as source:
            while chunk := source.read(CHUNK):
                size += len(chunk)
                tree.update(chunk)
            return tree.hexdigest(), size
    except OSError as exc:
        raise _unreadable(path, exc) from exc


def _unreadable(path: Path, exc: OSError) -> InvalidValueError:
    return InvalidValueError(f"Cannot read {str(path)[:200]!r} to make a digest of it: {exc.strerror or exc}.")
