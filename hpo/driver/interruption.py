"""Ctrl-C, SIGTERM and a closed terminal: the first asks gently, the second insists."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from trackers.termination import came, ending

GRACE = 10.0
"""Seconds that running trials have to reach their next report when a study is stopped."""


_ours: set[Callable[..., Any]] = set()
"""The handlers of studies that run in this process, one inside a trial of another."""


class Interruption:
    """How often this process was asked to stop."""

    count = 0


@contextmanager
def interruptions(stop: Callable[[float], None], *, inside: Callable[[], bool] | None = None) -> Iterator[Interruption]:
    """Turn Ctrl-C, SIGTERM and SIGHUP into *stop*: the first gently, the second at once. The third always raises.

    *inside*, where trials run in this thread, tells whether the service has its turn: else the second raises
    KeyboardInterrupt in the objective. Elsewhere than in the main thread signals do not arrive, and
    nothing is changed.
    """
    state = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield state
        return

    def handle(number: int, frame: Any) -> None:
        came(number)
        state.count += 1
        if state.count == 1:
            stop(GRACE)
            return
        stop(0.0)
        if state.count > 2 or (inside is not None and not inside()):
            raise KeyboardInterrupt

    _ours.add(handle)
    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, *ending())}
    try:
        yield state
    finally:
        _ours.discard(handle)
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        around = before[signal.SIGINT]
        if state.count and callable(around) and around in _ours:
            around(signal.SIGINT, None)  # the study whose trial this one ran in
