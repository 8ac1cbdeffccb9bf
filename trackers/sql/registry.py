"""The registry's statements. Each writing function runs inside one transaction of the store's writer.

Whoever writes about a registered model holds its row first, so that two who move one alias come one after the other,
on every database. A line of history is written in the same transaction as what it tells of.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from sqlalchemy import Connection, Table, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from trackers.errors import AlreadyExistsError, ConflictError, ModelError, NotFoundError
from trackers.sql import tables as t
from trackers.sql.columns import join_number
from trackers.values import ModelVersion, RegisteredModel, RegistryMove, to_datetime


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does it, on which host, when (microseconds since the epoch) and why."""

    user: str
    host: str
    time: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class NewVersion:
    """What a version is made with; *metrics* None: the last values of the run's own."""

    model_uid: str
    description: str = ""
    source: str = ""
    metrics: Mapping[str, float] | None = None
    lineage: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


class Anything:
    """Says that whatever an alias points at may be replaced."""


ANYTHING = Anything()
Expected = int | Anything | None

# --- writing -----------------------------------------------------------------------------------------------------


def create_model(connection: Connection, name: str, description: str, actor: Actor) -> None:
    """Write a new name. Raises AlreadyExistsError."""
    if not _insert_model(connection, name, description, actor):
        raise AlreadyExistsError(f"There is a registered model named {name!r} already: register versions of it.")


def register(connection: Connection, name: str, new: NewVersion, actor: Actor) -> int:
    """Write a version of *name*, which is made when it is new; return its number.

    The same model again returns the version that it is already. Raises ModelError for a model without files.
    """
    _insert_model(connection, name, "", actor)
    model_id = hold_model(connection, name)
    versions = t.model_versions
    same = select(versions.c.version).where(versions.c.model_id == model_id, versions.c.model_uid == new.model_uid)
    known: int | None = connection.execute(same).scalar()
    if known is not None:
        return known
    model = connection.execute(select(t.models).where(t.models.c.uid == new.model_uid).with_for_update()).first()
    if model is None or model.manifest is None or model.deleted_at is not None:
        why = "" if model is None else f" ({model.deleted_why or model.why_not})"
        raise ModelError(f"The model's files are not kept{why}: log the model again, or raise keep_models.")
    highest = select(func.max(versions.c.version)).where(versions.c.model_id == model_id)
    number = int(connection.execute(highest).scalar() or 0) + 1
    metrics = _metrics_of(connection, model.run_id) if new.metrics is None else dict(new.metrics)
    connection.execute(
        insert(versions).values(
            model_id=model_id,
            version=number,
            model_uid=new.model_uid,
            run_id=model.run_id,
            source=new.source,
            description=new.description,
            metrics=metrics,
            lineage=dict(new.lineage),
            created_at=actor.time,
            created_by=actor.user,
        )
    )
    for key, value in sorted(new.tags.items()):
        connection.execute(
            insert(t.model_version_tags).values(model_id=model_id, version=number, name=key, value=value)
        )
    details = {"model": new.model_uid, "manifest": new.lineage.get("manifest"), "metrics": metrics}
    _record(connection, actor, name, "register", new_version=number, details=details)
    return number


def move_alias(
    connection: Connection, name: str, alias: str, version: int | None, expected: Expected, actor: Actor
) -> RegistryMove:
    """Point *alias* at *version* (None: at nothing) and write the line of history that says so.

    Raises ConflictError when it does not point at *expected* (None: at nothing), NotFoundError for a version that
    does not exist, and for removing an alias that is not there.
    """
    model_id = hold_model(connection, name)
    if version is not None:
        _check_version(connection, model_id, name, version)
    mine = (t.aliases.c.model_id == model_id) & (t.aliases.c.alias == alias)
    old: int | None = connection.execute(select(t.aliases.c.version).where(mine)).scalar()
    if not isinstance(expected, Anything) and old != expected:
        raise ConflictError(_conflict(connection, name, alias, old, expected))
    if version is None and old is None:
        raise NotFoundError(_no_alias(connection, model_id, name, alias))
    if version is None:
        connection.execute(t.aliases.delete().where(mine))
    elif old is None:
        connection.execute(insert(t.aliases).values(model_id=model_id, alias=alias, version=version))
    else:
        connection.execute(update(t.aliases).where(mine).values(version=version))
    action = "promote" if version is not None else "unset"
    return _record(connection, actor, name, action, alias=alias, old_version=old, new_version=version)


def describe(connection: Connection, name: str, version: int | None, text: str, actor: Actor) -> None:
    """Set the description of a model, or of one of its versions."""
    model_id = hold_model(connection, name)
    models, versions = t.registered_models, t.model_versions
    if version is None:
        connection.execute(update(models).where(models.c.id == model_id).values(description=text))
    else:
        _check_version(connection, model_id, name, version)
        where = (versions.c.model_id == model_id) & (versions.c.version == version)
        connection.execute(update(versions).where(where).values(description=text))
    _record(connection, actor, name, "describe", new_version=version, details={"description": text})


