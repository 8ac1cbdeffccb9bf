"""The study as a state machine: which trial runs where, retries, budgets, stops. No clock, no thread, no I/O.

    WAITING (queue) ──Start──> RUNNING (on a worker) ──Finish──> COMPLETE | PRUNED | FAIL
         ^                          │
         └────────Requeue───────────┘   lost, timed out with retries left, released

Each call of ``step`` takes one event and the time (seconds on any steady clock) and returns what to do, in order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from hpo.engine.events import (
    Answer,
    BudgetSet,
    Command,
    Dismiss,
    End,
    Enqueue,
    Enqueued,
    Event,
    Exhausted,
    Finish,
    Finished,
    Kill,
    Lost,
    Pulled,
    Released,
    Reported,
    Requeue,
    Start,
    StopAsked,
    Ticked,
)
from hpo.trial import Verdict
from trackers.states import RunState

FAIL_EARLY = 10
"""A study stops when this many first trials all failed: the next ones would too."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What bounds a study; times in seconds, None is no limit. *deadline* is on the clock that ``step`` is given."""

    total: int | None = None
    max_retries: int = 2
    trial_timeout: float | None = None
    report_timeout: float | None = None
    deadline: float | None = None
    timeout_grace: float = 2.0


@dataclass(slots=True)
class Attempt:
    """A trial that runs."""

    number: int
    attempt: int
    worker: str
    since: float
    heard: float


@dataclass(slots=True)
class Worker:
    """What is known of a worker: the trials it holds, the first of which it works on, and how many it waits for."""

    name: str
    assigned: list[int] = field(default_factory=list)
    want: int = 0
    killed: str | None = None


class IllegalEvent(RuntimeError):
    """An event that cannot happen in this state; the message tells the trial's story."""


