"""TPE from columns suggests what Optuna's own suggests, bit for bit."""

import math

import numpy as np
import optuna
import pytest
from optuna.samplers._tpe.parzen_estimator import _ParzenEstimator

from hpo.sampling import history, tpe
from hpo.sampling.density import log_density, tolerance
from hpo.sampling.random import draw_point
from hpo.sampling.samplers import make_sampler
from hpo.sampling.spec import optuna_distribution
from hpo.sampling.stream import Stream
from hpo.space import Categorical, Float, Int, Space
from trackers.states import RunState
from trackers.values import Trial

SPACE = Space(
    {
        "kind": Categorical(["a", "b", None]),
        "x": Float(-1.0, 1.0),
        "lr": Float(1e-5, 1e-1, log=True),
        "units": Int(8, 512, log=True),
        "wide": Int(-5, 10**6),
        "step": Float(0.0, 0.5, step=0.125),
        "deep": Int(1, 9, when={"kind": "a"}),
    }
)

SPACE_FLAT = Space({**SPACE, "deep": Int(1, 9)})


def trace(spec, direction, parallel, space, constrained=False, objectives=1):
    """Suggestions of a study in which trials fail, are pruned, overlap and finish out of order."""
    sampler = make_sampler(spec, space=space, directions=[direction, "minimize", "maximize"][:objectives], seed=3)
    sampler = getattr(sampler, "inner", sampler)
    asked, running = [], []

    def finish(number):
        value = round(sum(float(v) for v in asked[number].values() if isinstance(v, int | float)), 2)
        constraints = {"c": asked[number].get("x", 0) - 0.2} if constrained else {}
        if number % 9 == 4:
            sampler.tell(number, RunState.FAIL, None, {})
        elif objectives > 1:
            others = round(asked[number].get("x", 0.5), 1), math.log(asked[number].get("units", 9))
            sampler.tell(number, RunState.COMPLETE, (value, *others)[:objectives], constraints)
        elif number % 5 == 2:
            for step in range(number % 3):
                sampler.report(number, step, math.nan if number % 10 == 7 else value)
            sampler.tell(number, RunState.PRUNED, None, constraints)
        else:
            sampler.tell(number, RunState.COMPLETE, (value,), constraints)

    for number in range(60):
        point = sampler.ask(number)
        if space is None:
            named = dict(point)
            for name, param in SPACE.items():
                if SPACE.met(name, named) or name in named:
                    named[name] = sampler.suggest(number, name, param.to_distribution())
            sampler.discard(number, point.keys() - named.keys())
            point = named
        asked.append(point)
        running.append(number)
        while len(running) >= parallel:
            finish(running.pop((number * 7) % len(running)))
    return asked


@pytest.mark.parametrize("parallel", [1, 6])
@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_columns_give_optunas_suggestions(direction, parallel):
    assert trace("tpe", direction, parallel, SPACE) == trace(optuna.samplers.TPESampler(), direction, parallel, SPACE)


@pytest.mark.parametrize("space", [SPACE, None], ids=["declared", "by run"])
def test_columns_give_optunas_suggestions_under_constraints_and_by_run(space):
    ours = trace("tpe", "minimize", 4, space, constrained=True)
    assert ours == trace(optuna.samplers.TPESampler(), "minimize", 4, space, constrained=True)
    assert len({str(p) for p in ours}) == len(ours)


@pytest.mark.parametrize("objectives", [2, 3])
@pytest.mark.parametrize("space", [SPACE, None], ids=["declared", "by run"])
def test_columns_give_optunas_suggestions_for_several_objectives(objectives, space):
    ours = trace("tpe", "maximize", 6, space, constrained=objectives == 3, objectives=objectives)
    assert ours == trace(optuna.samplers.TPESampler(), "maximize", 6, space, objectives == 3, objectives)


# -- beyond the bound


LITTLE = history.Limits(exact=60, best=12, next=10, recent=15, sampled=20)


@pytest.fixture
def little(monkeypatch):
    monkeypatch.setattr(history, "ONE", LITTLE)
    monkeypatch.setattr(history, "SEVERAL", LITTLE)


def result(point, objectives):
    values = point["x"] ** 2 + math.log(point["units"]), abs(point["x"] - 1.0), -point["lr"]
    return RunState.COMPLETE, values[:objectives]


def past_the_bound(objectives, trials, order):
    """A sampler that has *trials*, each asked for, added or told in the *order* of numbers given."""
    sampler = make_sampler("tpe", space=SPACE, directions=["minimize"] * objectives, seed=5)
    for number in order:
        point = draw_point(SPACE, Stream(1, number))
        state, values = result(point, objectives)
        sampler.add(Trial(number, state, point, values))
    return sampler


