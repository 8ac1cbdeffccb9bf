"""What a manager writes: collects changes and events, numbers the events, and learns when they are committed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from trackers.changes import Change, EventHappened
from trackers.clock import now_us

if TYPE_CHECKING:
    from trackers.store import StudyLease


class Scribe:
    """The one writer of a study. The manager's thread calls it; *landed* is called on the writer's thread."""

    def __init__(self, lease: StudyLease, landed: Callable[[list[Any], BaseException | None], None]) -> None:
        self._lease = lease
        self._landed = landed
        self._changes: list[Change] = []
        self._marks: list[Any] = []
        self.seq = lease.next_seq
        self.flying = 0

    def write(self, *changes: Change) -> None:
        """Add changes to the next batch."""
        self._changes.extend(changes)

    def event(self, kind: str, number: int | None = None, **data: Any) -> int:
        """Add the next step of the study's order to the batch; return its number."""
        seq = self.seq
        self.seq += 1
        self._changes.append(EventHappened(seq, kind, now_us(), number, data))
        return seq

    def mark(self, what: Any) -> None:
        """Have *what* handed to *landed* when the batch is committed."""
        self._marks.append(what)

    def flush(self) -> None:
        """Hand the batch to the store's writer; returns at once."""
        if not self._changes:
            return
        changes, marks = self._changes, self._marks
        self._changes, self._marks = [], []
        self.flying += 1
        commit = self._lease.submit(changes)
        commit.add_done_callback(lambda c: self._landed(marks, c.exception()))
