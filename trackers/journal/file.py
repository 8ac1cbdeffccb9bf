"""An append-only journal: one line an entry, each with its checksum; a torn tail is told from damage.

A journal is a folder named by its uid: ``records`` (a head, then the entries) and ``files`` (what was logged offline).
Whoever appends to it or drains it holds a lock on ``records``; the lock goes with its process, however that ends.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import zlib
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from trackers.errors import NotFoundError, StoreBusyError, StoreError
from trackers.journal.entry import Entry, decode, decode_head

if TYPE_CHECKING:
    from trackers.artifacts import ArtifactStore

VERSION = 2
"""In the first one no entry said which one comes before it."""
ASIDE = ".damaged"
"""Ends the name of a journal that was drained but for lines that cannot be read."""
_AT_ONCE = 1000
"""Lines that are written together."""
LARGEST_HELD = 100_000
"""Lines that are kept in memory while the disk of the journal is full."""
_FULL = {errno.ENOSPC, errno.EDQUOT}


_open: WeakSet[Journal] = WeakSet()


def _let_go() -> None:
    """Close in a forked child what its parent has locked: the lock is to go with the parent."""
    for journal in list(_open):
        with suppress(OSError):
            journal.close()


os.register_at_fork(after_in_child=_let_go)


class NewerEntryError(StoreError):
    """A journal holds an entry that this release does not know."""


@dataclass(frozen=True, slots=True)
class Line:
    """An entry with its number, and *end*: where the next one begins in the file.

    *before* is the number of the entry that was written before it, None where that is not known.
    """

    seq: int
    entry: Entry
    end: int
    before: int | None = None


def seal(content: bytes) -> bytes:
    """Return a line of the file: the checksum (CRC-32, 8 hex digits), a space, the content, a line feed."""
    return b"%08x %b\n" % (zlib.crc32(content), content)


def unseal(line: bytes) -> bytes | None:
    """Return the content of a line, None where its checksum or its end is not right."""
    if len(line) < 10 or line[-1:] != b"\n" or line[8:9] != b" ":
        return None
    content = line[9:-1]
    return content if line[:8] == b"%08x" % zlib.crc32(content) else None


class Journal:
    """An open journal. Not thread-safe: the writer's lock guards it, and a reader of its own position may run beside.

    *size* is the number of bytes that are whole; ``damaged`` counts the lines that a reader passed over, ``torn`` the
    bytes after the last whole line.
    """

    def __init__(self, folder: Path, descriptor: int, head: Mapping[str, Any], size: int) -> None:
        self.folder = folder
        self.head = head
        self.size = size
        self.start = size
        self.damaged = 0
        self.torn = 0
        self._passed = 0
        """Where the last damaged line ends that was counted."""

        self._descriptor = descriptor
        self._closed = False
        self._held: deque[bytes] = deque()
        _open.add(self)

    @property
    def uid(self) -> str:
        return str(self.head["uid"])

    @property
    def files(self) -> ArtifactStore:
        """Where files that were logged offline lie."""
        from trackers.artifacts import ArtifactStore

        return ArtifactStore(self.folder / "files")

    @classmethod
    def create(cls, parent: Path, head: Mapping[str, Any]) -> Journal:
        """Make a journal below *parent* and lock it; *head* has its ``uid``. Raises StoreError.

        Where the disk is full it is made when there is room, and all is held in memory until then.
        """
        journal = cls(parent / str(head["uid"]), -1, head, 0)
        try:
            journal._make()
        except OSError as exc:
            if exc.errno not in _FULL:
                raise journal._unmakable(exc) from exc
        return journal

    def make(self) -> None:
        """Make it now where the disk was full; raises StoreError where it still is."""
        try:
            self._make()
        except OSError as exc:
            raise self._unmakable(exc) from exc

    def _make(self) -> None:
        """Make the folder and the file where they are not there yet."""
        if self._descriptor >= 0:
            return
        if self._closed:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        folder, parent, descriptor = self.folder, self.folder.parent, -1
        try:
            folder.mkdir(parents=True, mode=0o700, exist_ok=True)
            descriptor = os.open(folder / "records", os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_APPEND, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            line = seal(json.dumps({"journal": VERSION, **self.head}).encode("ascii"))
            _write(descriptor, line)
            for path in (folder, parent):
                _sync_folder(path)
            vars(self).update(_descriptor=descriptor, size=len(line), start=len(line))
        except BaseException:  # so that it can be made later: a full disk may have room, Ctrl-C may be survived
            if descriptor >= 0:
                with suppress(OSError):
                    (folder / "records").unlink(missing_ok=True)
                with suppress(OSError):
                    os.close(descriptor)
            with suppress(OSError):
                folder.rmdir()
            vars(self).update(_descriptor=-1, size=0, start=0)
            raise

    @classmethod
    def open(cls, folder: Path) -> Journal:
        """Open a journal that another process left, to drain it.

        Raises NotFoundError where there is none, StoreBusyError while its process lives or another one drains it, and
        StoreError for one that cannot be read or written.
        """
        try:
            descriptor = os.open(folder / "records", os.O_RDWR | os.O_APPEND)
        except (FileNotFoundError, NotADirectoryError) as exc:
            raise NotFoundError(f"there is no journal at {folder}: {exc.strerror}") from exc
        except OSError as exc:
            raise StoreError(f"the journal {folder} cannot be opened to be drained: {exc.strerror}") from exc
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            os.close(descriptor)
            raise StoreBusyError(
                f"the journal {folder} is in use: the process that writes it will drain it, or another one is draining "
                "it now; try again when it has ended"
            ) from exc
        with os.fdopen(os.dup(descriptor), "rb") as source:
            source.seek(0)
            head = decode_head(unseal(source.readline()))
            size = source.tell()
        whole = os.fstat(descriptor).st_size
        if head.get("journal") not in range(1, VERSION + 1):
            os.close(descriptor)
            if head:
                what = "was written by a newer release: install that one"
            elif whole > size:
                what = (
                    "has a damaged head, and entries lie behind it: bring it back from a copy. Nothing was written to "
                    "the store, and nothing removed"
                )
            else:
                what = "has no head: nothing was logged to it"
            raise StoreError(f"the journal {folder} {what}")
        found = cls(folder, descriptor, head, size)
        found.size = whole
        return found

    def append(self, entries: Iterable[bytes]) -> None:
        """Write encoded entries at the end; they outlive the process at once, and a power cut after ``sync``.

        While the disk is full they are held in memory and written with the next ones; ``sync`` tells. Raises
        StoreError, and forgets them, where too many are held already.
        """
        lines, before = [seal(entry) for entry in entries], len(self._held)
        self._held.extend(lines)
        try:
            self._write_held()
        except OSError as exc:
            if before > LARGEST_HELD:
                while len(self._held) > before:
                    self._held.pop()
                raise self._unwritable(exc) from exc

    def _write_held(self) -> None:
        if self._held:
            self._make()
        while self._held:
            lines = list(islice(self._held, _AT_ONCE))
            data = b"".join(lines)
            if os.fstat(self._descriptor).st_size > self.size:  # Ctrl-C came after a write, before it was noted
                os.ftruncate(self._descriptor, self.size)
            try:
                _write(self._descriptor, data)
            except OSError:
                os.ftruncate(self._descriptor, self.size)
                raise
            left = deque(islice(self._held, len(lines), None))
            vars(self).update(size=self.size + len(data), _held=left)  # in one step: no signal comes between

    def sync(self) -> None:
        """Make what was appended outlive a power cut; raises StoreError where the disk does not take it."""
        try:
            self._write_held()
            if self._descriptor >= 0 or self._closed:
                os.fsync(self._descriptor)
        except OSError as exc:
            raise self._unwritable(exc) from exc

    def _unmakable(self, exc: OSError) -> StoreError:
        return StoreError(f"the journal {self.folder} cannot be made: {exc.strerror}; HPO_JOURNAL names a folder")

    def _unwritable(self, exc: OSError) -> StoreError:
        return StoreError(
            f"the journal {self.folder} cannot be written ({exc.strerror}), and {len(self._held)} log entries are in "
            "memory only: free some space, or set HPO_JOURNAL to another disk"
        )

    def read(self, start: int, limit: int) -> Iterator[Line]:
        """Yield at most *limit* entries from the byte *start* on; a line whose checksum is wrong is passed over."""
        size = self.size
        start = max(start, self.start)  # where it was made since; it has its start when it has a size
        if start >= size:
            return
        with os.fdopen(os.open(self.folder / "records", os.O_RDONLY), "rb") as source:
            source.seek(start)
            end, found = start, 0
            while found < limit and end < self.size:
                line = source.readline()
                end += len(line)
                content = unseal(line)
                if content is not None:
                    found += 1
                    yield self._line(content, end)
                elif line[-1:] != b"\n" and end >= self.size:
                    self.torn = len(line)  # what a killed process was writing: it was never acknowledged
                elif end > self._passed:  # a line at the end may be looked at again
                    self.damaged, self._passed = self.damaged + 1, end

    def _line(self, content: bytes, end: int) -> Line:
        try:
            seq, entry, before = decode(content)
        except (LookupError, TypeError, ValueError) as exc:  # its checksum is right
            raise NewerEntryError(
                f"the journal {self.folder} holds an entry that this release does not know ({exc}): it was written by a "
                "newer one; install that"
            ) from exc
        if before is None and not self.head.get("store"):
            before = seq - 1  # offline from the start: every entry is here
        return Line(seq, entry, end, before)

    @property
    def holds(self) -> bool:
        """Whether lines are in memory that the disk did not take."""
        return bool(self._held)

    def held(self, limit: int) -> list[Line]:
        """Return the first of these lines, at most *limit*; each ends where the file does now."""
        found = (unseal(line) for line in islice(self._held, limit))
        return [self._line(content, self.size) for content in found if content is not None]

    def holds_line(self, seq: int) -> bool:
        """Tell whether the line of this number is in memory alone."""
        try:
            first = self._held[0]
        except IndexError:  # also where somebody who logs has just written them
            return False
        return self._line(first[9:-1], 0).seq <= seq

    def forget_held(self, upto: int) -> None:
        """Forget those of them up to the number *upto*: they are in the store."""
        while self._held and self._line(self._held[0][9:-1], 0).seq <= upto:
            self._held.popleft()

    @property
    def empty(self) -> bool:
        return self.size <= self.start and not self._held

    def clear(self) -> None:
        """Forget every entry: all are in the store, which knows so where they cannot be cut off here."""
        with suppress(OSError):
            os.ftruncate(self._descriptor, self.start)
            self.size = self.start

    def put_aside(self) -> Path:
        """Rename the journal, of which all that can be read is in its store, so that it no longer waits; return where it is."""
        if self.folder.suffix != ASIDE:
            to, copies = self.folder.with_name(self.folder.name + ASIDE), 1
            while to.exists():  # another copy of it was put aside before
                copies += 1
                to = self.folder.with_name(f"{self.folder.name}-{copies}{ASIDE}")
            self.folder = self.folder.rename(to)
        return self.folder

    def remove(self) -> None:
        """Delete the journal with its files."""
        gone = self.folder.with_name(f".{self.folder.name}.gone")
        try:
            self.folder.rename(gone)  # at once: half a journal is never found
        except OSError:
            gone = self.folder
        self.close()
        shutil.rmtree(gone, ignore_errors=True)
        try:
            gone.parent.rmdir()
        except OSError:
            pass  # it holds other journals

    def close(self) -> None:
        """Let go of the journal; a second call changes nothing."""
        self._closed = True
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _write(descriptor: int, data: bytes) -> None:
    """Write all of *data*; raises OSError, with some of it written, where the disk is full."""
    if os.write(descriptor, data) < len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
