"""What every sampler keeps to, whatever its name."""

import json
from dataclasses import replace

import pytest

from hpo.errors import SpaceError, SpaceExhausted
from hpo.sampling.sampler import Sampler
from hpo.sampling.samplers import make_sampler
from hpo.space import Categorical, Float, Int, Space
from trackers.states import RunState
from trackers.values import Trial

optuna = pytest.importorskip("optuna")

FLAT = Space(
    {
        "x": Float(-1.0, 1.0),
        "lr": Float(1e-5, 1e-1, log=True),
        "units": Int(8, 512, log=True),
        "dropout": Float(0.0, 0.5, step=0.1),
        "layers": Int(1, 6),
        "one": Int(3, 3),
    }
)
MIXED = Space({**FLAT, "kind": Categorical(["a", "b", None, True, 1])})
TREE = Space(
    {
        "model": Categorical(["tree", "net"]),
        "depth": Int(1, 30, when={"model": "tree"}),
        "optimizer": Categorical(["adam", "sgd"], when={"model": "net"}),
        "momentum": Float(0.0, 0.99, when={"optimizer": "sgd"}),
        "x": Float(-1.0, 1.0),
    }
)
TINY = Space({"a": Int(1, 4), "b": Categorical(["u", "v", "w"]), "c": Int(1, 2, when={"b": "w"})})  # 16 points

INSTALLED = ["random", "tpe", "cmaes", "nsga2", "nsga3", "qmc", "auto"]
SEVERAL = ["random", "tpe", "nsga2", "nsga3", "qmc", "auto"]
FINITE = ["grid", "brute_force"]


def given_tpe():
    return optuna.samplers.TPESampler(multivariate=False, n_startup_trials=5)


def make(name, space, directions=("minimize",), seed=7, total=None, workers=16) -> Sampler:
    spec = given_tpe() if name == "TPESampler" else name
    return make_sampler(spec, space=space, directions=directions, seed=seed, total_trials=total, workers=workers)


def smooth(params) -> float:
    return sum(len(v) if isinstance(v, str) else float(v or 0) for v in params.values())


class Study:
    """Drives a sampler as the engine does, and keeps what a store would."""

    def __init__(self, name, space, directions=("minimize",), **kw):
        self.make = lambda: make(name, space, directions, **kw)
        self.sampler, self.space, self.directions = self.make(), space, directions
        self.trials: list[Trial] = []
        self.study_attrs: dict = {}

    def persist(self):
        of_trials, of_study = self.sampler.drain()
        for number, attrs in of_trials.items():
            kept = {**self.trials[number].system_attrs, **attrs}
            self.trials[number] = replace(self.trials[number], system_attrs=kept)
        self.study_attrs.update(of_study)

    def ask(self, fixed=None) -> int:
        number = len(self.trials)
        params = self.sampler.ask(number, fixed)
        specs = {name: self.space[name].to_distribution() for name in params}
        self.trials.append(Trial(number, RunState.RUNNING, params, distribution_specs=specs))
        self.persist()
        return number

    def point(self, fixed=None) -> dict:
        return self.trials[self.ask(fixed)].params

    def tell(self, number, state=RunState.COMPLETE, constraints=None):
        value = smooth(self.trials[number].params)
        values = tuple(value * (-1) ** i for i in range(len(self.directions))) if state is RunState.COMPLETE else None
        reports = {}
        if len(self.directions) == 1 and state is not RunState.FAIL:
            reports = {1: value + 1, 2: value}
            for step, report in reports.items():
                self.sampler.report(number, step, report)
        self.sampler.tell(number, state, values, constraints or {})
        self.trials[number] = replace(
            self.trials[number], state=state, values=values, intermediate_values=reports, constraints=constraints or {}
        )
        self.persist()

    def resume(self):
        """Go on in another process: everything through JSON."""
        attrs = json.loads(json.dumps(self.study_attrs))
        self.sampler = self.make()
        self.sampler.load_study_attrs(attrs)
        for trial in self.trials:
            copied = json.loads(json.dumps([dict(trial.params), dict(trial.system_attrs), trial.distribution_specs]))
            self.sampler.add(replace(trial, params=copied[0], system_attrs=copied[1], distribution_specs=copied[2]))

    @property
    def params(self):
        return [t.params for t in self.trials]


@pytest.mark.parametrize("space", [FLAT, MIXED, TREE], ids=["flat", "mixed", "tree"])
@pytest.mark.parametrize("name", [*INSTALLED, "TPESampler"])
def test_suggestions_lie_in_the_space_and_conditions_hold(name, space):
    study = Study(name, space, total=5000)
    for i in range(40):
        number = study.ask()
        params = study.params[number]
        assert space.check(params) == params
        assert tuple(params) == space.active_names(params)
        assert [type(v) for v in params.values()] == [type(space[n].cast(v)) for n, v in params.items()]
        study.tell(number, [RunState.COMPLETE, RunState.PRUNED, RunState.FAIL, RunState.COMPLETE][i % 4])
    assert study.sampler.name


