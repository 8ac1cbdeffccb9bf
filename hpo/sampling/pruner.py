"""The port of the pruners, and what the pruners that read learning curves share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from hpo.sampling.curve import Curve
from hpo.sampling.rules import NeverRule, Rule
from trackers.states import RunState
from trackers.values import Trial

TrialAttrs = dict[int, dict[str, Any]]
"""System attrs to keep, by the number of the trial; a value of None takes the attr away."""


class Pruner(ABC):
    """Decides which running trials are hopeless.

    One thread calls it: the manager's. A trial's calls are: any number of ``report`` and ``observe``, then ``finish``,
    or ``forget`` and all of it again. Numbers need not come in order, and trials interleave as they please. Values are
    floats, NaN and the infinities included; a second report at a step of the same attempt is ignored, as Optuna's
    ``Trial.report`` does, and the decision is taken again. After a resume, ``load_study_attrs`` comes first, then
    ``add`` for every stored trial in the order of the numbers; the pruner then decides as the one before it would
    have. *name* is what users call it, *note* a sentence on an automatic choice, else empty.
    """

    name: str = ""
    note: str = ""

    @abstractmethod
    def report(self, number: int, step: int, value: float) -> bool:
        """Record a value of a running trial, and tell whether the trial should stop."""

    @abstractmethod
    def observe(self, number: int, step: int, value: float) -> None:
        """Record a value about which a worker has decided, by a rule of this pruner."""

    @abstractmethod
    def finish(self, number: int, state: RunState, value: float | None) -> None:
        """Record that a trial reached its final *state*, with its result where it completed."""

    @abstractmethod
    def forget(self, number: int) -> None:
        """Take out what a running trial has reported: it went back to the queue, and will report again."""

    @abstractmethod
    def add(self, trial: Trial) -> None:
        """Take in a stored trial, in any state; one that is not finished is as good as forgotten, it will run again."""

    def rule(self) -> Rule | None:
        """Return a snapshot by which a worker may decide; None: only the pruner itself can. Cheap until it changes."""
        return None

    def drain(self) -> tuple[TrialAttrs, dict[str, Any]]:
        """Return the trials' and the study's system attrs to be stored that came up since the last call."""
        return {}, {}

    def load_study_attrs(self, attrs: Mapping[str, Any]) -> None:  # noqa: B027 - most pruners need not
        """Take in the study's stored system attrs, before any ``add``."""


class NeverPruner(Pruner):
    """Stop nothing."""

    name = "none"

    def __init__(self, note: str = "") -> None:
        self.note = note
        self._rule = NeverRule()

    def report(self, number: int, step: int, value: float) -> bool:
        return False

    def observe(self, number: int, step: int, value: float) -> None:
        """Nothing depends on it."""

    def finish(self, number: int, state: RunState, value: float | None) -> None:
        """Nothing depends on it."""

    def forget(self, number: int) -> None:
        """Nothing depends on it."""

    def add(self, trial: Trial) -> None:
        """Nothing depends on it."""

    def rule(self) -> Rule:
        return self._rule


class CurvePruner(Pruner):
    """Keep a curve for each running trial; what is special to a pruner comes in by the methods with an underscore.

    A trial that started again from a checkpoint is judged by the reports of its new attempt alone, as a worker sees
    them. Once it is finished, the steps before the first of that attempt count as reported by the attempts before it.
    """

    def __init__(self, *, maximize: bool) -> None:
        self.maximize = maximize
        self.version = 0
        self._curves: dict[int, Curve] = {}
        self._earlier: dict[int, dict[int, float]] = {}  # reports of attempts that went back to the queue
        self._snapshot: Rule | None = None
        self._gate: Callable[[Curve], bool] | None = None

    def restrict(self, gate: Callable[[Curve], bool]) -> None:
        """Let trials be judged only while *gate* is open for their curve; gates add up."""
        inner = self._gate
        self._gate = gate if inner is None else lambda curve: gate(curve) and inner(curve)

    def report(self, number: int, step: int, value: float) -> bool:
        curve = self._curve(number)
        curve.add(step, value)
        return self._open(curve) and self._decide(number, curve)

    def observe(self, number: int, step: int, value: float) -> None:
        curve = self._curve(number)
        curve.add(step, value)
        if self._open(curve):
            self._follow(number, curve)

    def finish(self, number: int, state: RunState, value: float | None) -> None:
        curve = self._curves.pop(number, None) or Curve()
        for step, old in gone_on_from(curve.steps, self._earlier.pop(number, {})).items():
            curve.add(step, old)
        self._learn(number, state, curve)

    def forget(self, number: int) -> None:
        curve = self._curves.pop(number, None)
        if curve is None:
            return
        self._keep_earlier(number, dict(curve))
        self._withdraw(number)

    def add(self, trial: Trial) -> None:
        if not trial.state.is_finished():
            self._keep_earlier(trial.number, dict(trial.intermediate_values))
            self._requeue(trial)
            return
        curve = Curve(trial.intermediate_values.items())
        self._restore(trial, curve)
        self._curves[trial.number] = curve
        self.finish(trial.number, trial.state, trial.values[0] if trial.values else None)

    def rule(self) -> Rule | None:
        if self._snapshot is None:
            self._snapshot = self._freeze()
        return self._snapshot

    def _curve(self, number: int) -> Curve:
        curve = self._curves.get(number)
        if curve is None:
            curve = self._curves[number] = Curve()
        return curve

    def _open(self, curve: Curve) -> bool:
        return self._gate is None or self._gate(curve)

    def _keep_earlier(self, number: int, reports: dict[int, float]) -> None:
        if reports:
            self._earlier[number] = {**gone_on_from(reports, self._earlier.get(number, {})), **reports}

    def _changed(self) -> None:
        """Say that the thresholds are others now."""
        self.version += 1
        self._snapshot = None

    @abstractmethod
    def _decide(self, number: int, curve: Curve) -> bool:
        """Judge a running trial at its newest report, and record what others are measured by."""

    def _follow(self, number: int, curve: Curve) -> None:
        """Record the newest report of a trial about which a worker has decided."""

    def _learn(self, number: int, state: RunState, curve: Curve) -> None:
        """Take in a finished trial."""

    def _withdraw(self, number: int) -> None:
        """Take out what a running trial has left behind."""

    def _requeue(self, trial: Trial) -> None:
        """Take in a stored trial that will run again from its start, or from a checkpoint."""

    def _restore(self, trial: Trial, curve: Curve) -> None:
        """Take in what a finished trial had left behind while it ran."""

    @abstractmethod
    def _freeze(self) -> Rule | None:
        """Make the snapshot for workers."""


def gone_on_from(steps: Iterable[int], reports: dict[int, float]) -> dict[int, float]:
    """Return those *reports* of earlier attempts that the attempt with *steps* went on from, as the store does."""
    first = min(steps, default=None)
    return reports if first is None else {step: value for step, value in reports.items() if step < first}
