from __future__ import annotations

import math
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from hpo.ranking import Group, beaten, non_domination_ranks, order
from trackers.states import RunState
from trackers.values import Trial

small = st.sampled_from([-math.inf, -1.0, 0.0, 0.5, 1.0, 2.0, math.inf])
value = st.one_of(small, st.just(math.nan), st.floats(allow_nan=True))
reports = st.dictionaries(st.integers(0, 5), value, max_size=3)
constraints = st.dictionaries(st.sampled_from("ab"), st.one_of(value, st.floats(-1, 1)), max_size=2)


@st.composite
def studies(draw, low=1, high=4):
    width = draw(st.integers(low, high))
    directions = draw(st.lists(st.sampled_from(["minimize", "maximize"]), min_size=width, max_size=width))
    count = draw(st.integers(0, 12))
    trials = []
    for number in range(count):
        state = draw(st.sampled_from(list(RunState)))
        values = tuple(draw(value) for _ in range(width)) if state is RunState.COMPLETE else None
        trials.append(
            Trial(number, state, values=values, intermediate_values=draw(reports), constraints=draw(constraints))
        )
    return trials, directions


def dominates(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return all(x <= y for x, y in zip(a, b, strict=True)) and a != b


def peeled(points: list[tuple[float, ...]]) -> list[int]:
    """Ranks by the definition: take the front away, again and again."""
    ranks: dict[tuple[float, ...], int] = {}
    left, rank = set(points), 0
    while left:
        front = {p for p in left if not any(dominates(q, p) for q in left)}
        ranks |= dict.fromkeys(front, rank)
        left -= front
        rank += 1
    return [ranks[p] for p in points]


@given(st.integers(1, 4).flatmap(lambda width: st.lists(st.tuples(*[small] * width), max_size=25)))
def test_the_fronts_are_those_of_the_definition(points):
    assert non_domination_ranks(points) == peeled(points)


@given(st.integers(1, 4), st.integers(0, 2**32))
@settings(max_examples=30)
def test_the_fronts_of_many_random_points_are_those_of_the_definition(width, seed):
    rng = random.Random(seed)
    points = [tuple(rng.random() for _ in range(width)) for _ in range(60)]
    assert non_domination_ranks(points) == peeled(points)


@given(studies(), st.randoms(use_true_random=False))
def test_the_order_does_not_depend_on_the_order_given(case, rng):
    trials, directions = case
    shuffled = list(trials)
    rng.shuffle(shuffled)
    assert order(trials, directions) == order(shuffled, directions)


@given(studies())
def test_every_trial_has_exactly_one_place_and_groups_and_ranks_rise(case):
    trials, directions = case
    places = order(trials, directions)
    assert sorted(place.trial.number for place in places) == [trial.number for trial in trials]
    groups = [place.group for place in places]
    assert groups == sorted(groups)
    ranks = [place.rank for place in places if place.rank is not None]
    assert ranks == sorted(ranks)
    assert all((place.rank is None) == (place.group is not Group.RANKED) for place in places)
    assert not ranks or ranks[0] == 1


@given(studies(high=1))
def test_a_better_value_never_stands_behind_a_worse_one(case):
    trials, directions = case
    sign = -1 if directions[0] == "maximize" else 1
    losses = [sign * p.trial.values[0] for p in order(trials, directions) if p.rank is not None]
    assert losses == sorted(losses)


@given(studies(low=2))
def test_the_first_rank_is_the_pareto_front_of_the_ranked(case):
    trials, directions = case
    signs = [-1 if direction == "maximize" else 1 for direction in directions]
    ranked = [p for p in order(trials, directions) if p.rank is not None]
    losses = {p.trial.number: tuple(s * v for s, v in zip(signs, p.trial.values, strict=True)) for p in ranked}
    front = {n for n, loss in losses.items() if not any(dominates(other, loss) for other in losses.values())}
    assert {p.trial.number for p in ranked if p.rank == 1} == front


@given(studies(), st.integers(0, 5))
def test_what_is_kept_is_the_head_of_the_board_of_the_finished(case, keep):
    trials, directions = case
    finished = [trial for trial in trials if trial.state.is_finished()]
    dropped = beaten(trials, keep, directions)
    assert dropped == sorted(place.trial.number for place in order(finished, directions)[keep:])


@given(studies(high=1), st.integers(1, 4))
def test_dropping_as_trials_finish_keeps_the_same_models_as_dropping_at_the_end(case, keep):
    trials, directions = case
    finished = [trial for trial in trials if trial.state.is_finished()]
    held: list[Trial] = []
    for trial in finished:
        held.append(trial)
        gone = set(beaten(held, keep, directions))
        held = [kept for kept in held if kept.number not in gone]
        assert len(held) <= keep
    gone = set(beaten(finished, keep, directions))
    assert {kept.number for kept in held} == {trial.number for trial in finished} - gone
