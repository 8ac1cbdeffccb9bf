"""Blobs in a folder of this machine, or of a network disk that it sees.

ROOT/ab/abcdef...            a blob, read-only, named by its digest
ROOT/ab/abcdef....reused     says when the same bytes were stored again; see ``LocalPlace.delete``
ROOT/incoming/               files being written; moved when whole. DIGEST.....deleted is one being deleted
ROOT/quarantine/             blobs that were found to be damaged
ROOT/stores/                 one small file for each store that keeps its blobs here
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import time
import uuid
from collections.abc import Iterable, Iterator
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO, cast

CHUNK = 1 << 20
_LEFTOVER_SECONDS = 24 * 3600.0


class LocalPlace:
    """A folder. Implements ``trackers.artifacts.place.Place``."""

    def __init__(self, root: str) -> None:
        self._root = Path(root)
        self._incoming = self._root / "incoming"
        self._stores = self._root / "stores"

    def put(self, source: BinaryIO) -> tuple[str, int]:
        self._incoming.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = self._incoming / uuid.uuid4().hex
        hasher, size = hashlib.sha256(), 0
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb", buffering=0) as target:
                while chunk := source.read(CHUNK):
                    hasher.update(chunk)
                    _write_all(target.fileno(), chunk)
                    size += len(chunk)
                digest = hasher.hexdigest()
                if not self._reuse(digest, size):
                    self._move_in(target.fileno(), temporary, digest, size)
        finally:
            temporary.unlink(missing_ok=True)
        return digest, size

    def _reuse(self, digest: str, size: int) -> bool:
        """Keep a blob that is there already, and say that it was stored once more.

        The note is written before the blob is looked for, and `delete` takes the blob away before it looks for the
        note: whichever comes second sees the other, so the bytes of the second writer are never lost. A blob that
        was cut short or altered (by a failing disk) is not kept but replaced.
        """
        if not self._is_whole(digest, size):
            return False
        path = self._path(digest)
        note = path.with_name(digest + ".reused")
        note.touch(mode=0o644)
        return path.exists()

    def _is_whole(self, digest: str, size: int) -> bool:
        """Read a blob to its end: what is acknowledged as stored has to be there, and reading costs less than writing."""
        try:
            with self.open(digest) as kept:
                if os.fstat(kept.fileno()).st_size != size:
                    return False
                return hashlib.file_digest(cast(BufferedReader, kept), "sha256").hexdigest() == digest
        except OSError:
            return False

    def _move_in(self, descriptor: int, temporary: Path, digest: str, size: int) -> None:
        path = self._path(digest)
        os.fchmod(descriptor, 0o444)
        os.fsync(descriptor)
        if not path.parent.exists():
            path.parent.mkdir(exist_ok=True)
            _sync_folder(self._root)
        try:
            # A link, unlike a move, tells the second of two writers that it is the second.
            os.link(temporary, path)
        except FileExistsError:
            if not self._reuse(digest, size):
                if path.is_dir() and not path.is_symlink():
                    self.quarantine(digest)
                temporary.replace(path)
        except OSError:  # a file system without hard links
            temporary.replace(path)
        _sync_folder(path.parent)

    def open(self, digest: str) -> BinaryIO:
        path = self._path(digest)
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe in a file's place would be waited for
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise FileNotFoundError(errno.ENOENT, "no plain file", str(path))
            return os.fdopen(descriptor, "rb")
        except BaseException:
            os.close(descriptor)
            raise

    def exists(self, digest: str) -> bool:
        return self._path(digest).is_file()

    def size(self, digest: str) -> int:
        found = self._path(digest).stat()
        if not stat.S_ISREG(found.st_mode):
            raise FileNotFoundError(errno.ENOENT, "no plain file", str(self._path(digest)))
        return found.st_size

    def delete(self, digest: str, grace: float, unused_grace: float) -> bool:
        path, trash = self._path(digest), self._incoming / f"{digest}.{uuid.uuid4().hex}.deleted"
        note = path.with_name(digest + ".reused")
        if not self._is_old(path, note, grace, unused_grace):
            return not path.exists()
        self._incoming.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            path.rename(trash)
        except FileNotFoundError:
            return True
        if not self._is_old(trash, note, grace, unused_grace):  # stored again since we looked
            try:
                trash.rename(path)
            except FileNotFoundError:
                pass  # somebody who cleans up has put it back already
            return False
        note.unlink(missing_ok=True)
        trash.unlink(missing_ok=True)
        return True

    @staticmethod
    def _is_old(path: Path, note: Path, grace: float, unused_grace: float) -> bool:
        now = time.time()
        try:
            if now - note.stat().st_mtime < grace:
                return False
        except FileNotFoundError:
            pass
        try:
            return now - path.stat().st_mtime >= unused_grace
        except FileNotFoundError:
            return False

    def sizes(self) -> Iterator[tuple[str, int]]:
        for folder in sorted(self._root.iterdir()) if self._root.is_dir() else ():
            if len(folder.name) == 2 and folder.is_dir():
                with os.scandir(folder) as entries:
                    yield from sorted(_sizes(entry for entry in entries if len(entry.name) == 64))

    def write_mark(self, name: str, text: str) -> None:
        self._stores.mkdir(mode=0o755, parents=True, exist_ok=True)
        self.leftovers(_LEFTOVER_SECONDS, remove=True)
        temporary = self._stores / f".{uuid.uuid4().hex}"
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(self._stores / name)

    def leftovers(self, older: float, remove: bool) -> tuple[int, int]:
        if not self._incoming.is_dir():
            return 0, 0
        files = size = 0
        for entry in self._incoming.iterdir():
            try:
                found = entry.stat()
                if entry.name.endswith(".deleted"):
                    if remove:
                        self._put_back(entry)
                elif time.time() - found.st_mtime > older:
                    files, size = files + 1, size + found.st_size
                    if remove:
                        entry.unlink()
            except FileNotFoundError:
                pass  # its writer was alive after all, or somebody else was faster
        return files, size

    def _put_back(self, trash: Path) -> None:
        """Put a blob back whose deleter was killed before it had looked whether the blob was stored again.

        A deleter that lives loses nothing by it: the blob is there again, and is found again.
        """
        digest = trash.name.partition(".")[0]
        if len(digest) != 64:
            trash.unlink()
            return
        try:
            os.link(trash, self._path(digest))
        except FileExistsError:
            pass
        trash.unlink()

    def quarantine(self, digest: str) -> str:
        folder = self._root / "quarantine"
        folder.mkdir(mode=0o700, exist_ok=True)
        target = folder / digest
        if target.is_dir() or self._path(digest).is_dir():  # neither takes the place of the other
            target = folder / f"{digest}.{uuid.uuid4().hex}"
        self._path(digest).replace(target)
        return str(target)

    def read_marks(self) -> dict[str, str]:
        try:
            entries = [e for e in self._stores.iterdir() if not e.name.startswith(".")]
        except (FileNotFoundError, NotADirectoryError):
            return {}
        return {entry.name: entry.read_text(encoding="utf-8") for entry in entries}

    def remove_mark(self, name: str) -> None:
        (self._stores / name).unlink(missing_ok=True)

    def _path(self, digest: str) -> Path:
        return self._root / digest[:2] / digest


def _sizes(entries: Iterable[os.DirEntry[str]]) -> Iterator[tuple[str, int]]:
    for entry in entries:
        try:
            if entry.is_file():
                yield entry.name, entry.stat().st_size
        except FileNotFoundError:
            pass  # deleted since it was listed


def _write_all(descriptor: int, chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        view = view[os.write(descriptor, view) :]


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:
        pass  # some network disks refuse it for folders; the file itself is synced
    finally:
        os.close(descriptor)
