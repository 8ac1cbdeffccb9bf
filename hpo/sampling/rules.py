"""The rules a worker stops trials by: a pruner's thresholds at one moment, small, picklable, and light to import."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from hpo.sampling.curve import Curve


@dataclass(frozen=True)
class Rule(ABC):
    """What a pruner would answer now, without the pruner.

    *version* rises with every change of a pruner's thresholds. A rule never changes, and may be used by many threads;
    a curve belongs to one attempt.
    """

    version: int = 0

    def curve(self, reports: Iterable[tuple[int, float]] = ()) -> Curve:
        """Return the curve of one attempt, which went on after each of *reports*; keep it, and add what comes."""
        curve = Curve()
        for step, value in reports:
            curve.add(step, value)
            self.follow(curve)
        return curve

    def decide(self, reports: Sequence[tuple[int, float]]) -> bool:
        """Tell whether the attempt with these *reports* should stop.

        *reports* is the attempt's ``Curve``, with all its reports added so far: constant time, whatever rule the
        attempt began with, and also when not every report was followed by a decision. Or it is a plain sequence in the
        order of the calls: folded anew each time, and taken for an attempt that went on after every report before the
        last.
        """
        if isinstance(reports, Curve):
            return self.judge(reports)
        curve = self.curve(reports[:-1])
        for step, value in reports[-1:]:
            curve.add(step, value)
        return self.judge(curve)

    @abstractmethod
    def judge(self, curve: Curve) -> bool:
        """Tell whether the attempt should stop at its newest report, and note on *curve* that it was judged."""

    def follow(self, curve: Curve) -> None:  # noqa: B027 - most rules need not
        """Note on *curve* that the attempt went on after its newest report, whoever decided so."""


@dataclass(frozen=True)
class NeverRule(Rule):
    """Stop nothing."""

    def judge(self, curve: Curve) -> bool:
        return False


@dataclass(frozen=True)
class AlwaysRule(Rule):
    """Stop at every report; of use inside a ``PatientRule``."""

    def judge(self, curve: Curve) -> bool:
        return True


@dataclass(frozen=True)
class ThresholdRule(Rule):
    """Stop a value outside *lower* to *upper*, or NaN."""

    lower: float = float("-inf")
    upper: float = float("inf")
    warmup: int = 0
    interval: int = 1

    def judge(self, curve: Curve) -> bool:
        if not curve.steps or not curve.opens_interval(self.warmup, self.interval):
            return False
        return not self.lower <= curve.last_value <= self.upper


@dataclass(frozen=True)
class PercentileRule(Rule):
    """Stop when the best value so far is worse than the cut at the last step. Closed: stop nothing."""

    maximize: bool = False
    warmup: int = 0
    interval: int = 1
    is_open: bool = False
    cuts: Mapping[int, float] = field(default_factory=dict)

    def judge(self, curve: Curve) -> bool:
        if not self.is_open or not curve.steps or not curve.opens_interval(self.warmup, self.interval):
            return False
        best = curve.best(self.maximize)
        if best != best:
            return True
        cut = self.cuts.get(curve.last_step)
        if cut is None:
            return False
        return best < cut if self.maximize else best > cut


@dataclass(frozen=True)
class HalvingRule(Rule):
    """Stop at a rung when the value there is worse than the rung's cut.

    Rung k is at step ``first * factor**k``; *first* None means that no rung is known yet. Cuts are for values whose
    sign is turned where the direction is to maximize; None stops everybody. *beyond* tells whether a rung without
    a cut, which nobody has reached, lets the first one pass.
    """

    maximize: bool = False
    first: int | None = None
    factor: int = 4
    cuts: Sequence[float | None] = ()
    beyond: bool = True

    def judge(self, curve: Curve) -> bool:
        if self.first is None or not curve.steps:
            return False
        value = curve.last_value
        while curve.last_step >= self.first * self.factor**curve.rung:
            if value != value:
                return True
            curve.rung += 1
            if not self.passes(curve.rung - 1, value):
                return True
        return False

    def passes(self, rung: int, value: float) -> bool:
        """Tell whether *value* goes on from *rung*."""
        if rung >= len(self.cuts):
            return self.beyond
        cut = self.cuts[rung]
        return cut is not None and (-value if self.maximize else value) <= cut

    def follow(self, curve: Curve) -> None:
        if self.first is None or not curve.steps or curve.last_value != curve.last_value:
            return
        while curve.last_step >= self.first * self.factor**curve.rung:
            curve.rung += 1


@dataclass(frozen=True)
class AshaRule(Rule):
    """Stop when the value with which the attempt got to its highest rung is worse than that rung's cut.

    Judges once a rung, at the first decision after it was reached. Rungs and signs are as in ``HalvingRule``; a cut of
    None, or none, judges nobody. A curve told to stop stays told.
    """

    maximize: bool = False
    first: int | None = None
    factor: int = 4
    cuts: Sequence[float | None] = ()

    def judge(self, curve: Curve) -> bool:
        rung = self.highest(curve.last_step)
        if rung >= curve.rung and not curve.stopped:
            curve.rung = rung + 1
            cut = self.cuts[rung] if rung < len(self.cuts) else None
            if cut is not None:
                value = self.entry(rung, curve)
                curve.stopped = value != value or (-value if self.maximize else value) > cut
        return curve.stopped

    def follow(self, curve: Curve) -> None:
        curve.rung = max(curve.rung, self.highest(curve.last_step) + 1)

    def highest(self, step: int) -> int:
        """Return the highest rung at or below *step*; -1 if there is none."""
        if self.first is None or step < self.first:
            return -1
        rung, at = 0, self.first * self.factor
        while at <= step:
            rung, at = rung + 1, at * self.factor
        return rung

    def entry(self, rung: int, curve: Curve) -> float:
        """Return the value with which *curve* got to *rung*."""
        return float("nan") if self.first is None else curve.values[curve.place_from(self.first * self.factor**rung)]

    def entries(self, curve: Curve) -> list[tuple[int, float]]:
        """List the (rung, value) for which *curve* counts: the first report past a rung, unless past the next too."""
        if self.first is None:
            return []
        entries = []
        for rung in range(self.highest(curve.last_step) + 1):
            at = curve.place_from(self.first * self.factor**rung)
            if self.highest(curve.steps[at]) == rung:
                entries.append((rung, curve.values[at]))
        return entries


@dataclass(frozen=True)
class PatientRule(Rule):
    """Stop what *inner* stops, but only after *patience* steps without an improvement by more than *min_delta*.

    Where *inner* notes on the curve that it wants to stop (ASHA at a rung), it is asked at every report, and its wish
    waits for the patience to end; others are asked only then.
    """

    inner: Rule = field(default_factory=AlwaysRule)
    maximize: bool = False
    patience: int = 0
    min_delta: float = 0.0

    @property
    def asks_always(self) -> bool:
        """Whether *inner* has to see every report."""
        return isinstance(self.inner, AshaRule) or (isinstance(self.inner, PatientRule) and self.inner.asks_always)

    def opens(self, curve: Curve) -> bool:
        """Tell whether the patience with *curve* is at an end."""
        recent = self.patience + 1
        if len(curve) <= recent:
            return False
        before = curve.best(self.maximize, before_last=recent)
        after = curve.best_of_last(recent, self.maximize)
        return before - self.min_delta > after if self.maximize else before + self.min_delta < after

    def judge(self, curve: Curve) -> bool:
        if self.asks_always:
            return self.inner.judge(curve) and self.opens(curve)
        return self.opens(curve) and self.inner.judge(curve)

    def follow(self, curve: Curve) -> None:
        if self.asks_always or self.opens(curve):
            self.inner.follow(curve)
