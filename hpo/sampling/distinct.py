"""No point twice: a layer over any sampler of a declared space."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Any

from hpo.errors import SpaceExhausted
from hpo.sampling.random import draw_point
from hpo.sampling.sampler import Sampler, Spec
from hpo.sampling.stream import Stream
from hpo.space import Space
from trackers.states import RunState
from trackers.values import Trial

TRIES = 4
"""How often the sampler itself is asked before a point is drawn at random."""

RANDOM_TRIES = 64
"""How many random points are drawn before a finite space is walked for one that is left."""


class DistinctSampler(Sampler):
    """Asks *inner* again where it suggests a point that was tried, runs, waits for a retry or failed.

    An enqueued trial is run though its point was tried: somebody wants it again. When every point of a finite space is
    taken, ``ask`` raises SpaceExhausted. The cost per ask does not grow with the number of trials.
    """

    def __init__(self, inner: Sampler, space: Space, *, seed: int = 0) -> None:
        self.inner, self._space, self._seed = inner, space, seed
        self.name, self.note = inner.name, inner.note
        self._taken: set[bytes] = set()
        self._size = space.cardinality()
        self._rest = space.points() if self._size is not None else iter(())

    def ask(self, number: int, fixed: Mapping[str, Any] | None = None, *, attempt: int = 0) -> dict[str, Any]:
        if fixed:
            fixed = self._space.check(fixed, partial=True)
        elif self._size is not None and len(self._taken) >= self._size:
            raise SpaceExhausted(f"all {self._size} points of the space were tried: there is nothing left to suggest")
        point = self._unseen(number, fixed or None, attempt)
        self._taken.add(self._mark(point))
        return point

    def _mark(self, point: Mapping[str, Any]) -> bytes:
        """Return 16 bytes that stand for *point*: a study of a million trials holds as many."""
        return blake2b(repr(self._space.key(point)).encode("utf-8", "surrogatepass"), digest_size=16).digest()

    def _unseen(self, number: int, fixed: Mapping[str, Any] | None, first: int) -> dict[str, Any]:
        for attempt in range(first, first + TRIES):
            point = self.inner.ask(number, fixed, attempt=attempt)
            if self._mark(point) not in self._taken:
                return point
            if fixed and len(point.keys() & fixed.keys()) == len(point):
                return point
        other = self._random(number, fixed, first + TRIES)
        if other is None and not fixed:
            other = next((p for p in self._rest if self._mark(p) not in self._taken), None)
        return point if other is None else self.inner.ask(number, other, attempt=first + TRIES)

    def _random(self, number: int, fixed: Mapping[str, Any] | None, first: int) -> dict[str, Any] | None:
        for attempt in range(first, first + RANDOM_TRIES):
            point = draw_point(self._space, Stream(self._seed, number, attempt), fixed)
            if self._mark(point) not in self._taken:
                return point
        return None

    def suggest(self, number: int, name: str, distribution: Spec) -> Any:
        return self.inner.suggest(number, name, distribution)

    def discard(self, number: int, names: Iterable[str]) -> None:
        self.inner.discard(number, names)

    def report(self, number: int, step: int, value: float) -> None:
        self.inner.report(number, step, value)

    def tell(
        self,
        number: int,
        state: RunState,
        values: tuple[float, ...] | None,
        constraints: Mapping[str, float] | None = None,
    ) -> None:
        self.inner.tell(number, state, values, constraints)

    def add(self, trial: Trial) -> None:
        self.inner.add(trial)
        point = {name: value for name, value in trial.params.items() if name in self._space}
        if point:
            try:
                self._taken.add(self._mark(point))
            except (TypeError, ValueError):
                pass  # of an earlier space, with values of another kind: no point of this one is taken by it

    def drain(self) -> tuple[dict[int, dict[str, Any]], dict[str, Any]]:
        return self.inner.drain()

    def load_study_attrs(self, attrs: Mapping[str, Any]) -> None:
        self.inner.load_study_attrs(attrs)
