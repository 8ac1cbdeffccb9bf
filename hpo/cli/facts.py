"""What commands show of studies and trials: the same keys in every ``--json``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hpo.cli.life import standing
from hpo.ranking import Standing, wording
from trackers.cli.text import attempt_facts
from trackers.states import RunState
from trackers.values import StudyRow, Trial


def study_facts(row: StudyRow) -> dict[str, Any]:
    """Return what there is to know of a study without reading its trials."""
    return {
        "study": row.name,
        "status": standing(row),
        "reason": row.reason,
        "directions": list(row.directions),
        "metrics": list(row.metric_names),
        "total_trials": row.total_trials,
        "trials": sum(row.counts.values()),
        "counts": {state.name: row.counts.get(state, 0) for state in RunState},
        "created_at": row.created_at,
        "started_at": row.started_at,
        "ended_at": row.ended_at,
        "owner": None if row.owner is None else {"user": row.owner.user, "host": row.owner.host, "pid": row.owner.pid},
        "description": row.description,
        "tags": dict(row.tags),
        "archived": row.archived,
        "deleted_at": row.deleted_at,
    }


def trial_facts(trial: Trial, metrics: tuple[str, ...]) -> dict[str, Any]:
    """Return all that a store keeps of a trial, its log and its files apart."""
    return {
        "trial": trial.path,
        "number": trial.number,
        "state": trial.state.name,
        "values": named_values(trial, metrics),
        "params": dict(trial.params),
        "metrics": dict(trial.metrics),
        "reports": {str(step): value for step, value in trial.intermediate_values.items()},
        "user_attrs": dict(trial.user_attrs),
        "constraints": dict(trial.constraints),
        "tags": dict(trial.tags),
        "logged_params": dict(trial.logged_params),
        "created_at": trial.created_at,
        "started_at": trial.started_at,
        "ended_at": trial.ended_at,
        "seconds": trial.duration.total_seconds() if trial.duration else None,
        "cost": trial.cost,
        "attempts": [attempt_facts(attempt) for attempt in trial.attempts],
        "model": trial.model,
        "model_error": trial.model_error,
        "error": trial.error,
        "traceback": trial.traceback,
        "run": trial.uid,
        "archived": trial.archived,
    }


def named_values(trial: Trial, metrics: tuple[str, ...]) -> dict[str, float]:
    """Return the results by the names of the metrics; empty while there are none."""
    return dict(zip(metrics, trial.values or (), strict=False))


def goal(row: StudyRow) -> str:
    """Return ``maximize accuracy, minimize size``."""
    return ", ".join(f"{way} {name}" for way, name in zip(row.directions, row.metric_names, strict=False))


def result(place: Standing, metrics: tuple[str, ...]) -> str:
    """Return ``accuracy 0.9777, size 12``."""
    named = named_values(place.trial, metrics)
    return ", ".join(f"{name} {wording.number(value)}" for name, value in named.items()) or wording.NONE


def tried(row: StudyRow) -> str:
    """Return ``23 of 60``, or ``23`` where there is no budget."""
    count = sum(row.counts.values())
    return f"{count:,} of {row.total_trials:,}" if row.total_trials else f"{count:,}"


def state_line(counts: Mapping[RunState, int]) -> str:
    """Return ``9 completed, 12 pruned``."""
    return wording.states(counts) or "none yet"
