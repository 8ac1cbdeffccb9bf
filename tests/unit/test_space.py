"""What a space refuses, and what it answers."""

import json
import pickle

import numpy as np
import pytest

from hpo.errors import SpaceError
from hpo.space import Categorical, Float, Int, Space, from_distribution
from trackers.errors import InvalidValueError
from trackers.names import clean_name


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Float(1, 0), "low is above high"),
        (lambda: Float(0, 1, log=True), "log scale starts above 0"),
        (lambda: Float(-1, 1, log=True), "log scale starts above 0"),
        (lambda: Float(float("nan"), 1), "low is nan"),
        (lambda: Float(0, float("nan")), "high is nan"),
        (lambda: Float(0, float("inf")), "must be finite"),
        (lambda: Float(-1e308, 1e308), "wider than a double"),
        (lambda: Float("0", 1), "must be a number"),
        (lambda: Float(False, True), "must be a number"),
        (lambda: Float(0, 1, step=0), "step must be above 0"),
        (lambda: Float(0, 1, step=-0.1), "step must be above 0"),
        (lambda: Float(0, 1, step=float("nan")), "step is nan"),
        (lambda: Float(1, 2, step=0.1, log=True), "log and step exclude"),
        (lambda: Float(0, 1, step=1e-300), "too small"),
        (lambda: Int(2, 1), "low is above high"),
        (lambda: Int(0, 5, log=True), "log scale starts at 1"),
        (lambda: Int(1, 5, step=0), "step must be 1 or more"),
        (lambda: Int(1, 5, step=2, log=True), "log and step exclude"),
        (lambda: Int(0.5, 3), "must be a whole number"),
        (lambda: Int(True, 3), "must be a whole number"),
        (lambda: Int(0, 2**60), "beyond 2**53"),
        (lambda: Categorical([]), "no choices"),
        (lambda: Categorical("abc"), "come as a list"),
        (lambda: Categorical(3), "come as a list"),
        (lambda: Categorical(["a", "a"]), "'a' is there twice"),
        (lambda: Categorical([float("nan"), float("nan")]), "twice"),
        (lambda: Categorical([[1], (1,)]), "(1,) is there twice"),
        (lambda: Categorical([object]), "choice is text"),
        (lambda: Float(0, 1, when={}), "when="),
        (lambda: Float(0, 1, when="sgd"), "when="),
        (lambda: Float(0, 1, when={"a": []}), "no value of 'a'"),
        (lambda: Float(0, 1, when={3: 1}), "when= names 3"),
    ],
)
def test_a_param_that_makes_no_sense_is_refused_when_it_is_made(make, words):
    with pytest.raises(SpaceError) as caught:
        make()
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({}, "empty"),
        ([1], "a dict"),
        ({3: Int(1, 2)}, "3 cannot name a param"),
        ({"": Int(1, 2)}, "cannot name a param"),
        ({"  ": Int(1, 2)}, "cannot name a param"),
        ({"a\n": Int(1, 2)}, "may not hold the character"),
        ({"n" * 251: Int(1, 2)}, "250 characters, not 251"),
        ({"e\u0301": Int(1, 2)}, "NFC"),
        ({"x": [1, 2]}, "x: [1, 2] is not a param: use Categorical"),
        ({"x": Int}, "call it"),
        ({"x": 3}, "x: 3 is not a param"),
        ({"a": Int(1, 2, when={"b": 1}), "b": Float(0, 2)}, "continuous"),
        ({"a": Int(1, 2, when={"b": "z"}), "b": Categorical(["x"])}, "a: when= wants b to be 'z'"),
        ({"a": Int(1, 2, when={"b": 1}), "b": Categorical([True, False])}, "a: when= wants b to be 1"),
        ({"a": Int(1, 2, when={"a": 1})}, "a -> a"),
    ],
)
def test_a_space_that_makes_no_sense_is_refused_by_the_name_of_what_is_wrong(params, words):
    with pytest.raises(SpaceError) as caught:
        Space(params)
    assert words in str(caught.value)


def test_a_space_takes_the_names_that_the_store_takes_and_no_others():
    odd = [
        "a\u202eb",
        "x ",
        " x",
        "a\u2028b",
        "a\u2029b",
        "a\ud800",
        "a\x00b",
        "שלום",
        "a b",
        "λ",
        "a.b/c",
        "{x}",
        "x" * 250,
    ]
    for name in odd:
        try:
            wanted = clean_name(name, "param")
        except InvalidValueError:
            wanted = None
        try:
            taken = next(iter(Space({name: Int(1, 2)})))
        except SpaceError:
            taken = None
        assert taken == wanted, ascii(name)


