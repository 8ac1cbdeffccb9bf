"""Grid search: every point of a finite space, once."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from random import Random
from typing import Any

from hpo.errors import SettingsError, SpaceExhausted
from hpo.sampling.random import draw_point
from hpo.sampling.sampler import Sampler, Spec
from hpo.sampling.stream import Stream
from hpo.space import Space, from_distribution
from hpo.space.space import LARGEST_FINITE
from trackers.states import RunState
from trackers.values import Trial


class GridSampler(Sampler):
    """Walks through ``space.points()``, shuffled by *seed* or (*shuffled* False) in their order.

    *name* is what it goes by. *levels* gives each continuous param that many values, evenly spread on its scale. A
    point that failed counts as tried; one that was enqueued is not suggested again.

    Raises: SettingsError for a continuous param without *levels*, and for a grid of more than a million points.
    """

    def __init__(
        self,
        space: Space,
        *,
        seed: int = 0,
        levels: int | None = None,
        shuffled: bool = True,
        name: str = "grid",
    ) -> None:
        self.name = name
        _check_finite(space, levels, name)
        self._space, self._seed, self._levels, self._shuffled = space, seed, levels, shuffled
        self._points: list[dict[str, Any]] | None = None
        self._next = 0
        self._taken: set[Hashable] = set()

    def ask(self, number: int, fixed: Mapping[str, Any] | None = None, *, attempt: int = 0) -> dict[str, Any]:
        point = self._matching(number, self._space.check(fixed, partial=True)) if fixed else self._following()
        self._taken.add(self._space.key(point))
        return dict(point)

    def _following(self) -> dict[str, Any]:
        points = self._grid()
        while self._next < len(points):
            point = points[self._next]
            self._next += 1
            if self._space.key(point) not in self._taken:
                return point
        raise SpaceExhausted(f"all {len(points)} points of the grid were tried: there is nothing left to suggest")

    def _matching(self, number: int, fixed: Mapping[str, Any]) -> dict[str, Any]:
        """Return a point with the *fixed* params: one of the grid that is left, else any that has them."""
        wanted = {name: self._space[name].key(value) for name, value in fixed.items()}
        for point in self._grid():
            meets = all(name in point and self._space[name].key(point[name]) == key for name, key in wanted.items())
            if meets and self._space.key(point) not in self._taken:
                return point
        return draw_point(self._space, Stream(self._seed, number), fixed)

    def _grid(self) -> list[dict[str, Any]]:
        if self._points is None:
            self._points = list(self._space.points(self._levels))
            if self._shuffled:
                Random(self._seed).shuffle(self._points)
        return self._points

    def suggest(self, number: int, name: str, distribution: Spec) -> Any:
        return from_distribution(distribution).from_unit(Stream(self._seed, number).uniform(name))

    def tell(
        self,
        number: int,
        state: RunState,
        values: tuple[float, ...] | None,
        constraints: Mapping[str, float] | None = None,
    ) -> None:
        """Results change nothing: the points were chosen beforehand."""

    def add(self, trial: Trial) -> None:
        point = {name: value for name, value in trial.params.items() if name in self._space}
        if point:
            try:
                self._taken.add(self._space.key(point))
            except (TypeError, ValueError):
                pass  # of an earlier space, with values of another kind: no point of this one is taken by it


def _check_finite(space: Space, levels: int | None, sampler: str) -> None:
    if levels is not None and levels < 1:
        raise SettingsError(f"a grid with {levels} levels has no points: give 1 or more")
    endless = [name for name in space if space[name].cardinality() is None]
    if endless and levels is None:
        names = ", ".join(repr(name) for name in endless)
        raise SettingsError(
            f"{sampler}: {names} {'is' if len(endless) == 1 else 'are'} continuous: give step=, or levels with sampler='grid:5'"
        )
    if space.cardinality(levels) is None:
        raise SettingsError(
            f"{sampler}: the space has more than {LARGEST_FINITE:,} points: narrow it, or use another sampler"
        )
