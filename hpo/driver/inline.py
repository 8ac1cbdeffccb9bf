"""Runs a study in the caller's own thread: ``workers=0``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hpo.driver.interruption import interruptions
from hpo.driver.making import make_manager
from hpo.driver.order import OnProgress, Order, RunSummary, summarize
from hpo.execution.capture import capturing
from hpo.execution.port import InlineExecutor
from hpo.execution.worker import join, work
from hpo.manager import Manager

if TYPE_CHECKING:
    from hpo.execution.messages import Message


class InlineLink:
    """A worker in the manager's own thread: sending a message is taking turns until it is answered."""

    def __init__(self, manager: Manager) -> None:
        self._manager = manager

    def send(self, message: Message) -> Any:
        box: list[Any] = []
        self._manager.post(message, box.append)
        while not box:
            self._manager.turn(0.1)
        return box[0]


def run_inline(order: Order, on_progress: OnProgress | None = None) -> RunSummary:
    """Run the study in this thread."""
    manager = make_manager(order, lambda epoch: InlineExecutor())
    if on_progress is not None:
        manager.watch(lambda: on_progress(manager.progress()))
    link = InlineLink(manager)
    interrupted = False
    try:
        manager.begin()
        job = order.load()
        facts = join("inline", link, 1)
        with interruptions(lambda grace: manager.stop("interrupted", grace)) as interruption, capturing(show=True):
            try:
                work("inline", job, link, facts)
            except KeyboardInterrupt:
                manager.gone("inline", "interrupted")
                manager.stop("interrupted", 0.0)
        interrupted = interruption.count > 0
        while not manager.over:
            manager.turn(0.1)
    finally:
        manager.close()
    assert manager.summary is not None
    return summarize(manager.summary, interrupted)
