"""Pruners by name, and what ours decide."""

from __future__ import annotations

import math
import random
import sys

import optuna
import pytest

from hpo.errors import SettingsError
from hpo.sampling.asha import AshaPruner
from hpo.sampling.curve import Curve
from hpo.sampling.halving import SuccessiveHalvingPruner
from hpo.sampling.hyperband import HyperbandPruner
from hpo.sampling.median import MedianPruner
from hpo.sampling.optuna_pruner import OptunaPruner
from hpo.sampling.patient import PatientPruner
from hpo.sampling.percentile import PercentilePruner
from hpo.sampling.pruner import NeverPruner, Pruner
from hpo.sampling.pruners import PRUNERS, make_pruner
from hpo.sampling.ranked import CHUNK, Ranked, percentile
from trackers.states import RunState
from trackers.values import Trial


def complete(pruner: Pruner, number: int, values: list[float], first: int = 0) -> None:
    for step, value in enumerate(values, first):
        pruner.observe(number, step, value)
    pruner.finish(number, RunState.COMPLETE, values[-1])


# -- names -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PRUNERS)
def test_every_name_makes_a_pruner_that_carries_it(name: str) -> None:
    spec = "threshold(upper=1.0)" if name == "threshold" else name
    assert make_pruner(spec, directions=["maximize"], total_trials=100).name == name


def test_a_name_may_carry_arguments_in_text_or_in_a_mapping() -> None:
    for spec in ("median(n_startup_trials=0)", "Median( 0 )", {"name": "median", "n_startup_trials": 0}):
        pruner = make_pruner(spec)
        assert isinstance(pruner, MedianPruner)
        complete(pruner, 0, [1.0])
        assert pruner.report(1, 0, 2.0)
    assert isinstance(make_pruner("successive-halving"), SuccessiveHalvingPruner)
    assert isinstance(make_pruner("patient(percentile(25), patience=2)"), PatientPruner)


def test_the_start_up_trials_of_a_name_are_optunas() -> None:
    pruner = make_pruner("median")
    for number in range(4):
        complete(pruner, number, [1.0])
    assert not pruner.report(4, 0, 2.0)
    pruner.finish(4, RunState.COMPLETE, 2.0)
    assert pruner.report(5, 0, 2.0)


def test_a_pruner_and_none_are_taken_as_they_are() -> None:
    pruner = AshaPruner()
    assert make_pruner(pruner) is pruner
    assert make_pruner(None).name == "none"
    assert not make_pruner(None).report(0, 0, math.nan)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("medain", ["medain", "did you mean median?", "successive_halving", "auto"]),
        ("median(n_startup=3)", ["n_startup", "did you mean n_startup_trials?", "n_min_trials"]),
        ("none(x=1)", ["none", "'x'", "no arguments"]),
        ("median(n_startup_trials=-1)", ["n_startup_trials", "-1"]),
        ("median(n_startup_trials='a')", ["median", "n_startup_trials=a"]),
        ("median(n_min_trials=0)", ["n_min_trials", "0"]),
        ("median(interval_steps=0)", ["interval_steps", "0"]),
        ("median(n_warmup_steps=-1)", ["n_warmup_steps", "-1"]),
        ("percentile(101)", ["0 to 100", "101"]),
        ("successive_halving(min_resource=0)", ["min_resource", "0"]),
        ("successive_halving(min_resource='often')", ["min_resource", "'often'"]),
        ("successive_halving(reduction_factor=1)", ["reduction_factor", "1"]),
        ("successive_halving(bootstrap_count=1)", ["min_resource", "bootstrap"]),
        ("successive_halving(min_early_stopping_rate=-1)", ["min_early_stopping_rate"]),
        ("hyperband(min_resource='auto')", ["min_resource", "'auto'"]),
        ("hyperband(max_resource=1.5)", ["max_resource", "1.5"]),
        ("hyperband(bootstrap_count=2)", ["max_resource", "bootstrap"]),
        ("asha(n_startup_trials=-1)", ["n_startup_trials"]),
        ("asha(reduction_factor=1)", ["reduction_factor"]),
        ("threshold", ["lower", "upper"]),
        ("threshold(lower=2, upper=1)", ["2", "1"]),
        ("patient(patience=-1)", ["patience", "-1"]),
        ("patient(min_delta=-1)", ["min_delta"]),
        ("patient(medain)", ["medain", "did you mean median?"]),
        ("median(", ["median(", "cannot be read"]),
        ("median(1, 2)", ["cannot be read"]),
        ("median(**{})", ["cannot be read"]),
        ("threshold(5)", ["cannot be read"]),
        ("median(n_startup_trials=1+len([]))", ["cannot be read"]),
        ("__import__('os').getcwd()", ["cannot be read"]),
        ({"n_startup_trials": 1}, ["name"]),
        (17, ["17", "pruner"]),
    ],
)
def test_what_is_wrong_with_a_pruner_is_said_in_one_sentence(spec: object, words: list[str]) -> None:
    with pytest.raises(SettingsError) as caught:
        make_pruner(spec)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