def test_an_unknown_parent_is_named_with_what_was_probably_meant():
    with pytest.raises(SpaceError) as caught:
        Space({"momentum": Float(0, 1, when={"optimiser": "sgd"}), "optimizer": Categorical(["sgd"])})
    assert str(caught.value) == "momentum: when= names 'optimiser', which is not in the space; did you mean optimizer?"


def test_a_circle_of_conditions_is_shown():
    one = {"when": {"b": 1}}, {"when": {"c": 1}}, {"when": {"a": 1}}
    with pytest.raises(SpaceError, match=r"a -> b -> c -> a"):
        Space({name: Int(1, 2, **kw) for name, kw in zip("abc", one, strict=True)})


def test_a_long_chain_of_conditions_is_ordered_and_counted():
    params = {f"p{i}": Int(1, 2, when={f"p{i - 1}": 1}) for i in range(100, 0, -1)} | {"p0": Int(1, 2)}
    space = Space(params)
    assert space.order == tuple(f"p{i}" for i in range(101))
    assert space.cardinality() == 102
    assert Space({f"p{i}": Int(1, 2, when={f"p{i - 1}": 1}) for i in range(3000, 0, -1)} | params).order[-1] == "p3000"


SGD = Space(
    {
        "momentum": Float(0.0, 0.9, step=0.3, when={"optimizer": ["sgd", "rmsprop"]}),
        "optimizer": Categorical(["adam", "sgd", "rmsprop"]),
        "nesterov": Categorical([True, False], when={"optimizer": "sgd", "layers": [2, 3]}),
        "layers": Int(1, 3),
        "warmup": Int(1, 2, when={"nesterov": True}),
    }
)


def test_parents_come_before_children_and_the_rest_stays_as_declared():
    assert SGD.order == ("optimizer", "momentum", "layers", "nesterov", "warmup")
    assert list(SGD) == ["momentum", "optimizer", "nesterov", "layers", "warmup"]
    assert SGD.conditional
    assert not SGD.numeric


def test_conditions_combine_and_an_inactive_parent_silences_its_children():
    point = {"optimizer": "sgd", "momentum": 0.3, "layers": 2, "nesterov": True, "warmup": 1}
    assert SGD.active_names(point) == SGD.order
    assert SGD.active("warmup", point)
    assert not SGD.active("warmup", point | {"nesterov": False})
    assert not SGD.active("nesterov", point | {"layers": 1})
    assert not SGD.active("warmup", point | {"layers": 1})  # nesterov=True is a leftover
    assert SGD.active_names({"optimizer": "adam", "layers": 3}) == ("optimizer", "layers")


def test_a_point_is_checked_cast_and_put_in_order():
    given = {"layers": 3.0, "optimizer": "sgd", "momentum": 0.1 + 0.2, "nesterov": np.True_, "warmup": np.int64(2)}
    point = SGD.check(given)
    assert point == {"optimizer": "sgd", "momentum": 0.3, "layers": 3, "nesterov": True, "warmup": 2}
    assert list(point) == list(SGD.order)
    assert [type(v) for v in point.values()] == [str, float, int, bool, int]


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"optimizer": "adam"}, "layers: has no value"),
        ({"optimizer": "adam", "layers": 4}, "layers: 4 is outside 1..3"),
        ({"optimizer": "adam", "layers": True}, "layers: True is not a whole number"),
        ({"optimizer": "adam", "layers": 1, "momentum": 0.3}, "momentum: is given, but it is active only when"),
        ({"optimizer": "Adam", "layers": 1}, "optimizer: 'Adam' is not among"),
        ({"optimizer": "rmsprop", "layers": 1, "momentum": 0.2}, "momentum: 0.2 is not a step"),
        ({"optimizer": "rmsprop", "layers": 1, "momentum": float("nan")}, "momentum: nan is outside"),
        ({"optimzer": "adam", "layers": 1}, "did you mean optimizer?"),
        ({"optimizer": ["adam"], "layers": 1}, "optimizer: ['adam'] is not among"),
    ],
)
def test_a_point_outside_the_space_is_refused_by_name(params, words):
    with pytest.raises(SpaceError) as caught:
        SGD.check(params)
    assert words in str(caught.value)


def test_a_partial_point_may_leave_out_even_the_parents():
    assert SGD.check({"warmup": 1, "momentum": 0.6}, partial=True) == {"momentum": 0.6, "warmup": 1}
    with pytest.raises(SpaceError, match="momentum: is given"):
        SGD.check({"optimizer": "adam", "momentum": 0.6}, partial=True)


