"""Optuna's TPE, reading its history from columns that grow with each result.

Optuna's own turns every trial into numbers at every suggestion; that is most of what a suggestion costs. Here a trial
is turned once, when it finishes. What is computed from the columns is Optuna's code, and the suggestions are the same,
bit for bit.
"""

from __future__ import annotations

from bisect import insort
from typing import Any, cast

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution
from optuna.samplers import TPESampler
from optuna.samplers._tpe.sampler import (
    _get_infeasible_trial_score,
    _get_pruned_trial_score,
    default_gamma,
)
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from hpo.sampling.mirror import STUDY_ID, MirrorStorage

_RUNNING = (TrialState.RUNNING,)
_Ranked = list[tuple[Any, int]]


class History:
    """Finished trials as columns of numbers, a row a trial, and their order from best to worst."""

    def __init__(self, storage: MirrorStorage, study: optuna.Study) -> None:
        self._storage, self._study = storage, study
        self._sign = -1.0 if study.direction == StudyDirection.MAXIMIZE else 1.0
        self._read = 0
        self._columns: dict[str, NDArray[np.float64]] = {}
        self._learned = np.zeros(64, dtype=bool)
        self._feasible: _Ranked = []
        self._pruned: _Ranked = []
        self._infeasible: _Ranked = []

    def catch_up(self) -> int:
        """Take what finished since the last call; return how many trials there are to learn from."""
        finished = self._storage.finished
        for number in finished[self._read :]:
            record = self._storage.records[number]
            if record.state in (TrialState.COMPLETE, TrialState.PRUNED):
                self._rank(record)
                self._write(
                    number, {name: d.to_internal_repr(record.params[name]) for name, d in record.distributions.items()}
                )
                self._learned[number] = True
        self._read = len(finished)
        return len(self._feasible) + len(self._pruned) + len(self._infeasible)

    def _rank(self, record: FrozenTrial) -> None:
        violation = _get_infeasible_trial_score(record)
        if violation > 0:
            insort(self._infeasible, (violation, record.number))
        elif record.state is TrialState.COMPLETE:
            insort(self._feasible, (self._sign * cast("float", record.value), record.number))
        else:
            insort(self._pruned, (_get_pruned_trial_score(record, self._study), record.number))

    def _write(self, number: int, row: dict[str, float]) -> None:
        if number >= len(self._learned):
            more = max(number + 1, 2 * len(self._learned)) - len(self._learned)
            self._learned = np.append(self._learned, np.zeros(more, dtype=bool))
            self._columns = {name: np.append(c, np.full(more, np.nan)) for name, c in self._columns.items()}
        for name in row.keys() - self._columns.keys():
            self._columns[name] = np.full(len(self._learned), np.nan)
        for name, column in self._columns.items():
            column[number] = row.get(name, np.nan)

    def split(self, n_below: int, running: dict[int, dict[str, float]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the numbers of the *n_below* best trials, and those of all others with the *running* ones.

        *running* has the params of each as the distributions' internal numbers; they count until the next call.
        """
        best: list[int] = []
        for ranked in (self._feasible, self._pruned, self._infeasible):
            best += [number for _, number in ranked[: max(0, n_below - len(best))]]
        for number, row in running.items():
            self._write(number, row)
        above = self._learned.copy()
        above[list(running)] = True
        above[best] = False
        return np.array(sorted(best), dtype=np.int64), np.flatnonzero(above)

    def observations(self, numbers: NDArray[np.int64], names: list[str]) -> dict[str, NDArray[np.float64]]:
        """Return the params *names* of those of the trials *numbers* that have them all."""
        empty = np.full(len(self._learned), np.nan)
        columns = [self._columns.get(name, empty)[numbers] for name in names]
        missing = np.isnan(columns).any(axis=0)
        if missing.any():
            columns = [column[~missing] for column in columns]
        return dict(zip(names, columns, strict=True))


class ColumnTPESampler(TPESampler):
    """Suggests as Optuna's ``TPESampler`` does, for a study whose storage is a ``MirrorStorage``.

    With several objectives it is Optuna's own code throughout.
    """

    _history: History | None = None

    def _sample(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        storage = study._storage
        if len(study.directions) > 1 or not isinstance(storage, MirrorStorage):
            return super()._sample(study, trial, search_space)
        if self._history is None:
            self._history = History(storage, study)
        n_below = (self._gamma or default_gamma)(self._history.catch_up())
        running = {}
        for other in storage.get_all_trials(STUDY_ID, False, _RUNNING):
            if other.number != trial.number:
                params = self._get_params(other, study)
                running[other.number] = {
                    n: d.to_internal_repr(params[n]) for n, d in search_space.items() if n in params
                }
        names = list(search_space)
        below, above = (
            self._parzen_estimator_cls(
                self._history.observations(numbers, names), search_space, self._parzen_estimator_parameters
            )
            for numbers in self._history.split(n_below, running)
        )
        samples = below.sample(self._rng.rng, self._n_ei_candidates)
        best = self._compare(samples, self._compute_acquisition_func(samples, below, above))
        return {name: distribution.to_external_repr(best[name]) for name, distribution in search_space.items()}
