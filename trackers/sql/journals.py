"""How far each journal is drained: written in the transaction that writes what was in it, so that nothing comes twice."""

from __future__ import annotations

from sqlalchemy import Connection, delete, select

from trackers.clock import now_us
from trackers.errors import ConflictError
from trackers.sql import tables as t

_ADVANCE = (
    "INSERT INTO trackers_journals (uid, position, created_at, changed_at) VALUES ({0}, {0}, {0}, {0}) "
    "ON CONFLICT (uid) DO UPDATE SET position = excluded.position, changed_at = excluded.changed_at "
    "WHERE trackers_journals.position < {0}"
)


def advance(dialect: str, cursor: object, uid: str, first: int, last: int) -> None:
    """Note that the entries *first* to *last* of a journal are in this transaction.

    Raises ConflictError where *first* is in the store already: somebody else drains the same journal.
    """
    now = now_us()
    text = _ADVANCE.format("?" if dialect == "sqlite" else "%s")
    cursor.execute(text, (uid, last, now, now, first))  # type: ignore[attr-defined]  # the driver's own
    if cursor.rowcount != 1:  # type: ignore[attr-defined]
        raise ConflictError(f"the journal {uid} is being drained by another process: nothing was written twice")


def read_position(connection: Connection, uid: str) -> int:
    """Return the number of the last entry of a journal that is in the store; 0: none is."""
    return int(connection.execute(select(t.journals.c.position).where(t.journals.c.uid == uid)).scalar() or 0)


def forget(connection: Connection, uid: str) -> None:
    """Delete the note about a journal that is gone."""
    connection.execute(delete(t.journals).where(t.journals.c.uid == uid))
