"""What a trial prints and logs, the tail of it where it is long: that of its thread, and of those that it starts.

Where trials run side by side in one process nobody can tell whose a thread is; only their own are kept then.
"""

from __future__ import annotations

import io
import logging
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO
from weakref import WeakSet

KEPT = 256 * 1024
"""Characters of a trial's output that are kept: its end tells more than its beginning."""


class Tail:
    """The last *kept* characters written; *written* counts all of them. Thread-safe."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._parts: deque[str] = deque()
        self._size = 0
        self._dropped = 0
        self.written = 0
        self._lock = threading.Lock()

    def write(self, text: str) -> None:
        """Add *text*; the oldest goes where it is too much."""
        with self._lock:
            self._parts.append(text[-self._kept :])
            self._size += len(self._parts[-1])
            self.written += len(text)
            while self._size > self._kept:
                gone = len(self._parts.popleft())
                self._size -= gone
                self._dropped += gone

    def text(self) -> str:
        """Return what was kept, with a line that says how much was not."""
        with self._lock:
            parts, dropped = self._parts.copy(), self._dropped
        return (f"[{dropped} earlier characters were not kept]\n" if dropped else "") + "".join(parts)


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


@contextmanager
def capturing(show: bool) -> Iterator[None]:
    """Stand in for the process's stdout and stderr while workers run in it; *show* passes on what trials print.

    Where several studies run in threads of one process, the first one's stand-in serves them all.
    """
    global _users, _undo
    with _lock:
        _users += 1
        if _users == 1:
            _undo = _stand_in(show)
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0 and _undo is not None:
                _undo()


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
    tail, before = Tail(), getattr(_current, "tail", None)
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
