"""Groups of submissions as the writer's thread writes them, and what becomes of each where the database does not take it.

A group that fails for what was written in it is written again one submission at a time, so that only the culprits fail;
a failure of the database itself (gone, full, locked) is the writer's, which knows what may wait and what a journal takes.
Nothing that has a number goes past what has an earlier one: a number in the database says that all before it are there.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from trackers.sql.address import Address
from trackers.sql.commit import Commit
from trackers.sql.committer import Committer, Work
from trackers.sql.failures import (
    OfOneError,
    is_driver_error,
    is_everyones,
    is_slow,
    is_value_error,
    may_be_of_one,
    translate,
)
from trackers.sql.journals import THERE, PassedError, read_positions
from trackers.sql.waiting import Waiting
from trackers.sql.whole import say_aside

if TYPE_CHECKING:
    from trackers.sql.spill import Spill

SLOW_ONES, DENIED_ONES = 2, 100
"""So many entries in a row may each be the only one that the database does not take, in time or from this user."""


class Groups:
    """Writes groups, on the writer's thread alone.

    *waiting* is guarded by *lock*, the writer's; *give_up* is called with what is left of a group and why, where the
    failure is the database's own.
    """

    def __init__(
        self,
        committer: Committer,
        waiting: Waiting,
        spill: Spill | None,
        lock: threading.Lock,
        address: Address,
        give_up: Callable[[Sequence[Work], Exception], None],
    ) -> None:
        self._committer = committer
        self._waiting = waiting
        self._spill = spill
        self._lock = lock
        self._address = address
        self._give_up = give_up
        self._stopped: dict[str, Exception] = {}  # journals of which the database did not take an entry, and why
        self._slow = 0  # entries of those, one after the other, of which each may be the only one that it does not take

    def write(self, group: list[Work]) -> None:
        """Write a group and tell those who wait."""
        self._slow = 0
        self._write(group)

    def stop(self, group: Sequence[Work], failure: Exception) -> None:
        """Write nothing more of the journals of a group that the database did not take."""
        for work in group:
            if work.ordered:
                self._stopped[work.journal] = failure

    def commit(self, group: list[Work]) -> None:
        """Write a group in one transaction; whatever is wrong is raised as it is."""
        self._committer.commit(group)
        if self._spill is not None and not self._spill.direct:
            self._spill.direct = any(work.logged for work in group)

    def said(self, exc: Exception) -> Exception:
        """Return what those who wait are told of *exc*."""
        if is_driver_error(exc) or is_value_error(exc) or isinstance(exc, ImportError):
            failure: Exception = translate(exc, self._address)
            failure.__cause__ = exc
            return failure
        return exc

    def _write(self, group: list[Work]) -> Exception | None:
        group = self._in_turn(group)
        if not group:
            return None
        try:
            if self._waiting.away:
                group = self._without_written(group)
            self.commit(group)
        except PassedError as exc:  # a commit whose answer was lost has landed since
            return self._write_rest(group, exc)
        except Exception as exc:  # noqa: BLE001 - whatever it is, it reaches those who wait
            return self._fail(group, exc)
        if self._waiting.away and not self._waiting.works:
            say_aside(partial(self._waiting.back, wrote=any(work.deadline for work in group)))
        self._slow = 0
        for work in group:
            work.commit.resolve(work.result)
        return None

    def _in_turn(self, group: list[Work]) -> list[Work]:
        """Return what of a group may be written: nothing that has a number goes past one that was not taken.

        A later number in the database says that all before it are there.
        """
        if not self._stopped and not self._waiting.works:
            return group
        with self._lock:
            late = self._waiting.join([work for work in group if work.deadline]) if self._waiting.works else []
            joined = {work for work in group if work.deadline} if self._waiting.works else set()
        for work in late:
            work.commit.resolve(failure=self._waiting.failure)
        for work in group:
            if work.ordered and (why := self._stopped.get(work.journal)) is not None:
                work.commit.resolve(failure=why)
        return [work for work in group if work not in joined and not work.commit.done()]

    def _write_rest(self, group: list[Work], exc: PassedError) -> Exception | None:
        """Write what of a group is not in the database yet; what it refuses without a number there has failed."""
        try:
            left = self._without_written(group)
        except Exception as failure:  # noqa: BLE001 - as in _write
            return self._fail(group, failure)
        return self._write(left) if len(left) < len(group) else self._fail(group, exc)

    def _without_written(self, group: list[Work]) -> list[Work]:
        """Resolve what is in the database already, though the answer to its commit was lost; return the rest."""
        ask = Work(Commit(), task=partial(read_positions, uids={work.journal for work in group if work.journal}))
        self.commit([ask])
        there = {work for work in group if work.seq <= ask.result.get(work.journal, -1)}
        for work in there:
            work.commit.resolve(THERE if work.ordered else None)
        return [work for work in group if work not in there]

    def _fail(self, group: list[Work], exc: Exception) -> Exception | None:
        most = SLOW_ONES if is_slow(exc) else DENIED_ONES
        if len(group) == 1 and group[0].ordered and self._slow < most and may_be_of_one(exc):
            self._slow += 1
            group[0].commit.resolve(failure=OfOneError(str(self.said(exc))))
            return None
        if is_everyones(exc) and not (len(group) > 1 and may_be_of_one(exc)):
            self._give_up(group, exc)
            return exc
        if len(group) > 1:
            for index, work in enumerate(group):
                if work.logged and self._spill is not None and self._spill.active:
                    work.commit.resolve()  # the journal took it when it came into use: nothing may go past that
                elif (gone := self._write([work])) is not None and not may_be_of_one(gone):
                    self._give_up(group[index + 1 :], gone)
                    return gone
            return None
        group[0].commit.resolve(failure=self.said(exc))
        return None
