"""How much each param mattered, by PED-ANOVA."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from trackers.states import RunState
from trackers.values import StudyRow, Trial

ENOUGH = 10
"""Completed trials below which no importance is computed: their best tenth would be less than one trial."""

BEST = 0.1
"""The share of the trials that counts as the best."""

MOST = {1: 10_000, 2: 10_000, 3: 1_000}
"""Trials, by the number of objectives, above which an even sample is taken, so that the answer comes within seconds:
choosing the best tenth of one wide front costs its hypervolume, which grows fast with the objectives."""

MOST_OTHERWISE = 400


def importances(row: StudyRow, trials: Iterable[Trial]) -> dict[str, float]:
    """Return the share of each param in what sets the best tenth of the completed trials apart, largest first.

    The shares sum to 1.0; all are 0.0 where the best tenth differs in nothing from the rest. Params that never varied
    get 0.0. With several objectives the best tenth is chosen by non-domination rank, no objective preferred. Empty
    with fewer than 10 completed, feasible trials of finite values. The estimate is PED-ANOVA (see
    ``hpo.sampling.ped_anova``).
    """
    usable = [trial for trial in trials if _usable(trial, len(row.directions))]
    if len(usable) < ENOUGH:
        return {}
    most = MOST.get(len(row.directions), MOST_OTHERWISE)
    if len(usable) > most:
        usable = [usable[index * len(usable) // most] for index in range(most)]
    from hpo.sampling.ped_anova import divergences

    shares = divergences(
        [trial.params for trial in usable],
        [trial.distribution_specs for trial in usable],
        _best_tenth(row.directions, np.array([trial.values for trial in usable], dtype=float)),
    )
    total = sum(share for share in shares.values() if math.isfinite(share))
    if total <= 0.0:
        return dict.fromkeys(sorted(shares), 0.0)
    scaled = {name: share / total if math.isfinite(share) else 0.0 for name, share in shares.items()}
    return dict(sorted(scaled.items(), key=lambda item: (-item[1], item[0])))


def _usable(trial: Trial, objectives: int) -> bool:
    values = trial.values
    if trial.state is not RunState.COMPLETE or values is None or len(values) != objectives or not trial.feasible:
        return False
    return bool(trial.params) and all(math.isfinite(value) for value in values)


def _best_tenth(directions: Sequence[str], values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell which rows of *values* are the best tenth, rounded up; with one objective those that equal the last too."""
    losses = values * [-1.0 if direction == "maximize" else 1.0 for direction in directions]
    count = math.ceil(BEST * len(losses))
    if losses.shape[1] == 1:
        return np.asarray(losses[:, 0] <= np.partition(losses[:, 0], count - 1)[count - 1])
    from optuna.samplers._tpe.sampler import _split_complete_trials_multi_objective
    from optuna.study import StudyDirection

    points: Any = [_Point(index, row.tolist()) for index, row in enumerate(losses)]
    study: Any = _Minimized([StudyDirection.MINIMIZE] * losses.shape[1])
    best, _ = _split_complete_trials_multi_objective(points, study, count)
    return np.isin(np.arange(len(losses)), [point.place for point in cast(list[Any], best)])


class _Point(NamedTuple):
    """All that Optuna's choice of the best reads of a trial, and where it stands here."""

    place: int
    values: list[float]


class _Minimized(NamedTuple):
    """All that Optuna's choice of the best reads of a study."""

    directions: list[Any]
