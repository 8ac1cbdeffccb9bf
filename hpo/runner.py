"""The use case behind ``hpo run`` and ``hpo resume``: bring a study to its number of trials."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from hpo.errors import ClusterError, ObjectiveError, StudyInterrupted, UserError
from hpo.objective_file import LoadedObjective, load_objective
from hpo.settings import Settings
from trackers.errors import AlreadyExistsError, NotFoundError
from trackers.states import RunState
from trackers.wording import counted

if TYPE_CHECKING:
    from hpo.progress import Progress
    from hpo.study import Study
    from trackers.store import Store
    from trackers.values import StudyRow

Mode = Literal["auto", "new", "continue", "resume"]


@dataclass(frozen=True)
class RunResult:
    """How a call of `run` ended.

    *status* is ``"complete"``, ``"stopped"``, ``"failed"``, ``"interrupted"`` or ``"running"`` (detached), *reason* a
    sentence. *ran* False: the study was complete already, and nothing was done. *notes* say what was chosen.
    """

    study: Study
    status: str
    reason: str
    ran: bool = True
    notes: tuple[str, ...] = ()


def run(
    settings: Settings,
    objective: LoadedObjective,
    *,
    on_progress: Callable[[Progress], None] | None = None,
    on_study: Callable[[str], None] | None = None,
    mode: Mode = "auto",
    detach: bool = False,
) -> RunResult:
    """Bring the study of *objective* (named after it unless the settings say otherwise) to its number of trials.

    *mode* ``"auto"`` creates the study or goes on with it, unless code, space or goal changed since; ``"continue"``
    goes on with the new code and space; ``"new"`` always makes a new study, ``NAME-2``; ``"resume"`` is ``"auto"`` for
    a study that must be there. *on_study* is called with its name before the first trial. Raises: UserError (changed
    since: it says what), NotFoundError, StudyBusyError (it says who runs it), ClusterError, StoreError.
    """
    import trackers

    _check_methods(settings, objective)
    wanted = settings.study_name or objective.spec.name
    store = trackers.connect(settings.storage, artifacts=settings.artifacts, create=mode != "resume")
    row = _existing(store, wanted)
    if row is None and mode == "resume":
        store.get_study(wanted)  # raises, and names the nearest
    created = row is None or mode == "new"
    if row is None or mode == "new":
        row, created = _created(store, wanted, settings, objective, beside=mode == "new")
    if not created:
        differences = changes(row, objective, settings)
        if differences and mode != "continue":
            raise UserError(_refusal(row, differences, resumes=mode == "resume"))
        if is_complete(row, settings) and not differences:
            return RunResult(_study(store, row, settings), "complete", row.reason, ran=False)
        if differences:
            row = _follow(store, row, objective, settings)
    if on_study is not None:
        on_study(row.name)
    study = _study(store, row, settings)
    try:
        summary = study.optimize(objective, on_progress=on_progress, detach=detach, **_plan(settings, row))
    except StudyInterrupted as exc:
        summary = exc.summary
    except (UserError, ClusterError):
        # It could not begin: a study without a trial, made a moment ago, would only stand in the way of the next call.
        if created and not any(study.row.counts.values()):
            store.delete_study(row.name)
        raise
    return RunResult(study, summary.status, summary.reason, notes=summary.notes)


def default_workers(cpus_per_trial: float) -> int:
    """Return how many workers this machine has CPUs for, at least 1."""
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, int(there / cpus_per_trial) if cpus_per_trial > 0 else there)


def is_complete(row: StudyRow, settings: Settings) -> bool:
    """Tell whether the study has all its trials: the number asked for, or every point of a finite space."""
    total = settings.trials
    if total is None:
        return row.status == "complete" and row.total_trials is None
    finished = sum(count for state, count in row.counts.items() if state.is_finished())
    open_ones = row.counts.get(RunState.RUNNING, 0) + row.counts.get(RunState.WAITING, 0)
    if open_ones:
        return False
    return finished >= total or (row.status == "complete" and total <= (row.total_trials or 0))


def changes(row: StudyRow, objective: LoadedObjective, settings: Settings) -> list[str]:
    """Say what is not as it was when the study last ran: its code, its space, its goal."""
    found = []
    code = objective.difference(row.code or {})
    if code:
        found.append(code)
    space = _space_difference(row.space, objective)
    if space:
        found.append(space)
    goal = _goal_difference(row, settings)
    if goal:
        found.append(goal)
    return found


def recorded_objective(row: StudyRow, instead: str) -> LoadedObjective:
    """Load the objective from the file that the study ran last; *instead* is the call that names one.

    Raises: ObjectiveError where it came from a notebook or its file is gone.
    """
    code: Mapping[str, Any] = row.code or {}
    if not code.get("file"):
        raise ObjectiveError(
            f"The objective of {row.name} has no file (it came from a notebook or a script): go on there with "
            f"hpo.load_study(study_name={row.name!r}).optimize(objective), or name its file, hpo {instead}."
        )
    file = Path(str(code["file"]))
    if not file.is_file():
        raise ObjectiveError(f"The file of {row.name}, {file}, is gone: name where it is now, hpo {instead}.")
    return load_objective(f"{file}:{code['name']}")


def _existing(store: Store, name: str) -> StudyRow | None:
    try:
        return store.get_study(name)
    except NotFoundError:
        return None


def _check_methods(settings: Settings, objective: LoadedObjective) -> None:
    """Make the sampler and the pruner that were named, and find the exceptions, before anything is written.

    Raises: SettingsError.
    """
    from hpo.exception import exception_names
    from hpo.sampling import make_pruner, make_sampler

    exception_names(settings.retry_on, objective.function)
    directions, total = settings.directions, settings.trials
    if settings.sampler != "auto":
        space, workers = objective.spec.space, settings.workers or 1
        make_sampler(settings.sampler, space=space, directions=directions, total_trials=total, workers=workers)
    if settings.pruner != "auto":
        make_pruner(settings.pruner, directions=directions, total_trials=total)


def _created(
    store: Store, wanted: str, settings: Settings, objective: LoadedObjective, *, beside: bool
) -> tuple[StudyRow, bool]:
    """Create the study; return it and True.

    Where its name is taken it is created *beside* that one, as NAME-2, NAME-3, ...; else another process was a moment
    faster with the same study: return that one and False.
    """
    name, count = wanted, 1
    while True:
        try:
            made = store.create_study(
                name,
                directions=settings.directions,
                metric_names=settings.metrics,
                space=None if objective.spec.space is None else objective.spec.space.to_json(),
                settings=settings.to_json(),
                seed=settings.seed,
                total_trials=settings.trials,
                code=objective.record(),  # so that it can be resumed if it is interrupted before it begins
            )
        except AlreadyExistsError:
            if not beside:
                if (first := _existing(store, wanted)) is None:
                    raise  # an experiment has the name
                return first, False
            count += 1
            name = f"{wanted}-{count}"
        else:
            return made, True


def _study(store: Store, row: StudyRow, settings: Settings) -> Study:
    from hpo.study import Study

    chosen = {name: getattr(settings, name) for name in ("sampler", "pruner") if name in settings.given}
    return Study(store, row, **chosen)


def _plan(settings: Settings, row: StudyRow) -> dict[str, Any]:
    workers = settings.workers
    total = settings.trials
    started = sum(row.counts.values())
    return {
        # A study that was taken beyond this number by an earlier call keeps what it has.
        "total_trials": total if total is None else max(total, started),
        "workers": default_workers(settings.cpus_per_trial) if workers is None else workers,
        "timeout": settings.timeout,
        "trial_timeout": settings.trial_timeout,
        "report_timeout": settings.report_timeout,
        "cpus_per_trial": settings.cpus_per_trial,
        "gpus_per_trial": settings.gpus_per_trial,
        "resources": settings.resources or None,
        "slots_per_worker": settings.slots_per_worker,
        "max_retries": settings.max_retries,
        "retry_on": settings.retry_on,
        "keep_models": settings.keep_models,
        "system_metrics": settings.system_metrics,
        "lease_seconds": settings.lease_seconds,
        "address": settings.address,
        "settings": settings.to_json(),
    }


def _refusal(row: StudyRow, differences: list[str], *, resumes: bool = False) -> str:
    what = "; ".join(differences)
    tried = counted(sum(row.counts.values()), "trial")
    go_on = "" if any(d.startswith("the goal") for d in differences) else "--continue goes on with it as it is now, "
    new = "hpo run with --new" if resumes else "--new"
    return f"Study {row.name} has {tried}, and since then {what} changed: {go_on}{new} starts a new study."


def _follow(store: Store, row: StudyRow, objective: LoadedObjective, settings: Settings) -> StudyRow:
    """Give the study the objective's space of today. Raises: UserError where its goal changed: values would not compare."""
    from hpo.driver.takeover import end_processes
    from trackers.changes import StudyChanged

    if _goal_difference(row, settings):
        raise UserError(_refusal(row, changes(row, objective, settings)))
    space = None if objective.spec.space is None else objective.spec.space.to_json()
    if space is None or space == row.space:
        return row
    lease = store.acquire_study(row.id, lease_seconds=settings.lease_seconds, on_previous=end_processes)
    try:
        lease.submit([StudyChanged(space=space)]).wait()
    finally:
        lease.release(row.status, row.reason)
    return store.get_study(row.id)


