"""Pins: runs, models and files that are kept whatever becomes of the rest."""

from __future__ import annotations

from sqlalchemy import Connection, delete, insert, select, update

from trackers.clock import now_us
from trackers.errors import NotFoundError
from trackers.sql import tables as t
from trackers.values import Pin, to_datetime


def pin(connection: Connection, kind: str, target: str, reason: str, author: str) -> None:
    """Write a pin; one that is there gets the new reason and author."""
    c = t.pins.c
    values = {"reason": reason, "author": author, "created_at": now_us()}
    mine = update(t.pins).where(c.kind == kind, c.target == target)
    if connection.execute(mine.values(**values)).rowcount == 0:
        connection.execute(insert(t.pins).values(kind=kind, target=target, **values))


def unpin(connection: Connection, kind: str, target: str) -> None:
    """Remove a pin; raises NotFoundError where there is none."""
    c = t.pins.c
    if connection.execute(delete(t.pins).where(c.kind == kind, c.target == target)).rowcount == 0:
        raise NotFoundError(f"the {kind} {target} is not pinned: `trackers pin --list` shows what is")


def list_pins(connection: Connection) -> list[Pin]:
    """Read every pin, oldest first."""
    found = []
    for row in connection.execute(select(t.pins).order_by(t.pins.c.created_at, t.pins.c.target)):
        moment = to_datetime(row.created_at)
        assert moment is not None  # the column is never NULL
        found.append(Pin(row.kind, row.target, row.reason, row.author, moment))
    return found


def target_of(connection: Connection, kind: str, ref: str) -> str:
    """Return what a pin of this *kind* holds of *ref*; raises NotFoundError for what is not in the store."""
    column = {"run": t.runs.c.uid, "model": t.models.c.uid, "file": t.blobs.c.digest}[kind]
    found: str | None = connection.execute(select(column).where(column == ref)).scalar()
    if found is None:
        raise NotFoundError(f"there is no {kind} {ref} in this store")
    return found


def uid_of_run(connection: Connection, run_id: int) -> str:
    """Return the uid of a run."""
    return str(connection.execute(select(t.runs.c.uid).where(t.runs.c.id == run_id)).scalar_one())
