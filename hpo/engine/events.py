"""What happens to a study (events) and what has to be done about it (commands)."""

from __future__ import annotations

from dataclasses import dataclass

from hpo.trial import Verdict
from trackers.states import RunState

# ---- events


@dataclass(frozen=True, slots=True)
class Pulled:
    """A worker wants up to *want* trials; it waits until there is one, or until it is dismissed."""

    worker: str
    want: int = 1


@dataclass(frozen=True, slots=True)
class Reported:
    """A running attempt reported; *hopeless* is the pruner's opinion."""

    worker: str
    number: int
    attempt: int
    hopeless: bool = False


@dataclass(frozen=True, slots=True)
class Finished:
    """An attempt ended with a result. *retryable* tells whether a FAIL is of a kind that is tried again."""

    worker: str
    number: int
    attempt: int
    state: RunState
    retryable: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Released:
    """A worker gave an attempt back because it was told to stop."""

    worker: str
    number: int
    attempt: int


@dataclass(frozen=True, slots=True)
class Lost:
    """A worker is gone, and *mates* with it: the other slots of its process. *counts*: the service did not cause it."""

    worker: str
    reason: str
    counts: bool = True
    mates: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Enqueued:
    """Somebody wants a trial with given params to run next."""


@dataclass(frozen=True, slots=True)
class Exhausted:
    """There was nothing to suggest for the fresh trial *number*, nor for any after it."""

    number: int


@dataclass(frozen=True, slots=True)
class StopAsked:
    """Start nothing new; running trials have *grace* seconds to reach their next report (None: they run to their end)."""

    reason: str
    grace: float | None = 10.0
    status: str = "stopped"


@dataclass(frozen=True, slots=True)
class BudgetSet:
    """The study's sum of trials changed; None is no limit."""

    total: int | None


@dataclass(frozen=True, slots=True)
class Ticked:
    """Time passed."""


Event = Pulled | Reported | Finished | Released | Lost | Enqueued | Exhausted | StopAsked | BudgetSet | Ticked

# ---- commands


@dataclass(frozen=True, slots=True)
class Start:
    """Hand attempt *attempt* of a trial to a worker; *fresh*: the trial has no params yet, ask the sampler."""

    worker: str
    number: int
    attempt: int
    fresh: bool


@dataclass(frozen=True, slots=True)
class Enqueue:
    """Create the trial *number*, WAITING."""

    number: int


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer a report."""

    worker: str
    number: int
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Requeue:
    """End the attempt with *outcome*; the trial waits for its next one."""

    number: int
    attempt: int
    outcome: str
    reason: str
    counts: bool


@dataclass(frozen=True, slots=True)
class Finish:
    """End the attempt and the trial. *reason* is set where the service and not the objective says so."""

    number: int
    attempt: int
    state: RunState
    outcome: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Kill:
    """End a worker's process."""

    worker: str
    reason: str


@dataclass(frozen=True, slots=True)
class Dismiss:
    """Tell a worker that waits for a trial to exit."""

    worker: str


@dataclass(frozen=True, slots=True)
class End:
    """The study is over for now: *status* is ``"complete"``, ``"stopped"`` or ``"failed"``."""

    status: str
    reason: str


Command = Start | Enqueue | Answer | Requeue | Finish | Kill | Dismiss | End
