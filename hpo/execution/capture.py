"""What a trial prints and logs, kept per thread: the tail of it, where it is long."""

from __future__ import annotations

import io
import logging
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

KEPT = 256 * 1024
"""Characters of a trial's output that are kept: its end tells more than its beginning."""


class Tail:
    """The last *kept* characters written; *written* counts all of them. One thread writes, another may read."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._parts: deque[str] = deque()
        self._size = 0
        self._dropped = 0
        self.written = 0

    def write(self, text: str) -> None:
        """Add *text*; the oldest goes where it is too much."""
        self._parts.append(text[-self._kept :])
        self._size += len(self._parts[-1])
        self.written += len(text)
        while self._size > self._kept:
            gone = len(self._parts.popleft())
            self._size -= gone
            self._dropped += gone

    def text(self) -> str:
        """Return what was kept, with a line that says how much was not."""
        head = f"[{self._dropped} earlier characters were not kept]\n" if self._dropped else ""
        return head + "".join(self._parts.copy())


class _Tee(io.TextIOBase):
    """Stands in for stdout or stderr: each thread's writes go to its own tail, and on to the stream where shown."""

    def __init__(self, stream: TextIO, show: bool) -> None:
        self.stream, self.show = stream, show

    def write(self, text: str) -> int:
        tail: Tail | None = getattr(_current, "tail", None)
        if tail is not None:
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
    """Log records of a trial's thread: kept beside what it prints, from INFO up."""

    def emit(self, record: logging.LogRecord) -> None:
        tail: Tail | None = getattr(_current, "tail", None)
        if tail is not None and not getattr(_current, "logging", False):
            _current.logging = True  # a handler of the user's own that prints would be kept twice
            try:
                tail.write(self.format(record) + "\n")
            finally:
                _current.logging = False


_current = threading.local()
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
    """Begin; return what ends it."""
    handler = _LogHandler(logging.INFO)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    before: tuple[Any, Any] = (sys.stdout, sys.stderr)
    sys.stdout, sys.stderr = _Tee(sys.stdout, show), _Tee(sys.stderr, show)
    logging.getLogger().addHandler(handler)

    def undo() -> None:
        logging.getLogger().removeHandler(handler)
        sys.stdout, sys.stderr = before

    return undo


@contextmanager
def recording() -> Iterator[Tail]:
    """Keep what this thread prints and logs from here on."""
    tail, before = Tail(), getattr(_current, "tail", None)
    _current.tail = tail
    try:
        yield tail
    finally:
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
