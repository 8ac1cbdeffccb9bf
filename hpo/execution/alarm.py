"""Ends a trial that runs in the caller's own thread: a signal raises inside the objective."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

AGAIN = 1.0
"""Seconds after which an objective that caught the exception gets it again."""

_SIGNAL = getattr(signal, "SIGURG", None)
"""Systems ignore it and hardly anybody uses it: an objective's own timers and alarms are left alone."""


class WorkerEnded(BaseException):
    """The inline worker was ended: raised inside the objective, where a process of its own would be killed.

    Not an ``Exception``, so that an objective's ``except Exception`` does not swallow it. *by*: the alarm that rang,
    for a study that runs inside a trial of another.
    """

    def __init__(self, by: object = None) -> None:
        super().__init__()
        self.by = by


class Alarm:
    """Knows how long an objective has been silent, and raises WorkerEnded in it when another thread rings.

    It rings in the main thread, where there are signals (not on Windows); elsewhere a trial is ended at its next
    report. Code that does not come back to Python is ended when it does.
    """

    def __init__(self) -> None:
        self._thread = threading.get_ident()
        main = threading.current_thread() is threading.main_thread()
        self._works = main and _SIGNAL is not None and hasattr(signal, "pthread_kill")
        self._since: float | None = None
        self._wanted = False
        self._rung = 0.0

    def over(self, objective: Callable[..., Any]) -> Callable[..., Any]:
        """Return *objective* under this alarm."""

        def watched(trial: Any, **args: Any) -> Any:
            self._wanted = False
            with self._listening():
                self.resume()
                try:
                    return objective(trial, **args)
                finally:
                    self.pause()

        return watched

    def pause(self) -> bool:
        """Hold it while the service has its turn; return whether the objective was running."""
        was, self._since = self._since is not None, None
        return was

    def resume(self) -> None:
        """Let the objective run on, after a report or at the beginning."""
        self._since = time.monotonic()

    @property
    def silent(self) -> float:
        """Return for how many seconds the objective has been running without a word; 0.0 where it does not run."""
        since = self._since
        return 0.0 if since is None else time.monotonic() - since

    def ring(self) -> None:
        """Raise WorkerEnded inside the objective, again a second later if it is still running; from another thread."""
        now = time.monotonic()
        if self._works and (not self._wanted or now - self._rung > AGAIN):
            self._wanted, self._rung = True, now
            signal.pthread_kill(self._thread, _SIGNAL)  # type: ignore[arg-type]  # it works where there is one

    @contextmanager
    def _listening(self) -> Iterator[None]:
        if not self._works:
            yield
            return
        assert _SIGNAL is not None

        def heard(number: int, frame: FrameType | None) -> None:
            if self._wanted and self._since is not None:
                raise WorkerEnded(self)
            if callable(before):  # the alarm of a trial around this study
                before(number, frame)

        before = signal.signal(_SIGNAL, heard)
        try:
            yield
        finally:
            signal.signal(_SIGNAL, signal.SIG_DFL if before is None else before)  # None: set by native code
