"""The worker's process: an actor whose one call runs until there is nothing left to do."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from hpo.execution.capture import capturing
from hpo.execution.messages import Link, ManagerGone, Message
from hpo.execution.ray.death import Traces
from hpo.execution.ray.wire import Address, WireLink
from hpo.execution.worker import Job, join, work

PATIENCE = 60.0
"""Seconds after which a manager that does not answer is taken for gone: its successor has other workers."""


class RayLink:
    """Messages as calls of the manager's actor."""

    concurrent = True

    def __init__(self, manager: Any) -> None:
        self._manager = manager

    def send(self, message: Message) -> Any:
        """Call the manager and wait for its answer; ManagerGone where none comes."""
        import ray

        try:
            reference = self._manager.send.remote(message)
            while True:
                try:
                    return ray.get(reference, timeout=PATIENCE)
                except ray.exceptions.GetTimeoutError:
                    # A worker may wait long for its next trial, so silence alone tells nothing: ask for a sign.
                    self.lives()
        except (ray.exceptions.RayActorError, ray.exceptions.GetTimeoutError, ray.exceptions.RayTaskError) as exc:
            raise ManagerGone(str(exc)) from exc

    def lives(self) -> None:
        """Wait for a sign of the manager; ManagerGone where none comes."""
        import ray

        try:
            ray.get(self._manager.alive.remote(), timeout=PATIENCE)
        except (ray.exceptions.RayActorError, ray.exceptions.GetTimeoutError, ray.exceptions.RayTaskError) as exc:
            raise ManagerGone(str(exc)) from exc


class RayWorker:
    """One process with *slots* slots: it loads the objective, and then runs under the name it is given."""

    def __init__(self, manager: Any, slots: int, address: Address | None = None) -> None:
        calls = RayLink(manager)
        self._link: Link = calls if address is None else WireLink(address, calls, calls.lives)
        self._slots = slots
        self._job: Job | None = None
        self._unloadable = ""
        signal.signal(signal.SIGTERM, _terminated)

    def load(self, load: Callable[[], Job]) -> None:
        """Make the job, by calling *load* here; what that raises is told by ``run``."""
        try:
            self._job = load()
        except Exception as exc:  # noqa: BLE001 - a person's file; the manager says what is wrong with it
            self._unloadable = f"{type(exc).__name__}: {exc}"

    def traces(self) -> Traces:
        """Return where to look when this process is gone."""
        return Traces.of_this_process()

    def run(self, name: str) -> None:
        """Join as *name*, work until dismissed, return. Where the objective could not be loaded, say so and return."""
        try:
            if self._job is None:
                where = f"{os.uname().nodename}, process {os.getpid()}"
                join(name, self._link, self._slots, f"a worker ({where}) cannot load the objective: {self._unloadable}")
                return
            facts = join(name, self._link, self._slots)
            with capturing(show=False, alone=self._slots == 1):
                work(name, self._job, self._link, facts, self._slots)
        except ManagerGone:
            sys.exit(0)


def _terminated(number: int, frame: Any) -> None:
    """End at once: a node that is taken away ends its processes so, and that is not the objective's failure."""
    os.write(2, b"*** SIGTERM received\n")
    os._exit(128 + number)
