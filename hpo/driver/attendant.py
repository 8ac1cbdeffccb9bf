"""Takes the manager's turns while a trial in the caller's own thread says nothing: time passes, orders arrive."""

from __future__ import annotations

import logging
import threading
from typing import Self

from hpo.execution.alarm import Alarm
from hpo.execution.capture import unrecorded
from hpo.execution.port import InlineExecutor
from hpo.manager import Manager

SILENCE = 0.1
"""Seconds after which a silent objective is attended, and between two looks."""


class Turns:
    """The manager's turns, one thread's at a time; a context manager around each.

    *now* tells whether the caller's thread has one: it must not be cut off half way.
    """

    def __init__(self) -> None:
        self.now = False
        self.lock = threading.Lock()

    def __enter__(self) -> None:
        self.now = True
        self.lock.acquire()

    def __exit__(self, *exc_info: object) -> None:
        self.lock.release()
        self.now = False


class Attendant:
    """A thread beside the one that runs trials, from its ``with`` to the end of it.

    While the objective is silent it lets the study's time pass and carries out what others order; a worker that the
    manager ends meanwhile hears the *alarm*. What follows from its end is for the worker's own thread.
    """

    def __init__(self, manager: Manager, executor: InlineExecutor, alarm: Alarm, turns: Turns) -> None:
        self._manager, self._executor, self._alarm, self._turns = manager, executor, alarm, turns
        self.worker = ""
        """The name of the one that works now."""

        self._over = threading.Event()
        self._thread = threading.Thread(target=self._attend, name="hpo-attendant", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._over.set()
        self._thread.join()

    def _attend(self) -> None:
        with unrecorded():
            while not self._over.wait(SILENCE):
                if self._alarm.silent >= SILENCE:
                    self._look()

    def _look(self) -> None:
        with self._turns.lock:
            if not self._alarm.silent:
                return  # it has just said something, and waits for its own turn
            if not self._is_over():
                try:
                    self._manager.turn(0.0)
                except Exception:
                    logging.getLogger("hpo").debug("the manager gave up", exc_info=True)
        if self._is_over():
            self._alarm.ring()

    def _is_over(self) -> bool:
        return self.worker in self._executor.ended or self._manager.failure is not None
