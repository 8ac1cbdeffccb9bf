"""What a writer holds for a database that is away: submissions with patience, in their order, before its queue."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from operator import attrgetter

from trackers.sql.committer import Work
from trackers.sql.ids import new_uid

FIRST_WAIT, LONGEST_PAUSE = 0.5, 5.0
"""Seconds between two tries to write what waits."""

_log = logging.getLogger("trackers")


class Waiting:
    """The submissions of one writer that wait, numbered under *uid* in ``trackers_journals``. Its lock guards all."""

    def __init__(self) -> None:
        self.uid = new_uid()
        self.works: list[Work] = []
        self.away = False
        self.used = 0
        """How many submissions had patience: the number of the last one."""

        self.failure: Exception | None = None
        """Why the database did not take what waits."""

        self._again_at = 0.0
        self._pause = FIRST_WAIT

    def number(self, work: Work) -> None:
        """Give a submission that has patience its number, by which it is known whether it was written."""
        if work.deadline:
            self.used += 1
            work.journal, work.seq = self.uid, self.used

    def take(self) -> list[Work]:
        """Return what waits, and hold it no longer."""
        works, self.works = self.works, []
        return works

    @property
    def seconds_left(self) -> float | None:
        """How long to wait before the next try; None: nothing waits."""
        return max(0.0, self._again_at - time.monotonic()) if self.works else None

    def keep(self, group: Sequence[Work]) -> list[Work]:
        """Hold what of *group* has patience left, and return the rest."""
        now = time.monotonic()
        patient = {work for work in group if work.deadline > now}
        if patient:
            self.away = True
            self.works = sorted([*self.works, *patient], key=attrgetter("seq"))
            self._again_at, self._pause = now + self._pause, min(LONGEST_PAUSE, 2 * self._pause)
        return [work for work in group if work not in patient]

    def join(self, works: Sequence[Work]) -> list[Work]:
        """Hold *works* behind what waits already, and return those whose patience is over."""
        now = time.monotonic()
        self.works += [work for work in works if work.deadline > now]
        return [work for work in works if work.deadline <= now]

    @staticmethod
    def tell(failure: Exception) -> None:
        """Say that something waits, when it is the first; the lock is not held."""
        _log.warning("%s; what the study did waits until it is back", failure)

    def back(self, *, wrote: bool) -> None:
        """Note that the database took a group again; *wrote*: something of it had waited."""
        self.away, self._pause = False, FIRST_WAIT
        _log.warning("the store is back%s", ", and what waited for it is written" if wrote else "")


def deadline(patience: float) -> float:
    """Return until when something waits that has so many seconds of patience; 0.0: it has none."""
    return time.monotonic() + patience if patience else 0.0
