"""The lease of a study: one living manager, an epoch that fences every older one out.

No safety rests on a clock. The epoch is checked in the transaction of every write; whether a manager lives is only
asked to decide who may raise it. A process of this host that is gone is dead at once; any other manager is watched
on the taker's own monotonic clock, and dead when its renewal counter stood still for the length of the lease.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, delete, func, select, update

from trackers.clock import now_us
from trackers.errors import FencedError, NotFoundError, StudyBusyError
from trackers.processes import host_name, is_alive, start_time, user_name
from trackers.sql import tables as t
from trackers.sql.commands import unanswered
from trackers.sql.commit import Commit
from trackers.sql.engine import Database
from trackers.sql.guard import Guard
from trackers.sql.studies import owner_of, read_studies
from trackers.sql.writer import Writer
from trackers.states import RunState
from trackers.values import Command, Owner, StudyRow

if TYPE_CHECKING:
    from trackers.changes import Change

_LOOKS = 40
_SLOWEST_LOOK = 0.25


@dataclass(frozen=True, slots=True)
class Holding:
    """What a look at a study's lease shows; *owner* is None where nobody holds it."""

    epoch: int
    renewals: int
    owner: Owner | None


@dataclass(slots=True)
class StudyLease:
    """A manager's right to write a study; thread-safe.

    *next_number* and *next_seq* are those of the next trial and event at the moment it was acquired.
    """

    study: StudyRow
    epoch: int
    next_number: int
    next_seq: int
    _writer: Writer = field(repr=False)
    _guard: Guard = field(repr=False)
    _released: bool = field(default=False, repr=False)

    def submit(self, changes: Sequence[Change]) -> Commit:
        """Hand *changes* to the writer as one unit and return at once.

        The commit fails with FencedError when a newer epoch owns the study, and with StateError for an illegal move;
        then nothing of these changes was kept. Raises FencedError after ``release``.
        """
        if self._released:
            raise FencedError(f"the lease of study {self.study.name!r} was released: acquire it again")
        return self._writer.submit(changes, self._guard)

    def renew(self) -> list[Command]:
        """Show that this manager lives and return the commands nobody has answered, oldest first.

        Raises FencedError when a newer epoch owns the study.
        """

        def task(connection: Connection) -> list[Command]:
            self._update(connection, renewals=t.studies.c.renewals + 1)
            return unanswered(connection, self.study.id)

        return self._writer.call(task)

    def release(self, status: str, reason: str) -> None:
        """Let the study go after everything submitted: *status* and *reason* stay in its row, as does who ran it.

        Raises FencedError when a newer epoch owns the study. A second call changes nothing.
        """
        if self._released:
            return
        self._released = True
        now = now_us()
        self._writer.call(
            lambda connection: self._update(connection, owner_ended=now, ended_at=now, status=status, reason=reason)
        )

    def _update(self, connection: Connection, **values: Any) -> None:
        s = t.studies.c
        mine = (s.id == self.study.id, s.epoch == self.epoch)
        if connection.execute(update(t.studies).where(*mine).values(**values)).rowcount != 1:
            raise FencedError(
                f"a newer manager owns study {self.study.name!r} (this one has epoch {self.epoch}): this one stops"
            )


def look(connection: Connection, study_id: int) -> Holding:
    """Read who holds a study; raises NotFoundError when it is not there, or deleted."""
    s = t.studies.c
    # Named one by one: an upgrade looks at the leases of an older schema.
    columns = (s.owner_user, s.owner_host, s.owner_pid, s.owner_started, s.owner_since, s.owner_ended)
    query = select(s.epoch, s.renewals, *columns).join(t.experiments, t.experiments.c.id == s.id)
    query = query.where(s.id == study_id, t.experiments.c.deleted_at.is_(None))
    row = connection.execute(query).first()
    if row is None:
        raise NotFoundError(f"there is no study with the id {study_id} in this store")
    workers = select(t.study_documents.c.content).where(
        t.study_documents.c.study_id == study_id, t.study_documents.c.name == "workers"
    )
    owner = None if row.owner_ended is not None else owner_of(row, connection.execute(workers).scalar())
    return Holding(row.epoch, row.renewals, owner)


