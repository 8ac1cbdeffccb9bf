"""Train once more with the best params, on all the data: a child run of the trial they come from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from hpo.errors import ResultError, UserError
from hpo.refitted import REFIT
from hpo.trial import Assignment, StudyFacts, Trial
from trackers.changes import ModelLogged, PointsLogged

if TYPE_CHECKING:
    from hpo.study import Study
    from trackers.values import Trial as StoredTrial


def refit(study: Study, train: Callable[..., Any], *, trial: int | None, args: Mapping[str, Any]) -> str:
    """Call *train* with a trial that has the chosen trial's params; return the id of the child run.

    What *train* returns, where it is a number, is logged as the metric ``refit``; the model it logs is the run's.
    """
    if not callable(train):
        raise UserError(f"refit takes a function that trains a model with a trial's params, not {type(train).__name__}")
    chosen = _chosen(study, trial)
    row = study.row
    store = study.store
    with store.start_run(
        study.name + REFIT, name=f"refit of {chosen.path}", parent=chosen.path, params=dict(chosen.params)
    ) as run:
        facts = StudyFacts(
            row.name,
            row.directions,
            row.metric_names,
            row.seed,
            dict(chosen.distribution_specs) or {name: {} for name in chosen.params},
            store.artifact_root,
            store.identity.uid,
        )
        stand_in = Trial(Assignment(chosen.number, 0, run.id, dict(chosen.params)), facts, None)
        result = train(stand_in, **args)
        records = list(stand_in.records)
        failed = [r.why_not for r in records if isinstance(r, ModelLogged) and r.why_not]
        if failed:
            raise ResultError(f"the refitted model could not be saved: {failed[0]}")
        if stand_in.reports:
            points = tuple((step, 0, time, value) for step, value, time in stand_in.reports)
            records.append(PointsLogged(run.id, row.metric_names[0], points))
        run.write(records)
        if isinstance(result, int | float) and not isinstance(result, bool):
            run.log_metric("refit", float(result))
        return str(run.uid)


def _chosen(study: Study, number: int | None) -> StoredTrial:
    if number is not None:
        return study.store.get_trial(study.row.id, number)
    try:
        return study.best_trial if len(study.row.directions) == 1 else study.best_trials[0]
    except (ValueError, IndexError):
        raise UserError(f"study {study.name!r} has no complete trial to refit: run it first") from None
