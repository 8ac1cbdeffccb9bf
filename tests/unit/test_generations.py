"""Samplers that know their generations suggest what Optuna's own suggest, bit for bit."""

import pytest

from hpo.sampling.samplers import make_sampler
from hpo.space import Categorical, Float, Int, Space
from trackers.states import RunState

optuna = pytest.importorskip("optuna")

SPACE = Space({"x": Float(-1.0, 1.0), "lr": Float(1e-5, 1e-1, log=True), "n": Int(1, 90), "y": Float(0.0, 1.0)})
MIXED = Space({**SPACE, "kind": Categorical(["a", "b", None])})


def trace(spec, space, objectives, trials=330):
    """Suggestions of a study in which trials fail, are pruned, overlap and finish out of order."""
    sampler = make_sampler(spec, space=space, directions=["minimize"] * objectives, seed=3, workers=4)
    sampler = getattr(sampler, "inner", sampler)
    asked, running = [], []
    for number in range(trials):
        asked.append(sampler.ask(number))
        running.append(number)
        if len(running) == 9:
            done = running.pop((number * 7) % len(running))
            point = asked[done]
            values = (point["x"] ** 2 + point["y"], abs(point["x"] - 1) + point["n"] / 50, point["lr"] - point["y"])
            if done % 11 == 4:
                sampler.tell(done, RunState.FAIL, None, {})
            elif done % 13 == 2 and objectives == 1:
                sampler.tell(done, RunState.PRUNED, None, {})
            else:
                sampler.tell(done, RunState.COMPLETE, values[:objectives], {})
    return asked


@pytest.mark.parametrize(
    ("name", "theirs"),
    [("nsga2", optuna.samplers.NSGAIISampler), ("nsga3", optuna.samplers.NSGAIIISampler)],
)
def test_genetic_samplers_give_optunas_suggestions(name, theirs):
    assert trace(name, MIXED, 3) == trace(theirs(), MIXED, 3)


def test_cmaes_gives_optunas_suggestions():
    pytest.importorskip("cmaes")
    assert trace("cmaes", SPACE, 1) == trace(optuna.samplers.CmaEsSampler(popsize=8), SPACE, 1)
