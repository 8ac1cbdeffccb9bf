"""Optuna's TPE at a cost that does not grow with the number of trials.

Optuna's own turns every trial into numbers at every suggestion, sorts them all, and evaluates most kernels in Python.
Here a trial is turned once, when it finishes (``history``), and candidates are compared by densities that are cheap and
nearly exact (``density``); where two are too close to call, Optuna's own numbers decide. So the suggestions are
Optuna's, bit for bit, up to ``Limits.exact`` trials; beyond, the kernels are those of a bounded set of trials.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import TPESampler
from optuna.samplers._tpe.parzen_estimator import _ParzenEstimator
from optuna.samplers._tpe.sampler import default_gamma, default_gamma_multiobjective
from optuna.trial import FrozenTrial, TrialState

from hpo.sampling.density import log_density, tolerance
from hpo.sampling.history import History, Split
from hpo.sampling.mirror import STUDY_ID

_RUNNING = (TrialState.RUNNING,)


class ColumnTPESampler(TPESampler):
    """Suggests as Optuna's ``TPESampler`` does, for a study whose storage is a ``MirrorStorage``.

    *study_seed* decides which trials are remembered once they are too many.
    """

    def __init__(self, *, study_seed: int = 0) -> None:
        super().__init__(seed=0)
        self._study_seed = study_seed
        self._history: History | None = None
        self._last_split: tuple[Any, Split] | None = None

    def _learned(self, study: optuna.Study) -> History:
        if self._history is None:
            self._history = History(study._storage, study, self._study_seed)  # type: ignore[arg-type]
        self._history.catch_up()
        return self._history

    def _sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        if not search_space or self._learned(study).learned < self._n_startup_trials:
            return {}
        return self._sample(study, trial, search_space)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        if self._learned(study).learned < self._n_startup_trials:
            return self._random_sampler.sample_independent(study, trial, param_name, param_distribution)
        return self._sample(study, trial, {param_name: param_distribution})[param_name]

    def _sample(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        history, several = self._learned(study), len(study.directions) > 1
        others = study._storage.get_all_trials(STUDY_ID, False, _RUNNING)
        running = history.counted([other for other in others if other.number != trial.number])
        numbers = [other.number for other in running]
        split = self._split(history, trial.number, numbers, several)
        params = [self._get_params(other, study) for other in running]
        for name, distribution in search_space.items():
            values = [distribution.to_internal_repr(p[name]) if name in p else np.nan for p in params]
            history.observe(numbers, name, values)
        names = list(search_space)
        observed, there = history.observations(split.below, names)
        below = _ParzenEstimator(
            observed, search_space, self._parzen_estimator_parameters, np.ones(int(there.sum())) if several else None
        )
        observed, there = history.observations(split.above, names)
        weights = None if split.weights is None else split.weights[there]
        above = _ParzenEstimator(observed, search_space, self._parzen_estimator_parameters, weights)
        best = self._best_candidate(below, above)
        return {name: distribution.to_external_repr(best[name]) for name, distribution in search_space.items()}

    def _split(self, history: History, number: int, running: list[int], several: bool) -> Split:
        """Return who is to be done alike by trial *number*; the same for all of the params it draws by themselves."""
        key = (number, history.seen, running)
        if self._last_split is None or self._last_split[0] != key:
            gamma = default_gamma_multiobjective if several else default_gamma
            self._last_split = key, history.split(gamma(history.learned), running)
        return self._last_split[1]

    def _best_candidate(self, below: _ParzenEstimator, above: _ParzenEstimator) -> dict[str, int | float]:
        samples = below.sample(self._rng.rng, self._n_ei_candidates)
        x = np.array(list(samples.values())).T
        likely, usual = below._mixture_distribution, above._mixture_distribution
        gain = log_density(likely, x) - log_density(usual, x)
        best = int(np.argmax(gain))
        close = x[gain >= gain[best] - 2 * (tolerance(likely) + tolerance(usual))]
        if len(close) == 0 or (close != x[best]).any():
            gain = self._compute_acquisition_func(samples, below, above)
        return self._compare(samples, gain)
