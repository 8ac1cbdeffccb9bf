"""PED-ANOVA: how far the best trials' values of a param are from everybody's (Watanabe et al., IJCAI 2023).

Both are densities on a grid: Parzen estimates whose width follows Scott's rule. Their Pearson divergence is the param's
weight. A param that exists only now and then, or in several ranges, is split into the regimes that it was drawn in
(conditional PED-ANOVA, arXiv 2601.20800). The choices that the papers leave open (grid, prior, rounding) are those of
Optuna's ``PedAnovaImportanceEvaluator``, whose numbers these are. Optuna's module cannot be used without scikit-learn
and SciPy, which take longer to load than all the rest of a report takes to be made.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo.choice import key

Array = NDArray[np.float64]
Spec = Mapping[str, Any]

CELLS = 50
"""Most cells that the range of a number is divided into."""

PRIOR = 1.0
"""What the prior, which is flat over the grid, weighs beside a trial."""

NARROWEST = 0.5 / 1.64
"""Least width of a kernel in cells: nine tenths of it lie in its own cell."""

FLOOR = 1e-12
"""Added to every density, so that none is divided by zero."""

FEWEST = 2
"""Trials below which a regime says nothing."""


def divergences(
    params: Sequence[Mapping[str, Any]], specs: Sequence[Mapping[str, Spec]], best: NDArray[np.bool_]
) -> dict[str, float]:
    """Return for each param how much it sets the *best* trials apart from all; 0.0 is not at all.

    *params*, *specs* (distributions in Optuna's JSON form) and *best* have an item a trial; a param without a spec is
    one that the trial does not have. At least one trial is among the best. Raises: ValueError for a value outside of
    its distribution, or a distribution of an unknown kind.
    """
    domain_of = _Domains()
    domains = [{name: domain_of(spec) for name, spec in own.items() if name in had} for own, had in
               zip(specs, params, strict=True)]  # fmt: skip
    share_of_best = 1 / int(np.count_nonzero(best))
    found = {}
    for name in sorted({name for own in domains for name in own}):
        regimes = defaultdict(list)
        for index, own in enumerate(domains):
            if name in own:
                regimes[own[name]].append(index)
        found[name] = 0.0
        for domain, members in regimes.items():
            cells = domain.cells([params[index][name] for index in members])
            top = cells[best[members]]
            if len(members) >= FEWEST and len(top) and domain.size > 1:
                of_best, of_all = len(top) * share_of_best, len(members) / len(params)
                found[name] += of_best**2 / of_all * _divergence(domain, top, cells)
    return found


def _divergence(domain: Domain, top: NDArray[np.intp], cells: NDArray[np.intp]) -> float:
    """Return the Pearson divergence of the density of *top* from that of all the *cells*."""
    of_top, of_all = (domain.density(np.bincount(found, minlength=domain.size)) + FLOOR for found in (top, cells))
    return float(of_all @ (of_top / of_all - 1.0) ** 2)


@dataclass(frozen=True)
class Numbers:
    """A range, as cells of equal width on its (linear or logarithmic) scale; values belong to the nearest middle."""

    low: float
    high: float
    step: float | None
    log: bool
    whole: bool

    @cached_property
    def size(self) -> int:
        """How many cells there are; 1 where there is but one value."""
        if self.low == self.high:
            return 1
        if self.whole and self.log:
            return min(int(np.ceil(np.log(self.high - self.low + 1) / np.log(2))) + 1, CELLS)
        return CELLS if self.step is None else min(round((self.high - self.low) / self.step) + 1, CELLS)

    def cells(self, values: Sequence[Any]) -> NDArray[np.intp]:
        """Return the cell of each of *values*; between two it is the lower."""
        taken = np.asarray(values, dtype=float)
        if not ((taken >= self.low) & (taken <= self.high)).all():
            raise ValueError(f"a value is outside of {self.low} to {self.high}")
        if self.size == 1:
            return np.zeros(len(taken), dtype=np.intp)
        low, high = (math.log(self.low), math.log(self.high)) if self.log else (self.low, self.high)
        place = ((np.log(taken) if self.log else taken) - low) / ((high - low) / (self.size - 1))
        return np.clip(np.ceil(place - 0.5).astype(np.intp), 0, self.size - 1)

    def density(self, counts: NDArray[np.intp]) -> Array:
        """Return the share of each cell in a mixture of normals, one for each cell that was met, cut at the ends."""
        met = np.flatnonzero(counts)
        weights = counts[met]
        middles = np.append(met, (self.size - 1) / 2)
        widths = np.append(np.full(len(met), _width(met, weights)), float(self.size))
        edges = (np.arange(self.size + 1)[:, np.newaxis] - 0.5 - middles) / widths
        mass = _mass(edges[:-1], edges[1:]) / _mass(edges[:1], edges[-1:])
        return np.asarray(mass @ np.append(weights, PRIOR) / (weights.sum() + PRIOR))


@dataclass(frozen=True)
class Choices:
    """Choices; each is a cell."""

    keys: tuple[Any, ...]

    @property
    def size(self) -> int:
        """How many there are."""
        return len(self.keys)

    def cells(self, values: Sequence[Any]) -> NDArray[np.intp]:
        """Return the index of each of *values*."""
        place = {own: index for index, own in reversed([*enumerate(self.keys)])}
        try:
            return np.array([place[key(value)] for value in values], dtype=np.intp)
        except KeyError as exc:
            raise ValueError(f"{exc.args[0][1]!r} is none of the choices") from None

    def density(self, counts: NDArray[np.intp]) -> Array:
        """Return the share of each choice: a kernel for each that was met, smoothed by the prior, and a flat one."""
        met = np.flatnonzero(counts)
        blur = PRIOR / (len(met) + 1)
        kernels = (np.eye(self.size)[met] + blur) / (1.0 + blur * self.size)
        return np.asarray((counts[met] @ kernels + PRIOR / self.size) / (counts.sum() + PRIOR))


Domain = Numbers | Choices


class _Domains:
    """The domain of a spec; equal specs have equal ones, and each spec object is read once."""

    def __init__(self) -> None:
        self._read: dict[int, tuple[Spec, Domain]] = {}

    def __call__(self, spec: Spec) -> Domain:
        seen = self._read.get(id(spec))
        if seen is None:  # the spec is held beside it, so its identity is not given to another object
            seen = self._read[id(spec)] = (spec, _domain(spec))
        return seen[1]


def _domain(spec: Spec) -> Domain:
    kind, attributes = spec["name"], spec["attributes"]
    if kind == "CategoricalDistribution":
        return Choices(tuple(key(choice) for choice in attributes["choices"]))
    if kind not in ("FloatDistribution", "IntDistribution"):
        raise ValueError(f"a distribution of an unknown kind: {kind}")
    step, low, high = attributes.get("step"), float(attributes["low"]), float(attributes["high"])
    if step is not None:  # the last value that steps reach, counted in decimals: 0.3 is three steps of 0.1
        start, stride = Decimal(str(attributes["low"])), Decimal(str(step))
        high = float((Decimal(str(attributes["high"])) - start) // stride * stride + start)
    return Numbers(low, high, None if step is None else float(step), bool(attributes["log"]), kind == "IntDistribution")


def _width(met: NDArray[np.intp], weights: NDArray[np.intp]) -> float:
    """Return the standard deviation of the kernels by Scott's rule (Multivariate Density Estimation, 1992)."""
    reached, total = np.cumsum(weights), int(weights.sum())
    mean = float(met @ weights) / total
    spread = math.sqrt(float((met - mean) ** 2 @ weights) / max(1, total - 1))
    first = met[np.searchsorted(reached, total // 4, side="left")]
    third = met[min(len(met) - 1, int(np.searchsorted(reached, total * 3 // 4, side="right")))]
    return max(1.059 * min(int(third - first) / 1.34, spread) * float(total**-0.2), NARROWEST)


def _mass(a: Array, b: Array) -> Array:
    """Return the standard normal's mass between *a* and *b* (a < b), exact in both tails."""
    above = a > 0
    left, right = np.where(above, -b, a), np.where(above, -a, b)
    return _below(right) - _below(left)


def _below(z: Array) -> Array:
    return np.array([0.5 * math.erfc(-x / math.sqrt(2)) for x in z.ravel().tolist()]).reshape(z.shape)