# -- Optuna's objects --------------------------------------------------------------------------------------------------


def test_optunas_own_objects_are_taken_over_with_their_settings() -> None:
    pruner = make_pruner(optuna.pruners.MedianPruner(n_startup_trials=1), directions=["maximize"])
    assert isinstance(pruner, MedianPruner)
    complete(pruner, 0, [1.0])
    assert pruner.report(1, 0, 0.5)
    assert isinstance(make_pruner(optuna.pruners.HyperbandPruner()), HyperbandPruner)
    assert isinstance(make_pruner(optuna.pruners.NopPruner()), NeverPruner)
    assert isinstance(make_pruner(optuna.pruners.PercentilePruner(10.0)), PercentilePruner)


class Odd(optuna.pruners.MedianPruner):
    """A user's own: prunes odd steps, and cannot count to seven."""

    def prune(self, study: optuna.Study, trial: optuna.trial.FrozenTrial) -> bool:
        assert trial.last_step is not None
        if trial.last_step == 7:
            raise ArithmeticError("no seven")
        study.best_trial  # noqa: B018 - it may look at what there is
        return trial.last_step % 2 == 1


def test_a_pruner_of_the_users_own_is_asked_as_in_optuna() -> None:
    pruner = make_pruner(Odd(), study_name="s")
    assert isinstance(pruner, OptunaPruner)
    assert pruner.rule() is None
    complete(pruner, 3, [1.0])
    assert not pruner.report(0, 2, 1.0)
    assert pruner.report(0, 3, 1.0)
    pruner.forget(0)
    assert not pruner.report(0, 0, 1.0)
    pruner.add(Trial(number=8, state=RunState.COMPLETE, values=(0.5,), intermediate_values={0: 0.5}))
    with pytest.raises(SettingsError, match=r"pruner Odd failed at step 7 of trial 0 \(ArithmeticError: no seven\)"):
        pruner.report(0, 7, 1.0)


def test_patience_wraps_a_pruner_of_the_users_own() -> None:
    pruner = make_pruner({"name": "patient", "wrapped_pruner": Odd(), "patience": 0})
    complete(pruner, 0, [1.0])
    assert not pruner.report(1, 1, 1.0)
    assert not pruner.report(1, 2, 2.0)
    assert pruner.report(1, 3, 3.0)
    assert pruner.name == "patient"


def test_wilcoxon_needs_scipy_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    monkeypatch.delitem(sys.modules, "scipy", raising=False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SettingsError, match="scipy"):
        make_pruner("wilcoxon")


# -- what auto chooses -------------------------------------------------------------------------------------------------


def test_auto_takes_asha_for_one_objective_and_says_so() -> None:
    pruner = make_pruner("auto", directions=["maximize"], total_trials=200)
    assert pruner.name == "asha"
    assert "auto chose asha" in pruner.note
    assert "200 trials" in pruner.note
    assert make_pruner("auto").name == "asha"
    for number in range(50):
        pruner.finish(number, RunState.COMPLETE, 1.0)  # nothing was ever reported


def test_auto_prunes_nothing_with_few_trials_or_several_objectives() -> None:
    few = make_pruner("auto", total_trials=9)
    several = make_pruner("auto", directions=["minimize", "maximize"], total_trials=200)
    assert few.name == several.name == "none"
    assert "9 trials" in few.note
    assert "2 objectives" in several.note


@pytest.mark.parametrize("spec", ["median", "asha", optuna.pruners.MedianPruner(), Odd()])
def test_a_pruner_for_several_objectives_is_refused(spec: object) -> None:
    with pytest.raises(SettingsError, match="2 objectives"):
        make_pruner(spec, directions=["minimize", "minimize"])
    assert make_pruner("none", directions=["minimize", "minimize"]).name == "none"


