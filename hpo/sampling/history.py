"""What TPE remembers of finished trials: columns of numbers, the best, and a bounded set that stands for the others.

Up to ``Limits.exact`` trials every one of them is remembered, and counts as it does in Optuna. Beyond, TPE learns from

- the best ones: those of the better set, and those behind them;
- the recent ones, which have the largest numbers;
- a sample of the rest. A trial's chance to be in it grows with its number, as its weight does in
  Optuna, and each one in it carries an equal share of the weight that all of the rest have there.

Each of the three is what it is for a given set of trials, in whatever order they finished, so a resumed study remembers
what it would have remembered. Each is kept up by one finished trial in time that does not grow with their number.
"""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from heapq import heappush, heappushpop
from typing import Any, cast

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.samplers._tpe.sampler import (
    _get_infeasible_trial_score,
    _get_pruned_trial_score,
    _split_complete_trials_multi_objective,
)
from optuna.study import StudyDirection
from optuna.study._multi_objective import _fast_non_domination_rank
from optuna.trial import FrozenTrial, TrialState

from hpo.sampling.front import Front, crowded_last
from hpo.sampling.mirror import MirrorStorage
from hpo.sampling.stream import Stream


@dataclass(frozen=True, slots=True)
class Limits:
    """How many trials TPE learns from.

    *exact*: up to this many (running ones included) suggestions are Optuna's, bit for bit. Beyond: *best*, the most in
    the better set; *next*, behind them; *recent*; *sampled*.
    """

    exact: int
    best: int
    next: int
    recent: int
    sampled: int


ONE = Limits(exact=2000, best=25, next=800, recent=700, sampled=500)
"""With one objective; the better set is Optuna's at any number of trials."""

SEVERAL = Limits(exact=500, best=50, next=100, recent=150, sampled=150)
"""With several: every param is drawn by itself, and the better set is Optuna's tenth of ``exact`` from there on."""

RUNNING = 128
"""Beyond ``Limits.exact`` this many running trials are taken into account, those with the largest numbers."""

FRONT = 400
"""Most trials of the Pareto front that the better set is chosen from, those with the largest numbers."""

FULL_WEIGHT = 25
"""The newest trials that have full weight in Optuna; before them it falls in proportion to age."""

Numbers = NDArray[np.int64]
_Ranked = list[tuple[Any, ...]]
_FEASIBLE, _PRUNED, _INFEASIBLE = range(3)


@dataclass(frozen=True, slots=True)
class Split:
    """The trials to do alike and the others, by number; *weights* of the others, None: as Optuna weighs them."""

    below: Numbers
    above: Numbers
    weights: NDArray[np.float64] | None = None


