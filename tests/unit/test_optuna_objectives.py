"""Objectives as people write them for Optuna run unchanged."""

from __future__ import annotations

import enum
import json
import warnings
from pathlib import Path
from typing import Any

import pytest

import hpo
from hpo.errors import SpaceError
from hpo.study import Study


class Colour(enum.StrEnum):
    """A choice that is text and more."""

    RED = "red"
    BLUE = "blue"


LAYERS = [(50,), (100,), (50, 50)]
OPTIONS = [{"tol": 1e-3}, {"sizes": [1, 2]}, None]


def nested(trial: Any) -> float:
    """Choose among tuples, mappings and an enumeration, and insist on the very objects."""
    hidden = trial.suggest_categorical("hidden", LAYERS)
    option = trial.suggest_categorical("option", OPTIONS)
    colour = trial.suggest_categorical("colour", list(Colour))
    assert any(hidden is choice for choice in LAYERS)
    assert trial.params["hidden"] is hidden
    assert any(option is choice for choice in OPTIONS)
    assert isinstance(colour, Colour)
    return float(len(hidden)) + trial.suggest_float("x", 0, 1)


def new_study(tmp_path: Path, **arguments: Any) -> Study:
    return hpo.create_study(storage=f"sqlite:///{tmp_path}/hpo.db", **arguments)


@pytest.mark.parametrize("sampler", ["auto", "random", "tpe", "qmc", "nsga2", "cmaes"])
def test_an_objective_is_given_the_very_choice_that_it_named_whatever_the_sampler(tmp_path: Path, sampler: str) -> None:
    study = new_study(tmp_path, sampler=sampler)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        study.optimize(nested, 12)
        study.enqueue_trial({"hidden": (50, 50)})
        study.enqueue_trial(study.best_params)
        again = hpo.load_study(study_name=study.name, storage=study.store)
        again.optimize(nested, 4)
    trials = study.trials
    assert [t.error for t in trials if t.error] == []
    assert [t.params["hidden"] for t in trials[12:14]] == [[50, 50], study.best_params["hidden"]]
    assert all(t.params["hidden"] in [[50], [100], [50, 50]] for t in trials)  # stored as JSON
    assert trials[0].to_optuna().params["hidden"] == trials[0].params["hidden"]
    assert "[50" in study.report(tmp_path / "report.html").read_text(encoding="utf-8")
    assert "hidden" in study.ranking().to_text(5, 200)
    found = study.store.search_runs(f"params.hidden = '{json.dumps([50, 50], separators=(',', ':'))}'")
    assert {run.number for run in found} == {t.number for t in trials if t.params["hidden"] == [50, 50]}


def test_brute_force_counts_choices_that_are_lists(tmp_path: Path) -> None:
    study = new_study(tmp_path, sampler="brute_force")
    study.optimize(lambda trial: float(len(trial.suggest_categorical("hidden", LAYERS))), 2)
    study.optimize(lambda trial: float(len(trial.suggest_categorical("hidden", LAYERS))), 5)
    assert sorted(t.params["hidden"] for t in study.trials) == [[50], [50, 50], [100]]


@pytest.mark.parametrize("sampler", ["random", "tpe", "grid:2", "nsga2"])
def test_a_declared_space_gives_tuples_back_as_tuples_and_lists_as_lists(tmp_path: Path, sampler: str) -> None:
    space = {
        "hidden": hpo.Categorical([(50,), (100, 20), [7]]),
        "rate": hpo.Float(0, 1, when={"hidden": [(50,), (100, 20)]}),
    }

    def objective(trial: Any) -> float:
        hidden = trial.params["hidden"]
        assert type(hidden) is (list if len(hidden) == 1 and hidden[0] == 7 else tuple)
        assert ("rate" in trial.params) == (type(hidden) is tuple)
        return float(sum(hidden))

    study = new_study(tmp_path, space=space, sampler=sampler)
    study.enqueue_trial({"hidden": [50]})
    study.optimize(objective, 4)
    assert [t.error for t in study.trials if t.error] == []
    assert study.trials[0].params["hidden"] == [50]
    assert study.space == hpo.Space(space)


