"""What a trial prints and logs, the tail of it where it is long: that of its thread, and of those that it starts.

Where trials run side by side in one process nobody can tell whose a thread is; only their own are kept then. What goes
to the process's own files past Python (child processes, native code) is kept where these are files: a Ray worker's.
"""

from __future__ import annotations

import io
import logging
import os
import stat
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO
from weakref import WeakSet

KEPT = 256 * 1024
"""Characters of a trial's output that are kept: its end tells more than its beginning."""


PAST_PYTHON = "[printed by child processes and native code]"


class ProcessFiles:
    """The files that stdout and stderr of this process go to, from where they end now."""

    def __init__(self) -> None:
        self._begun: dict[int, int] = {}
        known: set[tuple[int, int]] = set()
        for descriptor in (1, 2):
            try:
                found = os.fstat(descriptor)
            except OSError:
                continue
            if stat.S_ISREG(found.st_mode) and (found.st_dev, found.st_ino) not in known:
                known.add((found.st_dev, found.st_ino))
                self._begun[descriptor] = found.st_size

    @property
    def written(self) -> int:
        """Return how many bytes were written since."""
        try:
            return sum(max(0, os.fstat(descriptor).st_size - begun) for descriptor, begun in self._begun.items())
        except OSError:
            return 0  # the objective closed one of them

    def text(self, kept: int) -> str:
        """Return the last *kept* bytes of each as text, without the marks that Ray makes in them."""
        parts = []
        for descriptor, begun in self._begun.items():
            try:
                with open(f"/proc/self/fd/{descriptor}", "rb") as file:
                    file.seek(max(begun, os.fstat(descriptor).st_size - kept))
                    lines = file.read(kept).decode("utf-8", "replace").splitlines(keepends=True)
            except OSError:
                continue  # a system without that folder, or a file that was taken away
            parts += [line for line in lines if not line.startswith(_RAYS_MARKS)]
        return "".join(parts)


_RAYS_MARKS = (":job_id:", ":actor_name:", ":task_name:")


class Tail:
    """The last *kept* characters written; *written* counts all of them. Thread-safe.

    *files*: what is written there belongs to it too.
    """

    def __init__(self, kept: int = KEPT, files: ProcessFiles | None = None) -> None:
        self._kept, self._files = kept, files
        self._parts: deque[str] = deque()
        self._size = 0
        self._dropped = 0
        self._written = 0
        self._lock = threading.Lock()

    @property
    def written(self) -> int:
        """Return how much was written, what was dropped included."""
        return self._written + (self._files.written if self._files else 0)

    def write(self, text: str) -> None:
        """Add *text*; the oldest goes where it is too much."""
        with self._lock:
            self._parts.append(text[-self._kept :])
            self._size += len(self._parts[-1])
            self._written += len(text)
            while self._size > self._kept:
                gone = len(self._parts.popleft())
                self._size -= gone
                self._dropped += gone

    def text(self) -> str:
        """Return what was kept, with a line that says how much was not."""
        with self._lock:
            parts, dropped = self._parts.copy(), self._dropped
        own = (f"[{dropped} earlier characters were not kept]\n" if dropped else "") + "".join(parts)
        past = self._files.text(self._kept) if self._files and self._files.written else ""
        if not past:
            return own
        return own + ("\n" if own and not own.endswith("\n") else "") + f"{PAST_PYTHON}\n{past}"


class _Tee(io.TextIOBase):
    """Stands in for stdout or stderr: writes go to their trial's tail, and on to the stream where shown."""

    def __init__(self, stream: TextIO, show: bool) -> None:
        self.stream, self.show = stream, show

    def write(self, text: str) -> int:
        tail = _tail()
        if tail is not None and not getattr(_current, "logging", False):
            tail.write(text)
        if self.show or tail is None:
            self.stream.write(text)
        return len(text)

    def flush(self) -> None:
        if not self.stream.closed:
            self.stream.flush()

    def isatty(self) -> bool:
        return self.show and self.stream.isatty()

    def fileno(self) -> int:
        return self.stream.fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self.stream.encoding or "utf-8"


