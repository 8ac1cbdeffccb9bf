"""What stands behind a writer's queue: the journal that takes log entries while the database is away."""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from trackers.errors import InvalidValueError, StoreError
from trackers.journal import Entry, Journal, Line, add_refused, encode
from trackers.wording import counted

FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0
"""Seconds between two tries to reach a database that is away."""

_AGAIN = 5.0
"""Seconds after which a journal that could not be made is tried again."""

BATCH = 5000
"""Entries that are drained in one transaction."""

_log = logging.getLogger("trackers")


class Spill:
    """The journal of one writer, made when it is first needed.

    The writer's lock guards all but what drains it: only the writer's thread does.

    *offline*: everything goes to the journal, and nothing is drained from it here.
    """

    def __init__(self, uid: str, make: Callable[[], Journal], *, offline: bool = False) -> None:
        self.uid = uid
        self.offline = offline
        self.active = offline
        self.seq = 0
        self._last = 0
        self.direct = False
        """Whether entries went to the database itself: then there is a note of how far."""
        self.attempts = 0
        self.failure: BaseException | None = None
        self._refused: set[str] = set()
        self._put_aside = False
        self._make = make
        self._journal: Journal | None = None
        self._closed = False
        self._place = 0
        self._drained: int | None = None
        self._wait = FIRST_WAIT
        self._due = 0.0
        self._tried = -math.inf
        self._told = False
        self._unsaid: deque[tuple[int, str, tuple[object, ...]]] = deque()

    @property
    def has_something_to_say(self) -> bool:
        return bool(self._unsaid)

    def say(self) -> None:
        """Log what was found under the writer's lock, which is not held now: who takes such a record may log to a run."""
        while True:
            try:
                level, words, values = self._unsaid.popleft()
            except IndexError:  # several threads say what there is
                return
            _log.log(level, words, *values)

    def number(self) -> int:
        """Return the number of the next entry."""
        self.seq += 1
        return self.seq

    @property
    def last(self) -> int:
        """The number of the last entry in the journal."""
        return self._last

    def waits_for(self, seq: int) -> bool:
        """Tell whether an entry up to this number may still have to be drained, or is the last before it is left."""
        return self.active and (self._drained is None or self._drained < seq or self._last == seq)

    @property
    def journal(self) -> Journal:
        if self._journal is None:
            self._journal = self._make()
            self._place = self._journal.start
        return self._journal

    @property
    def folder(self) -> Path | None:
        return None if self._journal is None else self._journal.folder

    def prepare(self) -> None:
        """Make the journal now; raises StoreError where it cannot be made."""
        self.journal.make()

    @property
    def usable(self) -> bool:
        """Whether there can be a journal: where its folder cannot be written, the database is all there is.

        On a full disk there can: it is in memory until there is room.
        """
        if self.unusable:
            return False
        try:
            self.journal.sync()
        except StoreError as exc:
            self._tried = time.monotonic()
            if not self._told:
                words = "%s; without a journal, logging waits for the database and fails with it"
                self._unsaid.append((logging.WARNING, words, (exc,)))
            self._told = True
            return False
        return True

    @property
    def unusable(self) -> bool:
        """Whether its folder could not be written a moment ago: a disk that was full may have room later."""
        return time.monotonic() < self._tried + _AGAIN

    def tell(self, failure: Exception) -> None:
        """Say once, when the database goes, where what is logged stays meanwhile."""
        words = "%s; what is logged waits in %s, and is written when it is back"
        self._unsaid.append((logging.WARNING, words, (failure, self.folder)))

    def keep(self, entries: Sequence[tuple[int, Entry]]) -> dict[int, InvalidValueError]:
        """Append entries, by rising numbers; from now on all go to the journal, until it is drained.

        Return what JSON cannot hold: number -> why. It is left out. Raises StoreError where the others are not kept.
        """
        lines, odd, last = [], {}, self._last
        for seq, entry in entries:
            try:
                lines.append(encode(seq, entry, last))
            except InvalidValueError as exc:
                odd[seq] = exc
            else:
                last = seq
        if not self.active:
            self.active, self._drained = True, None
            self._due = time.monotonic() + self._wait
        self.journal.append(lines)
        self._last = last
        return odd

    # --- draining (the writer's thread) ------------------------------------------------------------------------

    @property
    def seconds_left(self) -> float | None:
        """How long to wait before the next try; None: there is nothing to try."""
        return max(0.0, self._due - time.monotonic()) if self.active and not self.offline else None

    def next_lines(self, read_position: Callable[[], int]) -> list[Line]:
        """Return what is to be drained next: entries that are not in the store yet; empty: none is left."""
        if self._drained is None:
            self._drained = read_position()
        while True:
            whole = self.journal.size
            lines = list(self.journal.read(self._place, BATCH))
            fresh = _rising(lines, self._drained)
            if fresh:
                return fresh
            self._place = lines[-1].end if lines else max(self._place, whole)  # what is left cannot be read
            if not lines:
                return []

    def held_lines(self) -> list[Line]:
        """Return entries that the disk does not take, to be drained from memory; the lock is held.

        None where it takes them now: they are in the file then.
        """
        journal = self._journal
        if journal is None or not journal.holds:
            return []
        before = journal.size
        with suppress(StoreError):
            journal.sync()
        return journal.held(BATCH) if journal.size == before else []

    def forget_held(self) -> None:
        """Forget those of them that were drained; the lock is held."""
        if self._journal is not None and self._drained is not None:
            self._journal.forget_held(self._drained)

    def passed(self, line: Line) -> None:
        """Note that everything up to *line* is in the store, or was refused by it."""
        self._place, self._drained = line.end, line.seq
        self._wait, self._due = FIRST_WAIT, 0.0

    def refuse(self, line: Line, failure: BaseException) -> None:
        """Keep what the store does not take for ``trackers sync``, which tries it again: nobody waits for it any more."""
        if self.journal.holds_line(line.seq):
            raise StoreError(
                f"{failure}; the disk of the journal is full, so that it cannot be kept for `trackers sync`"
            )
        run = line.entry.run
        add_refused(self.journal.folder, line.seq, f"run {run}: {failure}")
        if run not in self._refused:
            said = "the store refused what run %s logged: %s; it stays in %s for `trackers sync`"
            self._unsaid.append((logging.ERROR, said, (run, str(failure), self.folder)))
        self._refused.add(run)
        self.passed(line)

    @property
    def is_clear(self) -> bool:
        """Whether nothing of it lies in a file that `trackers sync` might take for new."""
        return not self._put_aside and (self._journal is None or self._journal.empty)

    @property
    def refused(self) -> bool:
        """Whether the journal holds what the store did not take."""
        return bool(self._refused)

    def tried(self, failure: BaseException | None) -> None:
        """Note how an attempt to drain ended."""
        self.attempts += 1
        self.failure = failure
        if failure is not None:
            self._due = time.monotonic() + self._wait
            self._wait = min(LONGEST_WAIT, 2 * self._wait)
            self._drained = None  # a commit may have landed whose answer was lost

    def leave(self) -> bool:
        """Go back to the database, if everything is drained; tell whether it was."""
        journal = self._journal
        if journal is not None and (self._place < journal.size or journal.holds):
            return False
        if journal is not None:
            if journal.damaged:
                self._tell_damage(journal)
            elif not self._refused:
                journal.clear()
                self._last = 0
            self._place = journal.size
        self.active = False
        return True

    def _tell_damage(self, journal: Journal) -> None:
        """Keep a journal with lines that cannot be read for a person to look at; what comes goes to a new one."""
        lines, journal.damaged = journal.damaged, 0
        if not self._refused:  # else `trackers sync` finds both there
            journal.put_aside()
            self._put_aside = True
            journal.close()
            self._journal, self._last = None, 0
        words = "%s of the journal could not be read: it is kept in %s"
        self._unsaid.append((logging.ERROR, words, (counted(lines, "line"), journal.folder)))

    def close(self) -> None:
        """Delete the journal where nothing is left in it, and say where it is where something is."""
        if self._journal is None or self._closed:
            return
        if self._journal.empty:
            self._closed = True
            self._journal.remove()
            return
        self._journal.sync()
        self._closed = True
        self._journal.close()
        say = _log.info if self.offline else _log.warning
        say(
            "what %s waits in %s: `trackers sync` writes it to the store",
            "the store refused" if self._refused and not self.active else "was logged",
            self._journal.folder,
        )


def _rising(lines: Sequence[Line], after: int) -> list[Line]:
    """Return the lines whose numbers rise beyond *after*: another is a copy of one that is among them."""
    found: list[Line] = []
    for line in lines:
        if line.seq > after:
            found.append(line)
            after = line.seq
    return found
