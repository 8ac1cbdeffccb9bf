"""Versions and registered models that are taken out of the registry; its history, and the logged models, stay."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, select, update

from trackers.errors import StateError
from trackers.sql import tables as t
from trackers.sql.registry import check_version, hold_model
from trackers.sql.registry_history import Actor, write_line
from trackers.values import RegistryMove


def delete_version(connection: Connection, name: str, number: int, actor: Actor) -> RegistryMove:
    """Delete a version with its notes and return the line of history, which keeps what it was.

    Its number is not given again. Raises StateError where an alias points at it.
    """
    model_id = hold_model(connection, name)
    check_version(connection, model_id, name, number)
    v = t.model_versions.c
    _check_unnamed(connection, model_id, name, number)
    row = connection.execute(select(t.model_versions).where(v.model_id == model_id, v.version == number)).one()
    connection.execute(t.model_versions.delete().where(v.model_id == model_id, v.version == number))
    return write_line(connection, actor, name, "delete", old_version=number, details=_kept(row))


def delete_model(connection: Connection, name: str, actor: Actor) -> RegistryMove:
    """Delete a registered model, its versions and its policies; see ``delete_version``."""
    model_id = hold_model(connection, name)
    v, p = t.model_versions.c, t.policies.c
    _check_unnamed(connection, model_id, name)
    versions = connection.execute(select(t.model_versions).where(v.model_id == model_id).order_by(v.version)).all()
    for row in versions:
        write_line(connection, actor, name, "delete", old_version=row.version, details=_kept(row))
    in_force = (p.model == name, p.ended_at.is_(None))
    policies = list(connection.execute(select(p.name).where(*in_force).order_by(p.name)).scalars())
    connection.execute(update(t.policies).where(*in_force).values(ended_at=actor.time))
    connection.execute(t.model_versions.delete().where(v.model_id == model_id))
    connection.execute(t.registered_models.delete().where(t.registered_models.c.id == model_id))
    details = {"versions": [row.version for row in versions], **({"policies": policies} if policies else {})}
    return write_line(connection, actor, name, "delete", details=details)


def _kept(row: Any) -> dict[str, Any]:
    return {"model": row.model_uid, "source": row.source, "metrics": row.metrics, "lineage": row.lineage}


def _check_unnamed(connection: Connection, model_id: int, name: str, number: int | None = None) -> None:
    a = t.aliases.c
    query = select(a.alias, a.version).where(a.model_id == model_id).order_by(a.alias)
    named = connection.execute(query if number is None else query.where(a.version == number)).all()
    if named:
        what = f"{name} version {named[0].version} is {named[0].alias}"
        others = f" ({len(named) - 1} more aliases likewise)" if len(named) > 1 else ""
        raise StateError(f"{what}{others}: move or remove the alias first, then it can be deleted.")
