"""What a call of ``optimize`` comes to: how many trials and workers, the space and goal agreed, the code captured."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hpo.errors import SettingsError, UserError
from hpo.manager.here import here
from hpo.objective_file import LoadedObjective
from hpo.objectives import ObjectiveSpec, spec_of
from trackers.values import StudyRow

if TYPE_CHECKING:
    from trackers.capture import Capture
    from trackers.store import Store


def agreed(store: Store, objective: Any, row: StudyRow) -> StudyRow:
    """Return the study with what the objective's decorator says of space and goal, where its creation said nothing.

    Raises: UserError where the study has trials already, or both speak and differ.
    """
    spec = objective.spec if isinstance(objective, LoadedObjective) else spec_of(objective)
    changes = _declared(spec, row)
    if not changes:
        return row
    if sum(row.counts.values()) or here(row.uid) is not None:
        what = " and ".join(
            {"space": "a space", "directions": "a direction", "metric_names": "a name"}[c] for c in changes
        )
        raise UserError(
            f"objective {spec.name!r} declares {what} that study {row.name!r}, which has trials, does not have: start a "
            "new study for it"
        )
    from trackers.changes import StudyChanged

    lease = store.acquire_study(row.id)
    try:
        lease.submit([StudyChanged(**changes)]).wait()
    finally:
        lease.release("new", row.reason)
    return store.get_study(row.id)


def _declared(spec: ObjectiveSpec, row: StudyRow) -> dict[str, Any]:
    """Return what the decorator says and the study's creation did not."""
    changes: dict[str, Any] = {}
    if spec.space is not None and row.space is None:
        changes["space"] = spec.space.to_json()
    said, given = row.settings or {}, spec.settings.given
    goal = "directions" in given or "metrics" in given
    fits = len(spec.directions) == len(row.directions) or "directions" not in said
    if goal and not {"directions", "metrics"} & said.keys() and fits:
        if tuple(spec.directions) != row.directions:
            changes["directions"] = tuple(spec.directions)
        if tuple(spec.metrics) != row.metric_names:
            changes["metric_names"] = tuple(spec.metrics)
    return changes


def threads(read: Mapping[str, Any]) -> tuple[int, int]:
    """Return how many workers with how many slots: Optuna's *n_jobs* are threads of one process."""
    jobs, workers, slots = read["n_jobs"] or 1, read["workers"] or 0, read["slots_per_worker"] or 1
    if jobs == 1:
        return workers, slots
    if workers:
        raise SettingsError("n_jobs (threads of one process) and workers (processes) exclude each other: give one")
    return 1, (os.cpu_count() or 1) if jobs == -1 else jobs


def total_of(row: StudyRow, n_trials: int | None, total: int | None) -> int | None:
    """Return how many trials the study is to have in the end: *n_trials* more, or *total* of them; None: no end.

    Raises SettingsError where both are given.
    """
    if n_trials is not None and total is not None:
        raise SettingsError("give n_trials (that many more) or total_trials (the study's sum), not both")
    if n_trials is not None:
        # Those that wait were counted when they were created: this call runs them first, as many as it may.
        return _finished(row) + n_trials
    if total is not None:
        return total
    # An interrupted study is brought to the end that it was given; one that reached it goes on without an end.
    unfinished = row.total_trials is not None and row.status != "complete" and _finished(row) < row.total_trials
    return row.total_trials if unfinished else None


def _finished(row: StudyRow) -> int:
    return sum(n for state, n in row.counts.items() if state.is_finished())


def captured(store: Store, code: Mapping[str, Any], need: Mapping[str, Any]) -> Capture:
    """Return the code around the objective, and the environment; *need* is what Ray is asked for a trial."""
    from trackers import capture

    place = code.get("file") or "."
    # The source of a file is in the code around it, that of a function in a notebook nowhere else.
    kept = ("file", "name", "digest") if code.get("file") else ("name", "digest", "source")
    objective = {name: code.get(name) for name in kept}
    found = capture.capture(place, beside=store.own_files, objective=objective)
    if not need:
        return found
    from importlib.metadata import version

    return replace(found, environment={**found.environment, "ray": {"version": version("ray"), **need}})
