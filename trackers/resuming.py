"""The part of a store's front door that goes on with runs whose process ended before they did."""

from __future__ import annotations

import logging
import os
import threading
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from trackers.active import ActiveRun
from trackers.clock import now_us
from trackers.errors import NotFoundError, StateError
from trackers.journal import (
    Entry,
    alone_in,
    find_left,
    find_waiting,
    is_uid,
    journal_folder,
    list_journals,
    other_journals,
)
from trackers.launching import Launching
from trackers.names import LONGEST
from trackers.processes import host_name
from trackers.sql import metrics, runs
from trackers.sql.journals import read_position
from trackers.sql.run_pages import read_runs
from trackers.sql.writer import check_may_wait
from trackers.values import ArtifactRow, MetricSummary, Run, Trial
from trackers.wording import counted

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from trackers.sql.commit import Commit
    from trackers.sql.schema import Identity

RunRef = Run | Trial | ActiveRun | int | str
"""A run, or what names one: its id, its uid or the first 16 digits of it, or ``STUDY/17``.

Of the digits 8 do where no other run began within about a minute: they begin with the time.
"""

_handles: WeakValueDictionary[tuple[str, str], ActiveRun] = WeakValueDictionary()
"""The last handle that this process made of each run, by its store and its uid."""

_log = logging.getLogger("trackers")
_resuming = threading.Lock()
"""One thread at a time: each has to find the handle that was made before."""


def _renew_lock() -> None:
    global _resuming
    _resuming = threading.Lock()


os.register_at_fork(after_in_child=_renew_lock)


