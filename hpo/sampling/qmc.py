"""Quasi-random search over a declared space: points that fill it more evenly than random ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hpo.sampling.random import draw_point
from hpo.sampling.sampler import Sampler, Spec
from hpo.sampling.stream import Stream
from hpo.space import Space, from_distribution
from trackers.states import RunState
from trackers.values import Trial

BLOCK = 64
"""Points made at first; each further block doubles what is there, as the sequence wants."""


class QmcSampler(Sampler):
    """Trial *n* takes point *n* of a scrambled Sobol sequence, one coordinate a param.

    A conditional param has its coordinate whether it is active or not. A second attempt is drawn at random.
    (Owen, "Scrambling Sobol' and Niederreiter-Xing points", Journal of Complexity 14, 1998.)
    """

    name = "qmc"

    def __init__(self, space: Space, *, seed: int = 0) -> None:
        from scipy.stats import qmc  # half a second, and only here

        self._space, self._seed = space, seed
        self._engine = qmc.Sobol(len(space), scramble=True, seed=np.random.default_rng(seed % 2**63))
        self._points = self._engine.random(BLOCK)

    def ask(self, number: int, fixed: Mapping[str, Any] | None = None, *, attempt: int = 0) -> dict[str, Any]:
        if attempt:
            return draw_point(self._space, Stream(self._seed, number, attempt), fixed)
        while number >= len(self._points):
            self._points = np.concatenate([self._points, self._engine.random(len(self._points))])
        fixed = fixed or {}
        point: dict[str, Any] = {}
        for name, u in zip(self._space.order, self._points[number].tolist(), strict=True):
            if self._space.met(name, point):
                point[name] = fixed[name] if name in fixed else self._space[name].from_unit(u)
        return point

    def suggest(self, number: int, name: str, distribution: Spec) -> Any:
        return from_distribution(distribution).from_unit(Stream(self._seed, number).uniform(name))

    def tell(
        self,
        number: int,
        state: RunState,
        values: tuple[float, ...] | None,
        constraints: Mapping[str, float] | None = None,
    ) -> None:
        """Results change nothing: the sequence is fixed."""

    def add(self, trial: Trial) -> None:
        """History changes nothing: the next trial's number says where the sequence goes on."""
