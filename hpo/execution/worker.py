"""A worker: joins, pulls trials, runs them, brings their results. The same loop for every executor."""

from __future__ import annotations

import os
import socket
import threading
import time
import traceback
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hpo.distribution import Spec
from hpo.errors import UserError
from hpo.execution.attempt import Objective, run_attempt
from hpo.execution.messages import (
    Answered,
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
    Work,
)
from hpo.trial import Assignment, Trial, Verdict

if TYPE_CHECKING:
    from trackers.artifacts import ArtifactStore

FRESH = 0.02
"""Seconds for which a worker decides with the thresholds it has; an objective with slower steps asks each time."""

HOLD = 0.03
"""Seconds for which finished trials may wait for company before they are sent."""

MOST = 16
"""Trials a worker holds at once, when they are very short."""


@dataclass(frozen=True, slots=True)
class Job:
    """What every trial of a study shares: the objective, its further arguments, and what is tried again."""

    objective: Objective
    args: Mapping[str, Any] = field(default_factory=dict)
    retry_on: tuple[str, ...] = ()


class WorkerChannel:
    """One slot's way to the manager: decides itself while its thresholds are fresh, asks when they are not."""

    def __init__(self, name: str, link: Link, facts: StudyFacts) -> None:
        self.name, self._link, self._facts = name, link, facts
        self._artifacts: ArtifactStore | None = None
        self.rule: Rule | None = None
        self.heard = time.monotonic()
        self.finished: list[Outcome] = []
        self._sent = 0
        self._rules: list[int] = []
        self._verdict: tuple[int, Verdict] | None = None
        self._curve: Any = None
        self._curved = 0

    def begin(self) -> None:
        """Forget the last trial."""
        self._sent, self._rules, self._verdict = 0, [], None
        self._curve, self._curved = None, 0

    # ---- the trial's side (hpo.trial.Channel)

    def reported(self, trial: Trial) -> Verdict:
        """Take notice of a report: keep it while thresholds are fresh, send it (and learn the verdict) when not."""
        if self.rule is not None and time.monotonic() - self.heard < FRESH:
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
        answer: Answered = self._link.send(Report(self.name, self.news(trial), ask))
        self.heard = time.monotonic()
        self.rule = answer.rule
        return answer.verdict

    def news(self, trial: Trial) -> News:
        """Collect what *trial* produced since the last time."""
        reports, rules = tuple(trial.reports[self._sent :]), tuple(self._rules[self._sent :])
        records, params = tuple(trial.records), dict(trial.new_params)
        self._sent = len(trial.reports)
        trial.records, trial.new_params = [], {}
        specs = {name: trial.specs[name] for name in params}
        return News(trial.number, trial.attempt, reports, rules, records, params, specs)


class Slot:
    """One trial at a time: the loop of pulling, running and bringing back."""

    def __init__(self, name: str, job: Job, link: Link, facts: StudyFacts) -> None:
        self.name, self.job, self.facts = name, job, facts
        self._link = link
        self._channel = WorkerChannel(name, link, facts)
        self._queue: deque[Assignment] = deque()
        self._seconds = 1.0

    def run(self) -> None:
        """Work until there is nothing left. Raises ManagerGone."""
        outcomes: list[Outcome] = []
        since = time.monotonic()
        while True:
            if not self._queue or time.monotonic() - since > HOLD:
                work: Work = self._link.send(Pull(self.name, self._want(), tuple(outcomes)))
                since = self._channel.heard = time.monotonic()
                outcomes = []
                self._channel.rule = work.rule
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
        self._channel.begin()
        trial = Trial(assignment, self.facts, self._channel)
        outcome = run_attempt(trial, self.job.objective, self.job.args, self._channel.news, self.job.retry_on)
        self._seconds += 0.3 * (max(time.monotonic() - begun, 1e-4) - self._seconds)
        if time.monotonic() - begun > 0.25:
            self._seconds = max(self._seconds, 0.25)
        return outcome


def _given_back(assignment: Assignment) -> Outcome:
    """Return a trial that was not begun."""
    now = time.time_ns() // 1000
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
    for thread in others:
        thread.start()
    Slot(names[0], job, link, facts).run()
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
