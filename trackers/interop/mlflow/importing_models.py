"""Logged models of MLflow 3, kept as logged models of the runs they come from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from trackers import changes as c
from trackers.errors import ArtifactError
from trackers.interop.mlflow import words
from trackers.interop.mlflow.files import Files, Taker
from trackers.interop.outcome import Counted, CountedModel, Imported
from trackers.states import RunState
from trackers.values import LoggedModel

if TYPE_CHECKING:
    from trackers.store import Store

FLAVOR = "mlflow"

COPY = "copy_of"
"""In the details of a model that is one version more of another: the uid of that one."""

SOURCE = "source"
"""In the details of a model that is a version and no logged model of MLflow's: where its files came from."""


def import_models(
    store: Store,
    taker: Taker,
    outcome: Imported,
    counted: Counted,
    place: str,
    models: list[Any],
    runs: Mapping[str, int],
    experiment: Callable[[], int],
) -> dict[str, str]:
    """Keep *models* and return MLflow's ids -> our uids; one whose run is not here gets one in the experiment.

    *experiment* returns the id of that, and is called only where it is needed.
    """
    uids = {}
    for model in models:
        uid = words.to_uid(model.tags.get(words.UID) or model.model_id)
        uids[model.model_id] = uid
        counted.models += 1
        there = store.find_logged_model(uid)
        told = len(outcome.problems)
        files = taker.take_model(model.artifact_location, model.model_id, held(store, there))
        if there is not None:
            if files or len(outcome.problems) == told:
                compare(there, files, model.model_id, taker, outcome, counted)
            continue
        if not files:
            outcome.note(f"the logged model {model.model_id} has no files: left out")
            counted.models -= 1
            continue
        created = int(model.creation_timestamp) * 1000
        run_id = runs.get(model.source_run_id or "")
        if run_id is None:
            run_id = own_run(store, place, model.model_id, model.name or "model", experiment, created)
        details = {
            "model_id": model.model_id,
            "type": model.model_type or "",
            "status": str(getattr(model.status, "value", model.status)),
            "params": dict(model.params),
            "tags": dict(model.tags),
            "metrics": {metric.key: metric.value for metric in model.metrics or ()},
        }
        keep(store, run_id, uid, model.name or "model", files, created, details)
        compare(store.find_logged_model(uid), files, model.model_id, taker, outcome, counted)
    return uids


def held(store: Store, model: LoggedModel | None) -> Files:
    """Return the files that are here of a model; one that was lost is taken anew."""
    found: Files = {}
    for name, digest in model.files.items() if model is not None else ():
        with suppress(ArtifactError):
            found[name] = digest, store.artifacts.size(digest)
    return found


def compare(
    kept: LoggedModel | None,
    files: Files,
    theirs: str,
    taker: Taker,
    outcome: Imported,
    counted: Counted | CountedModel | None = None,
    called: str = "",
) -> None:
    """Compare what is kept of the model *theirs* with the files that it has in MLflow; *called* is what a problem names."""
    called = called or f"the logged model {theirs}"
    if not files:
        outcome.problem(f"{called} has no files in MLflow any more", counted)
    elif kept is None or dict(kept.files) != {name: digest for name, (digest, _) in files.items()}:
        outcome.problem(f"{called} differs from its files in MLflow", counted)
    for name, (_, size) in files.items():
        outcome.compared(size, by_digest=(theirs, name) not in taker.by_size)


def keep(
    store: Store, run_id: int, uid: str, name: str, files: Files, created: int, details: Mapping[str, Any]
) -> None:
    """Write a model of a run, beside the others of its name."""
    name = words.fit(name, "model")
    taken = {model.name for model in store.list_logged_models([run_id], dropped=True)}
    free = next(each for each in (name, *(f"{name[:240]}-{n}" for n in range(2, 1_000_000))) if each not in taken)
    manifest = store.intake.describe_model(FLAVOR, "model of MLflow", files, created, {"mlflow": dict(details)})
    record = c.ModelLogged(run_id, created, uid=uid, name=free, manifest=manifest, files=files)
    store.intake.submit([record]).wait()


def own_run(store: Store, place: str, theirs: str, name: str, experiment: Callable[[], int], created: int) -> int:
    """Return the run that holds a model which no run here made; made where it is new."""
    uid = words.derived_uid("mlflow model", theirs)
    there = store.intake.find_runs([uid], words.ORIGIN).get(uid)
    if there is not None:
        return there.run_id
    run_id = store.allocate_ids(1)[0]
    store.intake.add_runs([c.PastRun(run_id, uid, experiment(), words.fit(name, "run"), "", created)])
    records: list[c.Change] = [
        c.AttrsSet(run_id, "system", {words.ORIGIN: {"from": "mlflow", "place": place}}),
        c.TrialStarted(run_id, 0, created, worker="", host="", pid=0),
        c.TagsSet(run_id, {"mlflow.model": theirs}),
        c.AttemptEnded(run_id, 0, created, "complete"),
        c.TrialFinished(run_id, created, RunState.COMPLETE),
    ]
    store.intake.submit(records).wait()
    return run_id
