"""The log density of Optuna's Parzen mixtures, close enough to choose by, at a fraction of the cost.

Optuna evaluates the mass that each kernel puts on each candidate of a stepped param in Python, number by number. Here
it is read off a table, and kernels of continuous params come out of three matrix products. What is returned differs
from Optuna's own numbers by less than ``tolerance``: whoever compares two densities that lie closer asks Optuna.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.samplers._tpe.probability_distributions import (
    _BatchedCategoricalDistributions,
    _MixtureOfProductDistribution,
    _unique_inverse_2d,
)

Array = NDArray[np.float64]

NEAR = 37.0
"""Standard deviations covered by the table; beyond them a series is exact."""

PER_UNIT = 256
"""Intervals of the table in one standard deviation: cubics on them are exact to 1e-12."""

NARROW = 1e-3
"""A cell narrower than this, in standard deviations, has the mass of its middle times its width."""

LOG_ROOT = math.log(math.sqrt(2 * math.pi))


def log_density(mixture: _MixtureOfProductDistribution, x: Array) -> Array:
    """Return the log density of *mixture* at each row of *x* (a column a param, inside its bounds)."""
    if len(mixture.distributions) == 1:
        values, of_value = np.unique(x, return_inverse=True)
        return _one_param(mixture, values)[of_value.reshape(-1)]
    total = np.log(mixture.weights)[np.newaxis] + np.zeros((len(x), 1))
    continuous = []
    for i, kernels in enumerate(mixture.distributions):
        if isinstance(kernels, _BatchedCategoricalDistributions):
            total += np.log(kernels.weights).T[x[:, i].astype(np.int64)]
        elif kernels.step == 0.0:
            continuous.append((kernels, np.log(x[:, i]) if kernels.is_log else x[:, i]))
        else:
            values, of_value = np.unique(x[:, i], return_inverse=True)
            mu, sigma, of_kernel = _unique_inverse_2d(kernels.mu, kernels.sigma)
            total += _stepped(kernels, values, mu, sigma)[np.ix_(of_value, of_kernel)]
    if continuous:
        total += _continuous(continuous)
    return _log_sum(total)


def _one_param(mixture: _MixtureOfProductDistribution, values: Array) -> Array:
    """Return the log density of a mixture over one param; kernels that are equal are counted together."""
    (kernels,) = mixture.distributions
    if isinstance(kernels, _BatchedCategoricalDistributions):
        return np.asarray(np.log(mixture.weights @ kernels.weights)[values.astype(np.int64)])
    if kernels.step == 0.0:
        log = _continuous([(kernels, np.log(values) if kernels.is_log else values)])
        return _log_sum(log + np.log(mixture.weights))
    mu, sigma, of_kernel = _unique_inverse_2d(kernels.mu, kernels.sigma)
    return _log_sum(_stepped(kernels, values, mu, sigma) + np.log(np.bincount(of_kernel, mixture.weights)))


def _log_sum(total: Array) -> Array:
    """Return the log of the sum over the columns of what *total* has the log of; *total* is used up."""
    peak = total.max(axis=1)
    peak[np.isneginf(peak)] = 0.0
    total -= peak[:, np.newaxis]
    np.exp(total, out=total)
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(total.sum(axis=1)) + peak)


def tolerance(mixture: _MixtureOfProductDistribution) -> float:
    """Return how far ``log_density`` may be from Optuna's own number.

    Optuna takes the mass of a cell as a difference: the narrower the cell, the fewer digits are left of it.
    """
    found = 1e-8
    for kernels in mixture.distributions:
        if not isinstance(kernels, _BatchedCategoricalDistributions) and kernels.step != 0.0:
            high = kernels.adapted_high
            cell = high - math.log(kernels.high - kernels.step / 2) if kernels.is_log else kernels.step
            found += 1e-13 * float(kernels.sigma.max()) / cell
    return found


def _continuous(params: list[tuple[Any, Array]]) -> Array:
    """Return, for each candidate and kernel, the sum over *params* of the log densities."""
    centre = np.array([(k.adapted_high + k.adapted_low) / 2 for k, _ in params])[:, np.newaxis]
    width = np.array([k.adapted_high - k.adapted_low for k, _ in params])[:, np.newaxis]
    mu = (np.array([k.mu for k, _ in params]) - centre) / width
    sigma = np.array([k.sigma for k, _ in params]) / width
    x = (np.array([column for _, column in params]) - centre) / width
    sharp = 1.0 / (sigma * sigma)
    const = _log_mass((-0.5 - mu) / sigma, (0.5 - mu) / sigma) + np.log(sigma * width) + LOG_ROOT
    return np.asarray(
        x.T @ (mu * sharp) - 0.5 * ((x * x).T @ sharp) - (0.5 * mu * mu * sharp + const).sum(axis=0)[np.newaxis]
    )


def _stepped(kernels: Any, values: Array, mu: Array, sigma: Array) -> Array:
    """Return, for each of *values* and each kernel, the log of the mass on the value's cell."""
    left, right = values - kernels.step / 2, values + kernels.step / 2
    if kernels.is_log:
        left, right = np.log(left), np.log(right)
    mass = _log_mass((left[:, np.newaxis] - mu) / sigma, (right[:, np.newaxis] - mu) / sigma)
    mass -= _log_mass((kernels.adapted_low - mu) / sigma, (kernels.adapted_high - mu) / sigma)
    return mass


