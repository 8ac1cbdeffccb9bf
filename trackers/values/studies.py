"""What a store hands out of studies and trials."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from trackers.states import RunState
from trackers.values.runs import Attempt, ParamValue

if TYPE_CHECKING:
    import optuna

T = TypeVar("T")


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
