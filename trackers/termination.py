"""SIGTERM, and SIGHUP of a closed terminal, as Ctrl-C: whoever ends this process politely finds everything saved."""

from __future__ import annotations

import os
import signal
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def ending() -> tuple[signal.Signals, ...]:
    """Return the signals that end a process politely, besides Ctrl-C's.

    SIGHUP is one but where it is ignored, as ``nohup`` asks.
    """
    ignored = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    return (signal.SIGTERM,) if ignored else (signal.SIGTERM, signal.SIGHUP)


def came(number: int) -> None:
    """Take notice of a signal: after SIGHUP nothing can be written to the terminal, and nothing shall fail for it."""
    if number != signal.SIGHUP:
        return
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        try:
            terminal = stat.S_ISCHR(os.fstat(descriptor).st_mode)
        except OSError:
            continue
        if terminal:  # it no longer says so itself
            os.dup2(nowhere, descriptor)
    os.close(nowhere)


class Terminated(KeyboardInterrupt):
    """The process was told to end; *number* is that of the signal."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@contextmanager
def terminable(*, once: bool = False) -> Iterator[None]:
    """Have these signals raise Terminated in the block; *once*: the first of them, what it ends is let come to its end.

    Elsewhere than in the main thread nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, frame: Any) -> None:
        came(number)
        heard.append(number)
        if len(heard) == 1 or not once:
            raise Terminated(number)

    heard: list[int] = []
    before = {number: signal.signal(number, handle) for number in ending()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
