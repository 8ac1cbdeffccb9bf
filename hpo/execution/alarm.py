"""Ends a hung trial that runs in this process: a timer's signal raises inside the objective."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from typing import Any

MARGIN = 0.02
"""Seconds by which the alarm is late: whoever counts the trial's time must find that it is over."""

AGAIN = 1.0
"""Seconds after which an objective that caught the exception gets it again."""


class WorkerEnded(BaseException):
    """The inline worker was ended: raised inside the objective, where a process of its own would be killed.

    Not an ``Exception``, so that an objective's ``except Exception`` does not swallow it.
    """


class Alarm:
    """A timer over the objective: at most *trial* seconds in all and *report* seconds between two reports (None: any).

    It works in the main thread, where there are timers (not on Windows); elsewhere it does nothing, and a trial is ended
    at its next report. Code that does not come back to Python is ended when it does.
    """

    def __init__(self, trial: float | None, report: float | None) -> None:
        self._trial, self._report = trial, report
        self._until: float | None = None
        self._on = False
        main = threading.current_thread() is threading.main_thread()
        self._works = (trial, report) != (None, None) and main and hasattr(signal, "setitimer")

    def over(self, objective: Callable[..., Any]) -> Callable[..., Any]:
        """Return *objective* under this timer."""
        if not self._works:
            return objective

        def timed(trial: Any, **args: Any) -> Any:
            before = signal.signal(signal.SIGALRM, self._ring)
            left, _ = signal.getitimer(signal.ITIMER_REAL)
            begun = time.monotonic()
            self._until = None if self._trial is None else begun + self._trial
            try:
                self.resume()
                return objective(trial, **args)
            finally:
                self.pause()
                signal.signal(signal.SIGALRM, before)
                if left:  # somebody else's timer goes on as if nothing had been
                    signal.setitimer(signal.ITIMER_REAL, max(0.001, left - (time.monotonic() - begun)))

        return timed

    def pause(self) -> bool:
        """Hold it while the service has its turn; return whether it was running."""
        was, self._on = self._on, False
        if was:
            signal.setitimer(signal.ITIMER_REAL, 0)
        return was

    def resume(self) -> None:
        """Let it run on, after a report or at the beginning."""
        limits = [] if self._report is None else [self._report]
        if self._until is not None:
            limits.append(max(0.0, self._until - time.monotonic()))
        self._on = True
        signal.setitimer(signal.ITIMER_REAL, min(limits) + MARGIN, AGAIN)

    def _ring(self, number: int, frame: Any) -> None:
        if self._on:
            raise WorkerEnded
