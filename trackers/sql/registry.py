"""Registered models and their versions. Each writing function runs inside one transaction of the store's writer.

Whoever writes about a registered model holds its row first, so that two who move one alias come one after the other,
on every database. A line of history is written in the same transaction as what it tells of.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, func, insert, or_, select

from trackers.errors import AlreadyExistsError, ModelError, NotFoundError
from trackers.sql import tables as t
from trackers.sql.columns import join_number
from trackers.sql.launches import last_launch, read_launch
from trackers.sql.metrics import read_inputs
from trackers.sql.registry_history import Actor, next_id, write_line
from trackers.sql.upsert import insert_unless_there
from trackers.values import ModelVersion, RegisteredModel, to_datetime
from trackers.wording import did_you_mean

_TRIAL = re.compile(r"[^/]+/\d+(?P<refitted>, refitted)?")
"""Where a version came from, as `register` writes it: a trial, perhaps its refit."""


@dataclass(frozen=True, slots=True)
class NewVersion:
    """What a version is made with; *metrics* None: the last values of the run's own."""

    model_uid: str
    description: str = ""
    source: str = ""
    metrics: Mapping[str, float] | None = None
    lineage: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


# --- writing -----------------------------------------------------------------------------------------------------


def create_model(connection: Connection, name: str, description: str, actor: Actor) -> None:
    """Write a new name. Raises AlreadyExistsError."""
    if not insert_model(connection, name, description, actor):
        raise AlreadyExistsError(f"There is a registered model named {name!r} already: register versions of it.")


def register(connection: Connection, name: str, new: NewVersion, actor: Actor) -> tuple[int, bool]:
    """Write a version of *name*, which is made when it is new; return its number, and that it was written.

    The same model again is the version that it is already. Raises ModelError for a model without files.
    """
    insert_model(connection, name, "", actor)
    model_id = hold_model(connection, name)
    versions = t.model_versions
    same = select(versions.c.version).where(versions.c.model_id == model_id, versions.c.model_uid == new.model_uid)
    known: int | None = connection.execute(same).scalar()
    if known is not None:
        return known, False
    number = _highest(connection, model_id, name) + 1
    metrics = add_version(connection, model_id, number, new, actor.time, actor.user)
    details = {"model": new.model_uid, "manifest": new.lineage.get("manifest"), "metrics": metrics}
    write_line(connection, actor, name, "register", new_version=number, details=details)
    return number, True


def _highest(connection: Connection, model_id: int, name: str) -> int:
    """Return the highest number that a version has, or had before it was deleted: none is given twice."""
    v, h = t.model_versions.c, t.registry_history.c
    there = connection.execute(select(func.max(v.version)).where(v.model_id == model_id)).scalar()
    deleted = select(func.max(h.old_version)).where(h.name == name, h.action == "delete")
    return max(int(there or 0), int(connection.execute(deleted).scalar() or 0))


def add_version(
    connection: Connection, model_id: int, number: int, new: NewVersion, created_at: int, created_by: str
) -> dict[str, float]:
    """Write version *number* of a registered model whose row is held, and return its metrics.

    Raises ModelError for a model without files.
    """
    model = connection.execute(select(t.models).where(t.models.c.uid == new.model_uid).with_for_update()).first()
    if model is None:
        raise ModelError(
            "The store does not have this model: it was removed, or what logged it waits in a journal (`trackers sync`)."
        )
    if model.manifest is None or model.deleted_at is not None:
        why = model.deleted_why or model.why_not
        raise ModelError(f"The model's files are not kept ({why}): log the model again, or raise keep_models.")
    metrics = _metrics_of(connection, model.run_id) if new.metrics is None else dict(new.metrics)
    connection.execute(
        insert(t.model_versions).values(
            model_id=model_id,
            version=number,
            model_uid=new.model_uid,
            run_id=model.run_id,
            source=new.source,
            description=new.description,
            metrics=metrics,
            lineage=_origin(connection, model.run_id, new.lineage),
            created_at=created_at,
            created_by=created_by,
        )
    )
    for key, value in sorted(new.tags.items()):
        connection.execute(
            insert(t.model_version_tags).values(model_id=model_id, version=number, name=key, value=value)
        )
    return metrics