def _log_mass(a: Array, b: Array) -> Array:
    """Return the log of the standard normal's mass between *a* and *b* (a < b)."""
    near, far = np.minimum(np.abs(a), np.abs(b)), np.maximum(np.abs(a), np.abs(b))
    near, far = _log_tail(near), _log_tail(far)
    around = (a < 0.0) & (b > 0.0)
    with np.errstate(divide="ignore"):
        mass = np.where(around, 0.0, near) + np.log1p(-np.where(around, np.exp(near) + np.exp(far), np.exp(far - near)))
    narrow = b - a < NARROW
    if narrow.any():
        width, middle = (b - a)[narrow], (a + b)[narrow] / 2
        square = middle * middle
        mass[narrow] = np.log(width) - square / 2 - LOG_ROOT + np.log1p(width * width * (square - 1) / 24)
    return mass


def _log_tail(t: Array) -> Array:
    """Return the log of the standard normal's mass above *t* >= 0."""
    place = np.minimum(t, NEAR) * PER_UNIT
    interval = place.astype(np.intp)
    place -= interval
    c0, c1, c2, c3 = _table()
    found = c3.take(interval)
    for coefficients in (c2, c1, c0):
        found *= place
        found += coefficients.take(interval)
    beyond = t > NEAR
    if beyond.any():
        found[beyond] = _log_far_tail(t[beyond])
    return found


def _log_far_tail(t: Array) -> Array:
    inverse = 1.0 / (t * t)
    series = np.log1p(-inverse * (1 - 3 * inverse * (1 - 5 * inverse)))
    return np.asarray(-t * t / 2 - np.log(t) - LOG_ROOT + series)


@cache
def _table() -> tuple[Array, Array, Array, Array]:
    """Return the cubics (Hermite's) that follow the log of the normal's tail, a row an interval."""
    step = 1.0 / PER_UNIT
    t = np.arange(int(NEAR) * PER_UNIT + 2) * step
    value = np.array([math.log(0.5 * math.erfc(z / math.sqrt(2))) for z in t.tolist()])
    slope = -np.exp(-t * t / 2 - LOG_ROOT - value) * step
    rise = np.diff(value)
    c2, c3 = 3 * rise - 2 * slope[:-1] - slope[1:], slope[:-1] + slope[1:] - 2 * rise
    return value[:-1], slope[:-1], c2, c3