def test_choices_are_told_apart_by_type():
    param = Categorical([True, 1, 1.0, "1", None])
    assert param.cardinality() == 5
    assert [param.cast(v) for v in (True, 1, 1.0, "1", None)] == [True, 1, 1.0, "1", None]
    assert [type(param.cast(v)) for v in (True, 1, 1.0)] == [bool, int, float]
    assert not Categorical([True]).contains(1)
    assert not Categorical([1]).contains(1.0)
    assert Categorical([True]) != Categorical([1])
    assert Categorical([float("nan")]).contains(float("nan"))
    assert Categorical([float("nan")]) == Categorical([float("nan")])
    space = Space({"a": param, "b": Int(1, 2, when={"a": 1})})
    assert space.cardinality() == len(list(space.points())) == 6
    assert {space.key(p) for p in space.points()} == {space.key(p) for p in Space.from_json(space.to_json()).points()}


def test_numpys_scalars_become_plain_choices():
    assert Categorical(np.array([1, 2])) == Categorical([1, 2])
    assert Categorical([np.str_("a"), np.float64(0.5)]) == Categorical(["a", 0.5])
    assert Int(np.int64(1), np.int32(3)) == Int(1, 3)


def test_a_range_ends_at_its_last_step():
    assert Float(0, 1, step=0.3).high == 0.9
    assert list(Float(0.1, 0.5, step=0.1).values()) == [0.1, 0.2, 0.3, 0.4, 0.5]
    assert Int(1, 6, step=2).high == 5
    assert Float(0.0, 1.0).single() is False
    assert Float(1, 1).single()
    for one in (lambda: Float(0, 0.1, step=1), lambda: Int(1, 3, step=5)):
        with pytest.raises(SpaceError, match="step is larger than the range"):
            one()
    spec = {"name": "FloatDistribution", "attributes": {"low": 0.0, "high": 0.1, "step": 1.0, "log": False}}
    assert from_distribution(spec).single()  # Optuna shortens such a range


def test_a_space_survives_json_and_pickle():
    assert Space.from_json(json.loads(json.dumps(SGD.to_json()))) == SGD
    assert pickle.loads(pickle.dumps(SGD)) == SGD
    assert hash(SGD["momentum"]) == hash(pickle.loads(pickle.dumps(SGD["momentum"])))
    with pytest.raises(SpaceError):
        Space.from_json({"x": {"name": "NormalDistribution", "attributes": {}}})
    with pytest.raises(SpaceError):
        Space.from_json({"x": {"name": "FloatDistribution", "attributes": {}}})
    with pytest.raises(SpaceError):
        Space.from_json({"x": 3})


def test_a_space_is_made_of_what_users_hand_over():
    assert Space.of(None) is None
    assert Space.of({}) is None
    assert Space.of(SGD) is SGD
    assert Space.of({"x": Float(0, 1)}) == Space({"x": Float(0, 1)})


def test_an_endless_space_has_no_number_of_points():
    space = Space({"x": Float(0, 1), "c": Categorical([1, 2])})
    assert space.cardinality() is None
    assert space.cardinality(levels=3) == 6
    assert [p["x"] for p in space.points(levels=3)] == [0.0, 0.0, 0.5, 0.5, 1.0, 1.0]
    with pytest.raises(SpaceError, match="continuous"):
        next(space.points())
    assert Space({"n": Int(1, 10**7)}).cardinality() is None
    assert Space({f"b{i}": Categorical([0, 1]) for i in range(40)}).cardinality() is None
    # the endless param is never reached: its parents contradict each other
    never = {"a": Int(1, 2), "b": Int(1, 2, when={"a": 1}), "x": Float(0, 1, when={"a": 2, "b": 1})}
    assert Space(never).cardinality() == 3


def test_levels_follow_the_scale():
    assert list(Float(1e-4, 1.0, log=True).values(5)) == pytest.approx([1e-4, 1e-3, 1e-2, 1e-1, 1.0])
    assert list(Float(0, 1).values(1)) == [0.5]


@pytest.mark.parametrize(
    "param",
    [Float(0, 1), Float(1e-5, 1, log=True), Float(0, 1, step=0.3), Int(1, 9), Int(1, 9, step=4), Int(1, 90, log=True)],
)
def test_optunas_distributions_describe_the_same(param):
    optuna = pytest.importorskip("optuna")
    spec = param.to_distribution()
    assert (
        json.loads(
            optuna.distributions.distribution_to_json(optuna.distributions.json_to_distribution(json.dumps(spec)))
        )
        == spec
    )
    assert from_distribution(spec) == param
    theirs = optuna.distributions.json_to_distribution(json.dumps(spec))
    assert from_distribution(theirs) == param
    assert Space.of({"x": theirs})["x"] == param
