"""The model registry: names for models, their versions, aliases such as ``production``, and who moved them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from trackers.clock import now_us
from trackers.errors import InvalidValueError, NotFoundError
from trackers.models.manifest import manifest_digest
from trackers.names import clean_name
from trackers.processes import host_name, user_name
from trackers.sql import logged_models
from trackers.sql import registry as rows
from trackers.sql.engine import Database
from trackers.sql.registry import ANYTHING, Actor, Anything, Expected
from trackers.sql.writer import Writer
from trackers.values import LoggedModel, ModelVersion, RegisteredModel, RegistryMove

if TYPE_CHECKING:
    from sqlalchemy import Connection

UNSET = ANYTHING
"""The default of ``expect``: whatever the alias points at may be replaced."""

T = TypeVar("T")
Models = list[RegisteredModel]
Versions = list[ModelVersion]
Moves = list[RegistryMove]


class Registry:
    """The registry of a store. Thread-safe; every change is one transaction with its line of history.

    Unknown models, versions and aliases raise NotFoundError with the close matches.
    """

    def __init__(self, database: Database, writer: Writer) -> None:
        self._database, self._writer = database, writer

    def create(self, name: str, description: str = "") -> RegisteredModel:
        """Make a name to register versions under. Raises AlreadyExistsError."""
        name = _model_name(name)
        actor = _actor()
        self._writer.call(lambda connection: rows.create_model(connection, name, description, actor))
        return self.get(name)

    def get(self, name: str) -> RegisteredModel:
        """Return a registered model with its aliases and the number of its newest version."""
        return self._read(lambda connection: rows.list_registered(connection, _model_name(name))[0])

    def list(self) -> Models:
        """Return every registered model, by name."""
        return self._read(rows.list_registered)

    def versions(self, name: str) -> Versions:
        """Return the versions of a model, newest first."""
        return self._read(lambda connection: rows.list_versions(connection, _model_name(name)))

    def version(self, name: str, ref: int | str) -> ModelVersion:
        """Return a version by its number or by an alias."""
        name = _model_name(name)

        def read(connection: Connection) -> ModelVersion:
            is_number = isinstance(ref, int) or (ref.isascii() and ref.isdigit())
            number = int(ref) if is_number else rows.find_alias(connection, name, clean_name(ref, "alias"))
            return rows.list_versions(connection, name, number)[0]

        return self._read(read)

    def model_of(self, version: ModelVersion) -> LoggedModel:
        """Return the logged model, with its files, that a version is."""
        found = self._read(lambda connection: logged_models.find_model(connection, version.model_uid))
        if found is None:
            raise NotFoundError(f"The model of {version.name} version {version.version} is not in the store any more.")
        return found

    def register(
        self,
        name: str,
        model: LoggedModel,
        *,
        description: str = "",
        metrics: Mapping[str, float] | None = None,
        lineage: Mapping[str, Any] | None = None,
        source: str = "",
        reason: str = "",
        tags: Mapping[str, str] | None = None,
    ) -> ModelVersion:
        """Make *model* the next version of *name*, which is created when it is new.

        The same model again returns the version that it is. *metrics* are the last values of its run's by default. *lineage* says where it comes from (JSON); the digest
        of the model's manifest is added to it. Raises ModelError when the model's files are not kept any more.
        """
        name = _model_name(name)
        origin = {**(lineage or {}), "manifest": manifest_digest(model.manifest)}
        cleaned = {clean_name(key, "tag"): str(value) for key, value in (tags or {}).items()}
        new = rows.NewVersion(model.uid, description, source, metrics, origin, cleaned)
        actor = _actor(reason)
        number = self._writer.call(lambda connection: rows.register(connection, name, new, actor))
        return self.version(name, number)

    def promote(self, name: str, version: int, *, to: str, reason: str = "", expect: Expected = UNSET) -> RegistryMove:
        """Point the alias *to* at *version* and return the line of history that was written with it.

        *expect* is the version that the caller believes to replace (None: none): ConflictError when the alias points
        elsewhere, so that of two who move it at once one is told.
        """
        name, alias, actor = _model_name(name), _alias(to), _actor(reason)
        number = _version(version)
        wanted = expect if expect is None or isinstance(expect, Anything) else _version(expect)
        return self._writer.call(lambda connection: rows.move_alias(connection, name, alias, number, wanted, actor))

    def unset_alias(self, name: str, alias: str, *, reason: str = "", expect: Expected = UNSET) -> RegistryMove:
        """Remove an alias; see `promote` for *expect*."""
        name, alias, actor = _model_name(name), _alias(alias), _actor(reason)
        return self._writer.call(lambda connection: rows.move_alias(connection, name, alias, None, expect, actor))

    def describe(self, name: str, text: str, *, version: int | None = None) -> None:
        """Set the description of a model, or of one of its versions."""
        name, actor = _model_name(name), _actor()
        number = None if version is None else _version(version)
        self._writer.call(lambda connection: rows.describe(connection, name, number, text, actor))

    def set_tag(self, name: str, key: str, value: str | None, *, version: int | None = None) -> None:
        """Set a tag of a model, or of one of its versions; None removes it."""
        name, key, actor = _model_name(name), clean_name(key, "tag"), _actor()
        number = None if version is None else _version(version)
        self._writer.call(lambda connection: rows.set_tag(connection, name, number, key, value, actor))

    def history(self, name: str) -> Moves:
        """Return who did what to a model, when and why, oldest first."""
        return self._read(lambda connection: rows.list_history(connection, _model_name(name)))

    def _read(self, query: Callable[[Connection], T]) -> T:
        with self._database.reading() as connection:
            return query(connection)


def _model_name(name: str) -> str:
    name = clean_name(name, "registered model")
    if wrong := set("/@:") & set(name):
        raise InvalidValueError(f"The model name {name!r} may not contain {min(wrong)!r}: models:/NAME@ALIAS uses it.")
    return name


def _alias(alias: str) -> str:
    alias = clean_name(alias, "alias")
    if set("/@:") & set(alias) or alias.isdigit() or len(alias.split()) > 1:
        raise InvalidValueError(
            f"The alias {alias!r} must be a word, without spaces, '/', '@' or ':', and not a number."
        )
    return alias


def _version(version: int) -> int:
    if isinstance(version, bool) or not isinstance(version, int) or not 0 < version < 2**31:
        raise InvalidValueError(f"A version is a number such as 3, not {version!r}.")
    return version


def _actor(reason: str = "") -> Actor:
    return Actor(user_name(), host_name(), now_us(), reason)