def set_tag(connection: Connection, name: str, version: int | None, key: str, value: str | None, actor: Actor) -> None:
    """Set a tag of a model, or of one of its versions; None removes it."""
    model_id = hold_model(connection, name)
    table = t.registered_model_tags if version is None else t.model_version_tags
    where = (table.c.model_id == model_id) & (table.c.name == key)
    row: dict[str, Any] = {"model_id": model_id, "name": key, "value": value}
    if version is not None:
        _check_version(connection, model_id, name, version)
        where &= table.c.version == version
        row["version"] = version
    connection.execute(table.delete().where(where))
    if value is not None:
        connection.execute(insert(table).values(**row))
    _record(connection, actor, name, "tag", new_version=version, details={"key": key, "value": value})


def hold_model(connection: Connection, name: str) -> int:
    """Return the id of a registered model and hold its row until the transaction ends."""
    models = t.registered_models
    query = select(models.c.id).where(models.c.name == name).with_for_update()
    model_id: int | None = connection.execute(query).scalar()
    if model_id is None:
        raise NotFoundError(_no_model(connection, name))
    return model_id


def _insert_model(connection: Connection, name: str, description: str, actor: Actor) -> bool:
    known = connection.execute(select(t.registered_models.c.id).where(t.registered_models.c.name == name)).scalar()
    if known is not None:
        return False
    row = {
        "id": _next_id(connection),
        "name": name,
        "description": description,
        "created_at": actor.time,
    }
    if _insert_unless_there(connection, t.registered_models, row):
        _record(connection, actor, name, "create", details={"description": description} if description else {})
        return True
    return False


def _insert_unless_there(connection: Connection, table: Table, row: Mapping[str, Any]) -> bool:
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(table).values(**row).on_conflict_do_nothing()
    # Without the option SQLAlchemy does not ask PostgreSQL how many rows an INSERT made.
    return connection.execute(statement, execution_options={"preserve_rowcount": True}).rowcount > 0


def _next_id(connection: Connection) -> int:
    counters = t.counters
    mine = counters.c.name == "registry"
    raise_it = update(counters).where(mine).values(next=counters.c.next + 1)
    if connection.execute(raise_it).rowcount == 0:
        _insert_unless_there(connection, counters, {"name": "registry", "next": 1})
        connection.execute(raise_it)
    return int(connection.execute(select(counters.c.next).where(mine)).scalar_one()) - 1


def _record(
    connection: Connection,
    actor: Actor,
    name: str,
    action: str,
    *,
    alias: str | None = None,
    old_version: int | None = None,
    new_version: int | None = None,
    details: Mapping[str, Any] | None = None,
) -> RegistryMove:
    row = {
        "id": _next_id(connection),
        "name": name,
        "action": action,
        "alias": alias,
        "old_version": old_version,
        "new_version": new_version,
        "actor": actor.user,
        "host": actor.host,
        "reason": actor.reason,
        "time": actor.time,
        "details": dict(details or {}),
    }
    connection.execute(insert(t.registry_history).values(**row))
    return _to_move(row)


def _metrics_of(connection: Connection, run_id: int) -> dict[str, float]:
    series = t.series
    query = select(series).where(series.c.run_id == run_id, series.c.context == "").order_by(series.c.key)
    return {row.key: join_number(row.last, row.last_kind) for row in connection.execute(query)}


def _check_version(connection: Connection, model_id: int, name: str, version: int) -> None:
    versions = t.model_versions
    query = select(versions.c.version).where(versions.c.model_id == model_id, versions.c.version == version)
    if connection.execute(query).scalar() is None:
        raise NotFoundError(_no_version(connection, model_id, name, version))


# --- reading -----------------------------------------------------------------------------------------------------


def list_registered(connection: Connection, name: str | None = None) -> list[RegisteredModel]:
    """Return every registered model by name, or the one called *name*, with a constant number of statements."""
    models, versions = t.registered_models, t.model_versions
    query = select(models).order_by(models.c.name)
    if name is not None:
        query = query.where(models.c.name == name)
    rows = connection.execute(query).all()
    if name is not None and not rows:
        raise NotFoundError(_no_model(connection, name))
    latest_of = select(versions.c.model_id, func.max(versions.c.version)).group_by(versions.c.model_id)
    latest = {row[0]: int(row[1]) for row in connection.execute(latest_of)}
    aliases: dict[int, dict[str, int]] = {}
    for alias in connection.execute(select(t.aliases).order_by(t.aliases.c.alias)):
        aliases.setdefault(alias.model_id, {})[alias.alias] = alias.version
    tags: dict[int, dict[str, str]] = {}
    for tag in connection.execute(select(t.registered_model_tags).order_by(t.registered_model_tags.c.name)):
        tags.setdefault(tag.model_id, {})[tag.name] = tag.value
    return [
        RegisteredModel(
            name=row.name,
            created_at=to_datetime(row.created_at),  # type: ignore[arg-type]
            description=row.description,
            aliases=aliases.get(row.id, {}),
            latest=latest.get(row.id, 0),
            tags=tags.get(row.id, {}),
        )
        for row in rows
    ]


