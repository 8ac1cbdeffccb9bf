"""The frozen values that a store hands out. Times are aware UTC datetimes; states are ``RunState``.

One file, though a long one: what people import from here stays where it is, and nearly every line is a field.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from trackers.states import RunState

if TYPE_CHECKING:
    import optuna

T = TypeVar("T")

ParamValue = int | float | bool | str | None | list[Any] | dict[str, Any]
"""What a param may hold; lists and mappings are kept as JSON."""


_EPOCH = datetime.fromtimestamp(0, UTC)


def to_datetime(microseconds: int | None) -> datetime | None:
    """Turn a stored time (integer microseconds since the epoch, UTC) into an aware datetime."""
    if microseconds is None:
        return None
    return _EPOCH + timedelta(microseconds=microseconds)


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
class Run:
    """A run as stored.

    *metrics* holds the last value of every series without context, and ``key{context}`` for those with one.
    *number* is the trial's number where the experiment is a study, else None.
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


class Several(tuple[T, ...]):
    """A tuple that equals a list of the same members too: Optuna has lists where this stands."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return tuple.__eq__(self, tuple(other) if isinstance(other, list) else other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = tuple.__hash__


@dataclass(frozen=True)
class Trial:
    """A trial as stored, with the attributes of Optuna's ``FrozenTrial`` and ours.

    *values* has one float per objective, or None while there are none. *intermediate_values* is what the objective
    reported (step -> value), in the order of the steps; *constraints* are feasible at or below 0.0.
    *distribution_specs* maps the name of each param to its distribution in Optuna's JSON form. *logged_params* are
    those that the objective logged beside the ones that were searched over; a ``Run``'s *params* are both.
    """

    number: int
    state: RunState
    params: Mapping[str, Any] = field(default_factory=dict)
    values: tuple[float, ...] | None = None
    intermediate_values: Mapping[int, float] = field(default_factory=dict)
    user_attrs: Mapping[str, Any] = field(default_factory=dict)
    system_attrs: Mapping[str, Any] = field(default_factory=dict)
    constraints: Mapping[str, float] = field(default_factory=dict)
    distribution_specs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    attempts: tuple[Attempt, ...] = ()
    created_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    error: str | None = None
    error_type: str | None = None
    traceback: str | None = None
    model: str | None = None
    model_error: str | None = None
    checkpoint: str | None = None
    run_id: int = -1
    uid: str = ""
    study: str = ""
    archived: bool = False
    logged_params: Mapping[str, ParamValue] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.values is not None:
            object.__setattr__(self, "values", Several(self.values))

    @property
    def value(self) -> float | None:
        """The result, where there is one objective."""
        if self.values is None:
            return None
        if len(self.values) > 1:
            raise RuntimeError("value is undefined for a trial with several objectives: use values")
        return self.values[0]

    @property
    def datetime_start(self) -> datetime | None:
        """When its first attempt started (aware, UTC; Optuna's is naive)."""
        return self.started_at

    @property
    def datetime_complete(self) -> datetime | None:
        """When it reached its final state."""
        return self.ended_at

    @property
    def duration(self) -> timedelta | None:
        """From the first start to the final state."""
        if self.started_at is None or self.ended_at is None:
            return None
        return self.ended_at - self.started_at

    @property
    def last_step(self) -> int | None:
        """The largest reported step."""
        return max(self.intermediate_values, default=None)

    @property
    def cost(self) -> float:
        """Core-seconds spent over all attempts."""
        return sum(a.seconds * a.cpus for a in self.attempts)

    @property
    def feasible(self) -> bool:
        """Whether every constraint is at or below 0.0."""
        return all(v <= 0.0 for v in self.constraints.values())

    @property
    def path(self) -> str:
        """``STUDY/17``."""
        return f"{self.study}/{self.number}"

    @property
    def distributions(self) -> dict[str, optuna.distributions.BaseDistribution]:
        """Optuna's distribution of each param."""
        from trackers.interop.optuna import to_distributions

        return to_distributions(self.distribution_specs)

    def to_optuna(self) -> optuna.trial.FrozenTrial:
        """Return the same trial as Optuna's ``FrozenTrial``."""
        from trackers.interop.optuna import to_frozen_trial

        return to_frozen_trial(self)


@dataclass(frozen=True, slots=True)
class Owner:
    """Who runs a study: *started* is the process's own start time, so that a reused process id is told apart."""

    user: str
    host: str
    pid: int
    started: float
    since: datetime | None = None
    workers: tuple[tuple[str, int], ...] = ()

    def __str__(self) -> str:
        when = f", since {self.since:%Y-%m-%d %H:%M:%S} UTC" if self.since else ""
        return f"{self.user} on {self.host}, process {self.pid}{when}"

    def lives(self) -> bool | None:
        """Tell whether its process is still there; None where it is on another host."""
        from trackers.processes import host_name, is_alive

        return is_alive(self.pid, self.started) if self.host == host_name() else None


@dataclass(frozen=True, slots=True)
class StudyRow:
    """A study as stored; where all are listed, *code* and *environment* are None, since they may be long.

    *directions* are ``"minimize"`` or ``"maximize"``, one per objective; *metric_names* as many names. *space* is the
    declared space in JSON form (None: define-by-run). *settings* is what the last ``optimize`` ran with.
    *distributions* has Optuna's JSON form of every param seen. *epoch* counts the managers; *owner* is the living
    one's record, or the last one's with *ended_at* set. *status* is ``"new"``, ``"running"``, ``"stopped"`` or
    ``"complete"``, and *reason* a sentence. *counts* maps states to numbers of trials.
    """

    id: int
    uid: str
    name: str
    directions: tuple[str, ...]
    metric_names: tuple[str, ...]
    created_at: datetime
    mode: str = "managed"
    space: Mapping[str, Any] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    distributions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    seed: int = 0
    total_trials: int | None = None
    epoch: int = 0
    renewals: int = 0
    last_seq: int = 0
    owner: Owner | None = None
    status: str = "new"
    reason: str = ""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    user_attrs: Mapping[str, Any] = field(default_factory=dict)
    system_attrs: Mapping[str, Any] = field(default_factory=dict)
    counts: Mapping[RunState, int] = field(default_factory=dict)
    code: Mapping[str, Any] | None = None
    environment: Mapping[str, Any] | None = None
    launch: int | None = None
    archived: bool = False
    deleted_at: datetime | None = None

    @property
    def direction(self) -> str:
        """The direction, where there is one objective."""
        if len(self.directions) > 1:
            raise RuntimeError("direction is undefined for a study with several objectives: use directions")
        return self.directions[0]


@dataclass(frozen=True, slots=True)
class Command:
    """A message to the manager of a study, kept in the store; *token* makes sending it twice harmless."""

    id: int
    study_id: int
    token: str
    kind: str
    args: Mapping[str, Any]
    author: str
    created_at: datetime
    answered_at: datetime | None = None
    answer: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """One step in a study's recorded order. *seq* is dense and rises by one within the study."""

    seq: int
    kind: str
    number: int | None
    data: Mapping[str, Any]
    time: datetime


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
    remote, the changes and files with their digests, what was left out and why. *bundle* is the digest of the file
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
    """How a run was started: which code, in which environment, by which call."""

    id: int
    code: CodeVersion | None = None
    environment: Mapping[str, Any] | None = None
    branch: str | None = None
    entry_point: str = ""
    arguments: tuple[str, ...] = ()


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
class LoggedModel:
    """A model that a run saved. *manifest* is the content of its ``model.json``; *files* maps names to digests."""

    uid: str
    run_id: int
    name: str
    flavor: str
    manifest: Mapping[str, Any]
    files: Mapping[str, str]
    size: int
    created_at: datetime
    step: int | None = None
    value: float | None = None
    deleted_at: datetime | None = None
    deleted_why: str = ""


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """An immutable version of a registered model, with what it came from."""

    name: str
    version: int
    model_uid: str
    run_id: int | None
    source: str
    created_at: datetime
    created_by: str
    description: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    lineage: Mapping[str, Any] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RegisteredModel:
    """A name in the registry, its aliases (alias -> version) and its newest version (0: none)."""

    name: str
    created_at: datetime
    description: str = ""
    aliases: Mapping[str, int] = field(default_factory=dict)
    latest: int = 0
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Alias:
    """A name that points at a version, and what it is for."""

    name: str
    alias: str
    version: int
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Approval:
    """A user's word for a version."""

    user: str
    host: str
    time: datetime
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Figure:
    """What was measured of a version after it was registered: one value a repeat, on the data with digest *data*."""

    name: str
    values: tuple[float, ...]
    data: str
    time: datetime
    actor: str
    host: str

    @property
    def value(self) -> float:
        """The mean of the repeats."""
        return sum(self.values) / len(self.values)


@dataclass(frozen=True, slots=True)
class RegistryMove:
    """One line of the registry's append-only history: who moved what, when and why."""

    id: int
    name: str
    action: str
    alias: str | None
    old_version: int | None
    new_version: int | None
    actor: str
    host: str
    reason: str
    time: datetime
    details: Mapping[str, Any] = field(default_factory=dict)
    written: bool = True


@dataclass(frozen=True, slots=True)
class Pin:
    """What is kept whatever becomes of the rest: *kind* is ``"run"``, ``"model"`` or ``"file"``, *target* its uid or digest."""

    kind: str
    target: str
    reason: str
    author: str
    created_at: datetime
