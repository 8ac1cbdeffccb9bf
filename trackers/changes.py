"""What a manager asks the store to write: small frozen records, applied in one transaction by the writer.

Times are integer microseconds since the epoch, UTC. A record says what happened, not which statements follow: the
writer folds the records of one group (a trial that starts and finishes within it becomes one row written once).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from trackers.names import clean_name as clean_name  # what every name in a record goes through
from trackers.states import RunState


@dataclass(frozen=True, slots=True)
class PastRun:
    """A run that was recorded elsewhere, as ``Store.intake`` first writes it: WAITING, *created_at* its start.

    Records that follow say what became of it.
    """

    run_id: int
    uid: str
    experiment_id: int
    name: str
    user: str
    created_at: int


@dataclass(frozen=True, slots=True)
class TrialCreated:
    """A trial exists: RUNNING (asked) or WAITING (enqueued).

    *number* is the next of its study; None: it is allotted in the transaction (a shared study). *started* is when it
    began, where that is not *time*.
    """

    run_id: int
    uid: str
    number: int | None
    state: RunState
    time: int
    params: Mapping[str, Any] = field(default_factory=dict)
    system_attrs: Mapping[str, Any] = field(default_factory=dict)
    user_attrs: Mapping[str, Any] = field(default_factory=dict)
    parent_id: int | None = None
    name: str = ""
    started: int | None = None


@dataclass(frozen=True, slots=True)
class TrialStarted:
    """Attempt *attempt* (0, 1, ...) of a trial started on a worker; moves the trial to RUNNING.

    *launch* is the id of what ``Store.keep_launch`` kept: code, environment, call. *claimed*: the trial must have been
    WAITING, so that of two processes that want it one gets it.
    """

    run_id: int
    attempt: int
    time: int
    worker: str
    host: str
    pid: int
    cpus: float = 1.0
    gpus: float = 0.0
    launch: int | None = None
    claimed: bool = False


@dataclass(frozen=True, slots=True)
class AttemptEnded:
    """An attempt ended; see ``values.Attempt`` for the outcomes. It does not move the trial.

    *started*, where given, is when it really began: a worker may hold a trial for a while before.
    """

    run_id: int
    attempt: int
    time: int
    outcome: str
    reason: str = ""
    counts: bool = True
    started: int | None = None


@dataclass(frozen=True, slots=True)
class TrialRequeued:
    """A running trial went back to the queue: RUNNING -> WAITING."""

    run_id: int
    time: int


@dataclass(frozen=True, slots=True)
class TrialFinished:
    """A trial reached its final state. *values* has one float per objective (None: it has none).

    *metrics* has the name of each value, or is empty. A value that was given a name (not ``value`` or ``value_0``) is
    also the one point of the series of that name, if the trial has no such series: so ``metrics.NAME`` finds it. It is
    no report, and no reader of reports takes it for one.
    """

    run_id: int
    time: int
    state: RunState
    values: tuple[float, ...] | None = None
    error_type: str | None = None
    error: str | None = None
    traceback: str | None = None
    metrics: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ParamsSet:
    """Params that became known after the trial was created (define-by-run)."""

    run_id: int
    params: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ParamsLogged:
    """Params that a trial logged beside those that were searched over: no sampler knows them."""

    run_id: int
    params: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ParamsDropped:
    """Params that an earlier attempt had and the last one did not ask for: they are not the trial's any more."""

    run_id: int
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PointsLogged:
    """Points of one series of a run. *points* are ``(step, attempt, time, value)``, in the order they were made."""

    run_id: int
    key: str
    points: tuple[tuple[int, int, int, float], ...]
    context: str = ""


@dataclass(frozen=True, slots=True)
class AttrsSet:
    """Optuna's attributes of a run; values are JSON (NaN and inf included).

    *scope* is ``"user"`` or ``"system"``, or ``"dist"`` for the distributions (Optuna's JSON form) of those of its
    params that have another one than the study's.
    """

    run_id: int
    scope: str
    attrs: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TagsSet:
    """Tags of a run: text."""

    run_id: int
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class LogKept:
    """What an attempt printed and logged (its tail, where it was long)."""

    run_id: int
    attempt: int
    text: str


@dataclass(frozen=True, slots=True)
class ArtifactsLogged:
    """Files of a run that lie in the artifact store already: name -> (digest, size)."""

    run_id: int
    time: int
    files: Mapping[str, tuple[str, int]]


@dataclass(frozen=True, slots=True)
class ModelLogged:
    """A model whose files lie in the artifact store already; replaces an older one of the same run and name.

    *files* maps the names inside the model's folder to (digest, size). Exactly one of *manifest* and *why_not* (the
    sentence that says why there is no model) is given.
    """

    run_id: int
    time: int
    uid: str = ""
    name: str = "model"
    manifest: Mapping[str, Any] | None = None
    files: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    step: int | None = None
    value: float | None = None
    why_not: str | None = None


@dataclass(frozen=True, slots=True)
class ModelDropped:
    """A model that was beaten: its row stays with *why*, its files go when nothing else refers to them."""

    run_id: int
    time: int
    why: str
    name: str = "model"


@dataclass(frozen=True, slots=True)
class CheckpointSaved:
    """The newest checkpoint of a trial: the digest of its file in the artifact store; replaces the older one."""

    run_id: int
    time: int
    digest: str
    size: int
    step: int | None = None


@dataclass(frozen=True, slots=True)
class CheckpointDropped:
    """A trial needs its checkpoint no longer: the reference to it goes, and with it the file."""

    run_id: int


@dataclass(frozen=True, slots=True)
class InputLogged:
    """A data set that a run read."""

    run_id: int
    name: str
    digest: str
    role: str = "train"
    rows: int | None = None
    schema: Mapping[str, Any] | None = None
    source: str = ""


@dataclass(frozen=True, slots=True)
class DistributionsSeen:
    """Distributions (Optuna's JSON form) of params that the study met for the first time."""

    distributions: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class StudyChanged:
    """Columns of the study's row to set; None leaves one as it is.

    *code* is the record of its objective; *launch* the id of what ``Store.keep_launch`` kept.
    """

    status: str | None = None
    reason: str | None = None
    total_trials: int | None = None
    settings: Mapping[str, Any] | None = None
    started_at: int | None = None
    ended_at: int | None = None
    system_attrs: Mapping[str, Any] | None = None
    user_attrs: Mapping[str, Any] | None = None
    code: Mapping[str, Any] | None = None
    launch: int | None = None
    workers: tuple[tuple[str, int], ...] | None = None
    space: Mapping[str, Any] | None = None
    directions: tuple[str, ...] | None = None
    metric_names: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class EventHappened:
    """One step in the study's order of events; *seq* continues the last one without a gap."""

    seq: int
    kind: str
    time: int
    number: int | None = None
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SharedEvent:
    """One step of a shared study, about the trial *run_id*: its place in the order is allotted in the transaction."""

    kind: str
    time: int
    run_id: int
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CommandAnswered:
    """The manager's answer to a command."""

    command_id: int
    time: int
    answer: Mapping[str, Any]


Change = (
    TrialCreated
    | TrialStarted
    | AttemptEnded
    | TrialRequeued
    | TrialFinished
    | ParamsSet
    | ParamsLogged
    | ParamsDropped
    | PointsLogged
    | AttrsSet
    | TagsSet
    | LogKept
    | ArtifactsLogged
    | ModelLogged
    | ModelDropped
    | CheckpointSaved
    | CheckpointDropped
    | InputLogged
    | DistributionsSeen
    | StudyChanged
    | EventHappened
    | SharedEvent
    | CommandAnswered
)
