"""Runs that go on, in journals: offline those have all there is; else the store has to have it first."""

from __future__ import annotations

import fcntl
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from trackers.errors import InvalidValueError, NotFoundError, StateError, StoreBusyError, StoreError
from trackers.journal.again import Again
from trackers.journal.left import LeftRun, list_left, numbers_of, read_left
from trackers.journal.place import list_journals
from trackers.processes import lived_at

_LISTED = 5
_DIGITS = 16
"""Of a uid that is listed: of those that began within a minute the first 8 are the same, of those of a moment 12."""
_UID = re.compile("[0-9a-f]{8,32}")
PATIENCE = 30.0
"""Seconds that who goes on with a run waits for another process that does."""
_PAUSE = 0.02


_locks: set[int] = set()
"""The folders that this process has locked: open files."""


def _let_go() -> None:
    """Close them in a forked child: the lock is to go with the parent."""
    while _locks:
        os.close(_locks.pop())


os.register_at_fork(after_in_child=_let_go)


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Let no other process go on with a run of these journals meanwhile: what is found holds until it is written.

    Raises StoreBusyError where another one takes too long.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:  # there are none: nothing is found
        yield
        return
    _locks.add(descriptor)
    try:
        _lock(descriptor, folder)
        yield
    finally:
        if descriptor in _locks:  # else this is a forked child
            _locks.discard(descriptor)
            os.close(descriptor)


def _lock(descriptor: int, folder: Path) -> None:
    end = time.monotonic() + PATIENCE
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                raise StoreBusyError(
                    f"another process goes on with a run of the journals in {folder} for {PATIENCE:.0f} s now: try again"
                ) from None
            time.sleep(_PAUSE)
        except OSError as exc:
            raise StoreError(f"the journals in {folder} cannot be locked: {exc.strerror}") from exc
        else:
            return


def is_uid(ref: object) -> bool:
    """Tell whether *ref* is the uid of a run, or the first 8 digits or more of one."""
    return isinstance(ref, str) and _UID.fullmatch(ref.lower()) is not None


def find_waiting(journals: Iterable[Path], ref: str, position: Callable[[str], int]) -> list[Path]:
    """Return the journals that hold what run *ref* logged and the store does not have; *position* tells how far that is.

    Params that the store refused are not meant: nothing hides them.
    """
    found = []
    for journal in journals:
        try:
            uid, entries = numbers_of(journal, ref.lower())
        except OSError:  # drained meanwhile
            continue
        if entries:
            again, there = Again.read(journal), position(uid)
            refused = {seq for seq in again.seqs if seq > position(again.uid)}
            fresh = any(seq > there and seq not in refused for seq, _ in entries)
            if fresh or any(seq in refused and kind != "params" for seq, kind in entries):
                found.append(journal)
    return found


def find_left(folder: Path, ref: object, host: str, pid: int) -> LeftRun:
    """Return the run that *ref* names, the 32 hex digits of its uid or the first 8 or more, if it may go on.

    *folder* holds the store's journals; *host* and *pid* are where it is to go on. Raises NotFoundError for one that did
    not begin offline in them, or whose journal was drained in part, and StateError for one that has ended or whose process lives.
    """
    if not isinstance(ref, str) or not is_uid(ref):
        raise InvalidValueError(
            f"offline a run is named by the first 16 digits of its uid, or all, not {str(ref)[:80]!r}"
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
