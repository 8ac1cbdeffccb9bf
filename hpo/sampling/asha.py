"""Asynchronous successive halving: stop a trial at a rung when it is not in the top of those that got there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from hpo.errors import SettingsError
from hpo.sampling.curve import Curve
from hpo.sampling.halving import check_halving, check_resource
from hpo.sampling.pruner import CurvePruner, TrialAttrs
from hpo.sampling.rules import AshaRule, Rule
from hpo.sampling.rung import Rungs
from trackers.states import RunState

MIN_RESOURCE_ATTR = "pruner:asha:min_resource"
AUTO_RUNGS = 3
"""Rungs that an automatic ``min_resource`` aims at."""


class AshaPruner(CurvePruner):
    """Stop a trial at a rung unless its value is in the top ``1 / reduction_factor`` of that rung so far.

    Li et al., "A System for Massively Parallel Hyperparameter Tuning", MLSys 2020, section 3.2 (algorithm 2), in
    stopping form: who is not promoted is stopped at once instead of paused, as nobody waits for company at a rung.
    The default *reduction_factor* is that of the paper's experiments.

    Rung k is at step ``min_resource * reduction_factor**k``. A report counts for the highest rung that it newly
    reaches, so that objectives which report every tenth step are compared at equal steps. The first
    *n_startup_trials* - 1 trials at a rung pass; from then on a trial passes when fewer than ``n // reduction_factor``
    (at least 1) of the n values there, its own included, are better; ties pass, NaN is the worst and stops. Trials
    are compared with what others had at the same rung, whenever they started.

    With ``"auto"``, *min_resource* comes from R, the last step of the first trial that completes (or *max_resource*):
    ``ceil(R / reduction_factor**3)``, and only rungs in the first half of the longest completed trial stop anybody: a
    stop later on saves little. So R = 100 gives rungs at 2, 8 and 32. Until then nobody is stopped, but what was
    reported is ranked as soon as the rungs are known. With a number, rungs below the end of the longest completed
    trial stop. A report costs constant time between rungs and O(log n) at one.
    """

    name = "asha"

    def __init__(
        self,
        min_resource: int | str = "auto",
        reduction_factor: int = 4,
        n_startup_trials: int = 4,
        max_resource: int | None = None,
        *,
        maximize: bool = False,
        note: str = "",
    ) -> None:
        super().__init__(maximize=maximize)
        check_halving(self.name, reduction_factor, 0)
        if n_startup_trials < 0:
            raise SettingsError(f"the asha pruner needs n_startup_trials of 0 or more, not {n_startup_trials}")
        first = check_resource(self.name, "min_resource", min_resource)
        self.note = note
        self._auto = first is None
        self._startup = n_startup_trials
        self._longest = check_resource(self.name, "max_resource", max_resource)
        self._rungs = Rungs(maximize=maximize)
        self._cuts: list[float | None] = []
        self._unplaced: dict[int, Curve] = {}  # finished before the rungs were known
        self._study_attrs: dict[str, Any] = {}
        self._live = AshaRule(0, maximize, first, reduction_factor, self._cuts)
        if first is None and self._longest is not None:
            self._start(self._aim(self._longest))

    def report(self, number: int, step: int, value: float) -> bool:
        # A patient pruner around this one delays the stop; the place at the rung is taken now.
        curve = self._curve(number)
        curve.add(step, value)
        return self._decide(number, curve) and self._open(curve)

    def observe(self, number: int, step: int, value: float) -> None:
        curve = self._curve(number)
        curve.add(step, value)
        self._follow(number, curve)

    def load_study_attrs(self, attrs: Mapping[str, Any]) -> None:
        stored = attrs.get(MIN_RESOURCE_ATTR)
        if self._live.first is None and stored is not None:
            self._start(int(stored))

    def drain(self) -> tuple[TrialAttrs, dict[str, Any]]:
        study, self._study_attrs = self._study_attrs, {}
        return {}, study

    def _decide(self, number: int, curve: Curve) -> bool:
        stop = self._live.judge(curve)
        self._climb(number, curve)
        return stop

    def _follow(self, number: int, curve: Curve) -> None:
        self._live.follow(curve)
        self._climb(number, curve)

    def _climb(self, number: int, curve: Curve) -> None:
        """Record the rung that the newest report reached."""
        rung = self._live.highest(curve.last_step)
        if rung > self._rungs.top(number):
            self._enter(number, [(rung, self._live.entry(rung, curve))])

    def _learn(self, number: int, state: RunState, curve: Curve) -> None:
        if self._live.first is not None:
            # by what is stored: with the steps of attempts before a checkpoint, and in the order of the steps
            self._recut(self._rungs.replace(number, self._live.entries(curve)))
            self._rungs.settle(number)
        elif curve.steps:
            self._unplaced[number] = curve
        if state != RunState.COMPLETE or not curve.steps:
            return
        if self._live.first is None:
            self._start(self._aim(curve.last_step))
            self._study_attrs[MIN_RESOURCE_ATTR] = self._live.first
        if self._longest is None or curve.last_step > self._longest:
            self._longest = curve.last_step
            self._recut(range(len(self._rungs)))

    def _withdraw(self, number: int) -> None:
        self._recut(self._rungs.withdraw(number))

    def _aim(self, last_step: int) -> int:
        """Return the step of the first rung for trials that go on to *last_step*."""
        share: int = self._live.factor**AUTO_RUNGS
        return max(1, -(-last_step // share))

    def _start(self, first: int) -> None:
        """Set the first rung, and rank what was reported before it was known."""
        self._live = replace(self._live, first=first)
        self._changed()
        for number, curve in self._unplaced.items():
            self._enter(number, self._live.entries(curve))
            self._rungs.settle(number)
        self._unplaced.clear()
        for number, curve in self._curves.items():
            self._enter(number, self._live.entries(curve))

    def _enter(self, number: int, entries: list[tuple[int, float]]) -> None:
        for rung, value in entries:
            self._rungs.enter(number, rung, value)
        self._recut(rung for rung, _ in entries)

    def _recut(self, rungs: Iterable[int]) -> None:
        """Work out anew what the next trial has to bring to *rungs*."""
        changed = False
        for rung in rungs:
            cut = self._cut(rung)
            self._cuts.extend([None] * (rung + 1 - len(self._cuts)))
            changed = changed or self._cuts[rung] != cut
            self._cuts[rung] = cut
        if changed:
            self._changed()

    def _cut(self, rung: int) -> float | None:
        """Return the worst value that passes *rung*; None while everybody does."""
        ranked = self._rungs[rung]
        count = len(ranked) + 1
        if count < max(self._startup, 2) or not self._stops_at(rung):
            return None
        best = max(count // self._live.factor, 1)
        return ranked[best - 1] if best <= len(ranked) else None

    def _stops_at(self, rung: int) -> bool:
        if self._longest is None or self._live.first is None:
            return True
        step: int = self._live.first * self._live.factor**rung
        return step * 2 <= self._longest if self._auto else step < self._longest

    def _freeze(self) -> Rule:
        return replace(self._live, version=self.version, cuts=tuple(self._cuts))
