"""The Pareto front is that of all points, in whatever order they came."""

import numpy as np
import pytest

from hpo.sampling.front import Front, crowded_last


def beaten(point, others):
    return any((other <= point).all() and (other < point).any() for other in others)


@pytest.mark.parametrize("objectives", [2, 3, 5])
def test_the_front_is_what_nothing_beats(objectives):
    random = np.random.default_rng(objectives)
    points = random.integers(0, 12, (300, objectives)).astype(float)
    points[7, 0], points[8, 1] = np.inf, -np.inf
    expected = [n for n in range(300) if not beaten(points[n], points)]
    for order in (np.arange(300), np.arange(300)[::-1], random.permutation(300)):
        front = Front(objectives)
        for number in order.tolist():
            front.add(number, points[number])
        assert len(front) == len(expected)
        assert front.newest(1000).tolist() == expected
        assert front.newest(3).tolist() == expected[-3:]


def test_the_ends_and_the_lonely_come_before_the_crowded():
    losses = np.array([[0.0, 10.0], [1.0, 9.0], [1.1, 8.9], [5.0, 4.0], [10.0, 0.0]])
    order = crowded_last(losses).tolist()
    assert set(order[:2]) == {0, 4}
    assert order[2] == 3
    assert order[-1] in (1, 2)
    assert crowded_last(np.ones((3, 2))).tolist() == [0, 1, 2]
    assert sorted(crowded_last(np.array([[np.inf, 1.0], [2.0, -np.inf], [2.0, 3.0]])).tolist()) == [0, 1, 2]
