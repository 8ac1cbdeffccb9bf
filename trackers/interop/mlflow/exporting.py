"""Experiments, studies and registered models of a store, copied into MLflow: everything they have, once."""

from __future__ import annotations

from collections.abc import Callable
from shlex import quote
from typing import TYPE_CHECKING, Any

from trackers.errors import StoreError
from trackers.interop.mlflow import words
from trackers.interop.mlflow.client import first_line, open_client, safe
from trackers.interop.mlflow.exporting_models import ModelExport
from trackers.interop.mlflow.exporting_registry import export_registry
from trackers.interop.mlflow.exporting_runs import RunExport
from trackers.interop.mlflow.importing import EXPERIMENT_NAME
from trackers.interop.mlflow.reading import iterate_runs
from trackers.interop.mlflow.words import NOTE, PARENT, UID, to_uid
from trackers.interop.outcome import Counted, Exported
from trackers.values import Experiment, Run
from trackers.wording import counted

if TYPE_CHECKING:
    from trackers.store import Store

_PAGE = 200
_NAMED = 5
"""So many of what was left out are named."""

_BACK = {"deleted": "trackers restore {}", "archived": "trackers archive {} --undo"}
"""What is left out on purpose, and the call that brings it back."""


def export_mlflow(
    store: Store,
    uri: str,
    *,
    experiments: tuple[str, ...] = (),
    artifacts: str | None = None,
    on_experiment: Callable[[Counted], None] | None = None,
) -> Exported:
    """Copy experiments and studies (all, or those named) and the registry of *store* to *uri*, a tracking URI.

    A run of MLflow's is known again by its tag ``trackers.uid``: a second export adds only what is new since. Trials
    become runs. What MLflow does not take is renamed or cut, and listed; everything is read back and compared. What is
    deleted or archived here is left out, and so is a version whose run is: ``notes`` say it. With
    *experiments* only versions of models that their runs made are registered. *artifacts* is the folder or URL below
    which MLflow keeps the files of experiments that are new to it (default: MLflow's own choice, which for a database
    is ``mlruns`` in the current folder).

    Raises NotFoundError for an experiment that is not there, InvalidValueError for a URI that is none, StoreError
    where MLflow cannot be reached.
    """
    chosen = [store.get_experiment(name) for name in experiments] if experiments else store.list_experiments()[::-1]
    with open_client(uri, create=True) as client:
        from mlflow.exceptions import MlflowException

        try:
            return _Export(store, client, artifacts).run(chosen, bool(experiments), on_experiment)
        except MlflowException as exc:
            raise StoreError(f"MLflow refused a write to {safe(uri)}: {first_line(exc)}") from exc