class _LogHandler(logging.Handler):
    """Keeps a trial's log records beside what it prints; *show* passes warnings on where no other handler would."""

    def __init__(self, show: bool) -> None:
        super().__init__(logging.INFO)
        self._show = show
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        if getattr(_current, "logging", False):
            return
        _current.logging = True  # what is printed of it would be kept twice
        try:
            if (tail := _tail()) is not None:
                tail.write(self.format(record) + "\n")
            last = logging.lastResort
            if self._show and last is not None and logging.root.handlers == [self] and record.levelno >= last.level:
                last.handle(record)
        finally:
            _current.logging = False


_current = threading.local()
"""``tail``: where this thread's output goes, None: nowhere; not there in a thread that is no worker's."""
_recorded: list[tuple[threading.Thread, Tail]] = []
_others: WeakSet[threading.Thread] = WeakSet()
"""Threads that were there before: no trial started them."""
_lock = threading.Lock()
_users = 0
_undo: Callable[[], None] | None = None
_alone = False
"""Whether one trial at a time has this process to itself: what goes to its files is that trial's."""


def _in_a_copy() -> None:
    """Let a forked process print to its own stdout: the trial's tail is not read there."""
    _recorded.clear()
    _current.tail = None


os.register_at_fork(after_in_child=_in_a_copy)


@contextmanager
def capturing(show: bool, *, alone: bool = False) -> Iterator[None]:
    """Stand in for the process's stdout and stderr while workers run in it; *show* passes on what trials print.

    Where several studies run in threads of one process, the first one's stand-in serves them all. *alone*: one trial
    at a time has the process to itself, so that what child processes print is its own.
    """
    global _users, _undo, _alone
    with _lock:
        _users += 1
        if _users == 1:
            _undo, _alone = _stand_in(show), alone
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0 and _undo is not None:
                _undo()
                _alone = False


def _stand_in(show: bool) -> Callable[[], None]:
    """Begin; return what ends it. Where nobody has set logging up, it is on from INFO."""
    handler, root = _LogHandler(show), logging.root
    _others.update(threading.enumerate())
    before: tuple[Any, Any] = (sys.stdout, sys.stderr)
    sys.stdout, sys.stderr = _Tee(sys.stdout, show), _Tee(sys.stderr, show)
    level = root.level
    if not root.handlers and level == logging.WARNING:
        root.setLevel(logging.INFO)
    told = root.level
    root.addHandler(handler)

    def undo() -> None:
        root.removeHandler(handler)
        if root.level == told:
            root.setLevel(level)
        sys.stdout, sys.stderr = before

    return undo


def _tail() -> Tail | None:
    """Return where this thread's output is kept; None: nowhere."""
    try:
        found: Tail | None = _current.tail
    except AttributeError:
        pass
    else:
        return found
    recorded = _recorded.copy()
    if len({thread for thread, _ in recorded}) != 1 or threading.current_thread() in _others:
        return None
    return recorded[-1][1]  # that of a study within a trial, where there is one


@contextmanager
def recording() -> Iterator[Tail]:
    """Keep what this thread, and those that it starts, print and log from here on."""
    tail, before = Tail(files=ProcessFiles() if _alone else None), getattr(_current, "tail", None)
    _current.tail = tail
    mine = (threading.current_thread(), tail)
    _recorded.append(mine)
    try:
        yield tail
    finally:
        _recorded.remove(mine)
        _current.tail = before  # a trial that runs a study of its own, here


@contextmanager
def unrecorded() -> Iterator[None]:
    """Keep nothing of what this thread prints in the block: it is not the trial's."""
    tail = getattr(_current, "tail", None)
    _current.tail = None
    try:
        yield
    finally:
        _current.tail = tail
