"""MLflow's registered models: versions under their numbers, aliases, descriptions and tags."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trackers.clock import now_us
from trackers.errors import ConflictError, InvalidValueError, ModelError, NotFoundError, TrackersError
from trackers.interop.mlflow import words
from trackers.interop.mlflow.client import first_line, pages
from trackers.interop.mlflow.files import Files, Taker
from trackers.interop.mlflow.importing_models import COPY, SOURCE, compare, held, keep, own_run
from trackers.interop.outcome import CountedModel, Imported
from trackers.names import clean_name
from trackers.values import LoggedModel, RegistryMove

if TYPE_CHECKING:
    from trackers.store import Store

REASON = "imported from "
STAGE = "mlflow.stage"
MODEL_NAME = "mlflow.model.name"
"""The tag of a registered model that MLflow calls something that we do not take as a name."""

HOME = "mlflow-registry"
"""The experiment of the runs that hold models whose own runs are not here."""

_LOGGED = re.compile(r"models:/(m-[0-9a-f]{32})")
_PROMPT = "mlflow.prompt.is_prompt"


@dataclass(frozen=True, slots=True)
class Source:
    """Where registered models come from, and what of it is here: *runs* and *models* map MLflow's ids to ours."""

    client: Any
    taker: Taker
    place: str
    runs: Mapping[str, int]
    models: Mapping[str, str]


def import_registry(store: Store, source: Source, outcome: Imported, limited: bool) -> None:
    """Copy the registered models; with *limited* only versions that runs made which are here."""
    search, search_versions = source.client.search_registered_models, source.client.search_model_versions
    listed = pages(lambda token: search(max_results=100, page_token=token))
    models = [model for page in listed for model in page]
    versions: dict[str, list[Any]] = {}
    for page in pages(lambda token: search_versions("", max_results=1000, page_token=token)):
        for version in page:
            versions.setdefault(version.name, []).append(version)
    for model in sorted(models, key=lambda one: one.name):
        if _PROMPT in (model.tags or {}):
            outcome.note(f"the prompt {model.name[:80]!r} was left out: there are no prompts here")
            continue
        made = sorted(versions.get(model.name, ()), key=lambda one: int(one.version))
        if limited:
            made = [version for version in made if version.run_id in source.runs]
            if not made:
                continue
        _Model(store, source, outcome, model).take(made, limited)