class _Export:
    def __init__(self, store: Store, client: Any, artifacts: str | None) -> None:
        self._store, self._client, self._artifacts = store, client, artifacts
        self._outcome = Exported()
        self._models = ModelExport(store, client, self._outcome)
        self._runs: dict[int, str] = {}
        """Our run id -> MLflow's."""

        self._parents: dict[int, int] = {}

    def run(
        self, experiments: list[Experiment], limited: bool, on_experiment: Callable[[Counted], None] | None
    ) -> Exported:
        for experiment in experiments:
            counted = self._experiment(experiment)
            if counted is not None and on_experiment is not None:
                on_experiment(counted)
        for child, parent in self._parents.items():
            if parent in self._runs:
                self._client.set_tag(self._runs[child], PARENT, self._runs[parent])
            else:
                self._outcome.note("runs whose parents were not exported have none in MLflow")
        export_registry(self._store, self._client, self._models, self._outcome, limited)
        for experiment in experiments:
            self._note_hidden_runs(experiment)
        for view in () if limited else _BACK:
            names = sorted({one.name for one in self._store.list_experiments(view)})
            if names:
                self._outcome.note(f"{view} experiments were left out: {_named(names, view, 'EXPERIMENT')}")
        return self._outcome

    def _note_hidden_runs(self, experiment: Experiment) -> None:
        """Say which runs of an exported experiment were left out, since they are deleted or archived here."""
        hides = experiment.name in {one.name for one in self._store.list_experiments("archived")}
        for view in _BACK:
            paths = self._paths(experiment, view)
            if paths:
                said = f"{counted(len(paths), f'{view} run')} {'was' if len(paths) == 1 else 'were'} left out"
                of_all = experiment.name if hides and view == "archived" else ""
                self._outcome.note(f"{experiment.name}: {said}: {_named(paths, view, 'RUN', of_all)}")

    def _paths(self, experiment: Experiment, view: str) -> list[str]:
        found: list[str] = []
        token: str | None = None
        while True:
            page = self._store.search_runs(
                experiments=[experiment.name],
                order_by="attributes.created asc",
                limit=_PAGE,
                page_token=token,
                view=view,
            )
            found += [run.path for run in page]
            token = page.next_token
            if token is None:
                return found

    def _experiment(self, experiment: Experiment) -> Counted | None:
        counted = Counted(experiment.name)
        self._outcome.experiments.append(counted)
        theirs = self._meet(experiment)
        if theirs is None:
            name = experiment.tags.get(EXPERIMENT_NAME, experiment.name)
            self._outcome.problem(
                f"the experiment {name!r} was deleted in MLflow: restore it there, or rename it here", counted
            )
            return counted
        self._models.look(theirs)
        there = self._there(theirs)
        names = self._metric_names(experiment)
        token: str | None = None
        while True:
            page = self._store.search_runs(
                experiments=[experiment.name], order_by="attributes.created asc", limit=_PAGE, page_token=token
            )
            runs: list[Run] = list(page)
            work = RunExport(self._store, self._client, self._outcome, counted, theirs, names)
            found = work.put(runs, there)
            self._runs |= found
            self._parents |= {run.id: run.parent_id for run in runs if run.parent_id is not None}
            self._models.put(found, theirs, counted)
            token = page.next_token
            if token is None:
                return counted

    def _meet(self, experiment: Experiment) -> str | None:
        """Return MLflow's id of the experiment, made where it is new; None where it was deleted there."""
        name = experiment.tags.get(EXPERIMENT_NAME, experiment.name)
        tags = {key: value for key, value in experiment.tags.items() if key != EXPERIMENT_NAME}
        if experiment.kind == "study":
            tags |= words.to_attribute_tags(self._store.get_study(experiment.id).user_attrs)
        if experiment.description:
            tags[NOTE] = experiment.description
        found = self._client.get_experiment_by_name(name)
        if found is None:
            place = None if self._artifacts is None else f"{self._artifacts.rstrip('/')}/{experiment.uid}"
            cut = {key: value[: words.LONGEST_EXPERIMENT_TAG] for key, value in tags.items()}
            return str(self._client.create_experiment(name, artifact_location=place, tags=cut))
        if found.lifecycle_stage != "active":
            return None
        for key, value in tags.items():
            if found.tags.get(key) != value:
                self._client.set_experiment_tag(found.experiment_id, key, value)
        return str(found.experiment_id)

    def _there(self, experiment_id: str) -> dict[str, str]:
        """Return the runs that are there: our uid -> MLflow's id."""
        from mlflow.entities import ViewType

        found = {}
        for runs in iterate_runs(self._client, experiment_id, ViewType.ACTIVE_ONLY):
            for run in runs:
                found[run.data.tags.get(UID) or to_uid(run.info.run_id)] = run.info.run_id
        return found

    def _metric_names(self, experiment: Experiment) -> tuple[str, ...]:
        return self._store.get_study(experiment.id).metric_names if experiment.kind == "study" else ()


def _named(names: list[str], view: str, noun: str, of_all: str = "") -> str:
    """Return the first of *names*, and the call that brings each back, or all at once that of what hides them."""
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    one = len(names) == 1
    call = _BACK[view].format(quote(of_all or names[0]) if of_all or one else noun)
    brings = "brings it" if one else "brings them" if of_all else "brings each"
    return f"{', '.join(names[:_NAMED])}{more}; `{call}` {brings} back"
