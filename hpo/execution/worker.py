"""A worker: joins, pulls trials, runs them, brings their results. The same loop for every executor."""

from __future__ import annotations

import os
import socket
import threading
import time
import traceback
from collections import deque
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from hpo.distribution import Spec
from hpo.errors import UserError
from hpo.execution.attempt import Objective, run_attempt
from hpo.execution.messages import (
    Answered,
    AskStudy,
    Join,
    Link,
    ManagerGone,
    News,
    Outcome,
    Pull,
    Report,
    Rule,
    StopStudy,
    StudyFacts,
    Suggest,
    Suggested,
    Told,
    Work,
)
from hpo.trial import Assignment, Trial, Verdict
from trackers.clock import now_us
from trackers.system import SystemMetrics

if TYPE_CHECKING:
    from trackers.artifacts import ArtifactStore

FRESH = 0.02
"""Seconds for which a worker decides with the thresholds it has; an objective with slower steps asks each time."""

HOLD = 0.03
"""Seconds for which finished trials may wait for company before they are sent."""

LYING = 0.5
"""Seconds after which what a silent trial reported, logged and printed is brought to the manager all the same."""

LOG_SECONDS = 2.0
LOG_RATE = 20_000
"""Its output is brought again after so many seconds at least, and characters a second at most: it is written whole."""

MOST = 16
"""Trials a worker holds at once, when they are very short."""


@dataclass(frozen=True, slots=True)
class Job:
    """What every trial of a study shares: the objective, its further arguments, and what is tried again.

    *system_metrics*: what the machine does is logged every so many seconds; 0: not at all.
    """

    objective: Objective
    args: Mapping[str, Any] = field(default_factory=dict)
    retry_on: tuple[str, ...] = ()
    system_metrics: float = 0.0


