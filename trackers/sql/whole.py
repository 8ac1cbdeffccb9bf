"""Work that a Ctrl-C must not leave half done, and words that nobody must wait for."""

from __future__ import annotations

import threading
from collections.abc import Callable

_PATIENCE = 30.0
"""Seconds that who was interrupted waits at most."""

_MOMENT = 1.0
"""Seconds that whoever says something waits for those who listen."""


def whole(action: Callable[[], object]) -> None:
    """Call *action* so that it is done whole whatever signals come; what it raises is raised here.

    Handlers of signals run on the main thread, between any two of its steps, and Ctrl-C's raises there. So the main
    thread has another one do it and waits, also where it is interrupted: the process may be about to end. What
    interrupted it is raised afterwards, at once where that takes too long.
    """
    if threading.current_thread() is not threading.main_thread():
        action()
        return
    failed: list[BaseException] = []
    done = threading.Event()

    def run() -> None:
        try:
            action()
        except BaseException as exc:  # noqa: BLE001 - raised by the caller
            failed.append(exc)
        finally:
            done.set()

    thread = threading.Thread(target=run, name="trackers-whole", daemon=True)
    try:
        _wait(thread, done)
    except RuntimeError:
        if thread.ident is not None:
            raise
        action()  # the process may have no more threads
    if failed:
        raise failed[0]


def _wait(thread: threading.Thread, done: threading.Event) -> None:
    """Start the thread and wait, also where that is interrupted, up to three times; raise what interrupted it afterwards.

    No loop: handlers of signals run at its jumps, too, which no ``try`` covers, as they do at calls.
    """
    try:
        thread.start()
        done.wait()
    except RuntimeError:
        raise
    except BaseException:
        try:
            done.wait(_PATIENCE)
        except BaseException:
            try:
                done.wait(_PATIENCE)
            except BaseException:
                done.wait(_PATIENCE)
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
