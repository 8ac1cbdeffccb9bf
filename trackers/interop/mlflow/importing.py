"""MLflow's experiments and runs, copied into a store: everything they have, once, and what is new since."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from trackers.errors import AlreadyExistsError, NotFoundError, StoreError
from trackers.interop.mlflow.client import first_line, open_client, pages, safe
from trackers.interop.mlflow.files import Taker
from trackers.interop.mlflow.importing_models import import_models
from trackers.interop.mlflow.importing_registry import Source, import_registry
from trackers.interop.mlflow.importing_runs import RunImport
from trackers.interop.mlflow.reading import iterate_runs
from trackers.interop.mlflow.words import NOTE, fit
from trackers.interop.outcome import Counted, Imported

if TYPE_CHECKING:
    from trackers.store import Store

EXPERIMENT_NAME = "mlflow.experiment.name"
"""The tag of an experiment that MLflow calls something that we do not take as a name."""

_DEFAULT = "0"
"""The experiment that every MLflow has: it is not made here where it is empty."""


def import_mlflow(
    store: Store,
    uri: str,
    *,
    experiments: tuple[str, ...] = (),
    on_experiment: Callable[[Counted], None] | None = None,
) -> Imported:
    """Copy experiments (all, or those named) and the registered models of *uri*, a tracking URI, into *store*.

    Runs keep their ids and times. Again, it adds what is new since: runs, points, files, versions, moved aliases.
    Everything is read back and compared; see ``Imported.problems``. Deleted runs and experiments are left out. With
    *experiments* the registry is limited to versions that come from their runs.

    Raises NotFoundError for an experiment or a file that is not there, InvalidValueError for a URI that is none,
    StoreError where the source cannot be read.
    """
    with open_client(uri, create=False) as client:
        from mlflow.exceptions import MlflowException

        try:
            return _Import(store, client, uri).run(experiments, on_experiment)
        except MlflowException as exc:
            raise StoreError(f"MLflow failed while {safe(uri)} was read: {first_line(exc)}") from exc


class _Import:
    def __init__(self, store: Store, client: Any, uri: str) -> None:
        self._store, self._client, self._place = store, client, safe(uri)
        self._outcome = Imported()
        self._taker = Taker(store.artifacts, uri, self._outcome.note, self._outcome.problem)
        self._runs: dict[str, int] = {}
        """MLflow's run id -> ours."""

        self._models: dict[str, str] = {}
        """MLflow's model id -> our uid."""

    def run(self, names: tuple[str, ...], on_experiment: Callable[[Counted], None] | None) -> Imported:
        from mlflow.entities import ViewType

        found = self._experiments(names, ViewType.ACTIVE_ONLY)
        parents: dict[int, str] = {}
        for experiment in found:
            counted = self._experiment(experiment, parents)
            if counted is not None and on_experiment is not None:
                on_experiment(counted)
        self._nest(parents)
        source = Source(self._client, self._taker, self._place, self._runs, self._models)
        import_registry(self._store, source, self._outcome, bool(names))
        if not names:
            gone = self._experiments((), ViewType.DELETED_ONLY)
            if gone:
                self._outcome.note(f"deleted experiments were left out: {', '.join(sorted(e.name for e in gone)[:5])}")
        self._store.intake.finish()
        return self._outcome

    def _experiments(self, names: tuple[str, ...], view: Any) -> list[Any]:
        search = self._client.search_experiments
        listed = pages(lambda token: search(view_type=view, max_results=1000, page_token=token))
        found = {one.name: one for page in listed for one in page}
        missing = [name for name in names if name not in found]
        if missing:
            known = ", ".join(sorted(found)[:5]) or "no experiment"
            raise NotFoundError(f"there is no experiment {missing[0]!r} in {self._place}: it has {known}")
        wanted = [found[name] for name in names] if names else list(found.values())
        return sorted(wanted, key=lambda one: int(one.creation_time or 0))

    def _experiment(self, experiment: Any, parents: dict[int, str]) -> Counted | None:
        from mlflow.entities import ViewType

        counted = Counted(experiment.name)
        deleted = 0
        here: list[int] = []

        def keep() -> int:
            """Return our id of the experiment, made when the first run comes that this store did not export itself."""
            if not here:
                here.append(self._keep(experiment))
            return here[0]

        for runs in iterate_runs(self._client, experiment.experiment_id, ViewType.ACTIVE_ONLY):
            if not runs:
                continue
            work = RunImport(self._store, self._client, self._taker, self._outcome, counted, self._place)
            self._runs |= work.take(runs, keep, parents)
        for runs in iterate_runs(self._client, experiment.experiment_id, ViewType.DELETED_ONLY):
            deleted += len(runs)
        if deleted:
            self._outcome.note(
                f"{experiment.name}: {deleted} deleted {'run was' if deleted == 1 else 'runs were'} left out"
            )
        if not counted.runs and str(experiment.experiment_id) != _DEFAULT and not self._is_study(experiment.name):
            keep()
        models = self._list_models(experiment)
        self._models |= import_models(
            self._store, self._taker, self._outcome, counted, self._place, models, self._runs, keep
        )
        if not here and not counted.runs and not models:
            return None
        self._outcome.experiments.append(counted)
        return counted

    def _is_study(self, name: str) -> bool:
        """Tell whether a study here has this name: its export without a trial is no experiment beside it."""
        try:
            return self._store.get_experiment(_experiment_name(name)).kind == "study"
        except NotFoundError:
            return False

    def _keep(self, experiment: Any) -> int:
        tags = {fit(key, "tag"): str(value) for key, value in experiment.tags.items() if key != NOTE}
        name = _experiment_name(experiment.name)
        description = str(experiment.tags.get(NOTE, ""))
        created = int(experiment.creation_time or 0) * 1000
        try:
            if name != experiment.name:
                tags[EXPERIMENT_NAME] = experiment.name
                self._outcome.note(f"the experiment {experiment.name[:80]!r} is called {name!r} here")
            return self._store.intake.keep_experiment(name, description, tags, created)
        except AlreadyExistsError:  # a study has the name
            name = f"{name[:240]} (MLflow)"
            tags[EXPERIMENT_NAME] = experiment.name
            self._outcome.note(f"the experiment {experiment.name[:80]!r} is called {name!r} here, beside the study")
            return self._store.intake.keep_experiment(name, description, tags, created)

    def _list_models(self, experiment: Any) -> list[Any]:
        """Return the logged models of an experiment, oldest first; none where the server is older than MLflow 3."""
        from mlflow.exceptions import MlflowException

        search = self._client.search_logged_models
        try:
            listed = pages(
                lambda token: search(experiment_ids=[experiment.experiment_id], max_results=50, page_token=token)
            )
            found = [model for page in listed for model in page]
        except MlflowException as exc:
            self._outcome.note(f"{experiment.name}: logged models could not be listed: {first_line(exc)}")
            return []
        return sorted(found, key=lambda model: (model.creation_timestamp, model.model_id))

    def _nest(self, parents: dict[int, str]) -> None:
        """Write whose children runs are; one whose parent is not here keeps MLflow's tag, which names it."""
        found = {child: self._runs[parent] for child, parent in parents.items() if parent in self._runs}
        for child in list(found):
            seen, at = {child}, found.get(child)
            while at is not None and at not in seen:
                seen.add(at)
                at = found.get(at)
            if at is not None:
                self._outcome.problem(f"run {child} would be its own ancestor: it is left without a parent")
                del found[child]
        if found:
            self._store.intake.nest_runs(found)


def _experiment_name(name: str) -> str:
    from trackers.names import clean_name

    def check(text: str) -> str:
        if "/" in text:
            return ""
        return clean_name(text, "experiment")

    return fit(name, "experiment", check)
