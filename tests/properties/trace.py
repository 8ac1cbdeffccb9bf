"""Random histories of a study for pruners: trials that interleave, report, repeat themselves, fail and complete."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from trackers.states import RunState


@dataclass
class Running:
    number: int
    steps: list[int]
    level: float
    ending: RunState
    told: int = 0


@dataclass
class Trace:
    """Draws events by chance from *seed*: ``("report", number, step, value)``, ``("finish", number, state, value)``,
    and ``("forget", number)`` where *restarts*.

    Send what the pruner decided back with ``stop``; *obedient* trials then end as PRUNED, others go on now and then.
    """

    seed: int
    trials: int = 25
    obedient: bool = False
    restarts: bool = False
    ordered: bool = False
    running: list[Running] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.workers = self.random.randint(1, 5)
        self.length = self.random.choice([3, 10, 30, 120])
        self.odd = self.random.choice([0.0, 0.0, 0.05, 0.4])
        self.grid = self.random.random() < 0.5

    def events(self) -> Iterator[tuple]:
        number = 0
        while number < self.trials or self.running:
            if number < self.trials and len(self.running) < self.workers:
                self.running.append(self._start(number))
                number += 1
                continue
            trial = self.random.choice(self.running)
            if self.restarts and trial.told and self.random.random() < 0.02:
                self.running.remove(trial)
                self.running.append(self._start(trial.number))
                yield ("forget", trial.number)
            elif trial.told < len(trial.steps):
                step = trial.steps[trial.told]
                trial.told += 1
                yield ("report", trial.number, step, self._value(trial))
            else:
                yield self._finish(trial, trial.ending)

    def stop(self, number: int) -> tuple | None:
        """Let trial *number* obey, or not; return its finish if it does."""
        trial = next(t for t in self.running if t.number == number)
        if self.obedient or self.random.random() < 0.8:
            return self._finish(trial, RunState.PRUNED)
        return None

    def _finish(self, trial: Running, state: RunState) -> tuple:
        self.running.remove(trial)
        return ("finish", trial.number, state, trial.level if state == RunState.COMPLETE else None)

    def _start(self, number: int) -> Running:
        stride = self.random.choice([1, 1, 1, 2, 7])
        first = self.random.choice([0, 0, 1, 5])
        steps = list(range(first, self.random.randint(first + 1, first + self.length) + 1, stride))
        if not self.ordered and self.random.random() < 0.3:
            steps += self.random.choices(steps, k=2)  # repeated ones
            at = self.random.randrange(len(steps))
            steps[at:] = self.random.sample(steps[at:], len(steps) - at)
        if self.random.random() < 0.1:
            steps = []
        ending = RunState.FAIL if self.random.random() < 0.15 else RunState.COMPLETE
        return Running(number, steps, self.random.random(), ending)

    def _value(self, trial: Running) -> float:
        if self.random.random() < self.odd:
            return self.random.choice([float("nan"), float("nan"), float("inf"), float("-inf"), 0.0])
        value = trial.level + self.random.gauss(0.0, 0.3) / (1 + trial.told)
        return round(value, 1) if self.grid else value
