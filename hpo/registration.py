"""Hand a study's best model to the registry, with where it came from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hpo.errors import UserError
from hpo.refitted import newest_refit
from trackers.errors import NotFoundError
from trackers.states import RunState

if TYPE_CHECKING:
    from hpo.study import Study
    from trackers.values import LoggedModel, ModelVersion, StudyRow, Trial


def register(
    study: Study, name: str, *, trial: int | None, run: str | None = None, description: str, reason: str
) -> ModelVersion:
    """Register the model of the best trial that has one (or of *trial*) as the next version of *name*.

    *run* is the id of a refit's run: then it is that run's model, with the lineage of the trial it was refitted from.
    """
    if run is not None:
        return _register_refit(study, name, run, description, reason)
    chosen, model = _with_model(study, trial)
    row = study.row
    metrics = dict(chosen.metrics)
    if chosen.values is not None:
        metrics |= dict(zip(row.metric_names, chosen.values, strict=True))
    return study.store.registry.register(
        name,
        model,
        description=description,
        metrics=metrics,
        lineage=lineage(study, row, chosen),
        source=chosen.path,
        reason=reason or f"best of study {row.name}",
    )


def _register_refit(study: Study, name: str, uid: str, description: str, reason: str) -> ModelVersion:
    store, row = study.store, study.row
    run = store.get_run(uid)
    parent = None if run.parent_id is None else store.get_run(run.parent_id)
    if parent is None or parent.number is None or parent.experiment_id != row.id:
        raise UserError(f"run {run.uid} is no refit of study {row.name!r}: give the id that refit returned")
    model = store.get_logged_model(run)
    if model is None or model.deleted_at is not None:
        raise NotFoundError(f"run {run.uid} has no model: call trial.log_model(model) in the function that refits")
    trial = store.get_trial(row.id, parent.number)
    values = dict(zip(row.metric_names, trial.values or (), strict=False))
    return store.registry.register(
        name,
        model,
        description=description,
        metrics={**values, **run.metrics},
        lineage={**lineage(study, row, trial), "refit": run.uid},
        source=f"{trial.path}, refitted",
        reason=reason or f"best of study {row.name}, refitted",
    )


def _with_model(study: Study, number: int | None) -> tuple[Trial, LoggedModel]:
    store = study.store
    if number is not None:
        chosen = store.get_trial(study.row.id, number)
        model = store.get_logged_model(chosen.run_id)
        if model is None or model.deleted_at is not None:
            raise _no_model(study, chosen)
        return chosen, model
    ranked = [t for t in study.ranking().ranked if t.state is RunState.COMPLETE]
    if not ranked:
        raise UserError(f"study {study.name!r} has no complete trial: there is no model to register")
    for chosen in ranked:
        model = store.get_logged_model(chosen.run_id) if chosen.model else None
        if model is not None and model.deleted_at is None:
            return chosen, model
    why = next((f" (trial {t.number}: {t.model_error})" for t in ranked if t.model_error), "")
    refitted = newest_refit(study.store, study.name)
    if refitted is not None:
        raise NotFoundError(
            f"no trial of {study.name!r} kept a model{why}, but its refit has one: register that with --run {refitted} "
            f"(in Python: run={refitted!r})"
        )
    raise NotFoundError(
        f"no trial of {study.name!r} kept a model{why}: call trial.log_model(model) in the objective and run it again"
    )


def _no_model(study: Study, trial: Trial) -> NotFoundError:
    """Return the error for a trial without a model: it logged none, or better trials took its place."""
    again = "register another, or run it again"
    dropped = study.store.get_logged_model(trial.run_id, dropped=True)
    if dropped is not None and not trial.model_error:
        why = f"it was dropped: {dropped.deleted_why}" if dropped.deleted_why else "it was dropped"
        return NotFoundError(
            f"trial {trial.path} has no model any more ({why}): {again} with a larger --keep-models (in Python "
            "keep_models=)"
        )
    return NotFoundError(f"trial {trial.path} has no model ({trial.model_error or 'it logged none'}): {again}")


def lineage(study: Study, row: StudyRow, trial: Trial) -> dict[str, Any]:
    """Return where a model came from: study, trial, params, code and whether its tree was clean, packages, data."""
    version = next((a.code for a in reversed(trial.attempts) if a.code), "")
    # The study may have gone on with other code since: what counts is what this trial ran.
    launch = study.store.launch(trial)
    code = dict(launch.code.content if launch is not None and launch.code is not None else row.code or {})
    objective = code.get("objective") or code
    environment = dict((launch.environment if launch is not None else row.environment) or {})
    return {
        "study": row.name,
        "trial": trial.number,
        "run": trial.uid,
        "params": dict(trial.params),
        "code": {
            "version": version,
            "commit": code.get("commit"),
            "dirty": code.get("dirty"),
            "state": launch.code.digest if launch is not None and launch.code is not None else None,
            "file": objective.get("file"),
            "objective": objective.get("name"),
            "digest": objective.get("digest"),
        },
        "python": environment.get("python"),
        "packages": environment.get("packages"),
        "data": [
            {"name": i.name, "digest": i.digest, "role": i.role, "rows": i.rows}
            for i in study.store.inputs(trial.run_id)
        ],
    }
