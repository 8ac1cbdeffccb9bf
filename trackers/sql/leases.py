"""The lease of a study: one living manager, an epoch that fences every older one out.

No safety rests on a clock. The epoch is checked in the transaction of every write; whether a manager lives is only
asked to decide who may raise it (see ``trackers.sql.holding``).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, delete, func, select, update

from trackers.clock import now_us
from trackers.errors import FencedError, StudyBusyError
from trackers.processes import host_name, start_time, user_name
from trackers.sql import tables as t
from trackers.sql.commands import unanswered
from trackers.sql.commit import Commit
from trackers.sql.engine import Database
from trackers.sql.guard import Guard
from trackers.sql.holding import Holding, await_free, busy, look
from trackers.sql.studies import read_studies
from trackers.sql.writer import Writer
from trackers.states import RunState
from trackers.values import Command, Owner, StudyRow
from trackers.wording import counted

if TYPE_CHECKING:
    from trackers.changes import Change


PATIENCE = 3600.0
"""Seconds that what a manager writes waits for a database that is away: a fail-over is no reason to end a night's sweep."""


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

        While the database is away they wait, an hour at most, and are written in their order when it is back. The
        commit fails with FencedError when a newer epoch owns the study, and with StateError for an illegal move; then
        nothing of these changes was kept. Raises FencedError after ``release``.
        """
        if self._released:
            raise FencedError(f"the lease of study {self.study.name!r} was released: acquire it again")
        return self._writer.submit(changes, self._guard, patience=PATIENCE)

    def renew(self) -> list[Command]:
        """Show that this manager lives and return the commands nobody has answered, oldest first.

        Raises FencedError when a newer epoch owns the study.
        """

        def task(connection: Connection) -> list[Command]:
            self._update(connection, renewals=t.studies.c.renewals + 1)
            return unanswered(connection, self.study.id)

        return self._writer.call(task)

    def release(self, status: str, reason: str, *, patient: bool = False) -> None:
        """Let the study go after everything submitted: *status* and *reason* stay in its row, as does who ran it.

        *patient*: wait while the database is away, as what was submitted does. Raises FencedError when a newer epoch
        owns the study. A second call changes nothing.
        """
        if self._released:
            return
        now = now_us()
        ended = partial(self._update, owner_ended=now, ended_at=now, status=status, reason=reason)
        self._writer.defer(ended, urgent=True, patience=PATIENCE if patient else 0.0).result()
        self._released = True

    def _update(self, connection: Connection, **values: Any) -> None:
        s = t.studies.c
        mine = (s.id == self.study.id, s.epoch == self.epoch)
        if connection.execute(update(t.studies).where(*mine).values(**values)).rowcount != 1:
            raise FencedError(
                f"a newer manager owns study {self.study.name!r} (this one has epoch {self.epoch}): this one stops"
            )


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
    if found.owner is not None and on_previous is not None:
        on_previous(found.owner)  # first: a process frozen inside a transaction keeps SQLite locked for everybody
    epoch: int = writer.call(partial(_raise_epoch, study_id=study_id, found=found, me=me, take_over=take_over))
    highest = select(func.max(t.runs.c.number)).where(t.runs.c.experiment_id == study_id)
    study, last = database.read(
        lambda connection: (read_studies(connection, study_id)[0], connection.execute(highest).scalar())
    )
    guard = Guard(study_id, epoch, me.user, me.host)
    return StudyLease(study, epoch, 0 if last is None else last + 1, study.last_seq + 1, writer, guard)


def _raise_epoch(connection: Connection, study_id: int, found: Holding, me: Owner, take_over: bool) -> int:
    """Make *me* the owner of a study that is as it was *found*, and return its new epoch."""
    s = t.studies.c
    unchanged = [s.id == study_id, s.epoch == found.epoch]
    if not take_over:
        unchanged += [s.renewals == found.renewals, s.last_seq == found.last_seq]
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


def _end_sharing(connection: Connection, study_id: int) -> None:
    """Refuse a study that processes of Optuna write now; one that they have left may become a managed one."""
    s, r = t.studies.c, t.runs.c
    mode = connection.execute(select(s.mode).where(s.id == study_id).with_for_update()).scalar()
    if mode != "shared":
        return
    running = select(r.number).where(r.experiment_id == study_id, r.state == int(RunState.RUNNING)).order_by(r.number)
    if numbers := list(connection.execute(running).scalars()):
        run, them, their = ("runs", "it", "its") if len(numbers) == 1 else ("run", "them", "their")
        listed = ", ".join(map(str, numbers[:5])) + (" ..." if len(numbers) > 5 else "")
        raise StudyBusyError(
            f"the study is shared by Optuna's processes, and {counted(len(numbers), 'trial')} of it {run} ({listed}): wait "
            f"for {them}, or where {their} process is gone tell {them} so, with Optuna: "
            f"study.tell({numbers[0]}, state=optuna.trial.TrialState.FAIL)"
        )