class _Model:
    def __init__(self, store: Store, source: Source, outcome: Imported, model: Any) -> None:
        self._store, self._source, self._outcome, self._model = store, source, outcome, model
        self._registry = store.registry
        self._place = source.place
        self._name = words.fit(model.name, "registered model", _check_name)
        self._counted = CountedModel(self._name)

    def take(self, versions: list[Any], limited: bool) -> None:
        tags = {words.fit(key, "tag"): str(value) for key, value in (self._model.tags or {}).items()}
        if self._name != self._model.name:
            tags[MODEL_NAME] = self._model.name
            self._outcome.note(f"the registered model {self._model.name[:80]!r} is called {self._name!r} here")
        gone = self._gone()
        try:
            self._registry.get(self._name)
        except NotFoundError:
            if (move := gone.get(None)) is not None:
                self._outcome.note(
                    f"the registered model {self._name} was taken out here by {move.actor}: it stays out"
                )
                return
            self._registry.create(self._name, self._model.description or "")
        for number in sorted(int(version.version) for version in versions if int(version.version) in gone):
            self._outcome.note(
                f"version {number} of {self._name} was taken out here by {gone[number].actor}: it stays out"
            )
        versions = [version for version in versions if int(version.version) not in gone]
        for version in versions:
            try:
                self._version(version)
            except (ConflictError, ModelError, InvalidValueError) as exc:
                self._problem(f"version {version.version} of {self._model.name!r}: {first_line(exc)}")
        self._describe(None, self._model.description or "", tags)
        there = {version.version for version in self._registry.versions(self._name)}
        self._aliases({alias: int(number) for alias, number in (self._model.aliases or {}).items()}, there, limited)
        self._counted.versions = len(there)
        for version in versions:
            if int(version.version) not in there:
                self._problem(f"version {version.version} of {self._model.name!r} is not here")
        self._outcome.models.append(self._counted)

    def _gone(self) -> dict[int | None, RegistryMove]:
        """Return who took versions (None: the whole model) out of the registry here, by number."""
        try:
            lines = self._registry.history(self._name)
        except NotFoundError:
            return {}
        return {line.old_version: line for line in lines if line.action == "delete"}

    def _problem(self, text: str) -> None:
        if text not in self._outcome.problems:
            self._outcome.problem(text, self._counted)

    def _version(self, version: Any) -> None:
        number = int(version.version)
        tags = {words.fit(key, "tag"): str(value) for key, value in (version.tags or {}).items()}
        if version.current_stage not in (None, "", "None"):
            tags[STAGE] = version.current_stage
        here = {one.version: one.model_uid for one in self._registry.versions(self._name)}
        own = words.derived_uid("mlflow version", self._name, number)
        wanted = self._logged(version)
        if number in here:
            if here[number] not in (own, wanted.uid if wanted else own):
                raise ConflictError("it is another model here")
            if tags.get(words.UID) == here[number]:
                del tags[words.UID]  # by that tag it was exported from here
            self._describe(number, version.description or "", tags)
            if wanted is None:  # what is a logged model was compared as one
                self._compare(version, own)
            return
        if wanted is None or wanted.uid in here.values():
            wanted = self._copy(version, own, wanted)
        added = self._store.intake.register(
            self._name,
            number,
            wanted.uid,
            created_at=int(version.creation_timestamp or 0) * 1000,
            created_by=version.user_id or "",
            source=version.source or "",
            description=version.description or "",
            tags=tags,
            lineage={"from": "mlflow", "place": self._place, "source": version.source},
            reason=f"{REASON}{self._place}",
        )
        self._counted.added += added

    def _logged(self, version: Any) -> LoggedModel | None:
        """Return the logged model here that a version is."""
        theirs = model_id_of(version)
        uids = [(version.tags or {}).get(words.UID), self._source.models.get(theirs or ""), theirs]
        found = (self._store.find_logged_model(words.to_uid(uid)) for uid in uids if uid)
        return next((model for model in found if model is not None), None)

    def _copy(self, version: Any, uid: str, same: LoggedModel | None) -> LoggedModel:
        """Keep the model of a version under a uid of its own: it has none, or *same* is another version already."""
        found = self._store.find_logged_model(uid)
        if found is not None:
            return found
        created = int(version.creation_timestamp or 0) * 1000
        if same is not None:
            sizes = {name: (digest, self._store.artifacts.size(digest)) for name, digest in same.files.items()}
            keep(self._store, same.run_id, uid, same.name, sizes, created, {COPY: same.uid})
        else:
            owner, files = self._take(version)
            if not files:
                raise ModelError("its files are not in MLflow any more, or cannot be read")
            run_id = self._source.runs.get(version.run_id or "")
            if run_id is None:
                label = f"{version.name}/{version.version}"
                run_id = own_run(self._store, self._place, label, version.name, self._home, created)
            keep(self._store, run_id, uid, version.name, files, created, {SOURCE: version.source})
            compare(self._store.find_logged_model(uid), files, owner, self._source.taker, self._outcome)
        found = self._store.find_logged_model(uid)
        assert found is not None  # just written
        return found

    def _take(self, version: Any, there: LoggedModel | None = None) -> tuple[str, Files]:
        """Return whose the files of a version are, and the files; those that *there* has are read and not kept anew."""
        uri = self._source.client.get_model_version_download_uri(version.name, version.version)
        owner = model_id_of(version) or version.run_id or "?"
        return owner, self._source.taker.take_model(uri, owner, held(self._store, there))

    def _compare(self, version: Any, uid: str) -> None:
        """Compare the files of a version that is here with what MLflow has by now."""
        there = self._store.find_logged_model(uid)
        told = len(self._outcome.problems)
        owner, files = self._take(version, there)
        if files or len(self._outcome.problems) == told:
            called = f"version {version.version} of {self._model.name!r}"
            compare(there, files, owner, self._source.taker, self._outcome, self._counted, called)

    def _home(self) -> int:
        return self._store.intake.keep_experiment(HOME, "", {}, now_us())

    def _describe(self, number: int | None, description: str, tags: Mapping[str, str]) -> None:
        """Bring a description and tags up to date."""
        registry = self._registry
        ours = registry.get(self._name) if number is None else registry.version(self._name, number)
        if description and ours.description != description:
            registry.describe(self._name, description, version=number)
        for key, value in tags.items():
            if ours.tags.get(key) != value:
                registry.set_tag(self._name, key, value, version=number)

    def _aliases(self, theirs: Mapping[str, int], there: set[int], limited: bool) -> None:
        """Move aliases as MLflow has moved them; one that was moved here since stays where it is."""
        ours = dict(self._registry.get(self._name).aliases)
        last = {move.alias: move for move in self._registry.history(self._name) if move.alias}
        for alias, number in theirs.items():
            if ours.get(alias) == number or (limited and number not in there):
                continue
            if alias in last and not last[alias].reason.startswith(REASON):
                self._outcome.note(
                    f"the alias {alias} of {self._name} was moved here by {last[alias].actor}: it stays at version "
                    f"{ours.get(alias, 'none')}, MLflow says {number}"
                )
                continue
            try:
                reason = f"{REASON}{self._place}"
                self._registry.promote(self._name, number, to=alias, reason=reason, expect=ours.get(alias))
                self._counted.moved += 1
            except TrackersError as exc:
                self._problem(f"the alias {alias!r} of {self._model.name!r} was not set: {first_line(exc)}")
        for alias in ours.keys() - theirs.keys():
            if alias in last and last[alias].reason.startswith(REASON):
                self._registry.unset_alias(self._name, alias, reason=f"{REASON}{self._place}")
                self._counted.moved += 1


def model_id_of(version: Any) -> str | None:
    """Return the id of the logged model that a version is; MLflow's databases keep it in the source only."""
    found = _LOGGED.fullmatch(version.source or "")
    return getattr(version, "model_id", None) or (found[1] if found else None)


def _check_name(text: str) -> str:
    if set("/@:") & set(text):
        raise InvalidValueError("the name of a registered model may not hold one of /@:")
    return clean_name(text, "registered model")
