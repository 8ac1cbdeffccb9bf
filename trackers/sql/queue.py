"""What was submitted and is not written yet, in the order in which it came; who submits waits for room in it."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from trackers.sql.committer import Work

LINGER_SECONDS = 0.004
"""How long a group waits for more, when the last one was of several submissions or nobody waits for what there is."""

LARGEST_GROUP = 20_000
LARGEST_QUEUE = 100_000
"""In changes."""


class Queue:
    """The queue of one writer, whose *lock* guards all of it: every method is called with it held.

    *size* is the number of changes in it and in what is being written for so long as that may have to wait.
    """

    def __init__(self, lock: threading.Lock) -> None:
        self.size = 0
        self._works: deque[Work] = deque()
        self._arrived = threading.Condition(lock)
        self._room = threading.Condition(lock)
        self._awake = False  # whether the writer looks by itself: nobody need wake it
        self._urgent = False
        self._hasty = 0  # submissions that somebody may wait for
        self._last_group = 0

    def __bool__(self) -> bool:
        return bool(self._works)

    @property
    def logged(self) -> bool:
        """Whether something that runs logged is in it."""
        return any(work.logged for work in self._works)

    @property
    def urgent(self) -> bool:
        """Whether somebody waits for what is in it."""
        return self._urgent

    # --- who submits -------------------------------------------------------------------------------------------

    @property
    def is_full(self) -> bool:
        """Whether who submits has to wait."""
        return self.size >= LARGEST_QUEUE

    def wait_for_room(self, check: Callable[[], None]) -> None:
        """Wait until there is room; *check* raises where nobody makes any."""
        while self.is_full:
            check()
            self._room.wait()

    def append(self, work: Work, urgent: bool) -> None:
        """Take a submission; *urgent*: somebody waits for it."""
        self._works.append(work)
        self.size += work.size
        self._hasty += not work.lazy
        self._urgent = self._urgent or urgent
        if not self._awake or self._urgent:
            self._arrived.notify()

    def hurry(self) -> None:
        """Have what is in it written now."""
        if self._works:
            self._urgent = True
            self._arrived.notify()

    def wake(self) -> None:
        """Have everybody who waits look again."""
        self._arrived.notify_all()
        self._room.notify_all()

    # --- who writes --------------------------------------------------------------------------------------------

    def wait(self, is_due: Callable[[], bool], seconds_left: Callable[[], float | None]) -> None:
        """Wait until there is something to do, looking again when so many seconds have passed."""
        while not is_due():
            self._awake = False
            self._arrived.wait(seconds_left())
        self._awake = True

    def linger(self, is_over: Callable[[], bool]) -> None:
        """Wait some milliseconds for more where more is likely, or nobody waits for what there is."""
        if self._last_group <= 1 and self._hasty:
            return
        deadline = time.monotonic() + LINGER_SECONDS
        while not self._urgent and not is_over() and self.size < LARGEST_GROUP:
            left = deadline - time.monotonic()
            if left <= 0 or not self._arrived.wait(left):
                return

    def take_group(self, before: Sequence[Work]) -> list[Work]:
        """Return what is written next: what waited *before* the queue, and as much of it as makes one transaction."""
        group = list(before)
        size = sum(work.size for work in group)
        while self._works and size < LARGEST_GROUP:
            work = self._works.popleft()
            group.append(work)
            size += work.size
            self._hasty -= not work.lazy
        self._urgent = bool(self._works) and self._urgent
        self._last_group = len(group)
        return group

    def take_logged(self) -> list[Work]:
        """Take out what runs logged."""
        logged = [work for work in self._works if work.logged]
        if logged:
            self._works = deque(work for work in self._works if not work.logged)
            self._hasty -= sum(not work.lazy for work in logged)
            self.make_room(logged)
        return logged

    def take_all(self) -> list[Work]:
        """Take out everything."""
        works = list(self._works)
        self._works.clear()
        self._room.notify_all()
        return works

    def make_room(self, works: Sequence[Work]) -> None:
        """Count *works*, which are in it no longer."""
        self.size -= sum(work.size for work in works)
        self._room.notify_all()

    def count(self, beside: Sequence[Work]) -> None:
        """Count anew what is in it, with what waits *beside* it: those who submit more wait when it is too much."""
        self.size = sum(work.size for work in (*beside, *self._works))
        self._room.notify_all()
