"""Laws of spaces, over random ones."""

import json

from hypothesis import given
from hypothesis import strategies as st

from hpo.errors import SpaceError
from hpo.sampling.random import draw_point
from hpo.sampling.stream import Stream
from hpo.space import Categorical, Float, Int, Space, from_distribution

scalars = st.one_of(
    st.text(max_size=3), st.integers(-3, 3), st.booleans(), st.none(), st.sampled_from([0.0, 1.0, 0.5, float("inf")])
)


@st.composite
def params(draw, when=None, finite=True):
    kind = draw(st.sampled_from(["int", "step", "choice"] + ([] if finite else ["float", "log"])))
    if kind == "choice":
        choices = draw(
            st.lists(scalars | st.tuples(st.integers(0, 3)), min_size=1, max_size=3, unique_by=lambda v: (type(v), v))
        )
        return Categorical(choices, when=when)
    low = draw(st.integers(-5, 5))
    if kind == "int":
        span = draw(st.integers(0, 4))
        return Int(low, low + span, step=draw(st.integers(1, max(1, min(3, span)))), when=when)
    if kind == "step":
        return Float(low, low + draw(st.integers(0, 2)), step=draw(st.sampled_from([0.5, 0.7, 1.0])), when=when)
    if kind == "log":
        return Float(10.0**low, 10.0 ** (low + draw(st.integers(0, 5))), log=True, when=when)
    return Float(low, low + draw(st.floats(0, 1e6)), when=when)


@st.composite
def spaces(draw, finite=True):
    made = {}
    for i in range(draw(st.integers(1, 5))):
        when = {}
        for parent, param in made.items():
            if param.cardinality() is not None and draw(st.integers(0, 3)) == 0:
                values = list(param.values())
                when[parent] = draw(st.lists(st.sampled_from(values), min_size=1, max_size=2))
        made[f"p{i}"] = draw(params(when=when or None, finite=finite))
    names = draw(st.permutations(list(made)))
    return Space({name: made[name] for name in names})


@given(spaces(finite=False))
def test_a_space_is_what_its_json_says(space):
    again = Space.from_json(json.loads(json.dumps(space.to_json())))
    assert again == space
    assert again.order == space.order
    for param in space.values():
        assert from_distribution(json.loads(json.dumps(param.to_distribution())), param.when) == param


@given(spaces())
def test_the_number_of_points_is_the_number_of_points(space):
    points = list(space.points())
    assert space.cardinality() == len(points)
    assert len({space.key(p) for p in points}) == len(points)


@given(spaces())
def test_every_point_passes_the_check_and_nothing_less_or_more_does(space):
    for point in list(space.points())[:50]:
        assert space.check(point) == point
        for name in space:
            changed = dict(point)
            if name in point:
                del changed[name]
            else:
                changed[name] = next(space[name].values())
            try:
                assert space.check(changed) != point
            except SpaceError as exc:
                assert name in str(exc) or space.active_names(changed) != space.active_names(point)  # noqa: PT017


@given(spaces(finite=False), st.integers(0, 2**64), st.integers(0, 10**6))
def test_the_active_names_of_a_random_point_are_its_own(space, seed, number):
    point = draw_point(space, Stream(seed, number))
    assert tuple(point) == space.active_names(point)
    assert all(space.active(name, point) == (name in point) for name in space)
    assert space.check(point) == point


@given(params(finite=False), st.floats(0, 1, exclude_max=True))
def test_every_part_of_a_range_maps_into_it(param, u):
    value = param.from_unit(u)
    assert param.contains(value)
    assert param.cast(value) == value
    assert param.key(value) == param.key(param.cast(value))
