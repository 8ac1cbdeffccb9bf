"""What workers and the manager say to each other. Everything pickles; nothing here imports Ray or a database."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from hpo.distribution import Spec
from hpo.trial import Assignment, StudyFacts, Verdict
from trackers.changes import Change
from trackers.states import RunState

Reports = tuple[tuple[int, float, int], ...]
"""Reports of one attempt: ``(step, value, microseconds since the epoch)``."""


class Rule(Protocol):
    """A pruner's thresholds at one moment, for a worker to decide with; see ``hpo.sampling.rules``."""

    @property
    def version(self) -> int:
        """Rises with every change of the thresholds."""

    def curve(self) -> Any:
        """Return an empty curve for one attempt; it has ``add(step, value)``."""

    def follow(self, curve: Any) -> None:
        """Note that the attempt went on after the curve's newest report."""

    def decide(self, reports: Any) -> bool:
        """Tell whether the attempt with this curve so far is hopeless."""


@dataclass(frozen=True, slots=True)
class News:
    """What an attempt produced since it was last heard of.

    *rules* has, for each report, the version of the thresholds a worker decided it with (-1: not decided there). *log*
    is what the attempt has printed so far, the tail of it; None: nothing new.
    """

    number: int
    attempt: int
    reports: Reports = ()
    rules: tuple[int, ...] = ()
    records: tuple[Change, ...] = ()
    params: Mapping[str, Any] = field(default_factory=dict)
    specs: Mapping[str, Spec] = field(default_factory=dict)
    log: str | None = None

    def __bool__(self) -> bool:
        """Tell whether there is anything new."""
        return bool(self.reports or self.records or self.params) or self.log is not None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended. *state* None: it was given back. Times in microseconds since the epoch, UTC."""

    news: News
    state: RunState | None
    started: int
    ended: int
    values: tuple[float, ...] | None = None
    error_type: str | None = None
    error: str | None = None
    traceback: str | None = None
    retryable: bool = False
    log: str = ""


@dataclass(frozen=True, slots=True)
class Join:
    """A worker is up."""

    worker: str
    host: str
    pid: int
    slots: int = 1
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Pull:
    """A worker brings results and wants up to *want* trials."""

    worker: str
    want: int
    outcomes: tuple[Outcome, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """A running attempt reports; *ask*: it waits for the pruner's opinion of its last report.

    *quiet*: its process brings what the attempt left lying while it computes; unless there are reports among it, that
    is no sign of the objective.
    """

    worker: str
    news: News
    ask: bool = False
    quiet: bool = False


@dataclass(frozen=True, slots=True)
class Suggest:
    """A running attempt needs a value that its dispatch did not carry."""

    worker: str
    number: int
    attempt: int
    name: str
    spec: Spec


@dataclass(frozen=True, slots=True)
class StopStudy:
    """An objective called ``study.stop()``."""

    worker: str


@dataclass(frozen=True, slots=True)
class AskStudy:
    """An objective asks for an attribute of its study, or calls a method of it; see ``hpo.trial_study.ASKED``."""

    worker: str
    name: str
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Put:
    """Bytes for the artifact store, from a worker that does not see it. Answered by (digest, size) or the error."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Fetch:
    """A wish for bytes of the artifact store. Answered by them or the error."""

    digest: str


Message = Join | Pull | Report | Suggest | StopStudy | AskStudy | Put | Fetch


@dataclass(frozen=True, slots=True)
class Work:
    """The answer to a pull. *exit*: there is nothing left to do."""

    trials: tuple[Assignment, ...] = ()
    rule: Rule | None = None
    exit: bool = False


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer to a report."""

    verdict: Verdict
    rule: Rule | None = None


@dataclass(frozen=True, slots=True)
class Suggested:
    """The answer to a suggest; *error* is a sentence where there is no value."""

    value: Any = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """The answer to a question about the study; *error* is raised in the objective where there is none."""

    value: Any = None
    error: Exception | None = None


Reply = Callable[[Any], None]
"""Takes the answer to one message; called once, from the thread that had it: the manager's, or that of files."""


class Link(Protocol):
    """A worker's way to its manager.

    ``send`` blocks until the answer is there: StudyFacts for Join, Work for Pull, Answered for Report, Suggested for
    Suggest, None for StopStudy, Told for AskStudy. Called from any thread of the worker where it is *concurrent*, else
    from the one that runs trial and manager in turn. Raises ManagerGone where there is no manager any more, or none
    that answers.
    """

    concurrent: bool

    def send(self, message: Message) -> Any:
        """Send *message* and return its answer."""


class ManagerGone(Exception):
    """The manager does not answer any more: the worker exits."""


__all__ = [
    "Answered",
    "AskStudy",
    "Assignment",
    "Fetch",
    "Join",
    "Link",
    "ManagerGone",
    "Message",
    "News",
    "Outcome",
    "Pull",
    "Put",
    "Reply",
    "Report",
    "Reports",
    "Rule",
    "StopStudy",
    "StudyFacts",
    "Suggest",
    "Suggested",
    "Told",
    "Verdict",
    "Work",
]
