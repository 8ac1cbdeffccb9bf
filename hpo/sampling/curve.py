"""The reports of one attempt at a trial, folded so that every rule reads what it needs in constant time."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import overload


class Curve(Sequence[tuple[int, float]]):
    """The values that one attempt reported, as (step, value) in the order of the steps.

    Holds each step once: a second report at a step is ignored, as Optuna's ``Trial.report`` does. *rung* counts the
    rungs the attempt has passed and *stopped* says that a rule told it to stop; both belong to the rules. Adding in
    the order of the steps takes constant time. Not thread-safe.
    """

    __slots__ = ("_highs", "_lows", "rung", "steps", "stopped", "values")

    def __init__(self, reports: Iterable[tuple[int, float]] = ()) -> None:
        self.steps: list[int] = []
        self.values: list[float] = []
        self.rung = 0
        self.stopped = False
        self._lows: list[float] = []  # the lowest and the highest value up to each place, NaN left out
        self._highs: list[float] = []
        for step, value in reports:
            self.add(step, value)

    def add(self, step: int, value: float) -> bool:
        """Add a report; False if there was one at *step* already, which stays."""
        at = len(self.steps)
        if at and step <= self.steps[-1]:
            at = bisect_left(self.steps, step)
            if self.steps[at] == step:
                return False
        if at == len(self.steps):
            self.steps.append(step)
            self.values.append(value)
        else:
            self.steps.insert(at, step)
            self.values.insert(at, value)
            del self._lows[at:], self._highs[at:]
        self._fold()
        return True

    def _fold(self) -> None:
        """Bring the best values up to the last step."""
        at = len(self._lows)
        low, high = (self._lows[-1], self._highs[-1]) if at else (float("nan"), float("nan"))
        while at < len(self.values):
            value = self.values[at]
            low = value if low != low or value < low else low
            high = value if high != high or value > high else high
            self._lows.append(low)
            self._highs.append(high)
            at += 1

    @property
    def last_step(self) -> int:
        """The largest step; -1 while there is none."""
        return self.steps[-1] if self.steps else -1

    @property
    def last_value(self) -> float:
        """The value at the largest step; NaN while there is none."""
        return self.values[-1] if self.values else float("nan")

    def best(self, maximize: bool, *, before_last: int = 0) -> float:
        """Return the best value, leaving out the last *before_last* steps; NaN if nothing else is there."""
        bests = self._highs if maximize else self._lows
        at = len(bests) - before_last
        return bests[at - 1] if at > 0 else float("nan")

    def best_of_last(self, count: int, maximize: bool) -> float:
        """Return the best value of the last *count* steps, in time in *count*; NaN if there is none but NaN."""
        numbers = [value for value in self.values[-count:] if value == value] if count else []
        if not numbers:
            return float("nan")
        return max(numbers) if maximize else min(numbers)

    def place_from(self, step: int) -> int:
        """Return the place of the first report at *step* or after it."""
        return bisect_left(self.steps, step)

    def opens_interval(self, warmup: int, interval: int) -> bool:
        """Tell whether the last step is past *warmup* and the first reported in its interval of *interval* steps."""
        step = self.last_step
        if step < warmup:
            return False
        start = (step - warmup) // interval * interval + warmup
        return len(self.steps) < 2 or self.steps[-2] < start

    def __len__(self) -> int:
        return len(self.steps)

    @overload
    def __getitem__(self, at: int) -> tuple[int, float]: ...
    @overload
    def __getitem__(self, at: slice) -> list[tuple[int, float]]: ...
    def __getitem__(self, at: int | slice) -> tuple[int, float] | list[tuple[int, float]]:
        if isinstance(at, slice):
            return list(zip(self.steps[at], self.values[at], strict=True))
        return self.steps[at], self.values[at]

    def __repr__(self) -> str:
        return f"Curve({self[:]}, rung={self.rung})"
