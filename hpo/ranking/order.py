"""The order of a leaderboard: one total order over trials in any state.

Trials stand in groups, best group first, and within a group:

1. **ranked**: COMPLETE, feasible, no NaN among the values. One objective: by value; equal values share a rank (1, 2,
   2, 4) and the earlier number stands first. Several objectives: by non-domination rank (1 is the Pareto front, and
   all of a front share it), within a rank by the distance to the ideal point: the corner that has the best value of
   each objective, every objective scaled to 0..1 over the Pareto front. So the first row is the most balanced of the
   best, not an extreme. What is still equal: the earlier number.
2. **infeasible**: COMPLETE but some constraint is above 0.0; by total violation (the sum of what is above 0.0; NaN
   counts as infinite), then by value where there is one objective, then by number. No rank.
3. **NaN**: COMPLETE with a NaN, whatever the direction; feasible ones first, then by number. No rank.
4. **PRUNED**: by the largest step reached, since who went further survived more cuts and values of different steps do
   not compare; then by the last reported value, NaN and none last; then by number. No rank.
5. **FAIL**, **RUNNING**, **WAITING**: by number. No rank.

The order does not depend on the order in which the trials are given.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum

from hpo.errors import SettingsError
from hpo.ranking.pareto import Point, non_domination_ranks
from trackers.states import RunState
from trackers.values import Trial


class Group(IntEnum):
    """Where on the leaderboard a trial stands, before anything is compared."""

    RANKED = 0
    INFEASIBLE = 1
    NAN = 2
    PRUNED = 3
    FAIL = 4
    RUNNING = 5
    WAITING = 6


_UNFINISHED = {
    RunState.PRUNED: Group.PRUNED,
    RunState.FAIL: Group.FAIL,
    RunState.RUNNING: Group.RUNNING,
    RunState.WAITING: Group.WAITING,
}


@dataclass(frozen=True, slots=True)
class Place:
    """A trial's place: *rank* is 1-based and shared by ties, None outside the ranked group."""

    trial: Trial
    group: Group
    rank: int | None


def order(trials: Iterable[Trial], directions: Sequence[str]) -> list[Place]:
    """Return the places of *trials*, best first, by the rules at the top of this module.

    *directions* holds ``"minimize"`` or ``"maximize"`` per objective. Raises SettingsError for another word.
    """
    signs = signs_of(directions)
    ranked: list[tuple[Trial, Point]] = []
    rest: list[tuple[tuple[float, ...], Trial, Group]] = []
    for trial in trials:
        group = group_of(trial, len(signs))
        if group is Group.RANKED and trial.values is not None:
            ranked.append((trial, losses(trial.values, signs)))
        else:
            rest.append(((group, *_key(trial, group, signs), trial.number), trial, group))
    rest.sort(key=lambda entry: entry[0])
    places = _rank_one(ranked) if len(signs) == 1 else _rank_many(ranked)
    return places + [Place(trial, group, None) for _, trial, group in rest]


def group_of(trial: Trial, objectives: int) -> Group:
    """Tell in which group of the leaderboard *trial* stands."""
    if trial.state is not RunState.COMPLETE:
        return _UNFINISHED[trial.state]
    values = trial.values
    if values is None or len(values) != objectives or any(math.isnan(v) for v in values):
        return Group.NAN
    return Group.RANKED if trial.feasible else Group.INFEASIBLE


def violation(trial: Trial) -> float:
    """Return the sum of what is above 0.0 in the constraints of *trial*; infinite if one is NaN."""
    return sum(math.inf if math.isnan(v) else max(0.0, v) for v in trial.constraints.values())


def last_reported(trial: Trial) -> float | None:
    """Return the value reported at the largest step."""
    step = trial.last_step
    return None if step is None else trial.intermediate_values[step]


def signs_of(directions: Sequence[str]) -> tuple[float, ...]:
    """Return what each objective is multiplied with, so that all are to be small. Raises SettingsError."""
    for direction in directions:
        if direction not in ("minimize", "maximize"):
            raise SettingsError(f"unknown direction {direction!r}: use 'minimize' or 'maximize'")
    return tuple(-1.0 if direction == "maximize" else 1.0 for direction in directions)


def losses(values: Sequence[float], signs: tuple[float, ...]) -> Point:
    """Return *values* turned so that all are to be small."""
    return tuple(sign * value for sign, value in zip(signs, values, strict=True))


def _key(trial: Trial, group: Group, signs: tuple[float, ...]) -> tuple[float, ...]:
    """Return what compares trials of one unranked group; the number comes after it."""
    if group is Group.INFEASIBLE:
        single = trial.values is not None and len(signs) == 1
        return (violation(trial), losses(trial.values, signs)[0] if single and trial.values else 0.0)
    if group is Group.NAN:
        return (0.0 if trial.feasible else 1.0,)
    if group is Group.PRUNED:
        step, value = trial.last_step, last_reported(trial)
        known = value is not None and not math.isnan(value)
        reached = math.inf if step is None else -float(step)
        return (reached, 0.0 if known else 1.0, signs[0] * value if known and value is not None else 0.0)
    return ()


def _rank_one(ranked: list[tuple[Trial, Point]]) -> list[Place]:
    ranked.sort(key=lambda entry: (entry[1], entry[0].number))
    places: list[Place] = []
    rank, previous = 0, None
    for position, (trial, point) in enumerate(ranked, start=1):
        if point != previous:
            rank, previous = position, point
        places.append(Place(trial, Group.RANKED, rank))
    return places


def _rank_many(ranked: list[tuple[Trial, Point]]) -> list[Place]:
    ranks = non_domination_ranks([point for _, point in ranked])
    distance = _Ideal([point for (_, point), rank in zip(ranked, ranks, strict=True) if rank == 0]).distance
    keyed = [((rank, distance(point), trial.number), trial) for (trial, point), rank in zip(ranked, ranks, strict=True)]
    keyed.sort(key=lambda entry: entry[0])
    return [Place(trial, Group.RANKED, int(key[0]) + 1) for key, trial in keyed]


class _Ideal:
    """The corner with the best value of each objective on the Pareto front, and the scale of each."""

    def __init__(self, front: list[Point]) -> None:
        self._spans = [_span(column) for column in zip(*front, strict=True)]

    def distance(self, point: Point) -> float:
        scaled = [_scale(value, low, width) for value, (low, width) in zip(point, self._spans, strict=True)]
        return math.sqrt(sum(value * value for value in scaled))


def _span(column: Sequence[float]) -> tuple[float, float]:
    finite = [value for value in column if math.isfinite(value)]
    if not finite:
        return 0.0, 0.0
    low, high = min(finite), max(finite)
    return low, high - low


def _scale(value: float, low: float, width: float) -> float:
    if value == math.inf:
        return math.inf
    if value == -math.inf or not math.isfinite(width):
        return 0.0
    return (value - low) / width if width > 0.0 else max(0.0, value - low)
