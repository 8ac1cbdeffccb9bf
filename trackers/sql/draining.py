"""A batch of a writer's own journal, written to the database that is back."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from trackers.errors import ConflictError
from trackers.sql.commit import Commit
from trackers.sql.committer import Work
from trackers.sql.failures import is_everyones, may_be_of_one
from trackers.sql.journals import read_position

if TYPE_CHECKING:
    from trackers.journal import Line
    from trackers.sql.spill import Spill

_Commits = Callable[[list[Work]], None]
_Says = Callable[[Exception], Exception]


def drain_batch(spill: Spill, commit: _Commits, said: _Says, lock: threading.Lock) -> tuple[Exception | None, bool]:
    """Write the next batch of the journal; return why not, where the database does not take it, and whether there was none.

    *commit* writes a group in one transaction, *said* is what those who wait are told of a failure; *lock* is the
    writer's, on whose thread this runs.
    """
    try:
        lines = spill.next_lines(partial(_read_position, spill.uid, commit))
        if not lines:
            with lock:
                lines = spill.held_lines()
        if lines:
            _write(spill, lines, commit, said)
    except Exception as exc:  # noqa: BLE001 - the database is still away: tried again later
        return said(exc), False
    return None, not lines


def _write(spill: Spill, lines: Sequence[Line], commit: _Commits, said: _Says) -> None:
    try:
        commit([_work(spill, line) for line in lines])
    except Exception as exc:
        one_s = len(lines) > 1 and may_be_of_one(exc)
        if (is_everyones(exc) and not one_s) or isinstance(exc, ConflictError):
            raise
        for line in lines:
            _write_one(spill, line, commit, said)
    spill.direct = True
    spill.passed(lines[-1])


def _write_one(spill: Spill, line: Line, commit: _Commits, said: _Says) -> None:
    try:
        commit([_work(spill, line)])
    except Exception as exc:
        if is_everyones(exc) or isinstance(exc, ConflictError):
            raise
        spill.refuse(line, said(exc))
    else:
        spill.passed(line)


def _work(spill: Spill, line: Line) -> Work:
    return Work(Commit(), entry=line.entry, journal=spill.uid, seq=line.seq)


def _read_position(uid: str, commit: _Commits) -> int:
    work = Work(Commit(), task=partial(read_position, uid=uid))
    commit([work])
    return int(work.result)
