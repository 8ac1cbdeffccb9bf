"""A rule in a worker decides what its pruner would have decided at that moment."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from hpo.sampling.curve import Curve
from hpo.sampling.percentile import RULE_STEPS
from hpo.sampling.pruner import Pruner
from hpo.sampling.pruners import make_pruner
from tests.properties.trace import Trace
from trackers.states import RunState

SPECS: dict[str, Any] = {
    "none": "none",
    "median": "median(n_startup_trials=1)",
    "median, slowly": "median(n_startup_trials=0, n_warmup_steps=2, interval_steps=3, n_min_trials=2)",
    "percentile": "percentile(30.0, n_startup_trials=2)",
    "threshold": "threshold(lower=0.1, upper=0.8, n_warmup_steps=1)",
    "halving": "successive_halving(min_resource=1, reduction_factor=2)",
    "halving, bootstrap": "successive_halving(min_resource=2, reduction_factor=3, bootstrap_count=2)",
    "halving, auto": "successive_halving(reduction_factor=2)",
    "asha": "asha(min_resource=1, n_startup_trials=2)",
    "asha to 40": "asha(max_resource=40, reduction_factor=2)",
    "asha, auto": "asha(n_startup_trials=2)",
    "auto": "auto",
    "patience": "patient(patience=1)",
    "patient median": "patient(median(n_startup_trials=1), patience=1)",
    "patient threshold": "patient(threshold(upper=0.5), patience=0, min_delta=0.01)",
    "patient halving": "patient(successive_halving(min_resource=1, reduction_factor=2), patience=1)",
    "patient asha": "patient(asha(min_resource=1, n_startup_trials=2), patience=1)",
}
NEEDS_CURVE = {"halving, auto", "asha, auto", "auto", "patient asha"}
"""Whether these were judged before is not in the reports alone: rungs came up midway, or a stop is being delayed."""


def make(name: str, direction: str) -> Pruner:
    return make_pruner(SPECS[name], directions=[direction])


def walk(trace: Trace, decide: Callable[[int, int, float], bool], *others: Any) -> int:
    """Send a trace to *others* but the reports, which *decide* sees; return how many trials were stopped."""
    stops = 0
    for event in trace.events():
        if event[0] == "report":
            event = trace.stop(event[1]) if decide(*event[1:]) else None
            stops += event is not None
        for pruner in others:
            if event is not None:
                getattr(pruner, event[0])(*event[1:])
    return stops


class Worker:
    """Keeps what a worker has of each running attempt: a curve, and the plain reports."""

    def __init__(self) -> None:
        self.attempts: dict[int, tuple[Curve, list[tuple[int, float]]]] = {}

    def report(self, number: int, step: int, value: float) -> tuple[Curve, list[tuple[int, float]]]:
        curve, reports = self.attempts.setdefault(number, (Curve(), []))
        curve.add(step, value)
        reports.append((step, value))
        return curve, reports

    def forget(self, number: int) -> None:
        self.attempts.pop(number)

    def finish(self, number: int, state: RunState, value: float | None) -> None:
        self.attempts.pop(number, None)


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
@pytest.mark.parametrize("name", SPECS)
def test_a_rule_decides_as_its_pruner_would_at_that_moment(name: str, direction: str) -> None:
    stops = sum(stops_by_rule(name, direction, seed) for seed in range(25))
    assert stops or name == "none"


def stops_by_rule(name: str, direction: str, seed: int) -> int:
    pruner, worker = make(name, direction), Worker()

    def decide(number: int, step: int, value: float) -> bool:
        rule = pickle.loads(pickle.dumps(pruner.rule()))
        curve, reports = worker.report(number, step, value)
        verdict = rule.decide(curve)
        if name not in NEEDS_CURVE:
            assert rule.decide(reports) == verdict, f"seed {seed}: {reports}"
        assert pruner.report(number, step, value) == verdict, f"seed {seed}: {reports}"
        return verdict

    return walk(Trace(seed, obedient=True, restarts=True), decide, pruner, worker)


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
@pytest.mark.parametrize("name", SPECS)
def test_deciding_in_workers_leaves_the_pruner_as_if_it_had_decided_itself(name: str, direction: str) -> None:
    for seed in range(25):
        decide_in_a_worker(name, direction, seed)


def decide_in_a_worker(name: str, direction: str, seed: int) -> None:
    alone, told, worker = make(name, direction), make(name, direction), Worker()

    def decide(number: int, step: int, value: float) -> bool:
        rule = told.rule()
        assert rule is not None
        curve, _ = worker.report(number, step, value)
        verdict = rule.decide(curve)
        told.observe(number, step, value)
        assert alone.report(number, step, value) == verdict, f"seed {seed}: {curve}"
        return verdict

    walk(Trace(seed, obedient=True, restarts=True), decide, alone, told, worker)


@pytest.mark.parametrize("name", SPECS)
def test_a_version_stands_for_one_set_of_thresholds(name: str) -> None:
    for seed in range(8):
        compare_versions(name, seed)


def compare_versions(name: str, seed: int) -> None:
    pruner = make(name, "minimize")
    seen: dict[int, Any] = {}
    last = -1

    def decide(number: int, step: int, value: float) -> bool:
        nonlocal last
        rule = pruner.rule()
        assert rule is not None
        assert rule.version >= last
        assert seen.setdefault(rule.version, rule) == rule
        last = rule.version
        assert pruner.rule() is rule
        return pruner.report(number, step, value)

    walk(Trace(seed, obedient=True), decide, pruner)


def test_a_decision_on_a_curve_takes_the_same_time_at_the_thousandth_report_as_at_the_tenth() -> None:
    pruner = make_pruner("median(n_startup_trials=0)")
    for step in range(1000):
        pruner.report(0, step, 1.0)
    pruner.finish(0, RunState.COMPLETE, 1.0)
    rule = pruner.rule()
    assert rule is not None
    looked = 0

    class Counting(list):  # type: ignore[type-arg]
        def __iter__(self) -> Any:
            nonlocal looked
            looked += len(self)
            return super().__iter__()

    curve = rule.curve()
    curve.values = Counting()
    for step in range(1000):
        curve.add(step, 0.5)
        assert not rule.decide(curve)
    assert looked == 0


def test_a_rule_with_too_many_steps_is_not_sent() -> None:
    pruner = make_pruner("median(n_startup_trials=0)")
    for step in range(RULE_STEPS + 1):
        pruner.observe(0, step, 1.0)
    assert pruner.rule() is not None
    pruner.finish(0, RunState.COMPLETE, 1.0)
    assert pruner.rule() is None
    assert pruner.report(1, 0, 2.0)


def test_a_rule_of_a_hundred_steps_is_small() -> None:
    for spec in ("median(n_startup_trials=0)", "asha", "successive_halving"):
        pruner = make_pruner(spec)
        for number in range(50):
            for step in range(100):
                pruner.observe(number, step, number + step / 7)
            pruner.finish(number, RunState.COMPLETE, 1.0)
        assert len(pickle.dumps(pruner.rule())) < 3000


def test_a_worker_that_uses_a_rule_loads_nothing_heavy() -> None:
    pruner = make_pruner("patient(median(n_startup_trials=0), patience=0)")
    for step in range(3):
        pruner.observe(0, step, 1.0)
    pruner.finish(0, RunState.COMPLETE, 1.0)
    script = (
        "import pickle, sys; rule = pickle.loads(sys.stdin.buffer.read())\n"
        "assert rule.decide([(0, 2.0), (1, 3.0)])\n"
        "heavy = {'optuna', 'numpy', 'sqlalchemy', 'ray', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", script], input=pickle.dumps(pruner.rule()), capture_output=True)
    assert done.returncode == 0, done.stderr.decode()


@pytest.mark.parametrize("spec", ["asha(min_resource=1, n_startup_trials=2)", "successive_halving(min_resource=1)"])
def test_an_objective_that_asks_at_every_fifth_step_is_judged_at_the_rungs_it_passed(spec: str) -> None:
    pruner = make_pruner(spec)
    for number in range(8):
        for step in range(10):
            pruner.observe(number, step, float(number))
        pruner.finish(number, RunState.COMPLETE, float(number))
    rule = pruner.rule()
    assert rule is not None
    good, bad = rule.curve(), rule.curve()
    for step in range(6):
        good.add(step, -1.0)
        bad.add(step, 100.0)
    assert rule.decide(bad)
    assert not rule.decide(good)


def test_a_curve_goes_on_from_reports_that_the_manager_decided() -> None:
    rule = make_pruner("asha(min_resource=1, n_startup_trials=0)").rule()
    assert rule is not None
    curve = rule.curve([(0, 5.0), (1, 5.0), (2, 5.0)])
    assert curve.rung == 1
    assert not rule.decide(curve)
    assert not rule.decide([])
