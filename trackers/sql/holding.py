"""Who holds a study, and whether that manager still lives: read, and watched, by whoever wants the study.

What a taker sees is judged on its own monotonic clock, and only by the time in which it looked: one that stood still
itself (a machine that was suspended, or has too much to do) has seen nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Connection, select

from trackers.errors import NotFoundError, StudyBusyError, TrackersError
from trackers.processes import host_name, is_alive, is_stopped
from trackers.sql import tables as t
from trackers.sql.engine import BUSY_SECONDS, Database
from trackers.sql.failures import translated
from trackers.sql.studies import owner_of
from trackers.values import Owner

_LOOKS = 40
_SLOWEST_LOOK = 0.25


@dataclass(frozen=True, slots=True)
class Holding:
    """What a look at a study's lease shows; *owner* is None where nobody holds it.

    A manager that lives moves *renewals* each second and *last_seq* with what it writes.
    """

    epoch: int
    renewals: int
    last_seq: int
    owner: Owner | None

    @property
    def signs(self) -> tuple[int, int, int]:
        """What changes while the manager lives."""
        return self.epoch, self.renewals, self.last_seq


def look(connection: Connection, study_id: int) -> Holding:
    """Read who holds a study; raises NotFoundError when it is not there, or deleted."""
    s = t.studies.c
    # Named one by one: an upgrade looks at the leases of an older schema.
    columns = (s.owner_user, s.owner_host, s.owner_pid, s.owner_started, s.owner_since, s.owner_ended)
    query = select(s.epoch, s.renewals, s.last_seq, *columns).join(t.experiments, t.experiments.c.id == s.id)
    query = query.where(s.id == study_id, t.experiments.c.deleted_at.is_(None))
    row = connection.execute(query).first()
    if row is None:
        raise NotFoundError(f"there is no study with the id {study_id} in this store")
    workers = select(t.study_documents.c.content).where(
        t.study_documents.c.study_id == study_id, t.study_documents.c.name == "workers"
    )
    owner = None if row.owner_ended is not None else owner_of(row, connection.execute(workers).scalar())
    return Holding(row.epoch, row.renewals, row.last_seq, owner)


def await_free(database: Database, study_id: int, lease_seconds: float, take_over: bool) -> Holding:
    """Return what is known of a study that nobody alive holds; *owner* is the dead manager, if there is one.

    Waits only while a manager that may be frozen is watched: *lease_seconds*, and longer by the time in which a
    manager of this host could not have renewed, since the store took no writes. Raises StudyBusyError for a living
    one, unless *take_over*.
    """
    first = now = _look(database, study_id)
    if take_over:
        return first
    interval = min(lease_seconds / _LOOKS, _SLOWEST_LOOK)
    given_up = time.monotonic() + lease_seconds + BUSY_SECONDS
    stood = 0.0
    while now.owner is not None and not _is_gone(now.owner) and stood < lease_seconds:
        begun = time.monotonic()
        time.sleep(min(lease_seconds - stood, interval))
        now = _look(database, study_id)
        if now.signs != first.signs:
            if now.owner is None:
                break  # it let the study go
            raise busy(now.owner)
        looked = min(time.monotonic() - begun, 2 * interval)
        if now.owner is None or not _is_held_up(database, study_id, now.owner):
            stood += looked
        elif time.monotonic() > given_up:
            raise busy(now.owner, "its process lives, and the store takes no writes")
    return now


def busy(owner: Owner, more: str = "") -> StudyBusyError:
    """Return the error that says who runs the study."""
    also = f" ({more})" if more else ""
    return StudyBusyError(
        f"the study is run by {owner}{also}: wait, stop it with `hpo stop`, or end that process", owner
    )


def _look(database: Database, study_id: int) -> Holding:
    return database.read(lambda connection: look(connection, study_id))


def _is_gone(owner: Owner) -> bool:
    return owner.host == host_name() and not is_alive(owner.pid, owner.started)


def _is_held_up(database: Database, study_id: int, owner: Owner) -> bool:
    """Tell whether a manager may be silent because of the store: it is of this host, goes on, and nobody can write.

    One that is stopped (SIGSTOP) may itself hold the lock that nobody else gets.
    """
    if owner.host != host_name() or is_stopped(owner.pid):
        return False
    try:
        with _locking(database) as connection:
            row = select(t.studies.c.id).where(t.studies.c.id == study_id)
            connection.execute(row.with_for_update(nowait=True))
    except TrackersError:
        return True
    return False


@contextmanager
def _locking(database: Database) -> Iterator[Connection]:
    """Open a transaction as a writer does, but without waiting for anybody's lock; it leaves nothing."""
    connection = database.open_writer()
    try:
        with translated(database.address):
            if database.dialect == "sqlite":
                connection.connection.dbapi_connection.execute("PRAGMA busy_timeout=0")  # type: ignore[union-attr]
            raw = connection.connection.dbapi_connection
            with database.watch.over(raw), connection.begin() as transaction:
                yield connection
                transaction.rollback()
    finally:
        connection.close()