class Engine:
    """The state of one managed study."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.total = limits.total
        self.started = 0
        self.waiting: deque[int] = deque()
        self.running: dict[int, Attempt] = {}
        self.workers: dict[str, Worker] = {}
        self.states: dict[int, RunState] = {}
        self.attempts: dict[int, int] = {}
        self.retries: dict[int, int] = {}
        self.stop: StopAsked | None = None
        self.stop_at: float | None = None
        self.exhausted = False
        self.ended: End | None = None
        self.aside: list[int] = []
        self._doomed: dict[int, str] = {}
        self._suspects: set[int] = set()
        self._failures = 0
        self._any_good = False
        self._last_failure = ""

    # ---- what was there before

    def restore(self, trials: Iterable[tuple[int, RunState, int, int]]) -> list[Command]:
        """Take over stored trials: ``(number, state, attempts so far, retries that counted)``, in number order.

        Returns the commands that put those back which a dead manager left running. Where the budget has no room for all
        that wait, the last ones are set aside. Old failures do not end this run: the code may be another by now.
        """
        commands: list[Command] = []
        waiting: list[int] = []
        for number, state, attempts, retries in trials:
            self.started = number + 1
            self.attempts[number], self.retries[number] = attempts, retries
            if state is RunState.RUNNING:
                commands.append(Requeue(number, max(0, attempts - 1), "lost", "its manager ended", False))
                state = RunState.WAITING
            self.states[number] = state
            if state is RunState.WAITING:
                waiting.append(number)
            else:
                self._any_good = self._any_good or state is not RunState.FAIL
        room = len(waiting) if self.total is None else max(0, self.total - (self.started - len(waiting)))
        self.waiting.extend(waiting[:room])
        self.aside = waiting[room:]
        if self.total is not None:
            self.total = max(self.total, self.started)
        return commands

    # ---- events

    def step(self, event: Event, now: float) -> list[Command]:
        """Take one event at time *now*; return the commands to carry out, in order."""
        if self.ended is not None:
            return [Dismiss(event.worker)] if isinstance(event, Pulled) else []
        match event:
            case Pulled():
                commands = self._pulled(event)
            case Reported():
                commands = self._reported(event, now)
            case Finished():
                commands = self._finished(event, now)
            case Released():
                commands = self._released(event, now)
            case Lost():
                commands = self._lost(event)
            case Enqueued():
                commands = self._enqueued()
            case Exhausted():
                commands = self._exhausted(event)
            case StopAsked():
                commands = self._stop_asked(event, now)
            case BudgetSet():
                commands = self._budget_set(event)
            case Ticked():
                commands = self._ticked(now)
        return commands + self._feed(now) + self._end_if_done()

    def _pulled(self, event: Pulled) -> list[Command]:
        worker = self.workers.setdefault(event.worker, Worker(event.worker))
        worker.want = event.want
        return []

    def _reported(self, event: Reported, now: float) -> list[Command]:
        attempt = self._current(event.worker, event.number, event.attempt)
        if attempt is None:
            return [Answer(event.worker, event.number, Verdict.STOP)]
        attempt.heard = now
        if self.stop is not None and self.stop_at is not None:
            return [Answer(event.worker, event.number, Verdict.STOP)]
        return [Answer(event.worker, event.number, Verdict.PRUNE if event.hopeless else Verdict.CONTINUE)]

    def _finished(self, event: Finished, now: float) -> list[Command]:
        if self._current(event.worker, event.number, event.attempt) is None:
            return []
        self._leave(event.number, now)
        if event.state is RunState.FAIL and event.retryable:
            return self._retry_or_fail(event.number, event.attempt, "fail", event.reason)
        outcome = {RunState.COMPLETE: "complete", RunState.PRUNED: "pruned", RunState.FAIL: "fail"}[event.state]
        return self._finish(event.number, event.attempt, event.state, outcome, event.reason)

    def _released(self, event: Released, now: float) -> list[Command]:
        if self._current(event.worker, event.number, event.attempt) is None:
            return []
        self._leave(event.number, now)
        return self._requeue(event.number, event.attempt, "released", "stopped by the service", False)

    def _lost(self, event: Lost) -> list[Command]:
        workers = [w for name in (event.worker, *event.mates) if (w := self.workers.pop(name, None)) is not None]
        killed = next((w.killed for w in workers if w.killed is not None), None)
        held = [number for worker in workers for number in worker.assigned]
        begun = {worker.assigned[0] for worker in workers if worker.assigned}
        commands: list[Command] = []
        for number in held:
            attempt = self.running.pop(number).attempt
            if number in self._doomed:
                commands += self._finish(number, attempt, RunState.FAIL, "timeout", self._doomed.pop(number))
            elif killed is not None or not event.counts:
                commands += self._requeue(number, attempt, "released", killed or event.reason, False)
            elif number in begun and (len(held) == 1 or number in self._suspects):
                commands += self._retry_or_fail(number, attempt, "lost", event.reason)
            else:
                # Which of several it died of is not known, so nobody is blamed: each runs once more, by itself.
                self._suspects.add(number)
                commands += self._requeue(number, attempt, "lost", event.reason, False)
        return commands

    def _enqueued(self) -> list[Command]:
        number = self._allot()
        self.states[number] = RunState.WAITING
        self.waiting.append(number)
        if self.total is not None:
            self.total = max(self.total, self.started)
        return [Enqueue(number)]

    def _budget_set(self, event: BudgetSet) -> list[Command]:
        if event.total is None or self.total is None or event.total > self.total:
            self.waiting.extend(self.aside)
            self.aside = []
        self.total = None if event.total is None else max(event.total, self.started)
        return []

    def _exhausted(self, event: Exhausted) -> list[Command]:
        self.exhausted = True
        for number in range(event.number, self.started):
            worker = self.workers[self.running.pop(number).worker]
            worker.assigned.remove(number)
            worker.want += 1
            del self.states[number], self.attempts[number], self.retries[number]
        self.started = event.number
        return []

    def _stop_asked(self, event: StopAsked, now: float) -> list[Command]:
        if self.stop is None:
            self.stop = event
        if event.grace is not None:
            deadline = now + event.grace
            self.stop_at = deadline if self.stop_at is None else min(self.stop_at, deadline)
        return self._kill_late(now)

    def _ticked(self, now: float) -> list[Command]:
        commands: list[Command] = []
        if self.stop_at is None and self.limits.deadline is not None and now >= self.limits.deadline:
            commands += self._stop_asked(StopAsked("the study's timeout was reached", self.limits.timeout_grace), now)
        for worker in self.workers.values():
            if worker.assigned and worker.killed is None:
                commands += self._kill_hung(worker, self.running[worker.assigned[0]], now)
        return commands + self._kill_late(now)

    def holds(self, worker: str, number: int, attempt: int) -> bool:
        """Tell whether this attempt runs on this worker; anything else is an echo of an attempt given up."""
        return self._current(worker, number, attempt) is not None

    # ---- parts of them

    def _kill_hung(self, worker: Worker, attempt: Attempt, now: float) -> list[Command]:
        limits = self.limits
        if limits.trial_timeout is not None and now - attempt.since > limits.trial_timeout:
            why = f"it ran longer than trial_timeout={limits.trial_timeout:g} s"
        elif limits.report_timeout is not None and now - attempt.heard > limits.report_timeout:
            why = f"it did not report for longer than report_timeout={limits.report_timeout:g} s"
        else:
            return []
        self._doomed[attempt.number] = why
        worker.killed = f"trial {attempt.number} was ended: {why}"
        return [Kill(worker.name, worker.killed)]

    def _kill_late(self, now: float) -> list[Command]:
        if self.stop is None or self.stop_at is None or now < self.stop_at:
            return []
        late = [w for w in self.workers.values() if w.assigned and w.killed is None]
        for worker in late:
            worker.killed = self.stop.reason
        return [Kill(worker.name, self.stop.reason) for worker in late]

    def _current(self, worker: str, number: int, attempt: int) -> Attempt | None:
        running = self.running.get(number)
        if running is None or running.worker != worker or running.attempt != attempt:
            return None
        return running

    def _leave(self, number: int, now: float) -> None:
        worker = self.workers[self.running.pop(number).worker]
        worker.assigned.remove(number)
        self._doomed.pop(number, None)
        if worker.assigned:
            next_up = self.running[worker.assigned[0]]
            next_up.since = next_up.heard = now

    def _retry_or_fail(self, number: int, attempt: int, outcome: str, reason: str) -> list[Command]:
        if self.retries[number] < self.limits.max_retries:
            self.retries[number] += 1
            return self._requeue(number, attempt, outcome, reason, True)
        tries = self.retries[number] + 1
        more = f" ({tries} attempts ended so)" if tries > 1 else ""
        return self._finish(number, attempt, RunState.FAIL, outcome, reason + more)

    def _requeue(self, number: int, attempt: int, outcome: str, reason: str, counts: bool) -> list[Command]:
        self.states[number] = RunState.WAITING
        self.waiting.append(number)
        return [Requeue(number, attempt, outcome, reason, counts)]

    def _finish(self, number: int, attempt: int, state: RunState, outcome: str, reason: str) -> list[Command]:
        self.states[number] = state
        self._suspects.discard(number)
        self._note(state, reason)
        commands: list[Command] = [Finish(number, attempt, state, outcome, reason)]
        if self._failures >= FAIL_EARLY and not self._any_good and self.stop is None:
            why = f"the first {self._failures} trials all failed"
            self.stop = StopAsked(f"{why}: {self._last_failure}" if self._last_failure else why, 0.0, "failed")
            commands += [Kill(w.name, why) for w in self.workers.values() if w.assigned and w.killed is None]
            for worker in self.workers.values():
                worker.killed = why if worker.assigned else worker.killed
        return commands

    def _note(self, state: RunState, reason: str) -> None:
        if state is RunState.FAIL:
            self._failures += 1
            self._last_failure = reason or self._last_failure
        else:
            self._any_good = True

    def _allot(self) -> int:
        number = self.started
        self.started += 1
        self.attempts[number] = self.retries[number] = 0
        return number

    def _feed(self, now: float) -> list[Command]:
        """Hand out trials to the workers that wait, oldest first: queued ones before fresh ones."""
        commands: list[Command] = []
        for worker in self.workers.values():
            while worker.want > 0 and worker.killed is None and self._has_for(worker):
                fresh = not self.waiting
                number = self._allot() if fresh else self.waiting.popleft()
                attempt = self.attempts[number]
                self.attempts[number] += 1
                self.states[number] = RunState.RUNNING
                self.running[number] = Attempt(number, attempt, worker.name, now, now)
                worker.assigned.append(number)
                worker.want -= 1
                commands.append(Start(worker.name, number, attempt, fresh))
            if worker.assigned:
                worker.want = 0  # it has something to do: it is not waiting any more
        return commands

    def _has_for(self, worker: Worker) -> bool:
        """Tell whether there is a trial for *worker*; one that may have killed its worker runs by itself."""
        if self.stop is not None or not (self.waiting or self._may_start()):
            return False
        if not worker.assigned or not self._suspects:
            return True
        return worker.assigned[-1] not in self._suspects and not (self.waiting and self.waiting[0] in self._suspects)

    def _may_start(self) -> bool:
        return not self.exhausted and (self.total is None or self.started < self.total)

    def _end_if_done(self) -> list[Command]:
        if self.running or (self.stop is None and (self.waiting or self._may_start())):
            return []
        if self.stop is not None and (self.waiting or self._may_start()):
            self.ended = End(self.stop.status, self.stop.reason)
        elif self.stop is not None and self.stop.status == "failed":
            self.ended = End("failed", self.stop.reason)
        elif self.exhausted:
            tried = "its one point was" if self.started == 1 else f"all {self.started} of its points were"
            self.ended = End("complete", f"the search space is exhausted: {tried} tried")
        else:
            left = f", {len(self.aside)} more wait" if self.aside else ""
            count = self.started - len(self.aside)
            self.ended = End("complete", f"{'the one trial' if count == 1 else f'all {count} trials'} ended{left}")
        return [*(Dismiss(name) for name, worker in self.workers.items() if worker.want > 0), self.ended]

    # ---- invariants

    def check(self) -> None:
        """Raise IllegalEvent where the state contradicts itself; tests call it after each step."""
        waiting = set(self.waiting) | set(self.aside)
        held = [number for worker in self.workers.values() for number in worker.assigned]
        problems = [
            (sorted(self.states) != list(range(self.started)), "numbers are not dense"),
            (len(waiting) != len(self.waiting) + len(self.aside), "a trial waits twice"),
            (bool(waiting & set(self.running)), "a trial waits and runs"),
            (sorted(held) != sorted(self.running), "workers hold other trials than those that run"),
            (any(self.states[n] is not RunState.WAITING for n in waiting), "a trial waits in another state"),
            (any(self.states[n] is not RunState.RUNNING for n in self.running), "a trial runs in another state"),
            (
                sum(not s.is_finished() for s in self.states.values()) != len(waiting) + len(self.running),
                "an unfinished trial neither waits nor runs",
            ),
            (self.total is not None and self.started > self.total, "more trials than the budget"),
            (any(r > self.limits.max_retries for r in self.retries.values()), "more retries than allowed"),
            (self.ended is not None and bool(self.running), "the study ended with a trial running"),
        ]
        for wrong, what in problems:
            if wrong:
                raise IllegalEvent(f"{what}: {self.states}, waiting {self.waiting}, running {self.running}")
