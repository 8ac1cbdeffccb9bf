"""Models of our runs, as logged models of MLflow 3."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trackers.errors import ArtifactError
from trackers.interop.mlflow import words
from trackers.interop.mlflow.client import first_line, pages
from trackers.interop.mlflow.files import is_same, local_path
from trackers.interop.mlflow.importing_models import COPY, SOURCE
from trackers.interop.outcome import Counted, Exported
from trackers.values import LoggedModel

if TYPE_CHECKING:
    from trackers.store import Store

_NOT_IN_NAMES = re.compile(r"""[/:.%"'\x00-\x1f]""")


class ModelExport:
    """Puts models into MLflow, each once."""

    def __init__(self, store: Store, client: Any, outcome: Exported) -> None:
        self._store, self._client, self._outcome = store, client, outcome
        self._there: dict[str, str] = {}
        """The uid of a model here -> MLflow's model id."""

        self._before: dict[str, str] = {}
        """The uid of a model that was exported before -> where its files are in MLflow, until they were compared."""

        self._runs: dict[int, tuple[str, str]] = {}
        """Our run id -> MLflow's id of the run and of the experiment."""

        self._lost: set[str] = set()
        """The uids of models that lack files, each told once."""

    def look(self, experiment_id: str) -> None:
        """Note which models an experiment of MLflow's has."""
        search = self._client.search_logged_models
        for page in pages(lambda token: search(experiment_ids=[experiment_id], max_results=50, page_token=token)):
            for model in page:
                uid = words.to_uid(model.tags.get(words.UID) or model.model_id)
                self._there[uid] = model.model_id
                if words.UID in model.tags:
                    self._before[uid] = model.artifact_location

    def put(self, runs: Mapping[int, str], experiment_id: str, counted: Counted) -> None:
        """Put the models of these runs: our id -> MLflow's."""
        self._runs |= {run_id: (theirs, experiment_id) for run_id, theirs in runs.items()}
        for model in self._store.list_logged_models(list(runs)):
            if _about(model).keys() & {COPY, SOURCE}:
                continue  # it is here for a version's sake: the registry puts it there, where it is needed
            if self.ensure(model) is not None:
                counted.models += 1

    def ensure(self, model: LoggedModel) -> str | None:
        """Return MLflow's id of a model, put there where it is new; None where its run is not exported, or has failed."""
        if model.uid in self._there:
            if (place := self._before.pop(model.uid, None)) is not None:
                self._read_back(model, local_path(place))
            return self._there[model.uid]
        original = _about(model).get(COPY)
        if original is not None and (found := self._store.find_logged_model(str(original))) is not None:
            return self.ensure(found)
        if model.run_id not in self._runs or model.uid in self._lost:
            return None
        from mlflow.exceptions import MlflowException

        try:
            with tempfile.TemporaryDirectory(prefix="trackers-mlflow-") as folder:
                if not self._fetch(model, Path(folder)):
                    return None
                theirs = self._put(model, folder, *self._runs[model.run_id])
        except (MlflowException, OSError) as exc:
            self._outcome.problem(f"the model {model.name!r} of run {model.run_id} was not exported: {first_line(exc)}")
            return None
        self._there[model.uid] = theirs
        return theirs

    def _fetch(self, model: LoggedModel, folder: Path) -> bool:
        """Bring a model's files to *folder*, before MLflow knows of it: one that lacks files would not load there."""
        lost = []
        for name, digest in model.files.items():
            try:
                self._store.artifacts.get_files({name: digest}, folder)
            except ArtifactError as exc:
                lost.append(f"its file {name!r}: {exc}")
        if lost:
            self._lost.add(model.uid)
            run = self._store.get_run(model.run_id).path
            self._outcome.problem(f"{run}: the model {model.name!r} was not exported: {'; '.join(lost)}")
        return not lost

    def _put(self, model: LoggedModel, folder: str, run: str, experiment_id: str) -> str:
        about = _about(model)
        name = _NOT_IN_NAMES.sub("_", model.name)
        if name != model.name:
            self._outcome.note(f"the model {model.name!r} is called {name!r} in MLflow")
        made = self._client.create_logged_model(
            experiment_id,
            name=name,
            source_run_id=run,
            tags={**(about.get("tags") or {}), words.UID: model.uid},
            params=about.get("params") or None,
            model_type=about.get("type") or None,
        )
        self._client.log_model_artifacts(made.model_id, folder)
        self._client.finalize_logged_model(made.model_id, "READY")
        self._read_back(model, local_path(made.artifact_location))
        if "MLmodel" not in model.files:
            self._outcome.note("models without an MLmodel file are kept by MLflow, but only trackers loads them")
        return str(made.model_id)

    def _read_back(self, model: LoggedModel, root: Path | None) -> None:
        """Compare a model's files with those that MLflow has now, where these lie on this machine."""
        for name, digest in model.files.items() if root is not None else ():
            try:
                size = self._store.artifacts.size(digest)
            except ArtifactError as exc:
                self._outcome.problem(f"the model {model.name!r}: its file {name!r} is lost here: {exc}")
                continue
            if not is_same(self._outcome, root, name, digest, size):
                self._outcome.problem(f"the model {model.name!r}: its file {name!r} is another one in MLflow")


def _about(model: LoggedModel) -> dict[str, Any]:
    """Return what is known of a model that came from MLflow."""
    found = model.manifest.get("details", {}).get("mlflow")
    return found if isinstance(found, dict) else {}