def hold_model(connection: Connection, name: str) -> int:
    """Return the id of a registered model and hold its row until the transaction ends."""
    models = t.registered_models
    query = select(models.c.id).where(models.c.name == name).with_for_update()
    model_id: int | None = connection.execute(query).scalar()
    if model_id is None:
        raise NotFoundError(_no_model(connection, name))
    return model_id


def insert_model(connection: Connection, name: str, description: str, actor: Actor) -> bool:
    """Write a name unless it is there, and tell whether it is new."""
    known = connection.execute(select(t.registered_models.c.id).where(t.registered_models.c.name == name)).scalar()
    if known is not None:
        return False
    row = {
        "id": next_id(connection),
        "name": name,
        "description": description,
        "created_at": actor.time,
    }
    if insert_unless_there(connection, t.registered_models, row):
        write_line(connection, actor, name, "create", details={"description": description} if description else {})
        return True
    return False


def _metrics_of(connection: Connection, run_id: int) -> dict[str, float]:
    """Return the last value of each series of a run, those that have a context (``auc{split=val}``) behind the others."""
    rows = sorted(connection.execute(select(t.series).where(t.series.c.run_id == run_id)), key=_place)
    return {
        f"{row.key}{{{row.context}}}" if row.context else row.key: join_number(row.last, row.last_kind) for row in rows
    }


def _place(series: Any) -> tuple[bool, str, str]:
    return bool(series.context), series.key, series.context