def await_free(database: Database, study_id: int, lease_seconds: float, take_over: bool) -> Holding:
    """Return what is known of a study that nobody alive holds; *owner* is the dead manager, if there is one.

    Waits at most *lease_seconds*, and only while a manager that may be frozen is watched. Raises StudyBusyError for
    a living one, unless *take_over*.
    """
    with database.reading() as connection:
        first = look(connection, study_id)
    deadline = time.monotonic() + lease_seconds
    now = first
    while now.owner is not None and not take_over:
        if now.epoch != first.epoch or now.renewals != first.renewals:
            raise busy(now.owner)
        if now.owner.host == host_name() and not is_alive(now.owner.pid, now.owner.started):
            break
        left = deadline - time.monotonic()
        if left <= 0:
            break
        time.sleep(min(left, lease_seconds / _LOOKS, _SLOWEST_LOOK))
        with database.reading() as connection:
            now = look(connection, study_id)
    return now


def busy(owner: Owner) -> StudyBusyError:
    """Return the error that says who runs the study."""
    return StudyBusyError(f"the study is run by {owner}: wait, stop it with `hpo stop`, or end that process", owner)


def acquire(
    database: Database,
    writer: Writer,
    study_id: int,
    *,
    lease_seconds: float,
    take_over: bool,
    on_previous: Callable[[Owner], None] | None,
) -> StudyLease:
    """Take the lease of a study: see ``Store.acquire_study``."""
    found = await_free(database, study_id, lease_seconds, take_over)
    me = Owner(user_name(), host_name(), os.getpid(), start_time(os.getpid()) or 0.0)

    def raise_epoch(connection: Connection) -> int:
        s = t.studies.c
        unchanged = [s.id == study_id, s.epoch == found.epoch]
        if not take_over:
            unchanged.append(s.renewals == found.renewals)
        now = now_us()
        _end_sharing(connection, study_id)
        taken = (
            update(t.studies)
            .where(*unchanged)
            .values(
                epoch=found.epoch + 1,
                mode="managed",
                owner_user=me.user,
                owner_host=me.host,
                owner_pid=me.pid,
                owner_started=me.started,
                owner_since=now,
                owner_ended=None,
                status="running",
                reason="",
                started_at=func.coalesce(s.started_at, now),
                ended_at=None,
            )
        )
        if connection.execute(taken).rowcount != 1:
            raise busy(look(connection, study_id).owner or me)
        d = t.study_documents.c
        connection.execute(delete(t.study_documents).where(d.study_id == study_id, d.name == "workers"))
        return found.epoch + 1

    if found.owner is not None and on_previous is not None:
        on_previous(found.owner)  # first: a process frozen inside a transaction keeps SQLite locked for everybody
    epoch: int = writer.call(raise_epoch)
    with database.reading() as connection:
        study = read_studies(connection, study_id)[0]
        last = connection.execute(select(func.max(t.runs.c.number)).where(t.runs.c.experiment_id == study_id)).scalar()
    guard = Guard(study_id, epoch, me.user, me.host)
    return StudyLease(study, epoch, 0 if last is None else last + 1, study.last_seq + 1, writer, guard)


def _end_sharing(connection: Connection, study_id: int) -> None:
    """Refuse a study that processes of Optuna write now; one that they have left may become a managed one."""
    s, r = t.studies.c, t.runs.c
    mode = connection.execute(select(s.mode).where(s.id == study_id).with_for_update()).scalar()
    if mode != "shared":
        return
    running = select(func.count()).where(r.experiment_id == study_id, r.state == int(RunState.RUNNING))
    if count := connection.execute(running).scalar_one():
        raise StudyBusyError(
            f"the study is shared by Optuna's processes, and {count} of its trials run: wait for them, or tell them "
            "FAIL where their process is gone"
        )
