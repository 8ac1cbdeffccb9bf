"""Our registry, written to MLflow's: versions in order under their numbers, aliases, descriptions, tags."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from trackers.errors import NotFoundError
from trackers.interop.mlflow import words
from trackers.interop.mlflow.client import first_line
from trackers.interop.mlflow.exporting_models import ModelExport
from trackers.interop.mlflow.importing_registry import MODEL_NAME, model_id_of
from trackers.interop.outcome import CountedModel, Exported
from trackers.values import ModelVersion, RegisteredModel

if TYPE_CHECKING:
    from trackers.store import Store

_ALIAS = re.compile(r"[\w\-]{1,255}")
_NUMBER = re.compile(r"[vV]\d+")


def export_registry(store: Store, client: Any, models: ModelExport, outcome: Exported, limited: bool) -> None:
    """Write the registered models; with *limited* only versions whose models were exported."""
    hidden: dict[str, list[str]] = {}
    for model in store.registry.list():
        _Model(store, client, models, outcome, model, hidden).put(limited)
    for why, versions in hidden.items():
        back = "trackers restore" if why == "deleted" else "trackers archive --undo"
        one = len(versions) == 1
        outcome.note(
            f"left out, since {'its run was' if one else 'their runs were'} {why} here: {', '.join(versions)}; "
            f"`{back}` brings {'the run' if one else 'the runs'} back"
        )


class _Model:
    def __init__(
        self,
        store: Store,
        client: Any,
        models: ModelExport,
        outcome: Exported,
        model: RegisteredModel,
        hidden: dict[str, list[str]],
    ) -> None:
        self._store, self._client, self._models, self._outcome = store, client, models, outcome
        self._ours = model
        self._name = model.tags.get(MODEL_NAME, model.name)
        self._counted = CountedModel(model.name)
        self._numbers: set[int] = set()
        self._hidden = hidden
        """Why versions were left out on purpose (``"deleted"``, ``"archived"``) -> which, of all models."""

        self._left_out = False

    def put(self, limited: bool) -> None:
        from mlflow.exceptions import MlflowException

        self._outcome.models.append(self._counted)
        try:
            there = self._find_model()
            for version in reversed(self._store.registry.versions(self._ours.name)):
                there = self._version(version, there, limited)
            if there is None and not limited and not self._left_out:
                there = self._make()
            if there is not None:
                self._describe(there)
                self._aliases()
        except MlflowException as exc:
            self._problem(f"MLflow refused the registered model {self._name!r}: {first_line(exc)}")
        if not self._numbers and (limited or self._left_out):
            self._outcome.models.remove(self._counted)

    def _problem(self, text: str) -> None:
        self._outcome.problem(text, self._counted)

    def _model_of(self, version: ModelVersion) -> str | None:
        try:
            return self._models.ensure(self._store.registry.model_of(version))
        except NotFoundError:
            return None

    def _find_model(self) -> Any:
        from mlflow.exceptions import MlflowException

        try:
            return self._client.get_registered_model(self._name)
        except MlflowException as exc:
            if exc.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return None

    def _make(self) -> Any:
        return self._client.create_registered_model(self._name)

    def _describe(self, there: Any) -> None:
        """Bring the description and the tags of the registered model up to date."""
        if self._ours.description and there.description != self._ours.description:
            self._client.update_registered_model(self._name, description=self._ours.description)
        for key, value in self._ours.tags.items():
            if key != MODEL_NAME and (there.tags or {}).get(key) != value:
                self._client.set_registered_model_tag(self._name, key, value)

    def _version(self, version: ModelVersion, model: Any, limited: bool) -> Any:
        """Write a version; return the registered model of MLflow, made with its first version."""
        there = None if model is None else self._find(version.version)
        if there is not None:
            if not self._is_same(version, there):
                self._problem(f"version {version.version} of {self._name!r} is another model in MLflow")
                return model
            if version.description and there.description != version.description:
                self._client.update_model_version(self._name, str(version.version), version.description)
        else:
            model_id = self._model_of(version)
            if model_id is None:
                if not limited and not self._leave_out(version):
                    self._problem(
                        f"version {version.version} of {self._ours.name} was not exported: its run or its model is not "
                        "there"
                    )
                return model
            model = model or self._make()
            if not self._create(version, model_id):
                return model
            self._counted.added += 1
        self._numbers.add(version.version)
        self._counted.versions += 1
        return model

    def _leave_out(self, version: ModelVersion) -> bool:
        """Tell whether the run of a version is hidden here, so that its version is no loss; note it then."""
        if version.run_id is None:
            return False
        run = self._store.get_run(version.run_id)
        experiment = self._store.list_experiments("archived")
        archived = run.archived or run.experiment_id in {one.id for one in experiment}
        if not run.is_deleted and not archived:
            return False
        aliases = f" ({', '.join(version.aliases)})" if version.aliases else ""
        name = f"version {version.version} of {self._ours.name}{aliases}"
        self._hidden.setdefault("deleted" if run.is_deleted else "archived", []).append(name)
        self._left_out = True
        return True

    def _is_same(self, version: ModelVersion, there: Any) -> bool:
        """Tell whether a version of MLflow's is the one that was exported, or imported, before."""
        if (there.tags or {}).get(words.UID) == version.model_uid or there.source == version.source:
            return True
        return words.to_uid(model_id_of(there) or "") == version.model_uid

    def _create(self, version: ModelVersion, model_id: str) -> bool:
        while True:
            made = self._client.create_model_version(
                self._name,
                f"models:/{model_id}",
                run_id=self._client.get_logged_model(model_id).source_run_id,
                tags={**version.tags, words.UID: version.model_uid},
                description=version.description or None,
                model_id=model_id,
            )
            if int(made.version) == version.version:
                return True
            # MLflow counts on from the last number it gave, also of a version that was deleted: so a gap is made.
            self._client.delete_model_version(self._name, made.version)
            if int(made.version) > version.version:
                self._problem(
                    f"version {version.version} of {self._name!r} was deleted in MLflow: its number is used up"
                )
                return False

    def _find(self, number: int) -> Any:
        from mlflow.exceptions import MlflowException

        try:
            return self._client.get_model_version(self._name, str(number))
        except MlflowException as exc:
            if exc.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return None

    def _aliases(self) -> None:
        numbers = self._numbers
        there = self._client.get_registered_model(self._name).aliases or {}
        for alias, number in self._ours.aliases.items():
            if number not in numbers or str(there.get(alias)) == str(number):
                continue
            if not _ALIAS.fullmatch(alias) or _NUMBER.fullmatch(alias) or alias == "latest":
                self._outcome.note(
                    f"MLflow takes no alias {alias!r}: {self._name} version {number} is without it there"
                )
                continue
            self._client.set_registered_model_alias(self._name, alias, str(number))
            self._counted.moved += 1
        there = self._client.get_registered_model(self._name).aliases or {}
        for alias, number in self._ours.aliases.items():
            if alias in there and number in numbers and str(there[alias]) != str(number):
                self._problem(f"the alias {alias!r} of {self._name!r} is at {there[alias]} in MLflow")
