"""TPE from columns suggests what Optuna's own suggests, bit for bit."""

import math

import pytest

from hpo.sampling.samplers import make_sampler
from hpo.space import Categorical, Float, Int, Space
from trackers.states import RunState

optuna = pytest.importorskip("optuna")

SPACE = Space(
    {
        "kind": Categorical(["a", "b", None]),
        "x": Float(-1.0, 1.0),
        "lr": Float(1e-5, 1e-1, log=True),
        "units": Int(8, 512, log=True),
        "step": Float(0.0, 0.5, step=0.125),
        "deep": Int(1, 9, when={"kind": "a"}),
    }
)


def trace(spec, direction, parallel, space, constrained=False):
    """Suggestions of a study in which trials fail, are pruned, overlap and finish out of order."""
    sampler = make_sampler(spec, space=space, directions=[direction], seed=3)
    sampler = getattr(sampler, "inner", sampler)
    asked, running = [], []

    def finish(number):
        value = round(sum(float(v) for v in asked[number].values() if isinstance(v, int | float)), 2)
        constraints = {"c": asked[number].get("x", 0) - 0.2} if constrained else {}
        if number % 9 == 4:
            sampler.tell(number, RunState.FAIL, None, {})
        elif number % 5 == 2:
            for step in range(number % 3):
                sampler.report(number, step, math.nan if number % 10 == 7 else value)
            sampler.tell(number, RunState.PRUNED, None, constraints)
        else:
            sampler.tell(number, RunState.COMPLETE, (value,), constraints)

    for number in range(110):
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