@pytest.mark.parametrize("name", [*INSTALLED, *FINITE, "TPESampler"])
def test_sixteen_running_trials_have_sixteen_points_until_none_is_left(name):
    study = Study(name, TINY, total=10)
    for _ in range(16):
        study.ask()
    assert len({TINY.key(p) for p in study.params}) == TINY.cardinality() == 16
    with pytest.raises(SpaceExhausted):
        study.ask()
    study.tell(3, RunState.FAIL)
    with pytest.raises(SpaceExhausted):
        study.ask()
    study.resume()
    with pytest.raises(SpaceExhausted):
        study.ask()


@pytest.mark.parametrize("name", [*INSTALLED, *FINITE])
def test_a_finite_space_is_tried_whole_and_each_point_once(name):
    study = Study(name, TINY, total=1000)
    for i in range(16):
        study.tell(study.ask(), [RunState.COMPLETE, RunState.FAIL, RunState.PRUNED][i % 3])
    with pytest.raises(SpaceExhausted, match="16 points"):
        study.ask()
    assert len({TINY.key(p) for p in study.params}) == len(study.params) == 16


@pytest.mark.parametrize("name", [*INSTALLED, "TPESampler"])
def test_sixteen_running_trials_of_an_endless_space_differ(name):
    study = Study(name, MIXED)
    for _ in range(12):
        study.tell(study.ask())
    for _ in range(16):
        study.ask()
    assert len({MIXED.key(p) for p in study.params}) == 28


@pytest.mark.parametrize("space", [FLAT, MIXED, TREE], ids=["flat", "mixed", "tree"])
@pytest.mark.parametrize("name", [*INSTALLED, "TPESampler"])
def test_a_resumed_study_goes_on_as_if_nothing_had_happened(name, space):
    straight, resumed, other = (Study(name, space, total=5000, workers=2, seed=s) for s in (7, 7, 8))
    for study in (straight, resumed, other):
        for i in range(30):
            if study is resumed and i == 15:
                study.resume()
            number = study.ask()
            study.tell(number, RunState.FAIL if i % 7 == 3 else RunState.PRUNED if i % 7 == 5 else RunState.COMPLETE)
    assert straight.params == resumed.params
    assert straight.params != other.params


@pytest.mark.parametrize("name", [*INSTALLED, *FINITE])
def test_a_resumed_study_goes_on_with_trials_that_were_running(name):
    """Generations turn over with four trials running; the running ones finish after the resume."""
    studies = [Study(name, TINY if name in FINITE else FLAT, workers=4) for _ in range(2)]
    rounds = 15 if name in FINITE else 45
    for study in studies:
        running = []
        for i in range(rounds):
            if study is studies[1] and i in (10, 13, 31):
                study.resume()
            running.append(study.ask())
            if len(running) == 4:
                study.tell(running.pop(1 if i % 2 else 0))
    assert studies[0].params == studies[1].params


@pytest.mark.parametrize("name", [*INSTALLED, *FINITE])
def test_an_enqueued_trial_keeps_the_params_it_was_given(name):
    study = Study(name, TINY)
    whole = {"a": 2, "b": "w", "c": 1}
    assert study.point(whole) == whole
    part = study.point({"b": "u"})
    assert part["b"] == "u"
    assert TINY.check(part) == part
    assert study.point(whole) == whole  # somebody wants it again
    with pytest.raises(SpaceError, match="b: 'z' is not among"):
        study.ask({"b": "z"})
    assert len(study.trials) == 3
    for _ in range(14):
        study.ask()
    assert len({TINY.key(p) for p in study.params}) == 16
    with pytest.raises(SpaceExhausted):
        study.ask()
    assert study.point({"b": "w", "c": 2})["c"] == 2


@pytest.mark.parametrize("name", INSTALLED)
def test_numbers_may_come_out_of_order_and_with_gaps(name):
    sampler = make(name, FLAT)
    for number in (4, 1, 0, 9):
        sampler.ask(number)
    sampler.tell(9, RunState.COMPLETE, (1.0,), {})
    sampler.tell(1, RunState.WAITING, None, {})
    sampler.ask(2)
    sampler.tell(1, RunState.COMPLETE, (2.0,), {})
    sampler.tell(0, RunState.FAIL, None, {})
    assert FLAT.check(sampler.ask(3))


@pytest.mark.parametrize("name", SEVERAL)
def test_several_objectives(name):
    study = Study(name, MIXED, directions=("minimize", "maximize", "minimize"), total=60)
    for _ in range(30):
        study.tell(study.ask())
    resumed = Study(name, MIXED, directions=("minimize", "maximize", "minimize"), total=60)
    for i in range(30):
        if i == 20:
            resumed.resume()
        resumed.tell(resumed.ask())
    assert study.params == resumed.params


