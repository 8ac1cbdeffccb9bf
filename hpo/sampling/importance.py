"""How much each param mattered, by PED-ANOVA."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from trackers.states import RunState
from trackers.values import StudyRow, Trial

if TYPE_CHECKING:
    import optuna

ENOUGH = 10
"""Completed trials below which no importance is computed: their best tenth would be less than one trial."""

MOST = {1: 10_000, 2: 10_000, 3: 1_000}
"""Trials, by the number of objectives, above which an even sample is taken, so that the answer comes within seconds:
choosing the best tenth of one wide front costs its hypervolume, which grows fast with the objectives."""

MOST_OTHERWISE = 400


def importances(row: StudyRow, trials: Iterable[Trial]) -> dict[str, float]:
    """Return the share of each param in what sets the best tenth of the completed trials apart, largest first.

    The shares sum to 1.0; all are 0.0 where the best tenth differs in nothing from the rest. Params that never varied
    get 0.0. With several objectives the best tenth is chosen by non-domination rank, no objective preferred. Empty
    with fewer than 10 completed, feasible trials of finite values. The estimate is Optuna's
    ``PedAnovaImportanceEvaluator`` (Watanabe et al., IJCAI 2023; conditional params as arXiv 2601.20800).
    """
    usable = [trial for trial in trials if _usable(trial, len(row.directions))]
    if len(usable) < ENOUGH:
        return {}
    most = MOST.get(len(row.directions), MOST_OTHERWISE)
    if len(usable) > most:
        usable = [usable[index * len(usable) // most] for index in range(most)]
    from optuna.importance import PedAnovaImportanceEvaluator

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # params seen once or twice: their share is small, and that is the answer
        shares = PedAnovaImportanceEvaluator().evaluate(_study(row.directions, usable))
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


def _study(directions: Sequence[str], trials: list[Trial]) -> optuna.Study:
    """Rebuild the trials as a study in memory, silently."""
    import optuna

    distribution = _Distributions()
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = optuna.create_study(directions=[optuna.study.StudyDirection[word.upper()] for word in directions])
    finally:
        optuna.logging.set_verbosity(level)
    for trial in trials:
        known = {name: distribution(spec) for name, spec in trial.distribution_specs.items() if name in trial.params}
        study.add_trial(
            optuna.trial.create_trial(
                values=list(trial.values or ()),
                params={name: trial.params[name] for name in known},
                distributions=known,
            )
        )
    return study


class _Distributions:
    """Optuna's distributions, one object for equal specs."""

    def __init__(self) -> None:
        self._by_spec: dict[str, optuna.distributions.BaseDistribution] = {}
        self._by_identity: dict[int, tuple[Any, optuna.distributions.BaseDistribution]] = {}

    def __call__(self, spec: Mapping[str, Any]) -> optuna.distributions.BaseDistribution:
        seen = self._by_identity.get(id(spec))
        if seen is not None:  # the spec is held beside it, so its identity is not given to another object
            return seen[1]
        from optuna.distributions import json_to_distribution

        text = json.dumps(spec, sort_keys=True)
        if text not in self._by_spec:
            self._by_spec[text] = json_to_distribution(text)
        self._by_identity[id(spec)] = (spec, self._by_spec[text])
        return self._by_spec[text]
