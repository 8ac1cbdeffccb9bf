"""Who works for a manager: processes that joined, slots that wait for an answer, and what is handed to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hpo.errors import UserError
from hpo.execution.messages import (
    Answered,
    AskStudy,
    Join,
    Pull,
    Reply,
    Report,
    Rule,
    StopStudy,
    Suggest,
    Suggested,
    Told,
    Work,
)
from hpo.trial import Assignment, Verdict

FROM_SLOTS = (Pull, Report, Suggest, StopStudy, AskStudy)
"""The messages of a worker that has joined."""


@dataclass(frozen=True, slots=True)
class Process:
    """A worker's process and its slots."""

    name: str
    host: str
    pid: int
    slots: tuple[str, ...]


class Roster:
    """The workers of a manager. A slot is parked from its pull until it is answered. The manager's thread only."""

    def __init__(self) -> None:
        self._processes: dict[str, Process] = {}
        self._dead: set[str] = set()
        self._parked: dict[str, Reply] = {}
        self._hand: dict[str, list[Assignment]] = {}
        self.stillborn = 0

    # ---- processes

    def join(self, message: Join) -> bool:
        """Take in a process that is up; tell whether it is one that is not known to be dead already."""
        if message.worker in self._dead:
            return False
        self.stillborn = 0
        name, count = message.worker, message.slots
        slots = (name,) if count == 1 else tuple(f"{name}.{i}" for i in range(count))
        self._processes[name] = Process(name, message.host, message.pid, slots)
        return True

    def lose(self, name: str) -> Process | None:
        """Strike out a process that is gone; None where it never joined."""
        self._dead.add(name)
        process = self._processes.pop(name, None)
        if process is None:
            self.stillborn += 1
            return None
        for slot in process.slots:
            self._parked.pop(slot, None)
        return process

    def process_of(self, slot: str) -> str:
        """Return the name of a slot's process."""
        return slot if slot in self._processes else slot.rpartition(".")[0]

    def find(self, slot: str) -> Process | None:
        """Return a slot's process, None where it is gone."""
        return self._processes.get(self.process_of(slot))

    def slots(self) -> int:
        """Count the slots; any thread may ask."""
        return sum(len(p.slots) for p in list(self._processes.values()))

    def pids(self) -> tuple[tuple[str, int], ...]:
        """Return (host, process id) of each."""
        return tuple((p.host, p.pid) for p in self._processes.values())

    # ---- answers

    def park(self, slot: str, reply: Reply) -> None:
        """Keep a slot's pull until there is an answer."""
        self._parked[slot] = reply

    def is_parked(self, slot: str) -> bool:
        """Tell whether a slot waits."""
        return slot in self._parked

    def answer(self, slot: str, work: Work) -> None:
        """Answer a slot, where it waits."""
        reply = self._parked.pop(slot, None)
        if reply is not None:
            reply(work)

    def hand(self, slot: str, assignment: Assignment) -> None:
        """Lay a trial ready for a slot."""
        self._hand.setdefault(slot, []).append(assignment)

    def deliver(self, rule: Rule | None) -> None:
        """Answer the slots that wait and for which something lies ready."""
        for slot in [s for s in self._hand if s in self._parked]:
            self.answer(slot, Work(tuple(self._hand.pop(slot)), rule))

    def dismiss(self) -> None:
        """Send away everybody who waits."""
        for slot in list(self._parked):
            self.answer(slot, Work(exit=True))


def farewell(message: Pull | Report | Suggest | StopStudy | AskStudy) -> Any:
    """Return the answer to a worker that nobody counts on any more."""
    match message:
        case Pull():
            return Work(exit=True)
        case Report():
            return Answered(Verdict.STOP)
        case Suggest():
            return Suggested(error="the trial was taken back")
        case AskStudy():
            return Told(error=UserError("the trial was taken back"))
    return None
