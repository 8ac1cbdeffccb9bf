"""Work that a Ctrl-C must not leave half done, and words that nobody must wait for."""

from __future__ import annotations

import threading
from collections.abc import Callable

_PATIENCE = 30.0
"""Seconds that who was interrupted waits at most."""

_MOMENT = 1.0
"""Seconds that whoever says something waits for those who listen, and a thread that was interrupted while it was
started is given to begin."""


class _Action:
    """One action, done once: by the thread that is started for it, or by who finds that it never began."""

    def __init__(self, action: Callable[[], object]) -> None:
        self._action = action
        self._claim = threading.Lock()
        self._over = threading.Lock()
        self._over.acquire()
        self.failed: list[BaseException] = []
        self.ended = False

    def run(self) -> None:
        """Do it, unless somebody else has begun to."""
        if not self._claim.acquire(blocking=False):
            return
        try:
            self._action()
        except BaseException as exc:  # noqa: BLE001 - raised by the caller
            self.failed.append(exc)
        finally:
            self.ended = True
            self._over.release()

    def wait(self) -> None:
        """Wait for the end. By a lock alone: a condition that is interrupted may let go of one that it does not hold."""
        if not self.ended:
            self._over.acquire()

    def sit_out(self) -> None:
        """Wait for the end after an interruption, or do it here where the thread never began."""
        if not self.ended and not self._claim.locked():
            self._over.acquire(timeout=_MOMENT)
        if not self.ended and not self._claim.locked():
            self.run()
        if not self.ended:
            self._over.acquire(timeout=_PATIENCE)


def whole(action: Callable[[], object]) -> None:
    """Call *action* so that it is done whole whatever signals come; what it raises is raised here.

    Handlers of signals run on the main thread, between any two of its steps, and Ctrl-C's raises there. So the main
    thread has another one do it and waits, also where it is interrupted: the process may be about to end. What
    interrupted it is raised afterwards, at once where that takes too long.
    """
    if threading.current_thread() is not threading.main_thread():
        action()
        return
    one = _Action(action)
    thread = threading.Thread(target=one.run, name="trackers-whole", daemon=True)
    _wait(thread, one)
    if one.failed:
        raise one.failed[0]


def _wait(thread: threading.Thread, one: _Action) -> None:
    """Start the thread and wait, also where that is interrupted, up to three times; raise what interrupted it afterwards.

    No loop: handlers of signals run at its jumps, too, which no ``try`` covers, as they do at calls.
    """
    try:
        try:
            thread.start()
        except RuntimeError:  # the process may have no more threads
            one.run()
        one.wait()
    except BaseException:
        try:
            one.sit_out()
        except BaseException:
            try:
                one.sit_out()
            except BaseException:
                one.sit_out()
                raise
            raise
        raise


def say_aside(words: Callable[[], object]) -> None:
    """Have *words*, which log, said on a thread of its own, and wait for it a moment.

    A handler of log records may log to a run: it would wait for what the caller alone writes, or for a lock of his.
    """
    thread = threading.Thread(target=words, name="trackers-says", daemon=True)
    try:
        thread.start()
    except RuntimeError:  # the process may have no more threads
        words()
        return
    thread.join(_MOMENT)
