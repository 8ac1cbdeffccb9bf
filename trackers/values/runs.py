"""What a store hands out of experiments and runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from trackers.states import RunState

ParamValue = int | float | bool | str | None | list[Any] | dict[str, Any]
"""What a param may hold; lists and mappings are kept as JSON."""


@dataclass(frozen=True, slots=True)
class Experiment:
    """A named collection of runs. *kind* is ``"experiment"`` or ``"study"``."""

    id: int
    uid: str
    name: str
    kind: str
    created_at: datetime
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    deleted_at: datetime | None = None
    archived: bool = False


@dataclass(frozen=True, slots=True)
class MetricPoint:
    """One point of a metric series.

    *attempt* counts the starts of its run from 0. It is -1 for what no attempt reported: the final value of a trial
    whose objective only returned it, at step 0 and the time of its end.
    """

    step: int
    value: float
    time: datetime
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class RunError:
    """Why a run failed: the type of the exception, what it said, its traceback; what is not known is None."""

    type: str | None
    message: str | None
    traceback: str | None


@dataclass(frozen=True, slots=True)
class MetricSummary:
    """What a store keeps of a series besides its points.

    All of it is of the points that no later attempt hides: *count* is how many of them there are.
    """

    key: str
    context: str
    count: int
    last: float
    last_step: int
    min: float
    max: float


@dataclass(frozen=True, slots=True)
class Attempt:
    """One start of a trial: where, when, on what, and how it ended.

    *outcome* is None while it runs, then one of ``"complete"``, ``"pruned"``, ``"fail"``, ``"lost"`` (its worker
    died), ``"timeout"``, ``"released"`` (the service put it back: a stop, a drain). *counts* tells whether it counts
    as a retry; *code* is the short version of the code that it ran, and *launch* the id of what is known of it (see
    ``Store.launch``).
    """

    number: int
    worker: str = ""
    host: str = ""
    pid: int = 0
    started_at: datetime | None = None
    ended_at: datetime | None = None
    outcome: str | None = None
    reason: str = ""
    counts: bool = True
    cpus: float = 1.0
    gpus: float = 0.0
    code: str = ""
    launch: int | None = None

    @property
    def seconds(self) -> float:
        """How long it ran, in seconds; 0.0 while that is not known."""
        if self.started_at is None or self.ended_at is None:
            return 0.0
        return (self.ended_at - self.started_at).total_seconds()


@dataclass(frozen=True, slots=True)
class Run:
    """A run as stored.

    *uid* is its 32 hex digits, the same in every copy of the store; *id* is its number in this one. *user* and *host*
    are where it began. *values* are the final results of a trial, one an objective; *error* is what ended a failed run.
    *metrics* holds the last value of every series without context, and ``key{context}`` for those with one.
    *number* is the trial's number where the experiment is a study, else None. *parent* is the uid of the run that it
    belongs to, if any.
    """

    id: int
    uid: str
    experiment_id: int
    experiment: str
    number: int | None
    name: str
    state: RunState
    created_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    parent_id: int | None = None
    parent: str = ""
    user: str = ""
    host: str = ""
    params: Mapping[str, ParamValue] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    values: tuple[float, ...] | None = None
    error: str | None = None
    archived: bool = False
    deleted_at: datetime | None = None
    experiment_deleted_at: datetime | None = None

    @property
    def is_deleted(self) -> bool:
        """Whether the run was deleted, by itself or with its experiment."""
        return self.deleted_at is not None or self.experiment_deleted_at is not None

    @property
    def path(self) -> str:
        """``EXPERIMENT/17`` for a trial, the 32 hex digits of the run otherwise: a deleted study's name may be another's."""
        gone = self.number is None or self.experiment_deleted_at is not None
        return self.uid if gone else f"{self.experiment}/{self.number}"


@dataclass(frozen=True, slots=True)
class ArtifactRow:
    """A file of a run: *name* is what people see, *digest* (sha-256, hex) where its bytes are."""

    run_id: int
    name: str
    digest: str
    size: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class CodeVersion:
    """A state of code: equal digests mean that the same code ran.

    *version* is short and for people; *dirty* None where it is not known. *content* is all that is known: author,
    the changes and files with their digests, what was left out and why. *bundle* is the digest of the file
    in the artifact store that holds the bytes, None where the commit says it all; *commits* that of the file with the
    commits that no remote had.
    """

    digest: str
    version: str
    commit: str | None = None
    dirty: bool | None = None
    content: Mapping[str, Any] = field(default_factory=dict)
    bundle: str | None = None
    commits: str | None = None


@dataclass(frozen=True, slots=True)
class Launch:
    """How a run was started: which code, in which environment, by which call.

    *branch* and *remote* are those of its repository then, the remote without user and password; None outside one.
    """

    id: int
    code: CodeVersion | None = None
    environment: Mapping[str, Any] | None = None
    branch: str | None = None
    entry_point: str = ""
    arguments: tuple[str, ...] = ()
    remote: str | None = None


@dataclass(frozen=True, slots=True)
class DataSet:
    """A data set that runs read: its name, the digest of its content, and how many *runs* did."""

    name: str
    digest: str
    rows: int | None = None
    schema: Mapping[str, Any] | None = None
    source: str = ""
    runs: int = 0


@dataclass(frozen=True, slots=True)
class RunInput:
    """A data set that a run read: its name, the digest of its content, and what it was for (``"train"``, ...)."""

    name: str
    digest: str
    role: str
    rows: int | None = None
    schema: Mapping[str, Any] | None = None
    source: str = ""


@dataclass(frozen=True, slots=True)
class Pin:
    """What is kept whatever becomes of the rest: *kind* is ``"run"``, ``"model"`` or ``"file"``, *target* its uid or digest."""

    kind: str
    target: str
    reason: str
    author: str
    created_at: datetime
