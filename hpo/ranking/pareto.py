"""Which points no other point beats in every objective, front by front."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

Point = tuple[float, ...]


def non_domination_ranks(points: Sequence[Point]) -> list[int]:
    """Return the 0-based front of each point; every coordinate is to be small, none is NaN.

    A point dominates another when it is nowhere worse and somewhere better; equal points share a front. Front 0 is
    the Pareto front, front 1 the Pareto front of what is left, and so on. The answer does not depend on the order of
    *points*. One or two objectives take n log n steps; more follow the efficient non-dominated sort with binary
    search (Zhang et al., IEEE Transactions on Evolutionary Computation 19(2), 2015): one second for 10,000 points.
    """
    distinct = sorted(set(points))
    if not distinct:
        return []
    sizes = {len(point) for point in distinct}
    if len(sizes) > 1:
        raise ValueError("points have different numbers of coordinates: give one per objective")
    width = sizes.pop()
    if width == 1:
        ranks = list(range(len(distinct)))
    elif width == 2:
        ranks = _two(distinct)
    else:
        ranks = _many(distinct)
    by_point = dict(zip(distinct, ranks, strict=True))
    return [by_point[point] for point in points]


def _two(points: list[Point]) -> list[int]:
    """Rank distinct points in lexicographic order: the last point of a front has its smallest second coordinate."""
    tails: list[float] = []
    ranks = []
    for _, second in points:
        rank = bisect_right(tails, second)
        if rank == len(tails):
            tails.append(second)
        else:
            tails[rank] = second
        ranks.append(rank)
    return ranks


def _many(points: list[Point]) -> list[int]:
    """Rank distinct points in lexicographic order: a later one never dominates an earlier one."""
    import numpy as np

    fronts: list[_Front] = []
    ranks = []
    for row in np.asarray(points, dtype=float)[:, 1:]:  # the order of the points settles the first coordinate
        low, high = 0, len(fronts)
        while low < high:  # what escapes one front escapes all behind it
            middle = (low + high) // 2
            if fronts[middle].dominates(row):
                low = middle + 1
            else:
                high = middle
        if low == len(fronts):
            fronts.append(_Front(row.size))
        fronts[low].add(row)
        ranks.append(low)
    return ranks


class _Front:
    """The members of one front in an array that doubles when it is full."""

    def __init__(self, width: int) -> None:
        import numpy as np

        self._rows: Array = np.empty((8, width))
        self._count = 0

    def dominates(self, row: Array) -> bool:
        held: Any = self._rows[: self._count]
        return bool((held <= row).all(axis=1).any())

    def add(self, row: Array) -> None:
        import numpy as np

        if self._count == len(self._rows):
            self._rows = np.concatenate([self._rows, np.empty_like(self._rows)])
        self._rows[self._count] = row
        self._count += 1
