"""The loop that joins engine, sampling, execution and store. One thread; everything reaches it through its inbox.

worker ──message──> inbox ──> engine (what to do) ──> sampler, pruner ──> reply ──> worker
                      ^                        └────> scribe ──> store's writer (one transaction)
                      └──────── committed: counted, learned from, shown, models tidied, callbacks called

Longer than other files: it is the one place where all of them meet, and its state is theirs; what needs no look at that
state stands beside it (ledger, roster, live, commands, models, callbacks).
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hpo import engine as eng
from hpo.errors import SpaceExhausted, UserError
from hpo.execution.messages import (
    Answered,
    AskStudy,
    Fetch,
    Join,
    Message,
    Outcome,
    Pull,
    Put,
    Reply,
    Report,
    StopStudy,
    Suggest,
    Suggested,
    Told,
    Work,
)
from hpo.execution.port import Executor
from hpo.manager.callbacks import Callbacks
from hpo.manager.commands import Commands
from hpo.manager.failures import Failures
from hpo.manager.files import Files
from hpo.manager.here import Here, calling
from hpo.manager.ledger import Ledger
from hpo.manager.live import Tally
from hpo.manager.plan import Plan, Summary
from hpo.manager.pulse import Pulse
from hpo.manager.roster import FROM_SLOTS, Roster, farewell
from hpo.manager.scribe import Scribe
from hpo.progress import Progress
from hpo.trial import Verdict
from trackers.changes import DistributionsSeen, StudyChanged
from trackers.errors import FencedError, StoreAwayError, TrackersError
from trackers.states import RunState
from trackers.wording import counted

if TYPE_CHECKING:
    from hpo.sampling import Pruner, Sampler
    from trackers.store import StudyLease
    from trackers.values import Command, LoggedModel, Trial

STILLBORN = 3
"""Workers in a row that may die before they join: then something is wrong with all of them."""


@dataclass(frozen=True, slots=True)
class Garbage:
    """Files to delete once a batch is committed."""

    digests: set[str]


def _named(failure: BaseException) -> str:
    return f"{type(failure).__name__}: {failure}"


class Manager:
    """Runs one managed study until it ends. ``post``, ``gone``, ``stop`` and ``progress`` may be called by any thread.

    *trials* are the stored ones, in number order, *models* theirs; *new_id* hands out ``(run id, uid)``; *files* serves
    workers that do not see the artifact store; *sweep* deletes files that nothing refers to any more, by their digests;
    *closing* is called at the very end.
    """

    def __init__(
        self,
        lease: StudyLease,
        plan: Plan,
        sampler: Sampler,
        pruner: Pruner,
        executor: Executor,
        trials: Sequence[Trial] = (),
        models: Sequence[LoggedModel] = (),
        *,
        new_id: Callable[[], tuple[int, str]],
        pulse: Pulse,
        files: Files,
        stale: Collection[int] = (),
        sweep: Callable[[set[str]], object] = lambda digests: None,
        closing: Callable[[], None] = lambda: None,
    ) -> None:
        self.plan, self.sampler, self.pruner, self.executor = plan, sampler, pruner, executor
        self.engine = eng.Engine(plan.limits)
        self.tally = Tally(plan.facts.directions)
        self.summary: Summary | None = None
        self.failure: BaseException | None = None
        self.sequential = plan.workers == 0
        self._lease = lease
        self._inbox: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._scribe = Scribe(lease, self._landed)
        self._ledger = Ledger(plan, self._scribe, sampler, pruner, new_id)
        self._here = Here(lease.study.uid, self._enqueue, self._stop_here, self._set_attrs)
        self._commands = Commands(self._scribe, self._enqueue, self._ask_stop, self._budget, stale)
        self._sweep, self._files, self._closing = sweep, files, closing
        self._pulse = pulse
        self._roster = Roster()
        self._deferred: list[Pull] = []
        self._results: dict[int, Outcome] = {}
        self._ending: eng.End | None = None
        self._next_tick = 0.0
        self._failures = Failures()
        self._callbacks = Callbacks(plan.done, self._here, here=self.sequential)
        self._refused: list[tuple[eng.Start, UserError]] = []
        self._refusals: dict[int, UserError] = {}
        self._closed = False
        self._watchers: list[Callable[[], None]] = []
        self._restore(trials, models)

    # ---- from any thread

    def post(self, message: Message, reply: Reply) -> None:
        """Hand in a worker's message; *reply* is called with the answer."""
        self._inbox.put(lambda: self._handle(message, reply))

    def gone(self, process: str, reason: str) -> None:
        """Tell that a worker's process is gone."""
        self._inbox.put(lambda: self._lost(process, reason))

    def watch(self, watcher: Callable[[], None]) -> None:
        """Have *watcher* called, on the manager's thread, after each commit."""
        self._watchers.append(watcher)

    def stop(self, reason: str, grace: float = 10.0) -> None:
        """Start nothing new; what runs has *grace* seconds to reach its next report. A second call may shorten it."""
        self._inbox.put(lambda: self._ask_stop(reason, grace))

    def progress(self) -> Progress:
        """Return where the study is."""
        counts, tally, running = self.tally.counts, self.tally, len(self.engine.running)
        total, rate = self.engine.total, tally.rate()
        ended = counts[RunState.COMPLETE] + counts[RunState.PRUNED] + counts[RunState.FAIL]
        left = None if total is None or not rate else max(0.0, (total - ended) / rate)
        return Progress(
            study=self.plan.facts.name,
            total=total,
            complete=counts[RunState.COMPLETE],
            pruned=counts[RunState.PRUNED],
            failed=counts[RunState.FAIL],
            running=running,
            waiting=len(self.engine.waiting) + len(self.engine.aside),
            best_value=tally.best_value,
            best_number=tally.best_number,
            rate=rate,
            seconds_left=left,
            workers=self._roster.slots(),
            busy=sum(bool(w.assigned) for w in list(self.engine.workers.values())),
            notes=self.notes(),
            elapsed=time.monotonic() - tally.begun,
        )

    def notes(self) -> tuple[str, ...]:
        """Return what the automatic choices were, and what else a person should know."""
        return tuple(n for n in (self.sampler.note, self.pruner.note, *self._failures.lines) if n)

    def _all_notes(self) -> tuple[str, ...]:
        return (*self.notes(), *self._failures.others())

    # ---- the loop

    @property
    def over(self) -> bool:
        """Whether the study ended and everything about it is committed."""
        return self.summary is not None

    def begin(self) -> None:
        """Write that the study runs, bring up workers, keep the lease alive."""
        self._scribe.write(self.plan.changes)
        if self.plan.facts.distributions:
            self._scribe.write(DistributionsSeen(self.plan.facts.distributions))
        self._scribe.event("begin", epoch=self._lease.epoch, executor=self.executor.name, workers=self.plan.workers)
        self._scribe.flush()
        self._pulse.attach(self._on_commands, self._on_fenced)
        self.executor.begin(self.post, self.gone)

    def run(self) -> Summary:
        """Run until the study is over. Raises what ended it where it cannot go on (a fenced lease, a lost store)."""
        self.begin()
        try:
            while not self.over:
                self.turn(0.1)
        finally:
            self.close()
        return self.summary  # type: ignore[return-value]

    def turn(self, timeout: float) -> None:
        """Take what is in the inbox, waiting up to *timeout* seconds for the first of it; let time pass."""
        if self.failure is not None:
            raise self.failure
        try:
            self._turn(timeout)
        except Exception as exc:
            self._give_up(exc)  # a person's sampler or pruner, or a fault of ours: nothing goes on by half
            raise

    def _turn(self, timeout: float) -> None:
        self._take(timeout)
        if self.failure is not None:
            raise self.failure  # what did not reach the store must not be followed by what would
        now = time.monotonic()
        if now >= self._next_tick:
            self._next_tick = now + 0.1
            self._carry(self.engine.step(eng.Ticked(), now))
        self._flush()
        if self._ending is not None and self._scribe.flying == 0 and self.summary is None:
            self._finish(self._ending)

    def _take(self, timeout: float) -> None:
        try:
            self._inbox.get(timeout=timeout)()
            for _ in range(1000):
                self._inbox.get_nowait()()
        except queue.Empty:
            pass

    def _flush(self) -> None:
        garbage = self._ledger.models.take_garbage()
        if garbage:  # nothing refers to these files any more once this batch is committed
            self._scribe.mark(Garbage(garbage))
        self._scribe.flush()

    def _finish(self, end: eng.End) -> None:
        self.summary = Summary(end.status, end.reason, self._all_notes(), self._callbacks.raised)
        self._pulse.stop()
        self._lease.release(end.status, end.reason, patient=True)

    def close(self) -> None:
        """End what is left: workers, the lease's pulse, the lease itself where it is still ours. Idempotent."""
        if self._closed:
            return
        self._closed = True
        with ExitStack() as last_first:
            for part in (self._closing, self._release, self._files.close, self.executor.close, self._pulse.stop):
                last_first.callback(part)

    def _release(self) -> None:
        """Let the study go where it did not end by itself."""
        if self.summary is not None or isinstance(self.failure, FencedError):
            return
        failure = self.failure
        status, reason = ("stopped", "interrupted") if failure is None else ("failed", _named(failure))
        self.summary = Summary(status, reason, self._all_notes())
        try:
            self._lease.release(status, reason)
        except TrackersError:
            pass  # the store is what failed: the next manager finds this process gone

    # ---- what was there before

    def _restore(self, trials: Sequence[Trial], models: Sequence[LoggedModel]) -> None:
        self._ledger.restore(trials, models)
        for trial in trials:
            if trial.state.is_finished():
                self.tally.add(trial.number, trial.state, trial.values, trial.constraints)
        records = [(t.number, t.state, len(t.attempts), self._retries(t)) for t in trials]
        self._carry(self.engine.restore(records))

    @staticmethod
    def _retries(trial: Trial) -> int:
        return sum(a.counts and a.outcome in ("lost", "fail") for a in trial.attempts if not trial.state.is_finished())

    # ---- messages

    def _handle(self, message: Message, reply: Reply) -> None:
        if isinstance(message, FROM_SLOTS) and self._roster.find(message.worker) is None:
            reply(farewell(message))  # it died, and this is what it had said before
            return
        match message:
            case Join():
                self._join(message, reply)
            case Pull():
                self._pull(message, reply)
            case Report():
                self._report(message, reply)
            case Suggest():
                reply(self._suggest(message))
            case StopStudy():
                self._ask_stop("the objective called study.stop()", None)
                reply(None)
            case AskStudy():
                reply(self._tell(message))
            case Put() | Fetch():
                self._files.serve(message, reply)

    def _join(self, message: Join, reply: Reply) -> None:
        if message.error is not None:
            self._step(eng.StopAsked(message.error, 0.0, "failed"))
        self.executor.joined(message.worker)
        if self._roster.join(message):
            self._scribe.event("join", worker=message.worker, host=message.host, pid=message.pid)
            self._scribe.write(StudyChanged(workers=self._roster.pids()))
        reply(self.plan.facts)

    def _pull(self, message: Pull, reply: Reply) -> None:
        for outcome in message.outcomes:
            self._outcome(message.worker, outcome)
        self._roster.park(message.worker, reply)
        if self.sequential and message.outcomes:
            self._flush()  # the same seed gives the same study: learn from each result before the next choice
        if self.sequential and self._scribe.flying:
            self._deferred.append(message)
        else:
            self._feed(message)

    def _feed(self, message: Pull) -> None:
        self._step(eng.Pulled(message.worker, min(1, message.want) if self.sequential else message.want))
        worker = self.engine.workers.get(message.worker)
        if worker is not None and worker.want <= 0:
            # It holds trials still; where the study stops it gives back those that it has not begun.
            stops = self.engine.stop is not None
            work = Work((), self.pruner.rule(), exit=stops and bool(worker.assigned))
            self._roster.answer(message.worker, work)

    def _outcome(self, worker: str, outcome: Outcome) -> None:
        news = outcome.news
        if not self.engine.holds(worker, news.number, news.attempt):
            return  # an echo of an attempt that was given up
        self._ledger.take(news, ask=False)
        if outcome.state is None:
            self._results[news.number] = outcome
            self._step(eng.Released(worker, news.number, news.attempt))
            return
        self._results[news.number] = outcome
        self._step(
            eng.Finished(
                worker, news.number, news.attempt, outcome.state, outcome.retryable, (outcome.error or "")[:300]
            )
        )

    def _report(self, message: Report, reply: Reply) -> None:
        news = message.news
        hopeless = False
        if self.engine.holds(message.worker, news.number, news.attempt):
            hopeless = self._ledger.take(news, ask=message.ask)
        if message.quiet and not news.reports:
            reply(Answered(Verdict.CONTINUE, self.pruner.rule()))  # no sign of the objective, which may hang
            return
        commands = self._step(eng.Reported(message.worker, news.number, news.attempt, hopeless))
        verdict = next((c.verdict for c in commands if isinstance(c, eng.Answer)), Verdict.STOP)
        if hopeless:
            self._scribe.event("decide", news.number, verdict=verdict.value, step=news.reports[-1][0], by="manager")
        reply(Answered(verdict, self.pruner.rule()))

    def _suggest(self, message: Suggest) -> Suggested:
        if not self.engine.holds(message.worker, message.number, message.attempt):
            return Suggested(error="the trial was taken back")
        try:
            return Suggested(self._ledger.suggest(message.number, message.name, message.spec))
        except UserError as exc:
            return Suggested(error=str(exc))

    def _tell(self, message: AskStudy) -> Told:
        if self.plan.ask is None:
            return Told(error=UserError("this study answers no questions"))
        try:
            return Told(calling(self._here, self.plan.ask, message.name, message.args, message.kwargs))
        except Exception as exc:  # noqa: BLE001 - it is the objective's, which asked
            return Told(error=exc)

    def _lost(self, name: str, reason: str) -> None:
        process = self._roster.lose(name)
        if process is None:
            dead = self._roster.stillborn
            if dead >= STILLBORN:
                self._step(eng.StopAsked(f"{counted(dead, 'worker')} died before they joined: {reason}", 0.0, "failed"))
            return
        self._deferred = [p for p in self._deferred if p.worker not in process.slots]
        self._step(eng.Lost(process.slots[0], reason, mates=process.slots[1:]))
        self._scribe.event("lost", worker=name, reason=reason)
        self._scribe.write(StudyChanged(workers=self._roster.pids()))

    # ---- what the engine says

    def _step(self, event: eng.Event) -> list[eng.Command]:
        commands = self.engine.step(event, time.monotonic())
        self._carry(commands)
        return commands

    def _carry(self, commands: Sequence[eng.Command]) -> None:
        dry: int | None = None
        for command in commands:
            match command:
                case eng.Start():
                    if dry is None:
                        dry = self._start(command)
                    elif not command.fresh:
                        self._start(command)
                case eng.Finish():
                    self._finished(command)
                case eng.Requeue():
                    self._ledger.requeue(command, self._results.pop(command.number, None))
                case eng.Enqueue():
                    pass  # whoever asked creates it, with its params
                case eng.Kill():
                    self.executor.kill(self._roster.process_of(command.worker), command.reason)
                case eng.Dismiss():
                    self._roster.answer(command.worker, Work(exit=True))
                case eng.End():
                    self._ending = command
                    self._scribe.event("end", status=command.status, reason=command.reason)
                case eng.Answer():
                    pass  # the caller reads it
        self._roster.deliver(self.pruner.rule())
        if dry is not None:
            self._step(eng.Exhausted(dry))
        while self._refused:
            start, why = self._refused.pop()
            self._refusals[start.number] = why
            self._step(eng.Finished(start.worker, start.number, start.attempt, RunState.FAIL, False, str(why)))
            if self._roster.is_parked(start.worker):
                self._step(eng.Pulled(start.worker, 1))

    def _start(self, command: eng.Start) -> int | None:
        """Prepare an attempt for its worker; return its number where there was nothing to suggest."""
        process = self._roster.find(command.worker)
        host, pid = (process.host, process.pid) if process else ("", 0)
        try:
            assignment = self._ledger.start(command, command.worker, host, pid)
        except SpaceExhausted:
            return command.number
        except UserError as exc:  # enqueued params that the space does not hold any more
            self._refused.append((command, exc))
            return None
        self._roster.hand(command.worker, assignment)
        return None

    def _finished(self, command: eng.Finish) -> None:
        refusal = self._refusals.pop(command.number, None)
        outcome = self._results.pop(command.number, None)
        if command.state is RunState.FAIL:
            self._failures.note(command.number, (outcome.error if outcome else None) or str(refusal or command.reason))
        if refusal is not None:
            self._scribe.mark(self._ledger.refuse(command.number, refusal))
            return
        self._scribe.mark(self._ledger.finish(command, outcome))

    # ---- after the commit

    def _landed(self, marks: list[Any], failure: BaseException | None) -> None:
        self._inbox.put(lambda: self._committed(marks, failure))

    def _committed(self, marks: list[Any], failure: BaseException | None) -> None:
        self._scribe.flying -= 1
        if failure is not None:
            self._give_up(failure)
            return
        for finished in marks:
            if isinstance(finished, Garbage):
                self._drop(finished.digests)
                continue
            self.tally.ended_now()
            self.tally.add(finished.number, finished.state, finished.values, finished.constraints)
            self._ledger.learn(finished)
            self._call_back(finished.number)
        for watcher in self._watchers:
            watcher()
        if not self._scribe.flying and self._deferred:
            deferred, self._deferred = self._deferred, []
            for message in deferred:
                self._feed(message)

    def _drop(self, digests: set[str]) -> None:
        try:
            self._sweep(digests)
        except StoreAwayError:
            pass  # nothing refers to these files: gc finds them

    def _call_back(self, number: int) -> None:
        for why in self._callbacks.call(number):
            self._step(eng.StopAsked(why, 10.0, "failed"))

    def _give_up(self, failure: BaseException) -> None:
        """Stop at once: what was not committed did not happen."""
        if self.failure is None:
            self.failure = failure
        self._pulse.stop()
        self.executor.close()
        self._roster.dismiss()

    # ---- orders from elsewhere

    def _on_commands(self, commands: Sequence[Command]) -> None:
        self._inbox.put(lambda: self._commands.carry(commands))

    def _on_fenced(self, failure: BaseException) -> None:
        self._inbox.put(lambda: self._give_up(failure))

    def _ask_stop(self, reason: str, grace: float | None) -> None:
        self._scribe.event("stop", reason=reason, grace=grace)
        self._step(eng.StopAsked(reason, grace))

    def _stop_here(self) -> None:
        self._ask_stop("a callback called study.stop()", None)

    def _set_attrs(self, attrs: Mapping[str, Any]) -> None:
        self._lease.submit([StudyChanged(user_attrs=attrs)]).wait()

    def _budget(self, total: int | None) -> None:
        self._scribe.write(StudyChanged(total_trials=total))
        self._step(eng.BudgetSet(total))

    def _enqueue(self, params: Mapping[str, Any], user_attrs: Mapping[str, Any]) -> int:
        commands = self.engine.step(eng.Enqueued(), time.monotonic())
        number = next((c.number for c in commands if isinstance(c, eng.Enqueue)), None)
        if number is None:
            raise UserError("the run has just ended: enqueue the trial again")
        self._ledger.enqueue(number, params, user_attrs)
        self._carry(commands)
        return number
