from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpo.ranking import Group, Keeper, non_domination_ranks, order
from hpo.ranking.kept import RESERVE
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


def kept_after_each(trials, keep, directions):
    """Yield, after each finished trial, the trials so far and the numbers of those that hold a model."""
    keeper, held = Keeper(keep, directions), set()
    finished = [trial for trial in trials if trial.state.is_finished()]
    for count, trial in enumerate(finished, start=1):
        keeper.add(trial, True)
        held.add(trial.number)
        held -= set(keeper.beaten())
        yield finished[:count], held


@given(studies(high=1), st.integers(0, 5))
def test_with_one_objective_the_head_of_the_board_has_its_models_after_each_trial(case, keep):
    trials, directions = case
    for finished, held in kept_after_each(trials, keep, directions):
        assert held == {place.trial.number for place in order(finished, directions)[:keep]}


@given(studies(low=2), st.integers(1, 4))
def test_with_several_objectives_the_head_of_the_board_has_its_models_after_each_trial(case, keep):
    trials, directions = case
    assert len(trials) <= keep + RESERVE
    for finished, held in kept_after_each(trials, keep, directions):
        places = order(finished, directions)
        assert {place.trial.number for place in places[:keep]} <= held
        for place in places[keep:]:
            ranked = [p.trial for p in places if p.rank is not None and place.rank is not None]
            before = sum(stays_before(trial, place.trial, directions) for trial in ranked)
            assert (place.trial.number in held) == (place.rank is not None and before < keep)


def stays_before(a: Trial, b: Trial, directions: list[str]) -> bool:
    signs = [-1 if direction == "maximize" else 1 for direction in directions]
    one, other = (tuple(s * v for s, v in zip(signs, t.values, strict=True)) for t in (a, b))
    return dominates(one, other) or (one == other and a.number < b.number)


@given(st.integers(2, 3), st.integers(1, 3), st.integers(0, 2**32), st.sampled_from(["cloud", "front", "narrowing"]))
@settings(max_examples=25)
def test_a_model_of_the_best_is_missing_only_where_the_reserve_had_no_room(width, keep, seed, shape):
    rng = random.Random(seed)
    directions = [rng.choice(["minimize", "maximize"]) for _ in range(width)]
    crowded: set[int] = set()
    for finished, held in kept_after_each(sweep(rng, width, shape, 80), keep, directions):
        board = [place.trial.number for place in order(finished, directions)]
        assert len(held) <= keep + RESERVE
        holding = [number for number in board if number in held]
        crowded |= {number for number in board if number not in held and len(holding) == keep + RESERVE}
        assert set(board[:keep]) - held <= crowded


@pytest.mark.parametrize("shape", ["cloud", "front", "narrowing"])
@pytest.mark.parametrize("width", [2, 3])
def test_no_model_of_the_best_three_is_missing_in_a_sweep_of_any_shape(width: int, shape: str) -> None:
    for finished, held in kept_after_each(sweep(random.Random(7), width, shape, 120), 3, ["minimize"] * width):
        assert {place.trial.number for place in order(finished, ["minimize"] * width)[:3]} <= held


def sweep(rng: random.Random, width: int, shape: str, count: int) -> list[Trial]:
    trials = []
    for number in range(count):
        parts = [rng.random() for _ in range(width)]
        scale = {"cloud": 1.0, "front": 1.0 / sum(parts), "narrowing": (2.0 - number / count) / sum(parts)}[shape]
        trials.append(Trial(number, RunState.COMPLETE, values=tuple(part * scale for part in parts)))
    return trials


@given(studies(low=2, high=3), st.sets(st.integers(0, 11)), st.integers(1, 3))
def test_the_order_among_a_few_is_that_of_the_whole_board(case, with_model, keep):
    trials, directions = case
    keeper = Keeper(keep, directions)
    finished = [trial for trial in trials if trial.state.is_finished()]
    for trial in finished:
        keeper.add(trial, trial.number in with_model)
    whole = [place for place in order(finished, directions) if place.trial.number in with_model]
    assert [(p.trial.number, p.rank) for p in keeper._places()] == [(p.trial.number, p.rank) for p in whole]
