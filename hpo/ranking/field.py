"""The ranked trials of a study with several objectives: what decides how a few of them stand among all.

The order of a leaderboard depends on every trial on it, and a study that asks after each of its trials cannot sort them
all. Those that dominate the few, and the front's extremes, are enough: among them the few stand as they do among all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hpo.ranking.pareto import Point
from trackers.values import Trial

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

MOST = 5000
"""Trials that are sorted to place a few; where more dominate them, these are placed among themselves."""


class Field:
    """Grows trial by trial, in time that grows with the front; a question costs one pass over the points."""

    def __init__(self, width: int) -> None:
        import numpy as np

        self._rows: Array = np.empty((8, width))
        self._logged = np.zeros(8, dtype=bool)
        self._trials: list[Trial] = []
        self._front: list[int] = []

    def add(self, trial: Trial, point: Point, logged: bool) -> None:
        """Take a ranked trial, its *point* (every coordinate to be small), and whether it logged a model."""
        import numpy as np

        place = len(self._trials)
        if place == len(self._rows):
            self._rows = np.concatenate([self._rows, np.empty_like(self._rows)])
            self._logged = np.concatenate([self._logged, np.zeros_like(self._logged)])
        self._rows[place], self._logged[place] = point, logged
        self._trials.append(trial)
        front: Any = self._rows[self._front]
        row = self._rows[place]
        if _dominating(front, row).any():
            return
        beaten = (row <= front).all(axis=1) & (row < front).any(axis=1)
        self._front = [n for n, gone in zip(self._front, beaten, strict=True) if not gone] + [place]

    def around(self, points: Sequence[Point]) -> list[Trial]:
        """Return the trials that dominate one of *points*, and those that span the Pareto front."""
        import numpy as np

        rows = self._rows[: len(self._trials)]
        above = np.zeros(len(rows), dtype=bool)
        for point in points:
            above |= _dominating(rows, np.asarray(point))
        chosen = set(np.flatnonzero(above).tolist()) if above.sum() <= MOST else set()
        for column in self._rows[self._front].T:
            finite = np.flatnonzero(np.isfinite(column))
            if finite.size:
                chosen |= {self._front[finite[column[finite].argmin()]], self._front[finite[column[finite].argmax()]]}
        return [self._trials[place] for place in chosen]

    def ahead(self, trial: Trial, point: Point) -> int:
        """Count the trials that logged a model and stand before *trial* whatever may come.

        Who dominates it does, and who has the same values and came earlier; everybody else may fall behind it.
        """
        import numpy as np

        rows = self._rows[: len(self._trials)]
        row = np.asarray(point)
        equal = np.flatnonzero((rows == row).all(axis=1) & self._logged[: len(rows)])
        before = sum(self._trials[place].number < trial.number for place in equal)
        return int((_dominating(rows, row) & self._logged[: len(rows)]).sum()) + before


def _dominating(rows: Array, row: Array) -> Any:
    return (rows <= row).all(axis=1) & (rows < row).any(axis=1)
