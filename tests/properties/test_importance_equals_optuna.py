"""Our importances are those of Optuna's PED-ANOVA, on random studies of every kind of param."""

from __future__ import annotations

import json
import math
import random
import warnings
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import optuna
import pytest
from optuna.distributions import json_to_distribution
from optuna.importance import PedAnovaImportanceEvaluator

from hpo.distribution import categorical, floating, integer
from hpo.sampling.importance import importances
from trackers.states import RunState
from trackers.values import StudyRow, Trial

Spec = Mapping[str, Any]
DIRECTIONS = ["minimize", "maximize"]


def drawn_spec(rng: random.Random) -> Spec:
    low = rng.choice([-3.0, 0.0, 0.1, round(rng.uniform(-10, 10), 3)])  # with more digits Optuna's last step is no step
    whole = rng.randint(-3, 20)
    return rng.choice(
        [
            floating("p", low, low + rng.choice([0.0, 0.3, 7.0, 1e6])),
            floating("p", 10.0 ** rng.randint(-9, 0), rng.choice([1.0, 2.0, 1e4]), log=True),
            floating("p", low, low + rng.uniform(0.0, 9.0), step=rng.choice([0.05, 0.1, 0.3, 4.0])),
            integer("p", whole, whole + rng.choice([0, 1, 2, 9, 49, 50, 1000]), step=rng.choice([1, 2, 3, 7])),
            integer("p", abs(whole) + 1, abs(whole) + 1 + rng.choice([0, 1, 3, 100, 10**6]), log=True),
            categorical("p", rng.choice([["a"], ["a", "b"], [None, 1, "1", 2.5, False], [math.nan, math.inf, 0.0]])),
            categorical("p", [f"choice {number}" for number in range(rng.randint(2, 60))]),
        ]
    )


def drawn_value(spec: Spec, rng: random.Random) -> Any:
    a = spec["attributes"]
    if "choices" in a:
        return rng.choice(a["choices"])
    if a["log"]:
        drawn = math.exp(rng.uniform(math.log(a["low"]), math.log(a["high"])))
        value = min(max(drawn, a["low"]), a["high"])
        return round(value) if spec["name"] == "IntDistribution" else value
    if a["step"] is None:
        return rng.choice([a["low"], a["high"], rng.uniform(a["low"], a["high"])])
    adjusted = optuna_distribution(spec)
    return min(a["low"] + rng.randint(0, round((adjusted.high - a["low"]) / a["step"])) * a["step"], adjusted.high)


def optuna_distribution(spec: Spec) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a range whose end is no step
        return json_to_distribution(json.dumps(spec))


def drawn_study(seed: int) -> tuple[StudyRow, list[Trial]]:
    """Draw a study: some params in every trial, some now and then, some in one of several ranges."""
    rng = random.Random(seed)
    directions = tuple(rng.choice(DIRECTIONS) for _ in range(rng.choice([1, 1, 1, 2, 3])))
    ranges = {f"p{i}": [drawn_spec(rng) for _ in range(rng.choice([1, 1, 1, 2]))] for i in range(rng.randint(1, 6))}
    presence = {name: rng.choice([1.0, 1.0, 0.5, 0.05]) for name in ranges} | {"p0": 1.0}
    ties = rng.random() < 0.3
    trials = []
    for number in range(rng.choice([10, 11, 30, 100, 250])):
        specs = {name: rng.choice(ranges[name]) for name in ranges if rng.random() < presence[name]}
        params = {name: drawn_value(spec, rng) for name, spec in specs.items()}
        pull = sum(value for value in params.values() if isinstance(value, float) and math.isfinite(value))
        values = tuple(math.tanh(pull) + rng.gauss(0.0, 0.3) for _ in directions)
        values = tuple(round(value, 1) for value in values) if ties else values
        trials.append(Trial(number, RunState.COMPLETE, params, values=values, distribution_specs=specs))
    names = tuple(f"value {index}" for index in range(len(directions)))
    return StudyRow(1, "0" * 32, "drawn", directions, names, datetime(2026, 1, 1, tzinfo=UTC)), trials


def optunas(directions: Sequence[str], trials: Sequence[Trial]) -> dict[str, float]:
    study = optuna.create_study(directions=list(directions))
    for trial in trials:
        distributions = {name: optuna_distribution(spec) for name, spec in trial.distribution_specs.items()}
        study.add_trial(
            optuna.trial.create_trial(
                values=list(trial.values or ()), params=dict(trial.params), distributions=distributions
            )
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of params seen once or twice
        found = PedAnovaImportanceEvaluator().evaluate(study)
    total = sum(found.values())
    return {name: share / total if total > 0 else 0.0 for name, share in found.items()}


@pytest.mark.parametrize("first", range(0, 120, 20))
def test_the_share_of_each_param_is_optunas(first: int) -> None:
    told = 0
    for seed in range(first, first + 20):
        row, trials = drawn_study(seed)
        wanted = optunas(row.directions, trials)
        assert importances(row, trials) == pytest.approx(wanted, abs=1e-9), seed
        told += len({share for share in wanted.values() if 0.0 < share < 1.0}) > 1
    assert told >= 8, "most of the studies tell their params apart"