def _space_difference(stored: Mapping[str, Any] | None, objective: LoadedObjective) -> str:
    from hpo.space import Space

    now = objective.spec.space
    if stored is None and now is None:
        return ""
    if stored is None:
        return "the space (none was declared)"
    if now is None:
        return "the space (it is not declared any more)"
    was = Space.from_json(stored)
    new = [name for name in now if name not in was]
    gone = [name for name in was if name not in now]
    other = [name for name in now if name in was and now[name] != was[name]]
    parts = [f"{word}: {', '.join(names)}" for word, names in (("new", new), ("gone", gone), ("other", other)) if names]
    return f"the space ({'; '.join(parts)})" if parts else ""


def _goal_difference(row: StudyRow, settings: Settings) -> str:
    """Compare what somebody chose; a direction or name that nobody gives is as the study has it."""
    ways = settings.directions if "directions" in settings.given else row.directions
    names = settings.metrics if "metrics" in settings.given else row.metric_names
    if (tuple(ways), tuple(names)) == (tuple(row.directions), tuple(row.metric_names)):
        return ""
    return f"the goal (it was {_goal(row.directions, row.metric_names)}, now it is {_goal(ways, names)})"


def _goal(ways: Sequence[str], names: Sequence[str]) -> str:
    return ", ".join(f"{way} {name}" for way, name in zip(ways, names, strict=False))
