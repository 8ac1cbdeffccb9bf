"""``gc``: what nobody can reach any more, removed in two steps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from trackers.clock import now_us
from trackers.sql import garbage
from trackers.sql.garbage import Doomed, Swept
from trackers.values import to_datetime

if TYPE_CHECKING:
    from trackers.store import Store

GRACE = timedelta(days=30)
FILE_GRACE = timedelta(days=1)
_RUNS_AT_ONCE = 200
_FILES_AT_ONCE = 64
_LISTED_AT_ONCE = 500


@dataclass(frozen=True)
class Collected:
    """What a `collect` did, or with *dry_run* would do.

    *experiments* lose *runs* of theirs; *files* and *bytes* were deleted; *waiting* files, of *waiting_bytes*, may go
    in a later call, from *next_at* on. *leftovers* are half-written files of killed writers. *shared_with* names other
    stores with files in the same root: then no file is touched. *never_ended* runs were deleted, and stay until
    *never_ended_until* whatever the grace, since they may still be logged to. *problems* are sentences.
    """

    dry_run: bool
    experiments: tuple[Doomed, ...]
    files: int
    bytes: int
    waiting: int
    waiting_bytes: int
    next_at: datetime | None
    leftovers: int
    leftover_bytes: int
    shared_with: tuple[str, ...] = ()
    problems: tuple[str, ...] = field(default=())
    never_ended: int = 0
    never_ended_until: datetime | None = None


def collect(
    store: Store, *, grace: timedelta = GRACE, file_grace: timedelta = FILE_GRACE, dry_run: bool = False
) -> Collected:
    """Remove what was deleted more than *grace* ago, and files that nothing has referred to for *file_grace*.

    A file is marked by the first call that finds it, and deleted by one that still finds it so *file_grace* later.
    """
    now = now_us()
    cutoff, ripe_by = now - _microseconds(grace), now - _microseconds(file_grace)
    with store.database.reading() as connection:
        doomed = garbage.forecast(connection, cutoff)
        stay, until = garbage.never_ended(connection, cutoff)
    shared = _other_owners(store)
    if dry_run:
        told = _look(store, doomed, shared, ripe_by, file_grace)
        return replace(told, never_ended=stay, never_ended_until=to_datetime(until))
    _remove_rows(store, cutoff, ripe_by)
    done, leftovers = Swept(), (0, 0)
    if not shared:
        leftovers = store.artifacts.leftovers(max(file_grace.total_seconds(), 1.0), remove=True)
        store.writer.call(partial(garbage.mark, orphans=list(_orphans(store)), now=now))
        done = _sweep(store, ripe_by, file_grace.total_seconds())
    with store.database.reading() as connection:
        waiting, waiting_bytes, first = garbage.waiting(connection, ripe_by)
    next_at = to_datetime(None if first is None else first + _microseconds(file_grace))
    problems = tuple(done.failed[:5])
    counts = done.files, done.bytes, waiting, waiting_bytes, next_at, *leftovers
    return Collected(False, tuple(doomed), *counts, shared, problems, stay, to_datetime(until))


def _look(
    store: Store, doomed: list[Doomed], shared: tuple[str, ...], ripe_by: int, file_grace: timedelta
) -> Collected:
    with store.database.reading() as connection:
        total, total_bytes = garbage.unreachable(connection)
        files, size, first = garbage.ripe_now(connection, ripe_by)
    leftovers = (0, 0)
    for one in doomed:  # what they alone refer to is found by the call that removes them
        total, total_bytes = total + one.files, total_bytes + one.bytes
    if not shared:
        for _, extra in _orphans(store):
            total, total_bytes = total + 1, total_bytes + extra
        leftovers = store.artifacts.leftovers(max(file_grace.total_seconds(), 1.0))
    if not file_grace:
        files, size, first = total, total_bytes, None
    if shared:
        files = size = 0
    next_at = to_datetime(None if first is None else first + _microseconds(file_grace))
    rest = total - files, total_bytes - size
    return Collected(True, tuple(doomed), files, size, *rest, next_at, *leftovers, shared)


def _remove_rows(store: Store, cutoff: int, dropped_by: int) -> None:
    """Remove rows in small transactions: other writers go on, and a kill loses nothing that was done."""
    while store.writer.call(partial(garbage.remove_runs, cutoff=cutoff, limit=_RUNS_AT_ONCE)):
        pass
    store.writer.call(partial(garbage.strip_runs, cutoff=cutoff))
    store.writer.call(partial(garbage.remove_experiments, cutoff=cutoff))
    store.writer.call(partial(garbage.forget_dropped, cutoff=dropped_by))
    store.writer.call(partial(garbage.forget_launches, cutoff=cutoff))


def _sweep(store: Store, ripe_by: int, file_grace: float) -> Swept:
    total, last = Swept(), ""
    remove = partial(store.artifacts.delete, grace=file_grace, unused_grace=file_grace)
    while True:
        with store.database.reading() as connection:
            digests = garbage.ripe(connection, ripe_by, last, _FILES_AT_ONCE)
        if not digests:
            return total
        last = digests[-1]
        step = store.writer.call(partial(garbage.sweep, digests=digests, remove=remove))
        total.files += step.files
        total.bytes += step.bytes
        total.kept += step.kept
        total.failed += step.failed


def _orphans(store: Store) -> Iterator[tuple[str, int]]:
    """Yield the files of the artifact store that no row names: their writers were killed, or have not committed yet."""
    listed = store.artifacts.sizes()
    while batch := dict(islice(listed, _LISTED_AT_ONCE)):
        with store.database.reading() as connection:
            found = garbage.find_orphans(connection, list(batch))
        yield from ((digest, batch[digest]) for digest in found)


def _other_owners(store: Store) -> tuple[str, ...]:
    owners = store.artifacts.owners()
    return tuple(sorted(label for uid, label in owners.items() if uid != store.identity.uid))


def _microseconds(duration: timedelta) -> int:
    return int(duration.total_seconds() * 1_000_000)
