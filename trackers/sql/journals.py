"""How far each journal is drained: written in the transaction that writes what was in it, so that nothing comes twice."""

from __future__ import annotations

from sqlalchemy import Connection, delete, select

from trackers.clock import now_us
from trackers.errors import ConflictError
from trackers.sql import tables as t
from trackers.sql.failures import DUPLICATE, number_of

_ADVANCE = (
    "INSERT INTO trackers_journals (uid, position, created_at, changed_at) VALUES ({0}, {0}, {0}, {0}) "
    "ON CONFLICT (uid) DO UPDATE SET position = excluded.position, changed_at = excluded.changed_at "
    "WHERE trackers_journals.position < {0}"
)


_MOVE = "UPDATE trackers_journals SET position = %s, changed_at = %s WHERE uid = %s AND position < %s"
_NOTE = "INSERT INTO trackers_journals (uid, position, created_at, changed_at) VALUES (%s, %s, %s, %s)"


def advance(dialect: str, cursor: object, uid: str, first: int, last: int) -> None:
    """Note that the entries *first* to *last* of a journal are in this transaction.

    Raises ConflictError where *first* is in the store already: somebody else drains the same journal.
    """
    now = now_us()
    if dialect == "mysql":
        _advance_on_mariadb(cursor, uid, first, last, now)
        return
    text = _ADVANCE.format("?" if dialect == "sqlite" else "%s")
    cursor.execute(text, (uid, last, now, now, first))  # type: ignore[attr-defined]  # the driver's own
    if cursor.rowcount != 1:  # type: ignore[attr-defined]
        raise _conflict(uid)


def _advance_on_mariadb(cursor: object, uid: str, first: int, last: int, now: int) -> None:
    """Do the same in two statements: there no condition can stand beside ``ON DUPLICATE KEY UPDATE``."""
    execute = cursor.execute  # type: ignore[attr-defined]
    if execute(_MOVE, (last, now, uid, first)) == 1:
        return
    try:
        execute(_NOTE, (uid, last, now, now))
    except Exception as exc:
        if number_of(exc) != DUPLICATE:
            raise
        raise _conflict(uid) from exc


def _conflict(uid: str) -> ConflictError:
    return ConflictError(f"the journal {uid} is being drained by another process: nothing was written twice")


def read_position(connection: Connection, uid: str) -> int:
    """Return the number of the last entry of a journal that is in the store; 0: none is."""
    return int(connection.execute(select(t.journals.c.position).where(t.journals.c.uid == uid)).scalar() or 0)


def forget(connection: Connection, uid: str) -> None:
    """Delete the note about a journal that is gone."""
    connection.execute(delete(t.journals).where(t.journals.c.uid == uid))
