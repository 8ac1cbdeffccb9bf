"""The one thread that writes: what arrives within a few milliseconds is committed together.

Submissions are written in the order in which they arrived. A group that fails for what was written in it is written
again one submission at a time, so that only the culprits fail; a failure of the database itself (gone, full, locked)
reaches everyone who waited. A lost connection is opened again once where nothing can have been committed. The queue
is bounded: a submitter waits for room. When the thread ends, however it ends, nobody is left waiting.

What runs log (`log`) is different where there is a spill: it never waits for room and never fails with the database.
It goes to the journal instead, in order and numbered; the thread drains the journal when the database is back. The
number of the last entry is written in the same transaction as the entries, so that a commit whose answer was lost, and
which is therefore in the journal too, is not written again.

Long, since one lock guards the queue, the journal and the thread; the queue itself is ``trackers.sql.queue``, what waits
for a database that is away lies in ``trackers.sql.waiting``, a group is written by ``trackers.sql.groups``, and what is
read from the journal goes by ``trackers.sql.draining``.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakSet

from sqlalchemy import Connection

from trackers.errors import StoreAwayError, StoreError
from trackers.sql.commit import Commit
from trackers.sql.committer import Applier, Committer, Work
from trackers.sql.draining import drain_batch
from trackers.sql.engine import Database
from trackers.sql.failures import is_away
from trackers.sql.groups import Groups
from trackers.sql.journals import forget
from trackers.sql.queue import Queue
from trackers.sql.waiting import Waiting, deadline
from trackers.sql.whole import say_aside, whole

if TYPE_CHECKING:
    from trackers.artifacts import ArtifactStore
    from trackers.changes import Change
    from trackers.journal import Entry
    from trackers.sql.spill import Spill

SPILL_AT = 10_000
"""From so many changes in the queue on the journal takes what runs log."""

LAST_SECONDS = 10.0
"""How long the end of the process waits for what only the database can take."""

ANSWER_SECONDS = 30.0
"""So long the end of a run waits for a database that takes nothing of the journal, before it is left to that."""

_THREAD = "trackers-writer"

T = TypeVar("T")

_log = logging.getLogger("trackers")
_open: WeakSet[Writer] = WeakSet()


@atexit.register
def _end_all() -> None:
    """End writers that are open when the process ends, or whose close was interrupted before it had begun."""
    failures: list[BaseException] = []
    for writer in _opened():
        try:
            writer.end()
        except BaseException as exc:  # noqa: BLE001 - the others are ended all the same
            failures.append(exc)
    if failures:
        raise failures[0]


def _opened() -> list[Writer]:
    while True:
        try:
            return list(_open)
        except RuntimeError:  # a thread connects, or ends, meanwhile
            continue


def check_may_wait() -> None:
    """Raise StoreError in a callback of a commit: whose thread it is on does nothing else meanwhile."""
    if threading.current_thread().name == _THREAD:
        raise StoreError("a callback of a commit may submit, but not wait for the writer it runs on")


class Writer:
    """The writer of a store. ``submit`` and ``call`` are thread-safe; the thread starts with the first of them.

    *make_applier* is called on the thread, before its first group. Without a *spill* the queue bounds what runs log
    too, and a failure of the database reaches them.
    """

    def __init__(self, database: Database, make_applier: Callable[[], Applier], spill: Spill | None = None) -> None:
        self._spill = spill
        self._current: list[Work] = []
        self._gone = False
        self._drain_wanted = False
        self._database = database
        self._committer = Committer(database, make_applier)
        self.pid = os.getpid()
        self._lock = threading.Lock()
        self._queue = Queue(self._lock)
        self._attempted = threading.Condition(self._lock)
        self._closing = False
        self._dead: BaseException | None = None
        self._thread: threading.Thread | None = None
        self._waiting = Waiting()
        self._groups = Groups(self._committer, self._waiting, spill, self._lock, database.address, self._give_up)
        self._left = False  # whether a close was interrupted
        _open.add(self)

    def submit(
        self, changes: Sequence[Change], guard: Any = None, *, lazy: bool = False, patience: float = 0.0
    ) -> Commit:
        """Queue *changes* to be committed together; return at once (or when there is room).

        What is *lazy* waits some milliseconds for more of its kind; ``hurry`` before waiting for it. While the database
        is away, it is tried again for *patience* seconds, before all that is submitted later.

        Raises StoreError when the store is closed.
        """
        commit = Commit()
        work = Work(commit, changes=changes, guard=guard, lazy=lazy, deadline=deadline(patience))
        self._put(work, urgent=False)
        return commit

    def call(self, task: Callable[[Connection], T]) -> T:
        """Run *task* in a transaction of the writer and return what it returns, once that is committed.

        *task* may run again, in a new transaction, when another submission of its group fails.
        """
        result: T = self.defer(task, urgent=True).result()
        return result

    def defer(
        self, task: Callable[[Connection], Any], *, lazy: bool = False, urgent: bool = False, patience: float = 0.0
    ) -> Commit:
        """Queue *task* to be run likewise and return at once; ``result()`` of the commit is what it returns.

        *urgent*: somebody waits for it. *patience* is as in ``submit``; where the answer to its commit was lost, the
        result of what waited is None.
        """
        if urgent and threading.current_thread() is self._thread:
            check_may_wait()
        commit = Commit()
        self._put(Work(commit, task=task, lazy=lazy, deadline=deadline(patience)), urgent=urgent)
        return commit

    def log(self, entry: Entry) -> Commit:
        """Queue what a run logs and return at once, whatever the database does.

        The commit is done once it is in the database, or in the journal. Raises StoreError when the store is closed, or
        when not even the journal can be written.
        """
        commit = Commit()
        self._put(Work(commit, entry=entry, lazy=True), urgent=False)
        return commit

    def write(self, works: Sequence[Work]) -> None:
        """Queue submissions that were made elsewhere: entries of a journal that is being drained."""
        for work in works:
            self._put(work, urgent=False)

    @property
    def spilling(self) -> bool:
        """Whether what runs log goes to the journal now."""
        return self._spill is not None and self._spill.active

    @property
    def may_spill(self) -> bool:
        """Whether a journal would take what the database does not, as far as is known before one is needed."""
        return self._spill is not None and not self._spill.unusable

    def spill(self, failure: Exception) -> None:
        """Send what is logged from now on to the journal: the database is away, as *failure* says."""
        self.check_process()
        whole(partial(self._spill_all, failure))
        self._say()

    def leave(self) -> None:
        """Leave what is queued to the journal, where a close was interrupted: the process may end before the thread does."""
        whole(self._leave)
        self._say()

    def _leave(self) -> None:
        ended: list[Work] = []
        with self._lock:
            over = self._dead is not None
            if not over:
                why = "the process ends before all is written, which `trackers sync` does later"
                ended = self._spill_queue(StoreAwayError(why))
                self._left = self._closing = True  # the thread closes the journal, if it gets so far
                self._queue.wake()
                if self._spill is not None and self._spill.active:
                    self._spill.journal.sync()
        for work in ended:
            work.commit.resolve()
        if over:
            _open.discard(self)
            if self._spill is not None:
                self._spill.close()

    def _spill_all(self, failure: Exception) -> None:
        with self._lock:
            ended = self._spill_queue(failure)
            self._gone = True  # nobody waits for it to drain
        for work in ended:
            work.commit.resolve()

    def _spill_queue(self, failure: Exception) -> list[Work]:
        """Go over to the journal with all that is queued and being written; return what ended so. The lock is held."""
        if self._spill is None or not self._spill.usable:
            return []
        if not self._spill.active:
            self._spill.tell(failure)
        writing = [work for work in self._current if work.logged]
        return [*self._spill_over([]), *writing]  # what is being written is in the journal, too, in case

    def check_process(self) -> None:
        """Raise StoreError in a forked child: the thread stayed behind, and a lock may be held for ever."""
        if os.getpid() != self.pid:
            raise StoreError("a store does not survive a fork: connect again in the child process")

    def keep(self) -> None:
        """Make what is in the journal outlive a power cut; raises StoreError where its disk is full.

        A database that answers takes it first: then the journal is there only because the queue was long.
        """
        self.check_process()
        if self._spill is None or not self._spill.active:
            return
        if not self._gone:
            self._await_drained(ANSWER_SECONDS)
        with self._lock:
            if self._spill.active:
                self._spill.journal.sync()

    def journal_files(self) -> ArtifactStore:
        """Return where the journal keeps files: those of a store that is offline."""
        with self._lock:
            if self._spill is None:
                raise StoreError("the store is strict: it has no journal")
            return self._spill.journal.files

    def drain(self) -> None:
        """Wait until what is in the journal now is drained, or one attempt has failed: then its failure is raised."""
        self.check_process()
        failure = self._await_drained(None)
        if failure is not None:
            raise failure

    def _await_drained(self, patience: float | None) -> BaseException | None:
        """Wait likewise, but no longer than *patience* seconds for a batch; return the failure of the attempt.

        In a callback on the writer's thread nothing is waited for: it does nothing else meanwhile.
        """
        if threading.current_thread() is self._thread:
            return None
        with self._lock:
            spill = self._spill
            if spill is None or spill.offline or not spill.active:
                return None
            before, wanted = spill.attempts, spill.last
            self._drain_wanted = True
            self._start()
            self._queue.wake()
            while spill.waits_for(wanted):
                if spill.attempts != before or self._dead is not None:
                    return spill.failure or self._dead
                if not self._attempted.wait(patience):
                    self._gone = True  # the next one does not wait for it
                    break
            return None

    def hurry(self) -> None:
        """Write what is queued now: somebody waits for it."""
        self.check_process()
        with self._lock:
            self._queue.hurry()

    def flush(self) -> None:
        """Wait until everything submitted so far is committed or has failed."""
        if self._thread is not None and not self._closing:
            self.call(lambda connection: None)

    def close(self) -> None:
        """Write what is queued and end the thread; what is submitted later is refused.

        Interrupted (Ctrl-C), what is queued is left to the journal: the process ends, and the thread with it.
        """
        if os.getpid() != self.pid:  # the thread stayed behind, and a lock may be held for ever
            return
        try:
            with self._lock:
                self._closing = True
                self._gone = False  # one more try
                self._queue.wake()
                thread = self._thread
            if thread is not None and thread is not threading.current_thread():
                thread.join()
            _open.discard(self)
            if self._spill is not None:
                self._spill.close()
        except StoreError:  # the journal's disk is full
            raise
        except BaseException:
            self.leave()
            raise

    def end(self) -> None:
        """Close what was not closed, when the process ends.

        A close that was interrupted is not waited for again where a journal takes what is left, else for some seconds.
        """
        if os.getpid() != self.pid or self not in _open:
            return
        if self._spill is None and self._closing and self._thread is not None:
            with self._lock:  # not by the thread's join: after one that was interrupted Python takes it for over
                over = self._attempted.wait_for(lambda: self._dead is not None, LAST_SECONDS)
            if not over:
                words = (
                    "the process ends before all is written to %s: what was queued last is lost, as no journal keeps it"
                )
                say_aside(partial(_log.error, words, self._database.address.safe))
        elif self._left or (self._closing and self._dead is None):
            self.leave()
        else:
            self.close()

    # --- the queue ---------------------------------------------------------------------------------------------

    def _put(self, work: Work, urgent: bool) -> None:
        self.check_process()
        spill = self._spill
        if work.entry is None or spill is None:
            with self._lock:
                self._wait_for_room()
                self._enqueue(work, urgent)
            return
        if self._queue.size >= SPILL_AT and not spill.active and not spill.unusable:
            whole(partial(self._go_over, spill))
        self._put_logged(spill, work, urgent)
        self._say()

    def _go_over(self, spill: Spill) -> None:
        """Have the journal take all that is queued, where that is much and it can be made."""
        ended: list[Work] = []
        with self._lock:
            self._check_open()
            if not spill.active and self._queue.size >= SPILL_AT and spill.usable:
                self._gone = False  # as far as is known: the queue is long
                ended = self._spill_over([])
        for one in ended:
            one.commit.resolve()

    def _put_logged(self, spill: Spill, work: Work, urgent: bool) -> None:
        """Queue what a run logged, or have the journal take it."""
        ended: list[Work] = []
        with self._lock:
            if spill.active:
                self._check_open()
            else:
                self._wait_for_room()
            work.journal, work.seq = spill.uid, spill.number()
            if spill.active:  # as it may be by now: then nothing goes past what is in the journal
                ended = self._spill_over([work])
            else:
                self._enqueue(work, urgent)
        for one in ended:
            one.commit.resolve()

    def _wait_for_room(self) -> None:
        if self._queue.is_full and threading.current_thread() is not self._thread:
            self._queue.wait_for_room(self._check_open)
        self._check_open()

    def _enqueue(self, work: Work, urgent: bool) -> None:
        self._start()
        self._waiting.number(work)
        self._queue.append(work, urgent)

    def _start(self) -> None:
        if self._thread is not None:
            return
        self._thread = threading.Thread(target=self._main, name=_THREAD, daemon=True)
        try:
            self._thread.start()
        except BaseException as exc:  # Ctrl-C as well
            if self._thread.ident is None:  # it never began: the next one tries again
                self._thread = None
            if isinstance(exc, RuntimeError):
                raise StoreError(f"the store cannot write: {exc}, the limit of the process is reached") from exc
            raise

    # --- the journal -------------------------------------------------------------------------------------------

    def _spill_over(self, works: Sequence[Work]) -> list[Work]:
        """Go over to the journal, with *works* behind all that is waiting; return what ended so. The lock is held.

        The group that is being written goes there too, in case it fails: where it does not, it is passed over by its
        numbers when the journal is drained.
        """
        assert self._spill is not None  # the caller looked
        if self._spill.active:
            return self._to_journal(works)
        self._to_journal([work for work in self._current if work.logged and not work.commit.done()])
        ended = self._to_journal([*self._queue.take_logged(), *works])
        self._start()
        self._queue.wake()
        return ended

    def _to_journal(self, works: Sequence[Work]) -> list[Work]:
        """Append *works* to the journal and return those that are there: one that JSON cannot hold fails alone."""
        assert self._spill is not None  # the caller looked
        try:
            odd = self._spill.keep([(work.seq, work.entry) for work in works if work.entry is not None])
        except StoreError as exc:  # the disk is full, and memory too: who waits is told, the training goes on
            for work in works:
                work.commit.resolve(failure=exc)
            return []
        for work in works:
            if work.seq in odd:
                work.commit.resolve(failure=odd[work.seq])
        return [work for work in works if work.seq not in odd]

    def _drain(self) -> None:
        """Write one batch of the journal to the database; go back to the database itself when it was the last."""
        spill = self._spill
        assert spill is not None  # the caller looked
        failure, is_empty = drain_batch(spill, self._groups.commit, self._groups.said, self._lock)
        with self._lock:
            spill.forget_held()
            self._gone = failure is not None
            if failure is not None or (is_empty and spill.leave()):
                spill.tried(failure)
                self._drain_wanted = False
            self._attempted.notify_all()
        self._say()

    def _may_drain(self) -> bool:
        """Tell whether it is time to try the database again; the lock is held."""
        spill = self._spill
        if spill is None or spill.offline or not spill.active:
            return False
        return not self._gone if self._closing else self._drain_wanted or not spill.seconds_left

    def _check_open(self) -> None:
        if self._dead is not None:
            raise StoreError(f"the writer of the store has ended ({self._dead}): connect again") from self._dead
        if self._closing and threading.current_thread() is not self._thread:
            raise StoreError("the store is closed: connect again")

    def _next_group(self) -> list[Work]:
        """Wait for work and return it in order of arrival; an empty list: closing, and all is written."""
        with self._lock:
            self._queue.wait(self._is_due, self._seconds_left)
            self._queue.linger(lambda: self._closing)
            group = self._current = self._queue.take_group(self._waiting.take())
            if not self._waiting.away:  # else it is counted once it is known what of it has to wait on
                self._queue.make_room(group)
            return group

    def _is_due(self) -> bool:
        """Tell whether there is something to do now; the lock is held."""
        if self._closing or self._may_drain():
            return True
        left = self._waiting.seconds_left
        return bool(self._queue) if left is None else self._queue.urgent or left <= 0.0

    def _seconds_left(self) -> float | None:
        """Return how long nothing is due that is known of; None: for ever. The lock is held."""
        known = (self._waiting.seconds_left, None if self._spill is None else self._spill.seconds_left)
        return min((left for left in known if left is not None), default=None)

    # --- the thread --------------------------------------------------------------------------------------------

    def _main(self) -> None:
        group: list[Work] = []
        failure: BaseException = StoreError("the store is closed")
        with self._lock:
            if threading.current_thread() is not self._thread:
                return  # who started it was interrupted, and took it for one that never began
        try:
            while True:
                group = self._next_group()
                if group:
                    was_away = self._waiting.away
                    self._groups.write(group)
                    self._current = []
                    if was_away or self._waiting.away:
                        self._count()
                if self._may_drain():
                    self._drain()
                elif not group and self._closing:
                    break
            self._forget()
        except BaseException as exc:
            failure = exc
            raise
        finally:
            self._end(group, failure)

    def _count(self) -> None:
        with self._lock:
            self._queue.count(self._waiting.works)

    def _end(self, group: list[Work], failure: BaseException) -> None:
        with self._lock:
            self._dead = failure
            logged = self._queue.logged or any(work.logged for work in group)
            safe = logged and self._spill is not None and self._spill.usable
            ended = [*self._spill_over([]), *(work for work in group if work.logged)] if safe else []
            left = [*self._waiting.take(), *group, *self._queue.take_all()]
            self._attempted.notify_all()
        self._say()
        for work in ended:
            work.commit.resolve()
        for work in left:
            work.commit.resolve(failure=StoreError(f"the writer of the store has ended: {failure}"))
        self._committer.close()
        if self._left and self._spill is not None:
            try:
                self._spill.close()
            except StoreError as exc:  # a full disk: nobody waits for it any more
                say_aside(partial(_log.warning, "%s", exc))

    def _forget(self) -> None:
        """Delete the note about the journal where all of it is in the database: nobody will ask for it."""
        spill = self._spill
        over = [self._waiting.uid] if self._waiting.used else []
        if spill is not None and spill.direct and not spill.active and not spill.refused and spill.is_clear:
            over.append(spill.uid)
        try:
            for uid in over:
                self._groups.commit([Work(Commit(), task=partial(forget, uid=uid))])
        except Exception:  # noqa: BLE001 - a row too many harms nobody
            pass

    def _give_up(self, group: Sequence[Work], exc: Exception) -> None:
        """Leave to the journal what runs logged, in this group and in the queue; what may wait waits; others are told."""
        kept: list[Work] = []
        with self._lock:
            was_away = self._waiting.away
            if is_away(exc) and not self._closing:
                group = self._waiting.keep(group)
            logged = [work for work in group if work.logged]
            spill = self._spill
            fresh = spill is not None and not spill.active
            if spill is not None and logged and (spill.active or spill.usable):
                # where the journal is in use already, it took this group when it took the queue
                kept = logged + (self._spill_over([]) if fresh else [])
            self._gone = True
        failure = self._groups.said(exc)
        if self._waiting.works:
            self._waiting.failure = failure
        self._groups.stop(group, failure)
        if spill is not None and kept and fresh:
            spill.tell(failure)
        if self._waiting.away and not was_away:
            say_aside(partial(self._waiting.tell, failure))
        self._say()
        for work in kept:
            work.commit.resolve()
        for work in group:
            work.commit.resolve(failure=failure)

    def _say(self) -> None:
        """Log what the lock kept from being said; it is not held."""
        if self._spill is not None and self._spill.has_something_to_say:
            say_aside(self._spill.say)
