"""The one thread that writes: what arrives within a few milliseconds is committed together.

Submissions are written in the order in which they arrived. A group that fails for what was written in it is written
again one submission at a time, so that only the culprits fail; a failure of the database itself (gone, full, locked)
reaches everyone who waited. A lost connection is opened again once where nothing can have been committed. The queue
is bounded: a submitter waits for room. When the thread ends, however it ends, nobody is left waiting.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from sqlalchemy import Connection

from trackers.errors import StoreError
from trackers.sql.commit import Commit
from trackers.sql.engine import Database
from trackers.sql.failures import is_driver_error, is_everyones, is_value_error, may_retry, translate

if TYPE_CHECKING:
    from trackers.changes import Change

LINGER_SECONDS = 0.004
"""How long a group waits for more, when the last one was of several submissions or nobody waits for what there is."""

LARGEST_GROUP = 20_000
LARGEST_QUEUE = 100_000
"""In changes."""

_TRIES = 4

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class Work:
    """One submission: *changes* under a *guard* (see ``trackers.sql.apply``), or a *task* of its own."""

    commit: Commit
    changes: Sequence[Change] = ()
    guard: Any = None
    task: Callable[[Connection], Any] | None = None
    lazy: bool = False
    result: Any = field(default=None)

    @property
    def size(self) -> int:
        return len(self.changes) or 1


class Applier(Protocol):
    """What turns a group into statements inside a transaction; called on the writer's thread only."""

    def apply(self, connection: Connection, group: Sequence[Work]) -> None:
        """Write the group; leave the results of tasks in them."""

    def rolled_back(self) -> None:
        """Forget what was remembered of a transaction that failed."""


