"""What a manager keeps of its unfinished trials, and of the finished ones: counters."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from trackers.states import RunState


@dataclass(slots=True)
class Live:
    """An unfinished trial.

    *asked*: the sampler knows it; until then *params* are those it was enqueued with. *used* are the names that the
    objective really asked for in this attempt (define-by-run), *stored* those that the store has, *logged* the params
    that it logged in this attempt beside them. *models* has value and step of the best report that a model was saved
    for, by the model's name.
    """

    number: int
    run_id: int
    params: dict[str, Any] = field(default_factory=dict)
    user_attrs: dict[str, Any] = field(default_factory=dict)
    constraints: dict[str, float] = field(default_factory=dict)
    asked: bool = False
    checkpoint: str | None = None
    reports: list[tuple[int, float]] = field(default_factory=list)
    used: set[str] = field(default_factory=set)
    stored: set[str] = field(default_factory=set)
    models: dict[str, tuple[float, int]] = field(default_factory=dict)
    logged: dict[str, Any] = field(default_factory=dict)


class Tally:
    """Counts, the best trial and the rate of a study, kept up as results are committed."""

    def __init__(self, directions: tuple[str, ...]) -> None:
        self.directions = directions
        self.counts = dict.fromkeys(RunState, 0)
        self.best_value: float | None = None
        self.best_number: int | None = None
        self.begun = time.monotonic()
        self._recent: deque[float] = deque(maxlen=200)

    def add(
        self, number: int, state: RunState, values: tuple[float, ...] | None, constraints: Mapping[str, float]
    ) -> bool:
        """Count a finished trial; tell whether it is the best so far."""
        self.counts[state] += 1
        if state is not RunState.COMPLETE or values is None or len(self.directions) != 1:
            return False
        if any(v > 0 for v in constraints.values()):
            return False
        if self.best_value is not None and not self._better(values[0], self.best_value):
            return False
        self.best_value, self.best_number = values[0], number
        return True

    def _better(self, new: float, old: float) -> bool:
        return new > old if self.directions[0] == "maximize" else new < old

    def ended_now(self) -> None:
        """Note the time of a result, for the rate."""
        self._recent.append(time.monotonic())

    def rate(self) -> float:
        """Results a second, over the last 200 or since the start."""
        if not self._recent:
            return 0.0
        since = self._recent[0] if len(self._recent) == self._recent.maxlen else self.begun
        return len(self._recent) / max(time.monotonic() - since, 1e-3)