class WorkerChannel:
    """One slot's way to the manager: decides itself while its thresholds are fresh, asks when they are not.

    The slot's thread uses it, and the courier's calls ``bring``: one of them sends at a time.
    """

    def __init__(self, name: str, link: Link, facts: StudyFacts) -> None:
        self.name, self._link, self._facts = name, link, facts
        self._sending = threading.RLock()
        self._trial: Trial | None = None
        self._logged = Logged()
        self._artifacts: ArtifactStore | None = None
        self.rule: Rule | None = None
        self.heard = time.monotonic()
        self.finished: list[Outcome] = []
        self._sent = 0
        self._rules: list[int] = []
        self._verdict: tuple[int, Verdict] | None = None
        self._curve: Any = None
        self._curved = 0

    def begin(self, trial: Trial) -> None:
        """Forget the last trial; what *trial* leaves lying is brought from now on."""
        with self._sending:
            self._sent, self._rules, self._verdict = 0, [], None
            self._curve, self._curved = None, 0
            self._trial, self._logged = trial, Logged()

    def last_news(self, trial: Trial) -> News:
        """Collect what is left of a trial that has ended; its outcome takes it along."""
        with self._sending:
            self._trial = None
            return self.news(trial)

    def bring(self, now: float) -> None:
        """Send what the running trial left lying while it computes, if it has been silent for a while."""
        if now - self.heard < LYING or not self._sending.acquire(blocking=False):
            return  # it sends just now
        try:
            trial = self._trial
            if trial is not None and now - self.heard >= LYING:
                news = replace(self.news(trial), log=self._logged.due(trial, now))
                if news:
                    answer: Answered = self._link.send(Report(self.name, news, quiet=True))
                    self.rule = answer.rule
                    self.heard = time.monotonic()
        finally:
            self._sending.release()

    @property
    def concurrent(self) -> bool:
        """Whether it is a worker's own process: none where the caller's Ctrl-C arrives."""
        return self._link.concurrent

    # ---- the trial's side (hpo.trial.Channel)

    def reported(self, trial: Trial) -> Verdict:
        """Take notice of a report: keep it while thresholds are fresh, send it (and learn the verdict) when not."""
        if self._link.concurrent and self.rule is not None and time.monotonic() - self.heard < FRESH:
            self._rules.append(-1)
            self._verdict = None
            return Verdict.CONTINUE
        return self._ask(trial)

    def judged(self, trial: Trial) -> Verdict:
        """Say whether the trial is hopeless as of its last report."""
        last = len(trial.reports)
        if self._verdict is not None and self._verdict[0] == last:
            return self._verdict[1]
        if self.rule is None:
            return self._ask(trial)
        hopeless = self._decide(self.rule, trial)
        self._rules[-1] = self.rule.version
        self._verdict = (last, Verdict.PRUNE if hopeless else Verdict.CONTINUE)
        return self._verdict[1]

    def _decide(self, rule: Rule, trial: Trial) -> bool:
        """Judge by *rule*, in constant time: the curve keeps what earlier reports came to."""
        if self._curve is None:
            self._curve = rule.curve()
        for position in range(self._curved, len(trial.reports)):
            if position > 0:
                rule.follow(self._curve)  # it went on after the one before, whoever decided that
            step, value, _ = trial.reports[position]
            self._curve.add(step, value)
        self._curved = len(trial.reports)
        return rule.decide(self._curve)

    def suggest(self, trial: Trial, name: str, spec: Spec) -> Any:
        """Ask the manager for the value of a param."""
        with self._sending:
            answer: Suggested = self._link.send(Suggest(self.name, trial.number, trial.attempt, name, spec))
        self.heard = time.monotonic()
        if answer.error is not None:
            raise UserError(answer.error)
        return answer.value

    def flush(self, trial: Trial) -> Verdict:
        """Send everything that is new."""
        return self._send(trial, ask=False)

    def stop_study(self) -> None:
        """Ask that no more trials start."""
        self._link.send(StopStudy(self.name))

    def ask_study(self, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Ask the manager, which has the store."""
        told: Told = self._link.send(AskStudy(self.name, name, args, kwargs))
        if told.error is not None:
            raise told.error
        return told.value

    def artifacts(self) -> ArtifactStore:
        """Return the artifact store, as this process reaches it."""
        if self._artifacts is None:
            from hpo.execution.relay import artifacts_of

            self._artifacts = artifacts_of(self._facts, self._link)
        return self._artifacts

    # ---- what goes over the link

    def _ask(self, trial: Trial) -> Verdict:
        while len(self._rules) < len(trial.reports):
            self._rules.append(-1)
        verdict = self._send(trial, ask=True)
        self._verdict = (len(trial.reports), verdict)
        return verdict

    def _send(self, trial: Trial, ask: bool) -> Verdict:
        with self._sending:
            answer: Answered = self._link.send(Report(self.name, self.news(trial), ask))
            self.heard = time.monotonic()
            self.rule = answer.rule
            return answer.verdict

    def news(self, trial: Trial) -> News:
        """Collect what *trial* produced since the last time."""
        rules = tuple(self._rules[self._sent :])  # first: a report is there before its rule is
        reports = tuple(trial.reports[self._sent : self._sent + len(rules)])
        records = trial.take_records()
        params = {name: trial.new_params.pop(name) for name in list(trial.new_params)}
        self._sent += len(reports)
        specs = {name: trial.specs[name] for name in params}
        return News(trial.number, trial.attempt, reports, rules, records, params, specs)


class Logged:
    """When a trial's output was last brought, and how much of it there was."""

    def __init__(self) -> None:
        self._next, self._written = 0.0, 0

    def due(self, trial: Trial, now: float) -> str | None:
        """Return the output where it has grown and is due, else None."""
        tail = trial.output
        if tail is None or tail.written == self._written or now < self._next:
            return None
        self._written, text = tail.written, tail.text()
        self._next = now + max(LOG_SECONDS, len(text) / LOG_RATE)
        return text


class Courier:
    """A thread beside the slots of a process: brings what their trials left lying, twice a second."""

    def __init__(self, channels: list[WorkerChannel]) -> None:
        self._channels, self._over = channels, threading.Event()
        self._thread = threading.Thread(target=self._run, name="hpo-courier", daemon=True)

    def __enter__(self) -> Courier:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(LYING):
            for channel in self._channels:
                try:
                    channel.bring(time.monotonic())
                except ManagerGone:
                    return  # the slots find out themselves


class Slot:
    """One trial at a time: the loop of pulling, running and bringing back."""

    def __init__(self, name: str, job: Job, link: Link, facts: StudyFacts) -> None:
        self.name, self.job, self.facts = name, job, facts
        self._link = link
        self.channel = WorkerChannel(name, link, facts)
        self._queue: deque[Assignment] = deque()
        self._seconds = 1.0

    def run(self) -> None:
        """Work until there is nothing left. Raises ManagerGone."""
        outcomes: list[Outcome] = []
        since = time.monotonic()
        while True:
            if not self._queue or time.monotonic() - since > HOLD:
                work: Work = self._link.send(Pull(self.name, self._want(), tuple(outcomes)))
                since = self.channel.heard = time.monotonic()
                outcomes = []
                self.channel.rule = work.rule
                self._queue.extend(work.trials)
                if work.exit:
                    if not self._queue:
                        return
                    outcomes = [_given_back(assignment) for assignment in self._queue]
                    self._queue.clear()
                if not self._queue:
                    continue
            outcomes.append(self._run(self._queue.popleft()))

    def _want(self) -> int:
        """Return how many trials to hold: as many as take about 20 ms, so that short ones share a message."""
        return max(1, min(MOST, int(0.02 / self._seconds))) - len(self._queue)

    def _run(self, assignment: Assignment) -> Outcome:
        begun = time.monotonic()
        trial = Trial(assignment, self.facts, self.channel)
        self.channel.begin(trial)
        outcome = self._attempt(trial)
        self._seconds += 0.3 * (max(time.monotonic() - begun, 1e-4) - self._seconds)
        if time.monotonic() - begun > 0.25:
            self._seconds = max(self._seconds, 0.25)
        return outcome

    def _attempt(self, trial: Trial) -> Outcome:
        job, news, inline = self.job, self.channel.last_news, not self.channel.concurrent
        if not job.system_metrics:
            return run_attempt(trial, job.objective, job.args, news, job.retry_on, interruptible=inline)
        gauge = SystemMetrics.begin(trial, job.system_metrics)

        def last_news(trial: Trial) -> News:
            gauge.stop()
            return news(trial)

        try:
            return run_attempt(trial, job.objective, job.args, last_news, job.retry_on, interruptible=inline)
        finally:
            gauge.stop()


def _given_back(assignment: Assignment) -> Outcome:
    """Return a trial that was not begun."""
    now = now_us()
    return Outcome(News(assignment.number, assignment.attempt), None, now, now)


def join(worker: str, link: Link, slots: int, error: str | None = None) -> StudyFacts:
    """Say that this process is up (or, with *error*, that it cannot work); return what it needs to know."""
    facts: StudyFacts = link.send(Join(worker, socket.gethostname(), os.getpid(), slots, error))
    return facts


def work(worker: str, job: Job, link: Link, facts: StudyFacts, slots: int = 1) -> None:
    """Run *slots* slots until there is nothing left: the first in this thread, others in threads of their own."""
    names = [worker if slots == 1 else f"{worker}.{i}" for i in range(slots)]
    slots_of_others = [Slot(n, job, link, facts) for n in names[1:]]
    others = [threading.Thread(target=_run_or_end, args=(s,), name=s.name, daemon=True) for s in slots_of_others]
    first = Slot(names[0], job, link, facts)
    courier = Courier([slot.channel for slot in (first, *slots_of_others)]) if link.concurrent else nullcontext()
    with courier:
        for thread in others:
            thread.start()
        first.run()
        for thread in others:
            thread.join()


def _run_or_end(slot: Slot) -> None:
    """Run a slot; where it breaks, end the process: a slot that went silently would keep its trial for ever."""
    try:
        slot.run()
    except ManagerGone:
        return
    except BaseException:  # noqa: BLE001 - whatever it is, it is told in the log, and the process goes
        traceback.print_exc()
        os._exit(1)
