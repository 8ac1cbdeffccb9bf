"""How far each journal is drained: written in the transaction that writes what was in it, so that nothing comes twice."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial

from sqlalchemy import Connection, delete, select

from trackers.clock import now_us
from trackers.errors import ConflictError
from trackers.sql import tables as t
from trackers.sql.batch import Batch
from trackers.sql.failures import DUPLICATE, number_of

_ADVANCE = (
    "INSERT INTO trackers_journals (uid, position, created_at, changed_at) VALUES (?, ?, ?, ?) "
    "ON CONFLICT (uid) DO UPDATE SET position = excluded.position, changed_at = excluded.changed_at "
    "WHERE trackers_journals.position < ?"
)


_MOVE = "UPDATE trackers_journals SET position = ?, changed_at = ? WHERE uid = ? AND position < ?"
_NOTE = "INSERT INTO trackers_journals (uid, position, created_at, changed_at) VALUES (?, ?, ?, ?)"


THERE = "there"
"""The result of a submission that was in the store already, by its number."""


class PassedError(ConflictError):
    """An entry is in the store already: the answer to its commit was lost, or somebody else drains the same journal."""


def advance(batch: Batch, uid: str, first: int, last: int) -> None:
    """Note that the entries *first* to *last* of a journal are in this transaction.

    Raises PassedError where *first* is in the store already.
    """
    now = now_us()
    if batch.dialect == "mysql":
        # There no condition can stand beside ON DUPLICATE KEY UPDATE: two statements.
        batch.execute(_MOVE, (last, now, uid, first), partial(_moved, batch, uid, last, now))
    else:
        batch.execute(_ADVANCE, (uid, last, now, now, first), partial(_advanced, uid))


def _advanced(uid: str, count: int) -> None:
    if count != 1:
        raise _conflict(uid)


def _moved(batch: Batch, uid: str, last: int, now: int, count: int) -> None:
    if count == 1:
        return
    try:
        batch.execute(_NOTE, (uid, last, now, now))
    except Exception as exc:
        if number_of(exc) != DUPLICATE:
            raise
        raise _conflict(uid) from exc


def _conflict(uid: str) -> PassedError:
    return PassedError(f"the journal {uid} is being drained by another process: nothing was written twice")


def read_position(connection: Connection, uid: str) -> int:
    """Return the number of the last entry of a journal that is in the store; 0: none is."""
    return int(connection.execute(select(t.journals.c.position).where(t.journals.c.uid == uid)).scalar() or 0)


def read_positions(connection: Connection, uids: Collection[str]) -> dict[str, int]:
    """Return the numbers of the last entries of several journals that are in the store; none of one that has none."""
    j = t.journals.c
    query = select(j.uid, j.position).where(j.uid.in_(sorted(uids)))
    return {uid: int(position) for uid, position in connection.execute(query)}


def forget(connection: Connection, uid: str) -> None:
    """Delete the note about a journal that is gone."""
    connection.execute(delete(t.journals).where(t.journals.c.uid == uid))
