"""The port between a manager and whatever runs its workers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from hpo.execution.messages import Message, Reply

Post = Callable[[Message, Reply], None]
"""Hands a worker's message to the manager; thread-safe; the reply is called once, on the manager's thread."""

Gone = Callable[[str, str], None]
"""Tells the manager that a worker's process is gone, and why; thread-safe; once per process."""


class Executor(Protocol):
    """Brings up workers, ends them, and says when one is gone.

    The manager calls it from its own thread only. Each worker's process has a name that is never used again; it joins
    by a message of its own. An executor that lost a worker brings up another, until ``close``. ``gone`` is called
    exactly once for each worker that ended without being dismissed, whoever ended it.
    """

    name: str

    def begin(self, post: Post, gone: Gone) -> None:
        """Bring up the workers. Returns at once; workers join when they are up."""

    def joined(self, worker: str) -> None:
        """Take note that a worker is up."""

    def kill(self, worker: str, reason: str) -> None:
        """End a worker's process, whatever it does. Idempotent; an unknown name is ignored."""

    def close(self) -> None:
        """End every worker that is left and bring up none. Idempotent."""


class InlineExecutor:
    """Runs trials in the caller's own thread: ``workers=0``. A debugger works in it.

    There is no process to kill: whoever runs the trials ends the worker that is named in ``ended``.
    """

    name = "inline"

    def __init__(self) -> None:
        self.ended: set[str] = set()
        self._gone: Gone | None = None

    def begin(self, post: Post, gone: Gone) -> None:
        """Bring up nothing: the caller is the worker."""
        self._gone = gone

    def joined(self, worker: str) -> None:
        """Do nothing: it is the caller."""

    def kill(self, worker: str, reason: str) -> None:
        """Note that the worker is ended."""
        if worker not in self.ended and self._gone is not None:
            self.ended.add(worker)
            self._gone(worker, reason)

    def close(self) -> None:
        """Do nothing."""