class Writer:
    """The writer of a store. ``submit`` and ``call`` are thread-safe; the thread starts with the first of them.

    *make_applier* is called on the thread, before its first group.
    """

    def __init__(self, database: Database, make_applier: Callable[[], Applier]) -> None:
        self._database = database
        self._make_applier = make_applier
        self._applier: Applier | None = None
        self.pid = os.getpid()
        self._lock = threading.Lock()
        self._arrived = threading.Condition(self._lock)
        self._room = threading.Condition(self._lock)
        self._queue: deque[Work] = deque()
        self._queued = 0
        self._awake = False
        self._urgent = False
        self._hasty = 0  # submissions in the queue that somebody may wait for
        self._closing = False
        self._last_group = 0
        self._dead: BaseException | None = None
        self._thread: threading.Thread | None = None
        self._connection: Connection | None = None

    def submit(self, changes: Sequence[Change], guard: Any = None, *, lazy: bool = False) -> Commit:
        """Queue *changes* to be committed together; return at once (or when there is room).

        What is *lazy* waits some milliseconds for more of its kind; ``hurry`` before waiting for it.

        Raises StoreError when the store is closed.
        """
        commit = Commit()
        self._put(Work(commit, changes=changes, guard=guard, lazy=lazy), urgent=False)
        return commit

    def call(self, task: Callable[[Connection], T]) -> T:
        """Run *task* in a transaction of the writer and return what it returns, once that is committed.

        *task* may run again, in a new transaction, when another submission of its group fails.
        """
        if threading.current_thread() is self._thread:
            raise StoreError("a callback of a commit may submit, but not wait for the writer it runs on")
        commit = Commit()
        self._put(Work(commit, task=task), urgent=True)
        result: T = commit.result()
        return result

    def defer(self, task: Callable[[Connection], Any], *, lazy: bool = False) -> Commit:
        """Queue *task* to be run likewise and return at once; ``result()`` of the commit is what it returns."""
        commit = Commit()
        self._put(Work(commit, task=task, lazy=lazy), urgent=False)
        return commit

    def hurry(self) -> None:
        """Write what is queued now: somebody waits for it."""
        with self._lock:
            if self._queue:
                self._urgent = True
                self._arrived.notify()

    def flush(self) -> None:
        """Wait until everything submitted so far is committed or has failed."""
        if self._thread is not None and not self._closing:
            self.call(lambda connection: None)

    def close(self) -> None:
        """Write what is queued and end the thread; what is submitted later is refused."""
        with self._lock:
            self._closing = True
            self._arrived.notify_all()
            self._room.notify_all()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread() and os.getpid() == self.pid:
            thread.join()

    # --- the queue ---------------------------------------------------------------------------------------------

    def _put(self, work: Work, urgent: bool) -> None:
        if os.getpid() != self.pid:
            raise StoreError("a store does not survive a fork: connect again in the child process")
        with self._lock:
            while self._queued >= LARGEST_QUEUE and threading.current_thread() is not self._thread:
                self._check_open()
                self._room.wait()
            self._check_open()
            if self._thread is None:
                self._thread = threading.Thread(target=self._main, name="trackers-writer", daemon=True)
                self._thread.start()
            self._queue.append(work)
            self._queued += work.size
            self._hasty += not work.lazy
            self._urgent = self._urgent or urgent
            if not self._awake or self._urgent:
                self._arrived.notify()

    def _check_open(self) -> None:
        if self._dead is not None:
            raise StoreError(f"the writer of the store has ended ({self._dead}): connect again") from self._dead
        if self._closing and threading.current_thread() is not self._thread:
            raise StoreError("the store is closed: connect again")

    def _next_group(self) -> list[Work]:
        """Wait for work and return it in order of arrival; an empty list: closing, and all is written."""
        with self._lock:
            while not self._queue and not self._closing:
                self._awake = False
                self._arrived.wait()
            self._awake = True
            if self._last_group > 1 or not self._hasty:
                self._linger()
            group: list[Work] = []
            size = 0
            while self._queue and size < LARGEST_GROUP:
                work = self._queue.popleft()
                group.append(work)
                size += work.size
                self._hasty -= not work.lazy
            self._queued -= size
            self._urgent = bool(self._queue) and self._urgent
            self._last_group = len(group)
            self._room.notify_all()
            return group

    def _linger(self) -> None:
        deadline = time.monotonic() + LINGER_SECONDS
        while not self._urgent and not self._closing and self._queued < LARGEST_GROUP:
            left = deadline - time.monotonic()
            if left <= 0 or not self._arrived.wait(left):
                return

    # --- the thread --------------------------------------------------------------------------------------------

    def _main(self) -> None:
        group: list[Work] = []
        failure: BaseException = StoreError("the store is closed")
        try:
            while group := self._next_group():
                self._write(group)
        except BaseException as exc:
            failure = exc
            raise
        finally:
            self._end(group, failure)

    def _end(self, group: list[Work], failure: BaseException) -> None:
        with self._lock:
            self._dead = failure
            left = [*group, *self._queue]
            self._queue.clear()
            self._room.notify_all()
        for work in left:
            work.commit.resolve(failure=StoreError(f"the writer of the store has ended: {failure}"))
        self._disconnect()

    def _write(self, group: list[Work]) -> None:
        try:
            self._commit(group)
        except Exception as exc:  # noqa: BLE001 - whatever it is, it reaches those who wait
            self._fail(group, exc)
        else:
            for work in group:
                work.commit.resolve(work.result)

    def _fail(self, group: list[Work], exc: Exception) -> None:
        if len(group) > 1 and not is_everyones(exc):
            for work in group:
                self._write([work])
            return
        if is_driver_error(exc) or is_value_error(exc) or isinstance(exc, ImportError):
            failure: Exception = translate(exc, self._database.address)
            failure.__cause__ = exc
        else:
            failure = exc
        for work in group:
            work.commit.resolve(failure=failure)

    def _commit(self, group: list[Work]) -> None:
        if self._applier is None:
            self._applier = self._make_applier()
        for left in reversed(range(_TRIES)):
            committing = False
            try:
                connection = self._connected()
                with connection.begin() as transaction:
                    self._applier.apply(connection, group)
                    committing = True
                    transaction.commit()
                return
            except BaseException as exc:
                self._applier.rolled_back()
                lost = self._is_lost(exc)
                if lost:
                    self._disconnect()
                if committing and lost:
                    raise StoreError(
                        f"the connection to {self._database.address.safe} was lost during a commit: "
                        "connect again and look whether the last write is there"
                    ) from exc
                if left == 0 or not (may_retry(exc) or (lost and left == _TRIES - 1)):
                    raise

    def _is_lost(self, exc: BaseException) -> bool:
        """Tell whether the connection was open and is no longer."""
        if self._connection is None:
            return False
        if self._connection.closed or self._connection.invalidated or getattr(exc, "connection_invalidated", False):
            return True
        raw = self._connection.connection.dbapi_connection
        return bool(getattr(raw, "closed", False))

    def _connected(self) -> Connection:
        if self._connection is None:
            self._connection = self._database.open_writer()
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.close()
            except Exception:  # noqa: BLE001 - it is gone already; there is nothing left to close
                pass
