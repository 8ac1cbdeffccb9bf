"""Pruners with Optuna's names decide as Optuna's do: both are driven through the same random histories."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import optuna
import pytest
from optuna.pruners import (
    BasePruner,
    HyperbandPruner,
    MedianPruner,
    NopPruner,
    PatientPruner,
    PercentilePruner,
    SuccessiveHalvingPruner,
    ThresholdPruner,
    WilcoxonPruner,
)

from hpo.sampling.optuna_pruner import OptunaPruner
from hpo.sampling.patient import PatientPruner as OurPatientPruner
from hpo.sampling.pruner import CurvePruner, NeverPruner, Pruner
from hpo.sampling.pruners import make_pruner
from tests.properties.trace import Trace
from trackers.states import RunState

NAME = "a study"
Make = Callable[[], BasePruner]


class OptunaStudy:
    """A real Optuna study that lives through a trace."""

    def __init__(self, pruner: BasePruner, direction: str) -> None:
        self.study = optuna.create_study(study_name=NAME, direction=direction, pruner=pruner)
        self.trials: dict[int, optuna.Trial] = {}

    def report(self, number: int, step: int, value: float) -> bool:
        while len(self.trials) <= number:
            trial = self.study.ask()
            self.trials[trial.number] = trial
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of repeated reports, and of slices of nothing but NaN
            self.trials[number].report(value, step)
            return self.trials[number].should_prune()

    def finish(self, number: int, state: RunState, value: float | None) -> None:
        while len(self.trials) <= number:
            trial = self.study.ask()
            self.trials[trial.number] = trial
        final = optuna.trial.TrialState(int(state))
        self.study.tell(self.trials[number], value, state=final)


def follow(pruner: Pruner, reference: OptunaStudy, seed: int, trials: int = 25) -> tuple[int, int]:
    """Drive both through one history; return how many decisions there were, and how many stopped a trial."""
    trace = Trace(seed, trials)
    decisions = stops = 0
    for event in trace.events():
        if event[0] == "report":
            ours, theirs = pruner.report(*event[1:]), reference.report(*event[1:])
            decisions, stops = decisions + 1, stops + ours
            assert ours == theirs, f"seed {seed}, decision {decisions}: {event}, Optuna says {theirs}"
            event = trace.stop(event[1]) if ours else None
        if event is not None:
            pruner.finish(*event[1:])
            reference.finish(*event[1:])
    return decisions, stops


PRUNERS: dict[str, Make] = {
    "none": NopPruner,
    "median": MedianPruner,
    "median at once": lambda: MedianPruner(n_startup_trials=0),
    "median with a warm-up": lambda: MedianPruner(2, 3, 4),
    "median of three or more": lambda: MedianPruner(1, n_min_trials=3),
    "percentile 0": lambda: PercentilePruner(0.0, 1),
    "percentile 25": lambda: PercentilePruner(25.0, 1, 1, 2, n_min_trials=2),
    "percentile 90": lambda: PercentilePruner(90.0, 0),
    "percentile 100": lambda: PercentilePruner(100.0, 1),
    "halving": SuccessiveHalvingPruner,
    "halving by two": lambda: SuccessiveHalvingPruner(1, 2),
    "halving from three, late": lambda: SuccessiveHalvingPruner(3, 3, 1),
    "halving after a bootstrap": lambda: SuccessiveHalvingPruner(1, 2, 0, 3),
    "halving, auto, late": lambda: SuccessiveHalvingPruner("auto", 2, 2),
    "hyperband": HyperbandPruner,
    "hyperband to 30": lambda: HyperbandPruner(1, 30, 3),
    "hyperband from 2, bootstrap": lambda: HyperbandPruner(2, 40, 2, 2),
    "hyperband without a bracket": lambda: HyperbandPruner(9, 1, 2),
    "threshold": lambda: ThresholdPruner(lower=0.2, upper=0.9),
    "threshold, upper only": lambda: ThresholdPruner(upper=0.8, n_warmup_steps=2, interval_steps=3),
    "patience alone": lambda: PatientPruner(None, 2),
    "patience of none": lambda: PatientPruner(None, 0, 0.1),
    "patient median": lambda: PatientPruner(MedianPruner(1), 1, 0.05),
    "patient halving": lambda: PatientPruner(SuccessiveHalvingPruner(1, 2), 1),
    "patient hyperband": lambda: PatientPruner(HyperbandPruner(1, 20, 2), 1),
    "patient twice": lambda: PatientPruner(PatientPruner(ThresholdPruner(upper=0.5), 2), 1),
    "wilcoxon": WilcoxonPruner,
}

OURS = (CurvePruner, OurPatientPruner, NeverPruner)


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
@pytest.mark.parametrize("make", PRUNERS.values(), ids=PRUNERS)
def test_every_decision_is_the_one_that_optuna_takes(make: Make, direction: str) -> None:
    for seed in range(3 if make is WilcoxonPruner else 12):
        pruner = make_pruner(make(), directions=[direction], study_name=NAME)
        assert isinstance(pruner, OptunaPruner if isinstance(make(), WilcoxonPruner) else OURS)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            follow(pruner, OptunaStudy(make(), direction), seed)


@pytest.mark.parametrize("name", ["median", "halving", "hyperband to 30", "patient median"])
def test_a_long_study_is_decided_as_optuna_does(name: str) -> None:
    decisions, stops = 0, 0
    for seed, direction in [(1, "minimize"), (2, "maximize"), (3, "minimize")]:
        pruner = make_pruner(PRUNERS[name](), directions=[direction], study_name=NAME)
        more = follow(pruner, OptunaStudy(PRUNERS[name](), direction), 1000 + seed, trials=150)
        decisions, stops = decisions + more[0], stops + more[1]
    assert decisions > 1000
    assert stops > 50


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
@pytest.mark.parametrize("name", ["median", "halving", "hyperband", "patient halving", "wilcoxon"])
def test_an_adapted_optuna_pruner_decides_as_in_optunas_own_study(name: str, direction: str) -> None:
    for seed in range(5):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pruner = OptunaPruner(PRUNERS[name](), directions=[direction], study_name=NAME)
            follow(pruner, OptunaStudy(PRUNERS[name](), direction), seed)


@pytest.mark.parametrize(
    "spec", ["median", "percentile(25.0)", "successive_halving", "hyperband", "patient(median, patience=1)"]
)
def test_a_name_means_optunas_defaults(spec: str) -> None:
    makes: dict[str, Any] = {
        "median": MedianPruner,
        "percentile(25.0)": lambda: PercentilePruner(25.0),
        "successive_halving": SuccessiveHalvingPruner,
        "hyperband": HyperbandPruner,
        "patient(median, patience=1)": lambda: PatientPruner(MedianPruner(), 1),
    }
    for seed in range(4):
        pruner = make_pruner(spec, directions=["maximize"], study_name=NAME)
        follow(pruner, OptunaStudy(makes[spec](), "maximize"), seed)
