"""Trials and distributions as Optuna has them."""

from datetime import UTC, datetime

import pytest

from trackers.errors import InvalidValueError
from trackers.states import RunState
from trackers.values import Trial

optuna = pytest.importorskip("optuna")

from trackers.interop.optuna import to_distribution, to_distributions, to_frozen_trial  # noqa: E402

SPECS = {
    "x": {"name": "FloatDistribution", "attributes": {"low": 0.0, "high": 1.0, "step": None, "log": False}},
    "n": {"name": "IntDistribution", "attributes": {"low": 1, "high": 9, "step": 2, "log": False}},
    "c": {"name": "CategoricalDistribution", "attributes": {"choices": ["a", None, 1.5]}},
}


def test_distributions_are_optunas_and_equal_ones_are_one():
    made = to_distributions(SPECS)
    assert made == {
        "x": optuna.distributions.FloatDistribution(0, 1),
        "n": optuna.distributions.IntDistribution(1, 9, step=2),
        "c": optuna.distributions.CategoricalDistribution(("a", None, 1.5)),
    }
    assert to_distribution(dict(SPECS["x"])) is made["x"]


def test_a_range_that_its_step_does_not_divide_is_shortened_without_a_warning():
    spec = {"name": "FloatDistribution", "attributes": {"low": 0.0, "high": 1.0, "step": 0.3, "log": False}}
    assert to_distribution(spec).high == 0.9


@pytest.mark.parametrize(
    "spec", [{}, {"name": "Normal", "attributes": {}}, {"name": "IntDistribution", "attributes": {}}]
)
def test_what_is_no_distribution_is_refused(spec):
    with pytest.raises(InvalidValueError, match="not a distribution"):
        to_distribution(spec)


def test_a_trial_becomes_a_frozen_trial():
    start, end = datetime(2026, 3, 1, 12, tzinfo=UTC), datetime(2026, 3, 1, 13, tzinfo=UTC)
    trial = Trial(
        4,
        RunState.PRUNED,
        {"x": 0.5, "c": None, "odd": 3},
        (0.25,),
        {1: 0.5, 2: 0.25},
        {"note": "n"},
        {"k": 1},
        {"size": -1.0},
        SPECS,
        started_at=start,
        ended_at=end,
        run_id=77,
    )
    frozen = trial.to_optuna()
    assert frozen == to_frozen_trial(trial)
    assert (frozen.number, frozen._trial_id, frozen.state) == (4, 77, optuna.trial.TrialState.PRUNED)
    assert frozen.params == {"x": 0.5, "c": None, "odd": 3}
    assert frozen.distributions.keys() == frozen.params.keys()
    assert (frozen.value, frozen.intermediate_values, frozen.last_step) == (0.25, {1: 0.5, 2: 0.25}, 2)
    assert frozen.constraints == {"size": -1.0}
    assert frozen.user_attrs == {"note": "n"}
    assert frozen.system_attrs == {"k": 1, "constraints:size": -1.0}
    assert frozen.datetime_start.tzinfo is None
    assert frozen.datetime_start == start.astimezone().replace(tzinfo=None)
    assert frozen.duration == trial.duration
    frozen._validate()
    frozen.params["x"] = 1
    assert trial.params["x"] == 0.5


def test_a_trial_that_waits_has_neither_times_nor_values():
    frozen = to_frozen_trial(Trial(0, RunState.WAITING))
    assert frozen.state == optuna.trial.TrialState.WAITING
    assert frozen.values is None
    assert frozen.datetime_start is None


def test_several_objectives_and_structured_params_come_through():
    frozen = to_frozen_trial(Trial(0, RunState.COMPLETE, {"list": [1, 2]}, (1.0, 2.0)))
    assert frozen.values == [1.0, 2.0]
    assert frozen.params == {"list": [1, 2]}


def test_optunas_own_tools_read_the_trials():
    study = optuna.create_study(directions=["minimize"])
    for i in range(5):
        specs = {"x": SPECS["x"]}
        when = datetime.now(UTC)
        study.add_trial(
            to_frozen_trial(
                Trial(
                    i,
                    RunState.COMPLETE,
                    {"x": i / 5},
                    (float(i),),
                    distribution_specs=specs,
                    started_at=when,
                    ended_at=when,
                )
            )
        )
    assert study.best_trial.number == 0
    assert optuna.importance.get_param_importances(study).keys() == {"x"}
