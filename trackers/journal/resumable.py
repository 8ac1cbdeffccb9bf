"""Runs that go on, in journals: offline those have all there is; else the store has to have it first."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from trackers.errors import InvalidValueError, NotFoundError, StateError
from trackers.journal.again import Again
from trackers.journal.left import LeftRun, list_left, numbers_of, read_left
from trackers.journal.place import list_journals
from trackers.processes import lived_at

_LISTED = 5
_DIGITS = 16
"""Of a uid that is listed: of those that began within a minute the first 8 are the same, of those of a moment 12."""
_UID = re.compile("[0-9a-f]{8,32}")


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Let no other process go on with a run of these journals meanwhile: what is found holds until it is written."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:  # there are none: nothing is found
        yield
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def is_uid(ref: object) -> bool:
    """Tell whether *ref* is the uid of a run, or the first 8 digits of one or more."""
    return isinstance(ref, str) and _UID.fullmatch(ref.lower()) is not None


def find_waiting(journals: Iterable[Path], ref: str, position: Callable[[str], int]) -> list[Path]:
    """Return the journals that hold what run *ref* logged and the store does not have; *position* tells how far that is.

    What the store refused is not meant: it will not be there later.
    """
    found = []
    for journal in journals:
        try:
            uid, numbers = numbers_of(journal, ref.lower())
        except OSError:  # drained meanwhile
            continue
        refused = Again.read(journal).seqs
        if numbers and any(number not in refused for number in numbers if number > position(uid)):
            found.append(journal)
    return found


def find_left(folder: Path, ref: object, host: str, pid: int) -> LeftRun:
    """Return the run that *ref* names, the 32 hex digits of its uid or the first 8 or more, if it may go on.

    *folder* holds the store's journals; *host* and *pid* are where it is to go on. Raises NotFoundError for one that did
    not begin offline in them, or whose journal was drained in part, and StateError for one that has ended or whose process lives.
    """
    if not isinstance(ref, str) or not is_uid(ref):
        raise InvalidValueError(
            f"offline a run is named by the first 8 digits of its uid or more, not {str(ref)[:80]!r}"
        )
    journals = list_journals(folder)
    found = read_left(journals, ref.lower())
    if not found:
        raise NotFoundError(f"no journal in {folder} has all of run {ref}{_others(journals)}")
    if len(found) > 1:
        raise NotFoundError(f"{len(found)} runs have uids that begin with {ref}: give more of it")
    (run,) = found
    if run.ended:
        raise StateError(f"run {run.uid} has ended ({run.ended}): start a new one, with it as the parent")
    for other_host, other, begun in run.attempts:
        if other_host == host and other != pid and lived_at(other, begun / 1e6):
            raise StateError(
                f"run {run.uid} is not over: process {other} on {host} still logs to it; end that one first"
            )
    return run


def _others(journals: list[Path]) -> str:
    """Say which runs may be meant; of one that the store has a part of only the store knows how far it got."""
    left = list_left(journals)
    if not left:
        return ": to go on with one of which the store has a part, call `trackers sync`, and connect when that is back, not offline"
    named = [
        f"{run.uid[:_DIGITS]} ({run.experiment or 'default'}{f', {run.name}' if run.name else ''})" for run in left
    ]
    more = f" and {len(named) - _LISTED} more" if len(named) > _LISTED else ""
    return f"; there are {', '.join(named[-_LISTED:])}{more} that did not end"
