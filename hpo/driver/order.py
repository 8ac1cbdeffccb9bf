"""What a run of a study is told, and how it ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hpo.execution.worker import Job
from hpo.manager import Summary
from hpo.progress import Progress

if TYPE_CHECKING:
    from hpo.execution.ray.session import Need
    from trackers.store import Store

TrialDone = Callable[["Store", int, int], None]
"""A callback: (the manager's store, study id, trial number), in the manager's process, after the commit."""

StudyAsked = Callable[["Store", int, str, tuple[Any, ...], Mapping[str, Any]], Any]
"""Answers an objective: (the manager's store, study id, name of an attribute or method, its arguments)."""

OnProgress = Callable[[Progress], None]


@dataclass(frozen=True)
class Order:
    """All that a run of a study is told. It pickles: on Ray it travels to the manager's process.

    *total* is the study's sum of trials (None: no limit), *timeout* seconds from the start of the manager. *settings*,
    *code*, the record of the objective, and *launch* (see ``Store.keep_launch``) are written to the study's row.
    """

    storage: str
    study_id: int
    load: Callable[[], Job]
    total: int | None = None
    workers: int = 0
    slots: int = 1
    need: Need | None = None
    address: str | None = None
    timeout: float | None = None
    trial_timeout: float | None = None
    report_timeout: float | None = None
    max_retries: int = 2
    keep_models: int | str = 3
    lease_seconds: float = 10.0
    sampler: Any = "auto"
    pruner: Any = "auto"
    callbacks: Sequence[TrialDone] = ()
    ask: StudyAsked | None = None
    settings: Mapping[str, Any] | None = None
    code: Mapping[str, Any] | None = None
    launch: int | None = None
    detach: bool = False


@dataclass(frozen=True, slots=True)
class RunSummary:
    """How a run ended: *status* is ``"complete"``, ``"stopped"``, ``"failed"`` or ``"interrupted"``.

    *error* is what a callback raised.
    """

    status: str
    reason: str
    notes: tuple[str, ...] = field(default=())
    error: BaseException | None = None


def summarize(summary: Summary, interrupted: bool) -> RunSummary:
    """Say how a run ended: a stop that somebody's Ctrl-C caused is an interruption."""
    status = "interrupted" if interrupted and summary.status == "stopped" else summary.status
    return RunSummary(status, summary.reason, summary.notes, summary.error)
