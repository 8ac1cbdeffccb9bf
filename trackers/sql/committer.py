"""One group of submissions, one transaction: tried again after a deadlock, and once after a lost connection."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from sqlalchemy import Connection

from trackers.errors import StoreAwayError
from trackers.sql.commit import Commit
from trackers.sql.engine import Database
from trackers.sql.failures import is_lost, may_retry

if TYPE_CHECKING:
    from trackers.changes import Change
    from trackers.journal import Entry

_TRIES = 40
"""How often a group is written before a deadlock is an error; a lost connection is opened again once."""
_LONGEST_PAUSE = 0.1


@dataclass(slots=True, eq=False)
class Work:
    """One submission: *changes* under a *guard* (see ``trackers.sql.apply``), a *task* of its own, or an *entry*.

    *journal* and *seq* are where an entry stands in its writer's journal, in which it may never be, or which of those
    that wait for the database it is.
    """

    commit: Commit
    changes: Sequence[Change] = ()
    guard: Any = None
    task: Callable[[Connection], Any] | None = None
    entry: Entry | None = None
    journal: str = ""
    seq: int = 0
    lazy: bool = False
    deadline: float = 0.0
    """Until when (``time.monotonic``) it waits for a database that is away, rather than fail."""
    ordered: bool = False
    """Whether nothing later of its journal may be written once the database did not take it."""

    result: Any = field(default=None)

    @property
    def logged(self) -> bool:
        """Whether a run logged it, so that the journal may take it."""
        return self.entry is not None and bool(self.journal)

    @property
    def size(self) -> int:
        return len(self.changes) or (1 if self.entry is None else self.entry.size)


class Applier(Protocol):
    """What turns a group into statements inside a transaction; called on the writer's thread only."""

    def apply(self, connection: Connection, group: Sequence[Work]) -> None:
        """Write the group; leave the results of tasks in them."""

    def rolled_back(self) -> None:
        """Forget what was remembered of a transaction that failed."""


class Committer:
    """The writer's connection, opened when it is needed. *make_applier* is called before the first group."""

    def __init__(self, database: Database, make_applier: Callable[[], Applier]) -> None:
        self._database = database
        self._make_applier = make_applier
        self._applier: Applier | None = None
        self._connection: Connection | None = None

    def commit(self, group: Sequence[Work]) -> None:
        """Write *group* in one transaction. Raises StoreError where the connection was lost during the commit."""
        if self._applier is None:
            self._applier = self._make_applier()
        reopened = False
        for left in reversed(range(_TRIES)):
            committing = False
            try:
                connection = self._connected()
                raw = connection.connection.dbapi_connection
                with self._database.watch.over(raw), connection.begin() as transaction:
                    self._applier.apply(connection, group)
                    committing = True
                    transaction.commit()
                return
            except BaseException as exc:
                self._applier.rolled_back()
                lost = self._is_lost(exc)
                if lost:
                    self._drop()
                else:
                    self._end_transaction()
                if committing and lost:
                    raise StoreAwayError(
                        f"the connection to {self._database.address.safe} was lost during a commit: "
                        "connect again and look whether the last write is there"
                    ) from exc
                again = may_retry(exc)
                if left == 0 or not (again or (lost and not reopened)):
                    raise
                reopened = reopened or lost
                if again:  # so that two who met once do not meet at every turn
                    time.sleep(random.uniform(0.0, min(_LONGEST_PAUSE, 0.001 * 2 ** (_TRIES - left))))

    def _end_transaction(self) -> None:
        """Roll back what a refused COMMIT left open (a full disk, a conflict): the next group begins anew."""
        connection = self._connection
        if connection is not None:
            try:
                with self._database.watch.over(connection.connection.dbapi_connection):
                    connection.rollback()
            except Exception:  # noqa: BLE001 - whatever it has against it, another connection is in no transaction
                self.close()

    def _is_lost(self, exc: BaseException) -> bool:
        """Tell whether the connection was open and is no longer."""
        if self._connection is None:
            return False
        if self._connection.closed or self._connection.invalidated or getattr(exc, "connection_invalidated", False):
            return True
        raw = self._connection.connection.dbapi_connection
        return is_lost(exc) or bool(getattr(raw, "closed", False)) or not getattr(raw, "open", True)

    def _connected(self) -> Connection:
        if self._connection is None:
            self._connection = self._database.open_writer()
        return self._connection

    def _drop(self) -> None:
        """Give up a connection that is lost, without a word to its server."""
        if self._connection is not None and not self._connection.closed:
            try:
                self._connection.invalidate()
            except Exception:  # noqa: BLE001 - it is lost anyway
                pass
        self.close()

    def close(self) -> None:
        """Close the connection; the next commit opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.close()
            except Exception:  # noqa: BLE001 - it is gone already; there is nothing left to close
                pass