# -- asha --------------------------------------------------------------------------------------------------------------


def test_asha_stops_who_is_not_in_the_top_third_of_a_rung() -> None:
    pruner = AshaPruner(min_resource=1, reduction_factor=3, n_startup_trials=3)
    for number, value in enumerate([1.0, 2.0]):
        assert not pruner.report(number, 1, value)
    assert pruner.report(2, 1, 1.5)  # the best of three passes
    assert not pruner.report(3, 1, 0.5)
    assert pruner.report(4, 1, 0.7)
    assert not pruner.report(5, 1, 0.7)  # two of six pass, and ties do
    assert not pruner.report(3, 2, 9.0)  # between rungs nobody is stopped
    assert not pruner.report(3, 3, 9.0)  # the first ones at a rung pass
    assert not pruner.report(5, 3, 8.0)
    assert pruner.report(6, 3, 8.5)  # and whoever comes late is compared there, not below
    assert pruner.report(6, 4, 0.0)  # told once is told


def test_asha_maximizes_and_takes_nan_for_the_worst() -> None:
    pruner = AshaPruner(min_resource=1, n_startup_trials=2, maximize=True)
    assert not pruner.report(0, 1, math.nan)
    assert not pruner.report(1, 1, 5.0)
    assert pruner.report(2, 1, math.nan)
    assert pruner.report(3, 1, 4.0)
    assert not pruner.report(4, 1, 6.0)


def test_asha_learns_its_rungs_from_the_first_trial_that_completes() -> None:
    pruner = AshaPruner(n_startup_trials=2)
    for step in range(60):
        assert not pruner.report(1, step, 1.0)  # nothing is known yet
    complete(pruner, 0, [0.0] * 101)
    assert pruner.drain() == ({}, {"pruner:asha:min_resource": 2})
    assert not pruner.report(2, 1, 2.0)
    assert pruner.report(2, 2, 2.0)  # 2, 8 and 32: what was reported before counts
    assert not pruner.report(3, 2, -1.0)
    assert pruner.report(3, 8, 2.0)
    assert not pruner.report(4, 2, -1.0)
    assert not pruner.report(4, 8, -1.0)
    assert pruner.report(4, 32, 2.0)
    assert not pruner.report(5, 2, -2.0)
    assert not pruner.report(5, 128, 9.0)  # beyond the first half nobody is stopped


def test_asha_judges_a_trial_that_was_on_its_way_when_the_rungs_came_up() -> None:
    pruner = AshaPruner(n_startup_trials=2)
    for step in range(10):
        pruner.report(1, step, 5.0)
    complete(pruner, 0, [1.0] * 101)
    assert pruner.report(1, 10, 5.0)


def test_asha_may_be_told_how_long_trials_are() -> None:
    pruner = AshaPruner(max_resource=100, n_startup_trials=2)
    assert not pruner.report(0, 4, 1.0)
    assert pruner.report(1, 4, 2.0)


def test_asha_with_short_trials_stops_early_or_not_at_all() -> None:
    for last, stops in [(0, False), (1, False), (2, True), (9, True)]:
        pruner = AshaPruner(n_startup_trials=2)
        complete(pruner, 0, [0.0] * (last + 1))
        told = [pruner.report(1, step, 9.0) for step in range(last + 1)]
        assert any(told) == stops
        assert not told[0]


def test_a_report_over_several_rungs_counts_for_the_highest() -> None:
    pruner = AshaPruner(min_resource=1, n_startup_trials=2)
    for number in range(5):
        assert not pruner.report(number, 10, float(-number))
    assert pruner.report(5, 10, 1.0)
    assert not pruner.report(6, 1, 99.0)  # nobody was recorded at rung 0


def test_a_trial_that_starts_again_takes_its_own_place() -> None:
    pruner = AshaPruner(min_resource=1, n_startup_trials=4)
    for _ in range(10):
        assert not pruner.report(0, 1, 1.0)
        pruner.forget(0)
    assert not pruner.report(0, 1, 1.0)
    assert not pruner.report(1, 1, 2.0)
    assert not pruner.report(2, 1, 2.0)  # still only three there
    assert pruner.report(3, 1, 2.0)


