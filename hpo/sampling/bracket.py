"""One ladder of successive halving: its rungs, its cuts, and who passes."""

from __future__ import annotations

from dataclasses import replace

from hpo.sampling.curve import Curve
from hpo.sampling.rules import HalvingRule
from hpo.sampling.rung import Rungs

Entry = tuple[int, float]
"""A rung and the value a trial brought there."""


class Bracket:
    """Decides exactly as Optuna's ``SuccessiveHalvingPruner`` does among the trials of one bracket.

    A trial that reaches a rung goes on from there when its value is among the best ``1 / factor`` of all that reached
    that rung so far, its own included (of fewer than ``factor``: when it is the best), and goes through several rungs
    at one report if need be. *rule* is always the current one; *changes* counts the changes of its cuts.
    """

    def __init__(self, *, maximize: bool, first: int | None, factor: int, bootstrap: int) -> None:
        self._bootstrap = bootstrap
        self._rungs = Rungs(maximize=maximize)
        self._cuts: list[float | None] = []
        self._jumps: dict[int, int] = {}  # trials whose last observed report went through several rungs: the first one
        self.changes = 0
        self.rule = HalvingRule(0, maximize, first, factor, self._cuts, beyond=bootstrap == 0)

    def start(self, first: int) -> None:
        """Set the step of rung 0, once it is known."""
        self.rule = replace(self.rule, first=first)
        self.changes += 1

    def judge(self, number: int, curve: Curve) -> tuple[bool, list[Entry]]:
        """Judge a trial at its newest report; return whether to stop it, and the rungs it entered."""
        before = curve.rung
        self._jumps.pop(number, None)
        stop = self.rule.judge(curve)
        return stop, self._enter(number, before, curve)

    def follow(self, number: int, curve: Curve) -> list[Entry]:
        """Let a trial through every rung that its newest report reaches, and return these."""
        before = curve.rung
        self.rule.follow(curve)
        self._jumps.pop(number, None)
        if curve.rung > before + 1:
            self._jumps[number] = before
        return self._enter(number, before, curve)

    def restore(self, number: int, entries: list[Entry]) -> None:
        """Put back what a trial brought to the rungs before a resume."""
        for rung, value in entries:
            self._rungs.enter(number, rung, value)
            self._cut(rung)

    def withdraw(self, number: int, *, above: int = -1) -> list[int]:
        """Take out what a running trial brought to the rungs above *above*, and return these rungs."""
        self._jumps.pop(number, None)
        gone = self._rungs.withdraw(number, above=above)
        for rung in gone:
            self._cut(rung)
        return gone

    def finish(self, number: int, curve: Curve, *, pruned: bool) -> list[int]:
        """Keep a finished trial's entries; return the rungs it turns out not to have reached.

        A worker that stopped a trial at a report through several rungs stopped it at one of them, by the cuts it had:
        by ours, it is the first one that does not let it pass.
        """
        first = self._jumps.pop(number, None)
        gone: list[int] = []
        if pruned and first is not None:
            stopped = (rung for rung in range(first, curve.rung) if not self._keeps(rung, curve.last_value))
            gone = self.withdraw(number, above=next(stopped, curve.rung))
        self._rungs.settle(number)
        return gone

    def _enter(self, number: int, before: int, curve: Curve) -> list[Entry]:
        entries = [(rung, curve.last_value) for rung in range(before, curve.rung)]
        self.restore(number, entries)
        return entries

    def _keeps(self, rung: int, value: float) -> bool:
        """Tell whether a value that has entered *rung* is one to go on from there."""
        ranked = self._rungs[rung]
        if len(ranked) <= self._bootstrap:
            return False
        best = max(len(ranked) // self.rule.factor - 1, 0)
        return (-value if self.rule.maximize else value) <= ranked[best]

    def _cut(self, rung: int) -> None:
        """Work out what the next trial has to bring to *rung*."""
        ranked = self._rungs[rung]
        count = len(ranked) + 1
        best = max(count // self.rule.factor - 1, 0)
        cut: float | None = None
        if count > self._bootstrap:
            cut = ranked[best] if best < len(ranked) else float("inf")
        while len(self._cuts) <= rung:
            self._cuts.append(float("nan"))
        if self._cuts[rung] != cut:
            self._cuts[rung] = cut
            self.changes += 1