@pytest.mark.parametrize("name", INSTALLED)
def test_constraints_and_infinite_values_are_taken(name):
    study = Study(name, FLAT)
    for i in range(25):
        number = study.ask()
        study.tell(number, constraints={"size": 1.0 - i / 12, "time": -1.0})
    number = study.ask()
    study.sampler.report(number, 1, float("nan"))
    study.sampler.tell(number, RunState.PRUNED, None, {})
    number = study.ask()
    study.sampler.tell(number, RunState.COMPLETE, (float("inf"),), {"size": float("inf")})
    study.resume()
    assert FLAT.check(study.point())


@pytest.mark.parametrize(("name", "trials"), [("tpe", 80), ("nsga2", 200)])
def test_infeasible_trials_are_learned_from(name, trials):
    plain, constrained = Study(name, FLAT, total=500), Study(name, FLAT, total=500)
    for _ in range(trials):
        plain.tell(plain.ask())
        number = constrained.ask()
        constrained.tell(number, constraints={"x": 0.5 - constrained.params[number]["x"]})  # feasible: x >= 0.5
    late = [sum(p["x"] >= 0.5 for p in study.params[trials // 2 :]) for study in (plain, constrained)]
    assert late[1] > 2 * late[0]


@pytest.mark.parametrize("name", ["random", "tpe", "cmaes", "nsga2", "qmc", "brute_force"])
def test_define_by_run_names_what_every_trial_had(name):
    specs = {
        "n": Int(1, 5).to_distribution(),
        "kind": Categorical(["a", True, 1]).to_distribution(),
        "s": Float(0, 1, step=0.25).to_distribution(),
        "m": Float(0, 1, step=0.5).to_distribution(),
    }

    def run(sampler, number):
        known = sampler.ask(number)
        params = {}
        for key in ("n", "kind", "s", "m"):
            if key == "m" and params["n"] == 3:
                continue
            params[key] = sampler.suggest(number, key, specs[key])
            assert params[key] == known.get(key, params[key])
            assert sampler.suggest(number, key, specs[key]) == params[key]
        sampler.discard(number, known.keys() - params.keys())
        sampler.tell(number, RunState.COMPLETE, (smooth(params),), {})
        return known, params

    straight, first = make(name, None), make(name, None)
    history = [run(straight, i)[1] for i in range(25)]
    asked = [run(first, i) for i in range(15)]
    assert asked[0][0] == {}
    assert asked[14][0].keys() == ({"n", "kind", "s"} if name != "brute_force" else set())
    attrs = first.drain()
    second = make(name, None)
    second.load_study_attrs(attrs[1])
    for i, (_, params) in enumerate(asked):
        used = {key: specs[key] for key in params}
        trial = Trial(i, RunState.COMPLETE, params, (smooth(params),), distribution_specs=used)
        second.add(replace(trial, system_attrs=attrs[0].get(i, {})))
    assert [p for _, p in asked] + [run(second, i)[1] for i in range(15, 25)] == history


@pytest.mark.parametrize("name", ["random", "tpe", "TPESampler"])
def test_another_kind_of_distribution_under_one_name_is_refused(name):
    sampler = make(name, None)
    sampler.ask(0)
    sampler.suggest(0, "x", Float(0, 1).to_distribution())
    sampler.suggest(0, "c", Categorical([1, 2]).to_distribution())
    sampler.tell(0, RunState.COMPLETE, (1.0,), {})
    sampler.ask(1)
    with pytest.raises(SpaceError, match="x: is a int here and was a float"):
        sampler.suggest(1, "x", Int(0, 1).to_distribution())
    with pytest.raises(SpaceError, match="c: has the choices"):
        sampler.suggest(1, "c", Categorical([True, 2]).to_distribution())
    with pytest.raises(SpaceError, match="x: has log=True"):
        sampler.suggest(1, "x", Float(0.1, 1, log=True).to_distribution())
    moved = sampler.suggest(1, "x", Float(5, 6).to_distribution())  # a range may move
    assert 5 <= moved <= 6
    assert sampler.suggest(1, "x", Float(0, 9).to_distribution()) == moved


@pytest.mark.parametrize("name", ["random", "tpe"])
def test_define_by_run_takes_the_params_of_an_enqueued_trial(name):
    sampler = make(name, None)
    sampler.ask(0, {"x": 0.25, "c": True})
    assert sampler.suggest(0, "x", Float(0, 1).to_distribution()) == 0.25
    assert sampler.suggest(0, "c", Categorical([1, True]).to_distribution()) is True
    sampler.ask(1, {"x": 7.0, "c": "z"})
    assert sampler.suggest(1, "x", Float(0, 1).to_distribution()) == 7.0  # Optuna takes it, too
    with pytest.raises(SpaceError, match="c"):
        sampler.suggest(1, "c", Categorical([1, True]).to_distribution())
