"""Points that no other point beats in every objective, kept up as points come in."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


class Front:
    """The numbers of the trials on the Pareto front, with their losses (smaller is better).

    What is on it does not depend on the order in which the trials came. Adding one costs a comparison with each that is
    on it; equal ones stay together.
    """

    def __init__(self, objectives: int) -> None:
        self._numbers = np.zeros(16, dtype=np.int64)
        self._losses = np.zeros((16, objectives))
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def add(self, number: int, losses: Sequence[float]) -> None:
        """Take a trial in, unless one beats it; those that it beats are off."""
        new, there = np.asarray(losses, dtype=float), self._losses[: self._size]
        no_worse = (there <= new).all(axis=1)
        if (no_worse & (there < new).any(axis=1)).any():
            return
        stays = (there < new).any(axis=1) | no_worse
        kept = int(np.count_nonzero(stays))
        if kept < self._size:
            self._numbers[:kept] = self._numbers[: self._size][stays]
            self._losses[:kept] = there[stays]
        if kept == len(self._numbers):
            self._numbers = np.concatenate([self._numbers, np.zeros_like(self._numbers)])
            self._losses = np.concatenate([self._losses, np.zeros_like(self._losses)])
        self._numbers[kept], self._losses[kept] = number, new
        self._size = kept + 1

    def newest(self, limit: int) -> NDArray[np.int64]:
        """Return at most *limit* of the numbers, the largest."""
        numbers = self._numbers[: self._size]
        return np.sort(numbers if self._size <= limit else np.partition(numbers, -limit)[-limit:])


def crowded_last(losses: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return the order of the rows of *losses* by crowding distance, the loneliest first.

    (Deb, Pratap, Agarwal & Meyarivan, "A fast and elitist multiobjective genetic algorithm: NSGA-II", 2002, III-B.)
    """
    distance = np.zeros(len(losses))
    for column in losses.T:
        order = np.argsort(column, kind="stable")
        ranked = column[order]
        span = ranked[-1] - ranked[0]
        if not span > 0:
            continue
        around = np.full(len(ranked), np.inf)
        with np.errstate(invalid="ignore"):
            around[1:-1] = (ranked[2:] - ranked[:-2]) / span
        distance[order] += np.nan_to_num(around, nan=0.0, posinf=np.inf)
    return np.argsort(-distance, kind="stable")