def test_half_of_a_sweep_is_saved_and_its_best_trial_kept() -> None:
    chance = random.Random(0)
    pruner = make_pruner("asha", directions=["maximize"], total_trials=100)
    levels = [chance.random() for _ in range(100)]
    steps, completed = 0, []
    for number, level in enumerate(levels):
        for step in range(50):
            steps += 1
            if pruner.report(number, step, level * (1 - math.exp(-step / 10)) + chance.gauss(0, 0.01)):
                pruner.finish(number, RunState.PRUNED, None)
                break
        else:
            pruner.finish(number, RunState.COMPLETE, level)
            completed.append(level)
    assert steps < 2500
    assert max(levels) in completed


# -- attempts ----------------------------------------------------------------------------------------------------------


def test_a_trial_that_went_on_from_a_checkpoint_counts_with_all_its_steps() -> None:
    pruner = MedianPruner(n_startup_trials=1)
    for step in range(6):
        pruner.report(0, step, 1.0)
    pruner.forget(0)
    pruner.report(0, 4, 0.0)  # again from step 4: what it reported there before is gone
    pruner.finish(0, RunState.COMPLETE, 0.0)
    assert pruner.report(1, 0, 1.5)
    assert pruner.report(2, 4, 0.5)
    assert not pruner.report(3, 5, 0.5)


def test_a_fresh_attempt_is_judged_by_its_own_reports() -> None:
    pruner = MedianPruner(n_startup_trials=1)
    complete(pruner, 0, [1.0, 1.0])
    assert not pruner.report(1, 0, 0.0)
    pruner.forget(1)
    assert pruner.report(1, 0, 2.0)


def test_forgetting_withdraws_the_rungs_that_were_to_be_stored() -> None:
    pruner = SuccessiveHalvingPruner(min_resource=1)
    pruner.report(0, 5, 1.0)
    assert pruner.drain()[0] == {0: {"completed_rung_0": 1.0, "completed_rung_1": 1.0}}
    pruner.forget(0)
    assert pruner.drain()[0] == {0: {"completed_rung_0": None, "completed_rung_1": None}}
    pruner.add(Trial(number=1, state=RunState.RUNNING, system_attrs={"completed_rung_0": 1.0}))
    assert pruner.drain()[0] == {1: {"completed_rung_0": None}}
    assert not pruner.report(2, 1, 50.0)


# -- ranked ------------------------------------------------------------------------------------------------------------


def test_ranked_floats_stay_sorted_over_many_chunks() -> None:
    chance = random.Random(3)
    values = [chance.choice([chance.random(), 0.5, math.inf, -math.inf]) for _ in range(3 * CHUNK)]
    ranked = Ranked()
    for value in values:
        ranked.add(value)
    for value in values[:CHUNK]:
        ranked.remove(value)
    kept = sorted(values[CHUNK:])
    assert list(ranked) == kept
    assert len(ranked) == len(kept)
    assert [ranked[0], ranked[5000], ranked[-1]] == [kept[0], kept[5000], kept[-1]]
    with pytest.raises(LookupError):
        ranked.remove(0.123)
    with pytest.raises(IndexError):
        ranked[len(kept)]
    for value in kept:
        ranked.remove(value)
    assert len(ranked) == 0
    with pytest.raises(IndexError):
        ranked[-1]


def test_a_percentile_is_numpys_to_the_last_bit() -> None:
    import numpy as np

    chance = random.Random(5)
    for _ in range(2000):
        values = [chance.gauss(0, 10 ** chance.randint(-9, 9)) for _ in range(chance.randint(1, 30))]
        q = chance.choice([0, 100, 50, 50.0, 25, chance.uniform(0, 100)])
        ranked = Ranked()
        for value in values:
            ranked.add(value)
        assert percentile(ranked, q) == float(np.nanpercentile(np.array(values), q))
    assert math.isnan(percentile(Ranked(), 50))


def test_a_curve_keeps_steps_in_order_and_the_first_report_of_each() -> None:
    curve = Curve([(3, 1.0), (1, math.nan), (3, 9.0), (2, 0.5)])
    assert not curve.add(1, 0.0)
    assert curve.steps == [1, 2, 3]
    assert curve.values[1:] == [0.5, 1.0]
    assert (curve.last_step, curve.last_value) == (3, 1.0)
    assert curve.best(maximize=False) == 0.5
    assert curve.best(maximize=True) == 1.0
    assert math.isnan(curve.best(maximize=True, before_last=2))
    assert curve[1:] == [(2, 0.5), (3, 1.0)]
    assert list(curve)[2] == (3, 1.0)
    assert math.isnan(Curve().best(maximize=True))
