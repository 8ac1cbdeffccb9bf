"""What a submitter holds while the writer works: a future of its commit."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

_log = logging.getLogger("trackers")


class Commit:
    """The future of one submission: done once its transaction is committed, or has failed.

    Thread-safe. Callbacks run on the writer's thread, or at once in the caller's where it is done already; they must
    be short, and may submit.
    """

    __slots__ = ("_callbacks", "_done", "_event", "_failure", "_lock", "_result")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._done = False
        self._failure: BaseException | None = None
        self._result: Any = None
        self._event: threading.Event | None = None
        self._callbacks: list[Callable[[Commit], None]] = []

    def done(self) -> bool:
        """Tell whether it is committed or has failed."""
        return self._done

    def exception(self) -> BaseException | None:
        """Return why it failed; None while it is not done, and after a commit."""
        return self._failure

    def wait(self, timeout: float | None = None) -> None:
        """Wait until it is committed; *timeout* in seconds.

        Raises TimeoutError when it is not done in time, and the failure when it failed.
        """
        if not self._done:
            with self._lock:
                if not self._done and self._event is None:
                    self._event = threading.Event()
                event = self._event
            if event is not None and not self._done and not event.wait(timeout):
                raise TimeoutError(f"nothing was committed within {timeout} s")
        if self._failure is not None:
            raise self._failure

    def result(self, timeout: float | None = None) -> Any:
        """Wait likewise and return what the submission computed."""
        self.wait(timeout)
        return self._result

    def add_done_callback(self, callback: Callable[[Commit], None]) -> None:
        """Call *callback* with this commit once it is done."""
        with self._lock:
            if not self._done:
                self._callbacks.append(callback)
                return
        self._call(callback)

    def resolve(self, result: Any = None, failure: BaseException | None = None) -> None:
        """Mark it done (the writer's part); a second call changes nothing."""
        with self._lock:
            if self._done:
                return
            self._result, self._failure = result, failure
            self._done = True
            event, callbacks = self._event, self._callbacks
        if event is not None:
            event.set()
        for callback in callbacks:
            self._call(callback)

    def _call(self, callback: Callable[[Commit], None]) -> None:
        try:
            callback(self)
        except Exception:  # noqa: BLE001 - a callback's mistake is not the writer's: every other submission goes on
            _log.exception("a callback of a commit failed")
