"""The registry's history: one line a change, written in the transaction of what it tells of, never changed after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert, select, update

from trackers.sql import tables as t
from trackers.sql.upsert import insert_unless_there
from trackers.values import RegistryMove, to_datetime

EVERY_MODEL = ""
"""The name in lines about policies for all models."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does it, on which host, when (microseconds since the epoch) and why."""

    user: str
    host: str
    time: int
    reason: str = ""


def write_line(
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
    """Write what *actor* did to the model *name*, and return it."""
    row = {
        "id": next_id(connection),
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


def next_id(connection: Connection) -> int:
    """Return an id of the registry's own; who has taken one writes alone until the transaction ends."""
    counters = t.counters
    mine = counters.c.name == "registry"
    raise_it = update(counters).where(mine).values(next=counters.c.next + 1)
    if connection.execute(raise_it).rowcount == 0:
        insert_unless_there(connection, counters, {"name": "registry", "next": 1})
        connection.execute(raise_it)
    return int(connection.execute(select(counters.c.next).where(mine)).scalar_one()) - 1


def hold_registry(connection: Connection) -> None:
    """Wait until nobody else writes to the registry, and write alone until the transaction ends."""
    next_id(connection)


def list_lines(connection: Connection, name: str, alias: str | None = None) -> list[RegistryMove]:
    """Return the lines about the model *name* (or about one of its aliases), oldest first.

    Changes of policies for all models are among them.
    """
    history = t.registry_history
    query = select(history).where(history.c.name.in_((name, EVERY_MODEL))).order_by(history.c.id)
    if alias is not None:
        query = query.where(history.c.name == name, history.c.alias == alias)
    return [_to_move(row._asdict()) for row in connection.execute(query)]


def last_line(connection: Connection, name: str, alias: str) -> RegistryMove | None:
    """Return the last line about an alias, None where it was never moved."""
    history = t.registry_history
    query = (
        select(history).where(history.c.name == name, history.c.alias == alias).order_by(history.c.id.desc()).limit(1)
    )
    row = connection.execute(query).first()
    return None if row is None else _to_move(row._asdict())


def _to_move(row: Mapping[str, Any]) -> RegistryMove:
    values = {key: row[key] for key in row if key != "time"}
    return RegistryMove(time=to_datetime(row["time"]), **values)  # type: ignore[arg-type]