def list_versions(connection: Connection, name: str, number: int | None = None) -> list[ModelVersion]:
    """Return the versions of *name*, newest first, or only version *number* of it."""
    model_id = _model_id(connection, name)
    versions, aliases, tags = t.model_versions, t.aliases, t.model_version_tags
    query = select(versions).where(versions.c.model_id == model_id).order_by(versions.c.version.desc())
    if number is not None:
        query = query.where(versions.c.version == number)
    rows = connection.execute(query).all()
    if number is not None and not rows:
        raise NotFoundError(_no_version(connection, model_id, name, number))
    named: dict[int, list[str]] = {}
    for row in connection.execute(select(aliases).where(aliases.c.model_id == model_id).order_by(aliases.c.alias)):
        named.setdefault(row.version, []).append(row.alias)
    tagged: dict[int, dict[str, str]] = {}
    for row in connection.execute(select(tags).where(tags.c.model_id == model_id).order_by(tags.c.name)):
        tagged.setdefault(row.version, {})[row.name] = row.value
    return [_to_version(name, row, named.get(row.version, ()), tagged.get(row.version, {})) for row in rows]


def find_alias(connection: Connection, name: str, alias: str) -> int:
    """Return the version that *alias* points at."""
    model_id = _model_id(connection, name)
    query = select(t.aliases.c.version).where(t.aliases.c.model_id == model_id, t.aliases.c.alias == alias)
    version: int | None = connection.execute(query).scalar()
    if version is None:
        raise NotFoundError(_no_alias(connection, model_id, name, alias))
    return version


def list_history(connection: Connection, name: str) -> list[RegistryMove]:
    """Return every line of history of *name*, oldest first."""
    _model_id(connection, name)
    history = t.registry_history
    query = select(history).where(history.c.name == name).order_by(history.c.id)
    return [_to_move(row._asdict()) for row in connection.execute(query)]


def _model_id(connection: Connection, name: str) -> int:
    query = select(t.registered_models.c.id).where(t.registered_models.c.name == name)
    model_id: int | None = connection.execute(query).scalar()
    if model_id is None:
        raise NotFoundError(_no_model(connection, name))
    return model_id


def _to_version(name: str, row: Any, aliases: Sequence[str], tags: Mapping[str, str]) -> ModelVersion:
    return ModelVersion(
        name=name,
        version=row.version,
        model_uid=row.model_uid,
        run_id=row.run_id,
        source=row.source,
        created_at=to_datetime(row.created_at),  # type: ignore[arg-type]
        created_by=row.created_by,
        description=row.description,
        metrics=row.metrics,
        lineage=row.lineage,
        aliases=tuple(aliases),
        tags=tags,
    )


def _to_move(row: Mapping[str, Any]) -> RegistryMove:
    values = {key: row[key] for key in row if key != "time"}
    return RegistryMove(time=to_datetime(row["time"]), **values)  # type: ignore[arg-type]


# --- what is said when something is not there --------------------------------------------------------------------


def _no_model(connection: Connection, name: str) -> str:
    known = connection.execute(select(t.registered_models.c.name).order_by(t.registered_models.c.name)).scalars().all()
    return f"There is no registered model named {name!r}: {_known(name, known, 'the registry is empty')}"


def _no_version(connection: Connection, model_id: int, name: str, version: int) -> str:
    query = select(func.max(t.model_versions.c.version)).where(t.model_versions.c.model_id == model_id)
    latest = connection.execute(query).scalar()
    has = f"its versions are 1 to {latest}" if latest and latest > 1 else "it has version 1"
    has = has if latest else "it has no version yet"
    return f"The registered model {name!r} has no version {version}: {has}."


def _no_alias(connection: Connection, model_id: int, name: str, alias: str) -> str:
    query = select(t.aliases.c.alias).where(t.aliases.c.model_id == model_id).order_by(t.aliases.c.alias)
    known = _known(alias, connection.execute(query).scalars().all(), "it has no alias yet")
    return f"The registered model {name!r} has no alias {alias!r}: {known}"


def _known(name: str, names: Iterable[str], none: str) -> str:
    names = list(names)
    if not names:
        return f"{none}."
    if close := get_close_matches(name, names, n=3, cutoff=0.5):
        return f"did you mean {' or '.join(repr(match) for match in close)}?"
    return f"there is {', '.join(repr(known) for known in names[:5])}{' and others' if len(names) > 5 else ''}."


def _conflict(connection: Connection, name: str, alias: str, old: int | None, expected: int | None) -> str:
    history = t.registry_history
    query = (
        select(history).where(history.c.name == name, history.c.alias == alias).order_by(history.c.id.desc()).limit(1)
    )
    last = connection.execute(query).first()
    moved = f" ({last.actor} moved it on {to_datetime(last.time):%Y-%m-%d %H:%M:%S} UTC)" if last else ""
    there = "at nothing" if old is None else f"at version {old}"
    wanted = "nothing" if expected is None else f"version {expected}"
    return f"{name}@{alias} points {there}{moved}, not at {wanted}: look at it and decide again."
