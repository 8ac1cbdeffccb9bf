"""The model registry: names for models, their versions, aliases such as ``production``, and who moved them.

Long, since it is one door: each method is its docstring and a call of what does the work, in ``trackers.sql``.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from trackers.active import ActiveRun
from trackers.clock import now_us
from trackers.comparison import Comparison, compare
from trackers.errors import InvalidValueError, ModelError, NotFoundError
from trackers.lineage import Graph
from trackers.models.loaded import LoadedModel
from trackers.models.manifest import manifest_digest
from trackers.models.reference import Reference, fetch, find_lost
from trackers.names import LONGEST, clean_name
from trackers.policy import Policy, Require, Result, Rule
from trackers.processes import host_name, user_name
from trackers.recorder import clean_tags
from trackers.registry_arguments import (
    VersionNumber,
    clean_alias,
    clean_model_name,
    clean_number,
    clean_numbers,
    clean_text,
    clean_version,
    lineage_of,
    new_alias,
    number_of,
)
from trackers.sql import (
    aliases,
    lineage,
    logged_models,
    policies,
    registry_history,
    registry_notes,
    registry_removal,
    subjects,
)
from trackers.sql import registry as rows
from trackers.sql.aliases import ANYTHING, Anything, Expected, Move
from trackers.sql.engine import Database
from trackers.sql.registry_history import Actor
from trackers.sql.registry_notes import Target
from trackers.sql.writer import Writer
from trackers.values import Alias, Approval, Figure, LoggedModel, ModelVersion, RegisteredModel, RegistryMove, Run
from trackers.wording import suggestion

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from trackers.artifacts import ArtifactStore

UNSET = ANYTHING
"""The default of ``expect``: whatever the alias points at may be replaced."""

T = TypeVar("T")
Models = list[RegisteredModel]
Versions = list[ModelVersion]
Moves = list[RegistryMove]
Aliases = list[Alias]
Policies = list[Policy]
Results = list[Result]
Approvals = list[Approval]
Figures = list[Figure]
Same = Callable[[str], LoggedModel | None]
"""What gives the model that is a version already, by the digest of its manifest."""


class Registry:
    """The registry of a store. Thread-safe; every change is one transaction with its line of history.

    Unknown models, versions and aliases raise NotFoundError with the close matches.
    """

    def __init__(
        self,
        database: Database,
        writer: Writer,
        artifacts: Callable[[], ArtifactStore],
        logged: Callable[[str], LoggedModel],
        adopt: Callable[[Path | LoadedModel, str, Same], LoggedModel],
        settle: Callable[[], None],
    ) -> None:
        """Keep the registry of a store.

        *logged* finds the logged model that a reference names; *adopt* keeps the model of a folder, with a run of its
        own in an experiment; *settle* waits until what was logged is in the store.
        """
        self._database, self._writer, self._artifacts = database, writer, artifacts
        self._logged, self._adopt, self._settle = logged, adopt, settle

    def create(self, name: str, description: str = "") -> RegisteredModel:
        """Make a name to register versions under. Raises AlreadyExistsError."""
        name, description = clean_model_name(name), clean_text(description, "description")
        actor = _actor()
        self._writer.call(lambda connection: rows.create_model(connection, name, description, actor))
        return self.get(name)

    def get(self, name: str) -> RegisteredModel:
        """Return a registered model with its aliases and the number of its newest version."""
        return self._read(lambda connection: rows.list_registered(connection, clean_model_name(name))[0])

    def list(self) -> Models:
        """Return every registered model, by name."""
        return self._read(rows.list_registered)

    def versions(self, name: str) -> Versions:
        """Return the versions of a model, newest first."""
        return self._read(lambda connection: rows.list_versions(connection, clean_model_name(name)))

    def versions_of_run(self, run_id: int) -> Versions:
        """Return the versions, of whatever model, that came from a run, by name and number."""
        return self._read(lambda connection: rows.list_versions_of_run(connection, run_id))

    def version(self, name: str, ref: VersionNumber) -> ModelVersion:
        """Return a version by its number, by an alias, or the newest one as ``"latest"``."""
        name, number = clean_model_name(name), number_of(ref)
        wanted = clean_name(ref, "alias") if number is None else number
        return self._read(lambda connection: aliases.find_version(connection, name, wanted))

    def find(self, ref: str) -> ModelVersion:
        """Return the version that *ref* names: ``NAME@ALIAS``, ``NAME/3``, or ``NAME`` for the newest; also after ``models:/``."""
        reference = Reference.parse(ref if ref.startswith("models:/") else f"models:/{ref}")
        assert reference.name is not None  # it was read as a model's name
        number = self.get(reference.name).latest if reference.version is None else reference.version
        if number == 0 and reference.version is None:
            raise NotFoundError(f"The registered model {reference.name!r} has no version yet.")
        return self.version(reference.name, number)

    def model_of(self, version: ModelVersion) -> LoggedModel:
        """Return the logged model, with its files, that a version is."""
        found = self._read(lambda connection: logged_models.find_model(connection, version.model_uid))
        if found is None:
            raise NotFoundError(f"The model of {version.name} version {version.version} is not in the store any more.")
        return found

    def models_of(self, versions: Sequence[ModelVersion]) -> dict[int, LoggedModel]:
        """Return the logged models that these versions of one name are: number -> model."""
        uids = [version.model_uid for version in versions]
        found = self._read(lambda connection: logged_models.find_models(connection, uids))
        return {version.version: found[version.model_uid] for version in versions if version.model_uid in found}

    def register(
        self,
        name: str,
        model: LoggedModel | LoadedModel | Run | ActiveRun | str | os.PathLike[str],
        *,
        description: str = "",
        metrics: Mapping[str, float] | None = None,
        lineage: Mapping[str, Any] | None = None,
        source: str = "",
        reason: str = "",
        tags: Mapping[str, str] | None = None,
        experiment: str | None = None,
    ) -> ModelVersion:
        """Make *model* the next version of *name*, which is created when it is new.

        *model* is what ``log_model`` returned, or names it: ``runs:/UID/model``, ``STUDY/17``, a run's uid. Of a run,
        as a value, it is the only model; InvalidValueError names them where it has more. A model folder, ours or
        MLflow's, as a path or as text such as ``./FOLDER``, is kept first, with a run made for it in *experiment*
        (default: ``"default"``), whose tag ``source`` names the folder. *metrics* are the last values
        of its run's by default. *lineage* says where it comes from (JSON); the digest of the model's manifest is added
        to it. The same model again returns the version that it is: a description and tags that were given are written
        to it, the rest stays. Raises ModelError when the model's files are not kept any more.
        """
        name = clean_model_name(name)
        origin = lineage_of(lineage or {})
        cleaned = {key: clean_text(value, "tag") for key, value in clean_tags(tags or {}).items()}
        figures = None if metrics is None else {clean_name(k, "metric"): clean_number(k, v) for k, v in metrics.items()}
        about = clean_text(description, "description"), clean_text(source, "source")
        actor = _actor(reason)
        self._settle()  # it may have been logged a moment ago, and to a journal
        model = self._find(name, model, experiment)  # last: that of a folder is written
        origin["manifest"] = manifest_digest(model.manifest)
        new = rows.NewVersion(model.uid, *about, figures, origin, cleaned)
        write = partial(registry_notes.register, name=name, new=new, actor=actor)
        return self.version(name, self._writer.call(write))

    def _find(self, name: str, model: Any, experiment: str | None) -> LoggedModel:
        """Return the logged model that ``register`` is called with; that of a folder is made here, where it is new."""
        folder: Path | LoadedModel | None = model if isinstance(model, LoadedModel) else None
        if isinstance(model, LoadedModel) and model.uid is not None:
            with suppress(NotFoundError):  # of another store
                return self._logged(model.uid)
        if isinstance(model, str | os.PathLike):
            folder = Reference.parse(model).folder
        if folder is not None:
            return self._adopt(folder, "default" if experiment is None else experiment, partial(self._same, name))
        if experiment is not None:
            raise InvalidValueError("The model has a run, and its experiment: experiment= goes with a folder.")
        if isinstance(model, LoggedModel):
            return model
        if isinstance(model, Run | ActiveRun):
            return self._read(partial(logged_models.only_model, run_uid=model.uid))
        return self._logged(model)

    def _same(self, name: str, digest: str) -> LoggedModel | None:
        """Return the model of the newest version whose manifest has this digest, where it is kept."""
        with suppress(NotFoundError):  # the name is new
            found = self.models_of([one for one in self.versions(name) if one.lineage.get("manifest") == digest])
            return next((model for model in found.values() if model.deleted_at is None), None)
        return None

    def delete_version(self, name: str, version: VersionNumber, *, reason: str = "") -> RegistryMove:
        """Take a version out of the registry and return the line of history, which keeps what it was.

        Its number is not given again. The logged model stays with its run: delete that, and ``gc`` frees its files.
        Raises StateError while an alias points at it.
        """
        name, number, actor = clean_model_name(name), clean_version(version), _actor(reason)
        return self._writer.call(lambda connection: registry_removal.delete_version(connection, name, number, actor))

    def delete(self, name: str, *, reason: str = "") -> RegistryMove:
        """Take a registered model out of the registry, with its versions and policies; see ``delete_version``."""
        name, actor = clean_model_name(name), _actor(reason)
        return self._writer.call(lambda connection: registry_removal.delete_model(connection, name, actor))

    # --- aliases -----------------------------------------------------------------------------------------------

    def aliases(self, name: str) -> Aliases:
        """Return the aliases of a model with what they are for, by name."""
        return self._read(lambda connection: aliases.list_aliases(connection, clean_model_name(name)))

    def promote(
        self,
        name: str,
        version: VersionNumber,
        *,
        to: str,
        reason: str = "",
        expect: Expected = UNSET,
        force: bool = False,
    ) -> RegistryMove:
        """Point the alias *to* at *version*, if the policies hold, and return the line of history with what they said.

        *expect* is the version that the caller believes to replace (None: none): ConflictError when the alias points
        elsewhere, so that of two who move it at once one is told. The policies in force when the alias moves are judged
        in the same transaction: PolicyError, with their *results*, when one does not hold, and nothing is changed.
        *force* moves it all the same, needs a *reason*, and is recorded with what did not hold; a policy on who may
        move the alias is not overcome. Where the alias points at *version* already nothing is written: the line that
        moved it there is returned, its ``written`` false. Raises ModelError when the version's files are gone or
        damaged, InvalidValueError for a new alias with other characters than letters, digits, ``_``, ``-`` and ``.``, or that
        differs only in case from one of the model, or from one that a policy names.
        """
        move = Move(
            clean_model_name(name),
            new_alias(to),
            clean_version(version),
            _expected(expect),
            force=_forced(force, reason),
        )
        assert move.version is not None
        self._check_files(move.name, move.version)
        return self._move(move, reason)

    def rollback(
        self,
        name: str,
        alias: str = "production",
        *,
        reason: str = "",
        expect: Expected = UNSET,
    ) -> RegistryMove:
        """Point *alias* at what it pointed at before, by its history; twice goes one further back.

        Only policies on who may move the alias are judged: the version was good enough before. Raises NotFoundError
        where there is nothing before, ModelError when the files of that version are gone or damaged, ConflictError when somebody
        moves the alias at the same time.
        """
        name, alias = clean_model_name(name), clean_alias(alias)
        number = self._read(lambda connection: aliases.previous_version(connection, name, alias))
        self._check_files(name, number)
        move = Move(name, alias, number, _expected(expect), "rollback")
        actor = _actor(reason)
        return self._writer.call(lambda connection: aliases.roll_back(connection, move, actor))

    def unset_alias(self, name: str, alias: str, *, reason: str = "", expect: Expected = UNSET) -> RegistryMove:
        """Remove an alias; see `promote` for *expect*. Policies on who may move it must hold."""
        return self._move(Move(clean_model_name(name), clean_alias(alias), None, _expected(expect), "unset"), reason)

    def _move(self, move: Move, reason: str) -> RegistryMove:
        actor = _actor(reason)
        return self._writer.call(lambda connection: aliases.move_alias(connection, move, actor))

    def _check_files(self, name: str, number: int) -> None:
        model = self.model_of(self.version(name, number))
        if not model.files or not self._artifacts().reachable():
            return  # from a machine that does not see the files nobody can tell
        if lost := find_lost(self._artifacts(), model):
            raise ModelError(
                f"{name} version {number} cannot be loaded any more, so that nothing may point at it: "
                f"its file {lost}. Restore the file from a backup, or take another version."
            )

    # --- policies ----------------------------------------------------------------------------------------------

    def set_policy(
        self,
        policy: str,
        rule: Rule | str,
        *,
        model: str | None = None,
        alias: str | None = None,
        description: str = "",
        reason: str = "",
    ) -> Policy:
        """Set a policy: *rule* must hold before *alias* (None: any) of *model* (None: of every one) is moved.

        *rule* is one of ``trackers.policy``; text is a filter, as ``Require`` has it. A policy of that name is
        replaced: it gets its next version, and the change is a line of history. Raises InvalidValueError for an alias
        that nothing could have.
        """
        if not isinstance(rule, str | Rule):
            raise InvalidValueError(
                f"A rule is one of trackers.policy's, or a filter as text, not {type(rule).__name__}."
            )
        new = policies.NewPolicy(
            clean_name(policy, "policy"),
            Require(rule) if isinstance(rule, str) else rule,
            None if model is None else clean_model_name(model),
            None if alias is None else clean_alias(alias),
            description,
        )
        actor = _actor(reason)
        return self._writer.call(lambda connection: policies.set_policy(connection, new, actor))

    def remove_policy(self, policy: str, *, model: str | None = None, reason: str = "") -> None:
        """Remove the policy of that name of *model* (None: of all models); the change is a line of history."""
        policy, actor = clean_name(policy, "policy"), _actor(reason)
        name = None if model is None else clean_model_name(model)
        self._writer.call(lambda connection: policies.remove_policy(connection, policy, name, actor))

    def policies(self, model: str | None = None, *, alias: str | None = None) -> Policies:
        """Return the policies in force: all, or those that apply to *model* and to its *alias*."""
        name = None if model is None else self.get(model).name
        return self._read(lambda connection: policies.list_policies(connection, name, alias))

    def check(self, name: str, version: VersionNumber, *, to: str, expect: Expected = UNSET) -> Results:
        """Return what the policies say about moving the alias *to* to *version* now; nothing is changed.

        Raises what ``promote`` would: ConflictError where the alias does not point at what is expected, ModelError
        where the version's files are gone or damaged.
        """
        number, user = clean_version(version), _actor().user
        move = Move(clean_model_name(name), new_alias(to), number, _expected(expect))
        self._check_files(move.name, number)
        return self._read(lambda connection: aliases.judge(connection, move, user))

    def approve(self, name: str, version: VersionNumber, *, comment: str = "", withdraw: bool = False) -> bool:
        """Give this user's word for a version, or *withdraw* it; tell whether that changed anything."""
        target, actor = Target(clean_model_name(name), clean_version(version)), _actor(comment)
        return self._writer.call(
            lambda connection: registry_notes.approve(connection, target, actor, withdraw=withdraw)
        )

    def approvals(self, name: str, version: VersionNumber) -> Approvals:
        """Return the approvals of a version, in the order in which they were given."""
        return self._read(
            lambda connection: subjects.list_approvals(connection, clean_model_name(name), clean_version(version))
        )

    def record(
        self,
        name: str,
        version: VersionNumber,
        figures: Mapping[str, float | Sequence[float]],
        *,
        data: Any = None,
        reason: str = "",
    ) -> None:
        """Record what was measured of a version after it was registered: a value, or one a repeat, for each name.

        *data* is what it was measured on, or the digest of that (``trackers.capture.data_digest``): figures of two
        versions on the same data are what the rule ``Better`` compares first. The same figure again replaces the one
        before.
        """
        from trackers.capture.data import digest_of

        target, actor = Target(clean_model_name(name), clean_version(version)), _actor(reason)
        clean = {clean_name(key, "metric"): clean_numbers(key, value) for key, value in figures.items()}
        if not clean:
            raise InvalidValueError("There is no figure to record: give at least one name with its value.")
        for key, numbers in clean.items():
            if any(map(math.isnan, numbers)):
                raise InvalidValueError(
                    f"What was measured as {key} is not a number (NaN): there is nothing to record."
                )
        digest = digest_of(data)
        self._writer.call(lambda connection: registry_notes.record_figures(connection, target, clean, digest, actor))

    def measure(self, name: str, version: VersionNumber, *, trust: bool | str | Sequence[str] = False) -> float:
        """Measure how long a version takes to predict its input example, which is the data, and return it.

        It is recorded as ``latency_ms``. The model is loaded in this process, on this host; *trust* is that of
        ``trackers.load_model``. Raises ModelError for a version without an example.
        """
        from trackers.models.latency import EXAMPLE, measure_latency

        model = self.model_of(self.version(name, version))
        if EXAMPLE not in model.files:
            raise ModelError(
                f"{name} version {version} has no example to predict: log it with log_model(..., input_example=...), "
                "or record a latency_ms of your own."
            )
        example = self._artifacts().read(model.files[EXAMPLE])
        values = measure_latency(fetch(self._artifacts(), model, trust=trust), example)
        self.record(name, version, {"latency_ms": values}, data=model.files[EXAMPLE])
        return sum(values) / len(values)

    def figures(self, name: str, version: VersionNumber) -> Figures:
        """Return what was measured of a version after it was registered, by name."""
        return self._read(
            lambda connection: subjects.list_figures(connection, clean_model_name(name), clean_version(version))
        )

    # --- notes and history -------------------------------------------------------------------------------------

    def describe(self, name: str, text: str, *, version: VersionNumber | None = None, alias: str | None = None) -> None:
        """Set the description of a model, of one of its versions, or of one of its aliases."""
        target, actor, text = _target(name, version, alias), _actor(), clean_text(text, "description")
        self._writer.call(lambda connection: registry_notes.describe(connection, target, text, actor))

    def set_tag(
        self, name: str, key: str, value: str | None, *, version: VersionNumber | None = None, alias: str | None = None
    ) -> None:
        """Set a tag of a model, of one of its versions, or of one of its aliases; None removes it."""
        target, key, actor = _target(name, version, alias), clean_name(key, "tag"), _actor()
        new = None if value is None else clean_text(clean_tags({key: value})[key], "tag")
        self._writer.call(lambda connection: registry_notes.set_tag(connection, target, key, new, actor))

    def history(self, name: str, *, alias: str | None = None) -> Moves:
        """Return who did what to a model (or to one of its aliases), when and why, oldest first.

        Changes of policies for all models are among them. That of a deleted model is there, too.
        """
        name = clean_model_name(name)
        lines = self._read(lambda connection: registry_history.list_lines(connection, name, alias))
        if not any(line.name == name for line in lines):
            self.get(name)  # raises, and names the close ones
        if alias is not None and not lines:
            known = sorted({line.alias for line in self.history(name) if line.alias and line.new_version is not None})
            hint = suggestion(alias, known) or (f"; moved were {', '.join(known[:5])}" if known else "")
            raise NotFoundError(f"{name}@{alias} was never moved{hint}")
        return lines

    def lineage(self, ref: int | str) -> Graph:
        """Return what led to, and what came of, a version, a run or data.

        *ref* is ``NAME@ALIAS``, ``NAME/3``, a run (its uid or the first 16 digits of it, its id, ``STUDY/17``;
        after ``runs:/`` where a model has the name of a study), or the digest of data, or at least 8 digits of its
        beginning. Raises NotFoundError.
        """
        if isinstance(ref, str):
            name, version = self._version_named(ref)
            if version is not None:
                return self._read(lambda connection: lineage.of_version(connection, name, version))
            text = ref.removeprefix("runs:/")
            found = self._read(lambda connection: lineage.of_data(connection, text)) if text == ref else None
            if found is not None:
                return found
            if "/" not in text and not re.fullmatch("[0-9a-f]{8,32}|[0-9]{1,18}", text):
                raise self._read(partial(lineage.nothing_there, name=text))
            ref = int(text) if text.isascii() and text.isdigit() and len(text) < 19 else text
        return self._read(lambda connection: lineage.of_run(connection, ref))

    def _version_named(self, ref: str) -> tuple[str, int | str | None]:
        """Return the registered model and the version that *ref* names, None as the version where it names none."""
        if not ref.startswith("models:/"):
            name, slash, number = ref.rpartition("/")
            is_name = "@" in ref or (
                slash and (number.isdigit() or number == aliases.LATEST) and self._is_registered(name)
            )
            if ref.startswith("runs:/") or not is_name:
                return "", None
        found = self.find(ref)
        alias = ref.rpartition("@")[2]
        return found.name, alias if alias in found.aliases else found.version

    def _is_registered(self, name: str) -> bool:
        try:
            self.get(name)
        except (NotFoundError, InvalidValueError):
            return False
        return True

    def compare(self, champion: str, challenger: str) -> Comparison:
        """Put two versions side by side: metrics, params, data, code, environment and the model itself.

        Each is named as `find` has it.
        """
        versions = [self.find(champion), self.find(challenger)]
        read = [partial(subjects.read_side, name=version.name, number=version.version) for version in versions]
        return compare(*map(self._read, read))

    def _read(self, query: Callable[[Connection], T]) -> T:
        return self._database.read(lambda connection: query(connection))


def _expected(expect: Expected) -> Expected:
    return expect if expect is None or isinstance(expect, Anything) else clean_version(expect)


def _forced(force: bool, reason: str) -> bool:
    if force and not reason.strip():
        raise InvalidValueError("To force a promotion say why: its reason is kept in the history.")
    return force


def _target(name: str, version: VersionNumber | None, alias: str | None) -> Target:
    if version is not None and alias is not None:
        raise InvalidValueError("Name a version or an alias, not both.")
    return Target(
        clean_model_name(name),
        None if version is None else clean_version(version),
        None if alias is None else clean_alias(alias),
    )


def _actor(reason: str = "") -> Actor:
    return Actor(user_name()[:LONGEST], host_name(), now_us(), clean_text(reason, "reason"))