def test_a_trial_that_starts_again_is_given_the_tuple_again(tmp_path: Path) -> None:
    seen: list[Any] = []

    def objective(trial: Any) -> float:
        seen.append(trial.params["hidden"])
        if trial.attempt == 0:
            raise OSError("once more")
        return 1.0

    study = new_study(tmp_path, space={"hidden": hpo.Categorical([(50,), (100,)])})
    study.optimize(objective, 1, retry_on=(OSError,))
    assert seen[0] == seen[1]
    assert type(seen[1]) is tuple


@pytest.mark.parametrize("choices", [[print, len], [dict, list], [{1, 2}], [(1, object())]])
def test_a_choice_that_json_cannot_hold_is_named(tmp_path: Path, choices: list[Any]) -> None:
    study = new_study(tmp_path)
    study.optimize(lambda trial: trial.suggest_categorical("maker", choices), 1)
    error = study.trials[0].error or ""
    assert error.startswith("SpaceError: param 'maker': ")
    assert "name your objects by text and look them up in the objective" in error
    with pytest.raises(SpaceError, match="look them up"):
        hpo.Categorical(choices)


def test_a_fixed_trial_takes_a_choice_as_it_is_stored() -> None:
    assert hpo.FixedTrial({"hidden": [50, 50]}).suggest_categorical("hidden", LAYERS) is LAYERS[2]


def test_the_old_names_of_suggest_float_still_serve(tmp_path: Path) -> None:
    def objective(trial: Any) -> float:
        x = trial.suggest_uniform("x", 0.0, 1.0)
        rate = trial.suggest_loguniform("rate", 1e-5, 1e-1)
        step = trial.suggest_discrete_uniform("step", 0.0, 1.0, 0.25)
        assert step in (0.0, 0.25, 0.5, 0.75, 1.0)
        return float(x + rate + step)

    study = new_study(tmp_path, sampler="random")
    study.optimize(objective, 5)
    assert [t.error for t in study.trials if t.error] == []
    assert study.trials[0].distribution_specs["rate"]["attributes"]["log"] is True
    assert objective(hpo.FixedTrial({"x": 0.5, "rate": 0.01, "step": 0.25})) == 0.76


def test_a_trial_keeps_what_integrations_write_through_its_storage(tmp_path: Path) -> None:
    def objective(trial: Any) -> float:
        trial.storage.set_trial_system_attr(trial._trial_id, "mlflow_run_id", "abc")
        trial.storage.set_trial_user_attr(trial._trial_id, "seen", True)
        with pytest.raises(hpo.UserError, match="its own trial"):
            trial.storage.set_trial_system_attr(trial._trial_id + 1, "mlflow_run_id", "abc")
        return 1.0

    study = new_study(tmp_path)
    study.optimize(objective, 1)
    assert study.trials[0].error is None
    assert study.trials[0].system_attrs["mlflow_run_id"] == "abc"
    assert study.trials[0].user_attrs == {"seen": True}


def test_what_a_trials_study_cannot_tell_is_said_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(hpo.UserError, match=r"trial\.study\.best_value asks a study, and a FixedTrial has none"):
        _ = hpo.FixedTrial({}).study.best_value
    with pytest.raises(AttributeError, match=r"trial\.study has no 'ranking': a worker has best_params"):
        _ = hpo.FixedTrial({}).study.ranking
    assert not hasattr(hpo.FixedTrial({}).study, "sampler")


def test_a_study_keeps_its_attributes_whoever_runs_it(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    study.set_user_attr("team", ["a", "b"])
    with pytest.raises(hpo.UserError, match="attribute 'bad' is not JSON"):
        study.set_user_attr("bad", object())

    def callback(study: Study, trial: Any) -> None:
        study.set_user_attr("last", trial.number)
        assert study.user_attrs["last"] == trial.number

    study.optimize(lambda trial: 1.0, 3, callbacks=[callback])
    assert study.user_attrs == {"team": ["a", "b"], "last": 2}