def _origin(connection: Connection, run_id: int, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return where a version comes from: what was *given*, and what its run knows beside that."""
    run, inputs = t.runs.c, read_inputs(connection, run_id)
    known: dict[str, Any] = {"run": connection.execute(select(run.uid).where(run.id == run_id)).scalar()}
    if code := read_run_code(connection, run_id):
        known["code"] = code
    if inputs:
        known["data"] = [{"name": i.name, "digest": i.digest, "role": i.role, "rows": i.rows} for i in inputs]
    return known | dict(given)


def read_run_code(connection: Connection, run_id: int) -> dict[str, Any]:
    """Return which code a run ran, without its long texts; empty where that was not recorded."""
    launch = read_launch(connection, last_launch(connection, run_id))
    if launch is None or launch.code is None:
        return {}
    objective = launch.code.content.get("objective") or {}
    return {
        "version": launch.code.version,
        "commit": launch.code.commit,
        "dirty": launch.code.dirty,
        "branch": launch.branch,
        "remote": launch.remote,
        "entry_point": launch.entry_point,
        "file": objective.get("file"),
        "digest": objective.get("digest") or launch.code.digest,
    }


def check_version(connection: Connection, model_id: int, name: str, version: int) -> None:
    """Raise NotFoundError unless the version exists."""
    versions = t.model_versions
    query = select(versions.c.version).where(versions.c.model_id == model_id, versions.c.version == version)
    if connection.execute(query).scalar() is None:
        raise NotFoundError(no_version(connection, model_id, name, version))


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
    model_id = find_model_id(connection, name)
    versions, aliases, tags = t.model_versions, t.aliases, t.model_version_tags
    query = select(versions).where(versions.c.model_id == model_id).order_by(versions.c.version.desc())
    if number is not None:
        query = query.where(versions.c.version == number)
    rows = connection.execute(query).all()
    if number is not None and not rows:
        raise NotFoundError(no_version(connection, model_id, name, number))
    named: dict[int, list[str]] = {}
    for row in connection.execute(select(aliases).where(aliases.c.model_id == model_id).order_by(aliases.c.alias)):
        named.setdefault(row.version, []).append(row.alias)
    tagged: dict[int, dict[str, str]] = {}
    for row in connection.execute(select(tags).where(tags.c.model_id == model_id).order_by(tags.c.name)):
        tagged.setdefault(row.version, {})[row.name] = row.value
    gone = _deleted_origins(connection, model_id)
    return [
        _to_version(name, row, gone.get(row.version), named.get(row.version, ()), tagged.get(row.version, {}))
        for row in rows
    ]


def latest_version(connection: Connection, model_id: int, name: str) -> int:
    """Return the number of the newest version; raises NotFoundError where there is none."""
    v = t.model_versions.c
    number: int | None = connection.execute(select(func.max(v.version)).where(v.model_id == model_id)).scalar()
    if number is None:
        raise NotFoundError(f"The registered model {name!r} has no version yet.")
    return number


def list_versions_of_run(connection: Connection, run_id: int) -> list[ModelVersion]:
    """Return the versions, of whatever model, that came from a run; by name and number."""
    v, m = t.model_versions.c, t.registered_models.c
    query = select(m.name, v.version).join(t.registered_models, m.id == v.model_id).where(v.run_id == run_id)
    found = connection.execute(query.order_by(m.name, v.version)).all()
    return [version for name, number in found for version in list_versions(connection, name, number)]


def _deleted_origins(connection: Connection, model_id: int) -> dict[int, str]:
    """Return what to say of where versions came from whose run was deleted, by version: another study may have its name."""
    v, r, e, parent = t.model_versions.c, t.runs.c, t.experiments.c, t.runs.alias()
    query = select(v.version, v.source, r.uid, parent.c.uid).select_from(t.model_versions)
    query = query.join(t.runs, r.id == v.run_id).join(t.experiments, e.id == r.experiment_id)
    query = query.outerjoin(parent, parent.c.id == r.parent_id)
    query = query.where(v.model_id == model_id, or_(r.deleted_at.is_not(None), e.deleted_at.is_not(None)))
    return {
        version: f"{source_by_uid(source, uid, parent_uid)} (deleted)" if source else ""
        for version, source, uid, parent_uid in connection.execute(query)
    }


def source_by_uid(source: str, uid: str, parent_uid: str | None) -> str:
    """Return *source* with the run's uid in the place of STUDY/NUMBER; a refit's is its trial's, the parent's."""
    found = _TRIAL.fullmatch(source)
    if found is None:
        return source
    refitted = found["refitted"] or ""
    return (parent_uid or uid if refitted else uid) + refitted


def find_model_id(connection: Connection, name: str) -> int:
    """Return the id of a registered model."""
    query = select(t.registered_models.c.id).where(t.registered_models.c.name == name)
    model_id: int | None = connection.execute(query).scalar()
    if model_id is None:
        raise NotFoundError(_no_model(connection, name))
    return model_id


def _to_version(
    name: str, row: Any, origin: str | None, aliases: Sequence[str], tags: Mapping[str, str]
) -> ModelVersion:
    return ModelVersion(
        name=name,
        version=row.version,
        model_uid=row.model_uid,
        run_id=row.run_id,
        source=row.source if origin is None else origin,
        created_at=to_datetime(row.created_at),  # type: ignore[arg-type]
        created_by=row.created_by,
        description=row.description,
        metrics=row.metrics,
        lineage=row.lineage,
        aliases=tuple(aliases),
        tags=tags,
    )


# --- what is said when something is not there --------------------------------------------------------------------


def _no_model(connection: Connection, name: str) -> str:
    known = connection.execute(select(t.registered_models.c.name).order_by(t.registered_models.c.name)).scalars().all()
    return (
        f"There is no registered model named {name!r}{did_you_mean(name, known, 'the registry is empty.', 'there is')}"
    )


def no_version(connection: Connection, model_id: int, name: str, version: int) -> str:
    """Return the sentence that a model has no such version, and which it has."""
    v = t.model_versions.c
    numbers = list(connection.execute(select(v.version).where(v.model_id == model_id).order_by(v.version)).scalars())
    if not numbers:
        has = "it has no version"
    elif len(numbers) == 1:
        has = f"it has version {numbers[0]}"
    elif numbers[-1] - numbers[0] + 1 == len(numbers):
        has = f"its versions are {numbers[0]} to {numbers[-1]}"
    else:
        shown = ", ".join(map(str, numbers[-10:]))
        has = f"its versions are {'..., ' if len(numbers) > 10 else ''}{shown}"
    return f"The registered model {name!r} has no version {str(version)[:80]}: {has}."
