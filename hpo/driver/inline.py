"""Runs a study in the caller's own thread: ``workers=0``."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import chain, count
from typing import TYPE_CHECKING, Any

from hpo.driver.attendant import Attendant, Turns
from hpo.driver.interruption import interruptions
from hpo.driver.making import make_manager
from hpo.driver.order import OnProgress, Order, RunSummary, summarize
from hpo.execution.alarm import Alarm, WorkerEnded
from hpo.execution.capture import capturing, unrecorded
from hpo.execution.port import InlineExecutor
from hpo.execution.worker import Job, join, work
from hpo.manager import Manager

if TYPE_CHECKING:
    from hpo.execution.messages import Message


class InlineLink:
    """A worker in the manager's own thread: sending a message is taking turns until it is answered.

    The manager may end the worker meanwhile; the trial's own code is under the *alarm*.
    """

    concurrent = False

    def __init__(self, name: str, manager: Manager, executor: InlineExecutor, alarm: Alarm, turns: Turns) -> None:
        self._name, self._manager, self._executor, self._alarm = name, manager, executor, alarm
        self._turns = turns

    def send(self, message: Message) -> Any:
        """Send *message* and return its answer. Raises WorkerEnded."""
        box: list[Any] = []
        running = self._alarm.pause()
        self._manager.post(message, box.append)
        with unrecorded(), self._turns:
            while not box:
                self._manager.turn(0.1)
                if self._name in self._executor.ended:
                    raise WorkerEnded(self._alarm)
        if running:
            self._alarm.resume()
        return box[0]

    def end(self) -> None:
        """Wait until the manager has ended this worker, too."""
        with self._turns:
            while self._name not in self._executor.ended and not self._manager.over:
                self._manager.turn(0.1)


def run_inline(order: Order, on_progress: OnProgress | None = None) -> RunSummary:
    """Run the study in this thread."""
    executor = InlineExecutor()
    manager = make_manager(order, lambda epoch: executor)
    alarm, turns = Alarm(), Turns()
    if on_progress is not None:
        watch = on_progress
        manager.watch(lambda: watch(manager.progress()) if turns.now else None)  # in the caller's thread only
    interrupted = False
    try:
        manager.begin()
        job = order.load()
        job = replace(job, objective=alarm.over(job.objective))
        stop = partial(manager.stop, "interrupted")
        with interruptions(stop, inside=lambda: turns.now) as interruption, capturing(show=True):
            with Attendant(manager, executor, alarm, turns) as attendant:
                _work(job, manager, executor, alarm, turns, attendant)
            with turns:
                while not manager.over:
                    manager.turn(0.1)
        interrupted = interruption.count > 0
    finally:
        manager.close()
    assert manager.summary is not None
    return summarize(manager.summary, interrupted)


def _work(
    job: Job, manager: Manager, executor: InlineExecutor, alarm: Alarm, turns: Turns, attendant: Attendant
) -> None:
    """Work as one worker after another: the next one takes over where the manager ended one with its trial."""
    for name in chain(["inline"], (f"inline-{i}" for i in count(2))):
        link, attendant.worker = InlineLink(name, manager, executor, alarm, turns), name
        try:
            work(name, job, link, join(name, link, 1))
        except WorkerEnded as exc:
            if exc.by is not alarm:
                raise  # a study around this one ended the trial that this one runs in
            link.end()
        except KeyboardInterrupt:
            manager.gone(name, "interrupted")
            manager.stop("interrupted", 0.0)
            return
        else:
            return