@pytest.mark.parametrize("objectives", [1, 2, 3])
def test_no_more_kernels_than_the_bound_whatever_the_number_of_trials(objectives, little, monkeypatch):
    kernels = []
    true_choice = tpe.ColumnTPESampler._best_candidate

    def counting(self, below, above):
        kernels.append(tuple(len(e._mixture_distribution.weights) - 1 for e in (below, above)))
        return true_choice(self, below, above)

    monkeypatch.setattr(tpe.ColumnTPESampler, "_best_candidate", counting)
    most = {}
    for trials in (50, 100, 400, 1600):
        kernels.clear()
        sampler = past_the_bound(objectives, trials, range(trials))
        for number in range(trials, trials + 10):
            assert SPACE.check(sampler.ask(number))
        most[trials] = max(below + above for below, above in kernels)
        assert max(below for below, _ in kernels) <= LITTLE.best
    bound = LITTLE.best + LITTLE.next + LITTLE.recent + LITTLE.sampled + 9  # running
    assert most[50] == 59
    assert max(most.values()) <= max(bound, LITTLE.exact)
    assert most[1600] >= LITTLE.next + LITTLE.recent + LITTLE.sampled - LITTLE.best


@pytest.mark.parametrize("objectives", [1, 2, 3])
def test_what_is_remembered_does_not_depend_on_the_order_in_which_trials_finished(objectives, little):
    orders = [list(range(300)), list(range(299, -1, -1)), sorted(range(300), key=lambda n: Stream(2, n).bits("order"))]
    asked = [[past_the_bound(objectives, 300, order).ask(300)] for order in orders]
    assert asked[0] == asked[1] == asked[2]


@pytest.mark.parametrize("objectives", [1, 2])
def test_a_study_resumed_beyond_the_bound_goes_on_as_if_nothing_had_happened(objectives, little):
    asked = []
    for resume_at in (None, 70, 111):
        sampler = make_sampler("tpe", space=SPACE, directions=["minimize"] * objectives, seed=5)
        trials, running = [], []
        for number in range(120):
            if number == resume_at:
                sampler = make_sampler("tpe", space=SPACE, directions=["minimize"] * objectives, seed=5)
                for trial in trials:
                    sampler.add(trial)
            trials.append(Trial(number, RunState.RUNNING, sampler.ask(number)))
            running.append(number)
            if len(running) == 4:
                done = running.pop((number * 5) % 4)
                state, values = result(trials[done].params, objectives)
                sampler.tell(done, state, values)
                trials[done] = Trial(done, state, trials[done].params, values)
        asked.append([trial.params for trial in trials])
    assert asked[0] == asked[1] == asked[2]


def test_beyond_the_bound_the_sampled_trials_have_the_weight_of_all_that_they_stand_for(little):
    sampler = past_the_bound(1, 1000, range(1000))
    sampler.ask(1000)
    remembered = sampler.inner._study.sampler._history
    split = remembered.split(12, [])
    all_weights = sum((number + 1) / 1000 for number in set(range(1000)) - set(split.below.tolist()))
    assert len(split.above) == len(set(split.above.tolist()))
    assert split.weights.sum() == pytest.approx(all_weights, rel=0.01)  # the newest 25 have more
    best = sorted(range(1000), key=lambda n: result(draw_point(SPACE, Stream(1, n)), 1)[1])
    assert sorted(split.below.tolist()) == sorted(best[:12])
    assert set(best[12:22]) <= set(split.above.tolist())
    assert set(range(985, 1000)) - set(best[:12]) <= set(split.above.tolist())


def test_densities_are_as_close_to_optunas_as_they_say():
    sampler = optuna.samplers.TPESampler()
    for names in (list(SPACE), *([name] for name in SPACE)):
        space = {name: optuna_distribution(SPACE[name].to_distribution()) for name in names}
        for trials in (0, 1, 7, 90):
            points = [draw_point(Space({n: SPACE_FLAT[n] for n in names}), Stream(4, i)) for i in range(trials)]
            seen = {n: np.array([space[n].to_internal_repr(p[n]) for p in points]) for n in names}
            kernels = _ParzenEstimator(seen, space, sampler._parzen_estimator_parameters)
            samples = kernels.sample(np.random.RandomState(trials), 50)
            mixture = kernels._mixture_distribution
            ours = log_density(mixture, np.array(list(samples.values())).T)
            assert np.abs(ours - kernels.log_pdf(samples)).max() < tolerance(mixture) < 1e-4


def test_kernels_far_outside_of_a_range_that_moved_have_optunas_density():
    space = {"x": optuna.distributions.FloatDistribution(0.0, 1.0), "n": optuna.distributions.IntDistribution(0, 9)}
    seen = {"x": np.array([0.5, 3.0, -40.0, 900.0]), "n": np.array([4.0, 30.0, -7.0, 2000.0])}
    kernels = _ParzenEstimator(seen, space, optuna.samplers.TPESampler()._parzen_estimator_parameters)
    samples = {"x": np.linspace(0.0, 1.0, 30), "n": np.arange(30.0) % 10}
    mixture = kernels._mixture_distribution
    ours = log_density(mixture, np.array(list(samples.values())).T)
    assert np.abs(ours - kernels.log_pdf(samples)).max() < tolerance(mixture)
