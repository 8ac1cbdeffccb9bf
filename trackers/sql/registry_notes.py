"""What people write beside a model, a version or an alias: descriptions, tags, approvals, figures measured later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table, insert, select, update

from trackers.errors import NotFoundError
from trackers.sql import tables as t
from trackers.sql.aliases import check_alias
from trackers.sql.registry import NewVersion, check_version, hold_model
from trackers.sql.registry import register as write_version
from trackers.sql.registry_history import Actor, write_line


@dataclass(frozen=True, slots=True)
class Target:
    """A registered model, one of its versions, or one of its aliases."""

    name: str
    version: int | None = None
    alias: str | None = None

    def hold(self, connection: Connection) -> int:
        """Return the model's id and hold its row; raises NotFoundError for what is not there."""
        model_id = hold_model(connection, self.name)
        if self.version is not None:
            check_version(connection, model_id, self.name, self.version)
        if self.alias is not None:
            check_alias(connection, model_id, self.name, self.alias)
        return model_id

    def rows(self, model_id: int) -> tuple[Table, Table, dict[str, Any]]:
        """Return the table of the target, that of its tags, and the key of both."""
        if self.version is not None:
            return t.model_versions, t.model_version_tags, {"model_id": model_id, "version": self.version}
        if self.alias is not None:
            return t.aliases, t.alias_tags, {"model_id": model_id, "alias": self.alias}
        return t.registered_models, t.registered_model_tags, {"model_id": model_id}


def describe(connection: Connection, target: Target, text: str, actor: Actor) -> None:
    """Set the description of *target*."""
    model_id = target.hold(connection)
    table, _, key = target.rows(model_id)
    where = [table.c.id == model_id] if table is t.registered_models else _match(table, key)
    connection.execute(update(table).where(*where).values(description=text))
    _write(connection, actor, target, "describe", {"description": text})


def set_tag(connection: Connection, target: Target, key: str, value: str | None, actor: Actor) -> None:
    """Set a tag of *target*; None removes it. Raises NotFoundError for one to remove that is not there."""
    _, tags, where = target.rows(target.hold(connection))
    row = {**where, "name": key}
    removed = connection.execute(tags.delete().where(*_match(tags, row))).rowcount
    if value is None and removed == 0:
        query = select(tags.c.name).where(*_match(tags, where)).order_by(tags.c.name)
        there = ", ".join(connection.execute(query).scalars())
        raise NotFoundError(f"There is no tag {key!r} to remove: {f'there is {there}' if there else 'there is none'}.")
    if value is not None:
        connection.execute(insert(tags).values(**row, value=value))
    _write(connection, actor, target, "tag", {"key": key, "value": value})


def register(connection: Connection, name: str, new: NewVersion, actor: Actor) -> int:
    """Write a version of *name* and return its number; one that is there already gets the description and tags."""
    number, is_new = write_version(connection, name, new, actor)
    if not is_new:
        add(connection, Target(name, number), new.description, new.tags, actor)
    return number


def add(connection: Connection, target: Target, description: str, tags: Mapping[str, str], actor: Actor) -> None:
    """Write of a description and tags what *target* has not: an empty description is none."""
    table, tag_table, where = target.rows(target.hold(connection))
    if (
        description
        and description != connection.execute(select(table.c.description).where(*_match(table, where))).scalar()
    ):
        describe(connection, target, description, actor)
    query = select(tag_table.c.name, tag_table.c.value).where(*_match(tag_table, where))
    there = {row.name: row.value for row in connection.execute(query)}
    for key, value in tags.items():
        if there.get(key) != value:
            set_tag(connection, target, key, value, actor)


def approve(connection: Connection, target: Target, actor: Actor, *, withdraw: bool = False) -> bool:
    """Write (or take back) the actor's word for a version, with the reason as its comment; tell whether that is new.

    Raises NotFoundError for an approval to take back that was never given.
    """
    model_id = target.hold(connection)
    a = t.approvals
    key = {"model_id": model_id, "version": target.version, "user": actor.user}
    old = connection.execute(select(a.c.comment).where(*_match(a, key))).scalar()
    if withdraw and old is None:
        raise NotFoundError(f"{actor.user} did not approve {target.name} version {target.version}.")
    if not withdraw and old is not None and old == actor.reason:
        return False
    connection.execute(a.delete().where(*_match(a, key)))
    if not withdraw:
        connection.execute(insert(a).values(**key, comment=actor.reason, host=actor.host, time=actor.time))
    _write(connection, actor, target, "withdraw" if withdraw else "approve", {})
    return True


def record_figures(
    connection: Connection, target: Target, figures: Mapping[str, Sequence[float]], data: str, actor: Actor
) -> None:
    """Write what was measured of a version on the data with digest *data* ('': none); the same figure is replaced."""
    model_id = target.hold(connection)
    table = t.model_version_figures
    for name, values in figures.items():
        key = {"model_id": model_id, "version": target.version, "name": name, "data": data}
        connection.execute(table.delete().where(*_match(table, key)))
        row = {**key, "values": list(values), "host": actor.host, "time": actor.time, "actor": actor.user}
        connection.execute(insert(table).values(**row))
    _write(connection, actor, target, "measure", {"figures": {k: list(v) for k, v in figures.items()}, "data": data})


def _match(table: Table, key: Mapping[str, Any]) -> list[Any]:
    return [table.c[name] == value for name, value in key.items()]


def _write(connection: Connection, actor: Actor, target: Target, action: str, details: Mapping[str, Any]) -> None:
    write_line(connection, actor, target.name, action, alias=target.alias, new_version=target.version, details=details)