class Resuming(Launching):
    """Runs that go on. *ref* is what other methods take."""

    identity: Identity
    offline: bool

    def __init__(self) -> None:
        super().__init__()
        self._host = host_name()[:LONGEST]

    @abstractmethod
    def _handle(self, run_id: int, uid: str, attempt: int = 0) -> ActiveRun:
        """Return a handle that logs to an attempt of a run."""

    @abstractmethod
    def _submit(self, entry: Entry) -> Commit:
        """Hand what a run logs to the writer."""

    def resume_run(self, ref: RunRef) -> ActiveRun:
        """Go on with a run that never ended, after a crash: what is logged now belongs to its next attempt.

        Where this attempt logs a step again, the points of older attempts from that step on are hidden. What journals
        on this machine hold of the run is brought into the store first, as ``trackers.sync`` does. Offline a run goes
        on that began offline, in a journal on this machine; *ref* is its uid then. A handle of the run in this process
        takes nothing more. Raises NotFoundError, and StateError for a run that has ended or whose process still lives.
        """
        check_may_wait()
        with _resuming:
            if self.offline:
                return self._resume_later(ref.uid if isinstance(ref, ActiveRun | Run) else ref)
            return self._resume_now(ref)

    def _resume_now(self, ref: RunRef) -> ActiveRun:
        named = getattr(ref, "uid", ref)
        for one in self._handles_of(named.lower()) if isinstance(named, str) and is_uid(named) else ():
            one.settle()  # another store of this process may have begun it a moment ago
        try:
            run_id = self._run_id(ref)
        except NotFoundError:
            if not isinstance(ref, str) or not is_uid(ref) or not self._bring(ref):
                raise
            run_id = self._run_id(ref)
        uid, launch = self.database.read(lambda connection: read_runs(connection, [run_id])[0]).uid, self.own_launch()

        def resume(connection: Connection) -> tuple[int, Run, list[MetricSummary], list[ArtifactRow]]:
            attempt = runs.resume_run(connection, run_id, self._host, os.getpid(), launch)
            read = read_runs(connection, [run_id])[0], metrics.read_summaries(connection, run_id)
            return attempt, *read, metrics.read_artifacts(connection, run_id)

        with self._in_place_of_older(uid) as older:
            self._bring(uid)
            commit = self.writer.defer(resume, urgent=True)
            try:
                attempt, found, summaries, files = commit.result()
                run = self._handle(run_id, uid, attempt)
                steps = {(one.key, one.context): one.last_step for one in summaries}
                run.known(found.params, steps, [file.name for file in files])
                return self._go_on(run, older)
            except BaseException:  # Ctrl-C as well: then it may be committed yet
                if older is not None:
                    commit.add_done_callback(partial(_adopt, older))
                raise

    def _bring(self, ref: str) -> bool:
        """Bring what journals here hold of a run into the store; tell whether any did. Raises StateError where one cannot."""
        from trackers.drain import bring

        address = self.database.address
        folder = journal_folder(address.path, address.safe)
        journals = list_journals(folder) + ([] if address.path else other_journals(folder, self.identity.uid))
        if not journals:
            return False

        def position(uid: str) -> int:
            return self.database.read(lambda connection: read_position(connection, uid))

        waiting = find_waiting(journals, ref, position)
        if not waiting:
            return False
        done = {one.journal: one for one in bring(waiting, self)}  # type: ignore[arg-type]  # this is half of a Store
        for one in done.values():
            if one.damaged or one.missing:
                told = f"{counted(one.damaged, 'line')} could not be read, and {len(one.missing)} are missing"
                _log.warning(
                    "of the journal that is kept as %s %s: run %s goes on without them", one.journal, told, ref
                )
        for journal in find_waiting([one for one in waiting if one.exists()], ref, position):
            why = done[journal].busy or "; ".join(done[journal].refused[:1])
            raise StateError(
                f"run {ref} cannot go on before what it logged is in the store: {why}. `trackers sync` tries it again; to go "
                f"on without it, move {journal} away"
            )
        return True

    @contextmanager
    def _in_place_of_older(self, uid: str) -> Iterator[ActiveRun | None]:
        """Have the handle that this process has of a run take nothing more, unless what is done meanwhile fails."""
        older = next(iter(self._handles_of(uid)), None)  # a cell of a notebook that is run again
        if older is None or older.ended or not older.is_here:
            yield None
            return
        try:
            older.supersede()
            yield older
        except BaseException:
            older.supersede(False)
            self.note(older)
            raise

    def _go_on(self, run: ActiveRun, older: ActiveRun | None) -> ActiveRun:
        self.note(run)
        if older is not None:
            run.take_over(older)
        return run

    def _resume_later(self, ref: object) -> ActiveRun:
        """Go on with a run that waits in a journal; the number of its attempt is known when that is in the store."""
        address = self.database.address
        folder, launch = journal_folder(address.path, address.safe), self.waiting_launch()
        with alone_in(folder):
            found = find_left(folder, ref, self._host, os.getpid())
            with self._in_place_of_older(found.uid) as older:
                if older is not None:  # which may have logged since
                    found = find_left(folder, found.uid, self._host, os.getpid())
                last = max(began for *_, began in found.attempts)
                now = max(now_us(), last + 1)
                resume = runs.Resume(self._host, os.getpid(), now, launch, last)
                begun = self._submit(Entry("resume", found.uid, resume.fields()))
                try:
                    run = self._handle(-1, found.uid, -now)
                    run.known(found.params, found.steps, found.files)
                    run.begun(begun)
                    return self._go_on(run, older)
                except BaseException:
                    if older is not None:
                        older.go_on_as(-now)
                    raise

    # --- for the handle of a run -------------------------------------------------------------------------------

    @abstractmethod
    def settle(self) -> None:
        """Wait until what was logged so far is committed."""

    def note(self, run: ActiveRun) -> None:
        """Know the handle that this process has of a run now."""
        _handles[self._place, run.uid] = run

    @property
    def _place(self) -> str:
        """Which store this is, however its address is written; offline only that is known."""
        return self.identity.uid or self.database.address.safe

    def _handles_of(self, beginning: str) -> list[ActiveRun]:
        """Return the handles of this process of runs whose uids begin so."""
        found = list(_handles.items())
        return [one for (place, uid), one in found if place == self._place and uid.startswith(beginning)]


def _adopt(older: ActiveRun, commit: Commit) -> None:
    """Have a handle go on as the attempt that was begun for a newer one, if it was."""
    if commit.exception() is None:
        older.go_on_as(commit.result()[0])