class History:
    """Finished trials as columns of numbers, a row a trial, and which of them TPE learns from.

    *seed* is the study's: the sample is drawn with it.
    """

    def __init__(self, storage: MirrorStorage, study: optuna.Study, seed: int = 0) -> None:
        self._storage, self._study, self._seed = storage, study, seed
        self._signs = [-1.0 if d == StudyDirection.MAXIMIZE else 1.0 for d in study.directions]
        self._several = len(self._signs) > 1
        self.limits = SEVERAL if self._several else ONE
        self.seen = 0
        self._columns: dict[str, NDArray[np.float64]] = {}
        self._losses = np.full((64, len(self._signs)), np.nan)  # of complete trials that break no constraint
        self._best: _Ranked = []
        self._front = Front(len(self._signs))
        self._recent: list[int] = []
        self._sample: list[tuple[float, int]] = []  # so many that enough are left without the best and the recent
        self._drawn = self.limits.sampled + self.limits.recent + self.limits.best + self.limits.next
        self.learned = 0
        self._age_sum = 0

    def catch_up(self) -> int:
        """Take what finished since the last call; return how many trials there are to learn from."""
        finished = self._storage.finished
        for number in finished[self.seen :]:
            record = self._storage.records[number]
            if record.state in (TrialState.COMPLETE, TrialState.PRUNED):
                self._remember(record)
            self._storage.slim(number)
        self.seen = len(finished)
        return self.learned

    # ---- what is kept

    def _remember(self, record: FrozenTrial) -> None:
        number = record.number
        self._write(number, _as_numbers(record))
        self._rank(record)
        insort(self._recent, number)
        if len(self._recent) > self.limits.exact:
            del self._recent[0]
        age = number + 1
        late = math.log1p(-Stream(self._seed, number).uniform("tpe:remembered")) / age, -number
        if len(self._sample) < self._drawn:
            heappush(self._sample, late)
        else:
            heappushpop(self._sample, late)
        self.learned += 1
        self._age_sum += age

    def _rank(self, record: FrozenTrial) -> None:
        violation, number = _get_infeasible_trial_score(record), record.number
        if violation > 0:
            self._put((_INFEASIBLE, violation, number))
        elif record.state is TrialState.PRUNED:
            self._put((_PRUNED, _get_pruned_trial_score(record, self._study), number))
        else:
            losses = [sign * value for sign, value in zip(self._signs, cast("list[float]", record.values), strict=True)]
            self._losses[number] = losses
            if self._several:
                self._front.add(number, losses)
            else:
                self._put((_FEASIBLE, losses[0], number))

    def _put(self, rank: tuple[Any, ...]) -> None:
        insort(self._best, rank)
        if len(self._best) > self.limits.best + self.limits.next:
            del self._best[-1]

    def _write(self, number: int, row: dict[str, float]) -> None:
        self._make_room(number, row)
        for name, column in self._columns.items():
            column[number] = row.get(name, np.nan)

    def observe(self, numbers: list[int], name: str, values: list[float]) -> None:
        """Write a param of running trials, as the distribution's internal numbers (NaN: it has none yet).

        It counts until the trial finishes, or this is called again.
        """
        if numbers:
            self._make_room(numbers[-1], (name,))
            self._columns[name][numbers] = values

    def _make_room(self, number: int, names: Iterable[str]) -> None:
        rows = len(self._losses)
        if number >= rows:
            more = max(number + 1, 2 * rows) - rows
            self._losses = np.append(self._losses, np.full((more, len(self._signs)), np.nan), axis=0)
            self._columns = {name: np.append(c, np.full(more, np.nan)) for name, c in self._columns.items()}
        for name in names:
            if name not in self._columns:
                self._columns[name] = np.full(len(self._losses), np.nan)

    # ---- what TPE learns from

    def counted(self, running: list[FrozenTrial]) -> list[FrozenTrial]:
        """Return those of the *running* trials, given in the order of numbers, that count."""
        return running if self.learned + len(running) <= self.limits.exact else running[-RUNNING:]

    def split(self, n_below: int, running: list[int]) -> Split:
        """Return the *n_below* best trials, and the others that count, *running* ones among them."""
        if self.learned + len(running) <= self.limits.exact:
            below = self._best_of_all(n_below)
            above = np.union1d(np.setdiff1d(self._recent, below, assume_unique=True), running).astype(np.int64)
            return Split(np.sort(below), above)
        ranked = self._best_of_many(self.limits.best + self.limits.next)
        return self._bounded(ranked[: min(n_below, self.limits.best)], ranked, running)

    def _best_of_all(self, n_below: int) -> Numbers:
        found: list[int] = []
        if self._several:
            feasible = [self._storage.records[number] for number in self._feasible(self._recent)[0].tolist()]
            best, _ = _split_complete_trials_multi_objective(feasible, self._study, min(n_below, len(feasible)))
            found = [trial.number for trial in best]
        found += [number for *_, number in self._best[: n_below - len(found)]]
        return np.array(found, dtype=np.int64)

    def _feasible(self, numbers: Sequence[int] | Numbers) -> tuple[Numbers, NDArray[np.float64]]:
        """Return those of *numbers* that completed and break no constraint, and their losses."""
        found = np.asarray(numbers, dtype=np.int64)
        losses = self._losses[found]
        there = ~np.isnan(losses[:, 0])
        return found[there], losses[there]

    def _best_of_many(self, count: int) -> Numbers:
        """Return *count* trials, the best first; with several objectives of those that are remembered."""
        found = np.zeros(0, dtype=np.int64)
        if self._several:
            found = self._by_dominance(count)
        return np.append(found, [number for *_, number in self._best[: count - len(found)]]).astype(np.int64)

    def _by_dominance(self, count: int) -> Numbers:
        known = np.union1d(
            self._front.newest(FRONT), [*self._recent[-self.limits.recent :], *(-n for _, n in self._sample)]
        )
        numbers, losses = self._feasible(known)
        ranks = _fast_non_domination_rank(losses, n_below=min(count, len(numbers)))
        order: list[int] = []
        for rank in range(int(ranks.max(initial=-1)) + 1):
            of_rank = np.flatnonzero(ranks == rank)
            order += of_rank[crowded_last(losses[of_rank])].tolist()
            if len(order) >= count:
                break
        return np.asarray(numbers[order[:count]])

    def _bounded(self, below: Numbers, ranked: Numbers, running: list[int]) -> Split:
        known = np.union1d(np.setdiff1d(ranked, below), np.setdiff1d(self._recent[-self.limits.recent :], below))
        drawn = np.array([-n for _, n in sorted(self._sample, reverse=True)], dtype=np.int64)
        rest = drawn[~np.isin(drawn, np.union1d(known, below))][: self.limits.sampled]
        newest = self._recent[-1] + 1
        weights = (known + 1) / newest
        weights[known >= self._recent[-FULL_WEIGHT]] = 1.0
        age = self._age_sum - int((known + 1).sum()) - int((below + 1).sum())
        share = max(age, 0) / newest / max(len(rest), 1)
        beside = np.array(running, dtype=np.int64)
        above = np.concatenate([known, rest, beside]).astype(np.int64)
        weight = np.concatenate([weights, np.full(len(rest), share), np.ones(len(beside))])
        order = np.argsort(above)
        return Split(np.sort(below), above[order], weight[order])

    # ---- as numbers

    def observations(self, numbers: Numbers, names: list[str]) -> tuple[dict[str, NDArray[np.float64]], Any]:
        """Return the params *names* of those of the trials *numbers* that have them all, and which those are."""
        unknown = np.full(len(numbers), np.nan)
        columns = [self._columns[name][numbers] if name in self._columns else unknown for name in names]
        there = ~np.isnan(columns).any(axis=0)
        return dict(zip(names, [column[there] for column in columns], strict=True)), there


def _as_numbers(record: FrozenTrial) -> dict[str, float]:
    """Return the params of *record* as its distributions' internal numbers, but for values of an earlier space."""
    row = {}
    for name, distribution in record.distributions.items():
        with suppress(ValueError):
            row[name] = distribution.to_internal_repr(record.params[name])
    return row
