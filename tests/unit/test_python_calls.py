"""Calls from Python: what is wrong is refused in a sentence before anything is created, and Optuna's calls mean the same."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
from datetime import datetime
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import pytest

import hpo
import trackers
from hpo.direction import Direction
from hpo.errors import SettingsError
from hpo.sampling.pruners import PRUNERS
from hpo.sampling.samplers import SAMPLERS
from hpo.setting_kinds import PRUNERS as PRUNER_NAMES
from hpo.setting_kinds import SAMPLERS as SAMPLER_NAMES
from hpo.study import Study
from trackers.errors import AlreadyExistsError, NotFoundError
from trackers.interop.optuna import OptunaStorage
from trackers.states import RunState

MAXIMIZE = optuna.study.StudyDirection.MAXIMIZE
MINIMIZE = optuna.study.StudyDirection.MINIMIZE


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/hpo.db"


def square(trial: Any) -> float:
    return float(trial.suggest_float("x", -5.0, 5.0)) ** 2


# ---- wrong arguments

WRONG = [
    ({"sampler": "tp"}, "sampler must be one of auto, random, tpe, .*, not tp; did you mean tpe?"),
    ({"pruner": "medain"}, "pruner must be one of auto, none, .*, not medain; did you mean median?"),
    ({"pruner": "median(n_startup=3)"}, "the median pruner has no argument 'n_startup'"),
    ({"pruner": "median", "directions": ["minimize"] * 2}, "compares one value"),
    ({"sampler": 3}, "sampler must be a name or one of Optuna's samplers, not 3"),
    ({"sampler": object}, "sampler must be a name or one of Optuna's samplers, not <class 'object'>"),
    ({"pruner": optuna.samplers.TPESampler()}, "pruner must be a name or one of Optuna's pruners"),
    ({"seed": "x"}, "seed must be a whole number of at least 0, not x"),
    ({"storage": 3}, "storage must be a URL, a path or a trackers.Store, not 3"),
    ({"study_name": 7}, "study_name must be text"),
    ({"direction": "up"}, "direction must be minimize or maximize, not up"),
    ({"direction": "minimize", "directions": ["minimize"]}, "are the same setting"),
    ({"metrics": ["a", "b"]}, "2 metrics .* 1 direction"),
    ({"load_if_exists": 1}, "load_if_exists must be True or False, not 1"),
    ({"total_trials": 0}, "total_trials must be at least 1, not 0"),
]


@pytest.mark.parametrize(("arguments", "sentence"), WRONG)
def test_a_wrong_argument_of_create_study_is_refused_before_anything_is_created(
    tmp_path: Path, url: str, arguments: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(hpo.UserError, match=sentence.removesuffix("?")):
        hpo.create_study(**{"storage": url, **arguments})
    assert list(tmp_path.iterdir()) == []


WRONG_RUNS = [
    ({"keep_models": "x"}, "keep_models must be a whole number of at least 0, or all, not x"),
    ({"trial_timeout": 0}, "trial_timeout must be a number of seconds, more than 0, not 0"),
    ({"gpus_per_trial": -1}, "gpus_per_trial must be a number, 0 or more, not -1"),
    ({"cpus_per_trial": "a"}, "cpus_per_trial must be a number, 0 or more, not a"),
    ({"retry_on": ("ConnectonError",)}, "names ConnectonError, .*; did you mean ConnectionError"),
    ({"retry_on": ("nowhere.at.All",)}, "names nowhere.at.All, and there is no such exception"),
    ({"retry_on": 3}, "retry_on must be exceptions or their names, not 3"),
    ({"retry_on": [3]}, "retry_on must be"),
    ({"address": 5}, "address must be text"),
    ({"timeout": "x"}, "timeout must be a number of seconds, more than 0, not x"),
    ({"args": 3}, "args must map the names"),
    ({"callbacks": 3}, "callbacks must be a list of functions, not 3"),
    ({"callbacks": [3]}, "callbacks must be a function, not 3"),
    ({"workers": -1}, "workers must be at least 0, not -1"),
    ({"slots_per_worker": 0}, "slots_per_worker must be at least 1, not 0"),
    ({"max_retries": 1.5}, "max_retries must be a whole number of at least 0, not 1.5"),
    ({"lease_seconds": 0}, "lease_seconds must be a number of seconds, more than 0, not 0"),
    ({"n_trials": 0}, "n_trials must be at least 1, not 0"),
    ({"n_trials": 2, "total_trials": 3}, "give n_trials .* or total_trials"),
    ({"n_jobs": 0}, "n_jobs must be at least 1, not 0"),
    ({"n_jobs": 2, "workers": 2}, "n_jobs .* and workers .* exclude each other"),
    ({"catch": "no such"}, None),
    ({"catch": 3}, "catch must be exceptions"),
    ({"detach": "yes"}, "detach must be True or False, not yes"),
    ({"on_progress": 3}, "on_progress must be a function, not 3"),
]


@pytest.mark.parametrize(("arguments", "sentence"), WRONG_RUNS)
def test_a_wrong_argument_of_optimize_is_refused_before_the_study_starts(
    url: str, arguments: dict[str, Any], sentence: str | None
) -> None:
    study = hpo.create_study(storage=url)
    if sentence is None:  # words are taken: they catch nothing that is not caught anyway
        assert study.optimize(square, 1, **arguments).status == "complete"
        return
    with pytest.raises(SettingsError, match=sentence):
        study.optimize(square, **{"n_trials": 1, **arguments})
    assert (study.row.status, study.trials) == ("new", [])


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"sampler": "x"}, "sampler in @hpo.objective must be one of"),
        ({"pruner": "asah"}, "not asah; did you mean asha"),
        ({"storage": 3}, "storage in @hpo.objective must be a URL"),
        ({"keep_models": "some"}, "keep_models in @hpo.objective must be"),
    ],
)
def test_a_decorator_is_as_strict(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        hpo.objective(**settings)


def test_the_names_told_early_are_those_that_are_made() -> None:
    assert sorted(SAMPLER_NAMES) == sorted([*SAMPLERS, "auto"])
    assert sorted(PRUNER_NAMES) == sorted([*PRUNERS, "auto"])


def test_what_names_a_method_with_arguments_is_taken(url: str) -> None:
    made = hpo.create_study(storage=url, sampler="grid:3", space={"x": hpo.Float(0, 1)}, pruner={"name": "median"})
    assert made.optimize(lambda trial: trial.params["x"], 5).status == "complete"
    assert len(made.trials) == 3
    other = hpo.create_study(storage=url, sampler=optuna.samplers.RandomSampler(), pruner="percentile(percentile=2.5)")
    assert hpo.load_study(study_name=other.name, storage=url).pruner == "percentile(percentile=2.5)"
    with pytest.raises(SettingsError, match="sampler must be one of"):
        hpo.load_study(study_name=other.name, storage=url, sampler="tpee")
    with pytest.raises(SettingsError, match="pruner must be one of"):
        other.pruner = "medain"


def test_an_exception_may_be_named_in_every_way_that_finds_it(url: str) -> None:
    class OfMine(Exception):
        pass

    def flaky(trial: Any) -> float:
        if trial.attempt == 0:
            raise OfMine
        return 1.0

    study = hpo.create_study(storage=url)
    for named in (OfMine, [OfMine], {OfMine}, [OfMine, "json.JSONDecodeError"], (OfMine, "OSError")):
        study.optimize(flaky, 1, retry_on=named)
    assert [t.state for t in study.trials] == [RunState.COMPLETE] * 5


def test_a_closure_that_cannot_be_pickled_is_named_with_its_variable(url: str) -> None:
    guard = threading.Lock()

    def objective(trial: Any) -> float:
        with guard:
            return 1.0

    def callback(study: Any, trial: Any) -> None:
        guard.locked()

    study = hpo.create_study(storage=url)
    with pytest.raises(
        hpo.UserError, match="objective 'objective' cannot go to workers: its variable 'guard' is a lock"
    ):
        study.optimize(objective, 2, workers=2)
    with pytest.raises(hpo.UserError, match="callback 'callback' cannot go to workers: its variable 'guard'"):
        study.optimize(square, 2, workers=2, callbacks=[callback])
    assert (study.row.status, study.trials) == ("new", [])
    assert study.optimize(objective, 2, callbacks=[callback]).status == "complete"


# ---- callbacks that raise


def test_what_a_callback_raises_comes_out_of_optimize_and_the_study_can_go_on(url: str) -> None:
    class Unheard(Exception):
        pass

    def callback(study: Study, trial: Any) -> None:
        if trial.number == 2:
            raise Unheard("enough")

    study = hpo.create_study(storage=url)
    with pytest.raises(Unheard, match="enough") as caught:
        study.optimize(square, 10, callbacks=[callback])
    assert "the study can be resumed" in " ".join(caught.value.__notes__)
    assert len(study.trials) == 3
    assert "callback raised Unheard" in study.row.reason
    study.optimize(square, total_trials=5)
    assert [t.state for t in study.trials] == [RunState.COMPLETE] * 5


# ---- Optuna's words


@pytest.mark.parametrize(
    ("word", "member", "other"), [("maximize", MAXIMIZE, MINIMIZE), ("minimize", MINIMIZE, MAXIMIZE)]
)
def test_a_direction_equals_the_word_and_optunas_member(url: str, word: str, member: Any, other: Any) -> None:
    for given in (word, member, word.upper()):
        study = hpo.create_study(storage=url, direction=given)
        assert study.direction == word
        assert word == study.direction
        assert study.direction == member
        assert member == study.direction
        assert study.direction != other
        assert other != study.direction
        assert study.directions == [member]
        assert study.directions == (word,)
        assert {study.direction: 1}[Direction(word)] == 1
    with pytest.raises(RuntimeError):
        _ = hpo.create_study(storage=url, directions=[word, word]).direction


def test_hpo_is_imported_without_optuna() -> None:
    code = "import sys, hpo; hpo.create_study; hpo.Study.direction; sys.exit('optuna' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_values_of_a_trial_equal_optunas_list(url: str) -> None:
    study = hpo.create_study(storage=url, directions=["minimize", "maximize"])
    study.optimize(lambda trial: (1.0, 2.0), 1)
    values = study.trials[0].values
    assert values == [1.0, 2.0]
    assert values == [1.0, 2.0]
    assert values == (1.0, 2.0)
    assert values != [1.0]
    assert study.trials[0].to_optuna().values == values


def filled(url: str) -> Study:
    study = hpo.create_study(study_name="filled", storage=url, sampler="random")

    def objective(trial: Any) -> float:
        trial.set_user_attr("twice", trial.number * 2)
        trial.suggest_categorical("kind", ["a", "b"])
        if trial.number == 2:
            raise ValueError("no")
        return square(trial)

    study.enqueue_trial({"x": 1.5})
    study.optimize(objective, 5)
    return study


def test_the_frame_of_trials_is_optunas(url: str) -> None:
    study = filled(url)
    theirs = optuna.load_study(study_name="filled", storage=OptunaStorage(study.store))
    for arguments in ({}, {"multi_index": True}, {"attrs": ("number", "params", "state")}):
        ours, wanted = study.trials_dataframe(**arguments), theirs.trials_dataframe(**arguments)
        common = [c for c in wanted.columns if "system_attrs" not in str(c)]
        assert [c for c in ours.columns if "system_attrs" not in str(c)] == common
        pd.testing.assert_frame_equal(ours[common], wanted[common], check_dtype=False)
    frame = study.trials_dataframe()
    assert list(frame["number"]) == [0, 1, 2, 3, 4]
    assert frame["state"][2] == "FAIL"
    assert isinstance(frame["datetime_start"][0].to_pydatetime(), datetime)


def test_the_frame_of_an_empty_study_has_its_columns(url: str) -> None:
    frame = hpo.create_study(storage=url).trials_dataframe()
    assert len(frame) == 0
    assert list(frame.columns) == ["number", "value", "datetime_start", "datetime_complete", "duration", "state"]
    several = hpo.create_study(storage=url, directions=["minimize"] * 2, metrics=["cost", "loss"]).trials_dataframe()
    assert list(several.columns)[:3] == ["number", "values_cost", "values_loss"]
    with pytest.raises(hpo.UserError, match="no column 'valu'; did you mean value"):
        hpo.create_study(storage=url).trials_dataframe(attrs=("valu",))


def test_optunas_arguments_of_optimize_are_taken_in_its_order(
    url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    collected: list[int] = []
    monkeypatch.setattr(gc, "collect", lambda *a: collected.append(1))
    seen: list[int] = []
    study = hpo.create_study(storage=url)
    study.optimize(square, 3, 600, 1, (ValueError,), [lambda study, trial: seen.append(trial.number)], True, True)
    assert seen == [0, 1, 2]
    assert len(collected) >= 3
    assert "3/3 trials, best " in capsys.readouterr().err


def test_a_trial_is_not_enqueued_twice_where_that_is_asked(url: str) -> None:
    study = filled(url)
    assert study.enqueue_trial({"x": 1.5}, skip_if_exists=True) is None
    assert study.enqueue_trial(study.trials[1].params, skip_if_exists=True) is None
    assert study.enqueue_trial({"x": 1.25}, skip_if_exists=True) == 5
    assert study.enqueue_trial({"x": 1.25}, skip_if_exists=True) is None
    assert study.enqueue_trial({"x": 1.25}) == 6


def test_trials_are_got_by_state_with_optunas_states_too(url: str) -> None:
    study = filled(url)
    assert [t.number for t in study.get_trials(False, [optuna.trial.TrialState.FAIL])] == [2]
    assert [t.number for t in study.get_trials(deepcopy=True, states=(RunState.COMPLETE,))] == [0, 1, 3, 4]
    assert len(study.get_trials()) == 5


def test_trials_that_ran_elsewhere_are_added(url: str, tmp_path: Path) -> None:
    source = optuna.create_study(direction="minimize")
    source.optimize(lambda trial: trial.suggest_float("x", -5, 5) ** 2, n_trials=3)
    study = hpo.create_study(storage=url)
    study.add_trials(source.trials)
    study.add_trial(optuna.trial.create_trial(state=optuna.trial.TrialState.WAITING))
    assert study.best_value == source.best_value
    assert [t.params for t in study.trials[:3]] == [t.params for t in source.trials]
    assert [t.duration for t in study.trials[:3]] == [t.duration for t in source.trials]
    with pytest.raises(hpo.UserError, match="as many values as the study has objectives"):
        study.add_trial(optuna.trial.create_trial(values=[1.0, 2.0]))
    assert study.row.status == "new"
    study.optimize(square, total_trials=6)
    assert [t.state for t in study.trials] == [RunState.COMPLETE] * 6
    other = hpo.create_study(storage=url)
    other.add_trials(study.trials)
    assert other.best_value == study.best_value


def test_ask_and_tell_say_where_they_are(url: str) -> None:
    study = hpo.create_study(storage=url)
    for call in (study.ask, lambda: study.tell(0, 1.0)):
        with pytest.raises(hpo.UserError, match="OptunaStorage"):
            call()
    study.set_metric_names(["value"])
    with pytest.raises(hpo.UserError, match=r"create_study\(metrics="):
        study.set_metric_names(["loss"])


def test_sampler_and_pruner_are_those_of_the_study(url: str) -> None:
    study = hpo.create_study(study_name="s", storage=url, sampler="random", pruner="median")
    again = hpo.load_study(study_name="s", storage=url)
    assert (again.sampler, again.pruner) == ("random", "median")
    mine = optuna.samplers.RandomSampler()
    again.sampler = mine
    assert again.sampler is mine
    assert study.sampler == "random"
    again.optimize(square, 2)


def test_a_study_that_is_not_there_is_a_key_error_as_well(url: str) -> None:
    trackers.connect(url).close()
    with pytest.raises(KeyError) as caught:
        hpo.load_study(study_name="missing", storage=url)
    assert isinstance(caught.value, NotFoundError)
    assert str(caught.value).startswith("there is no study")


def test_a_study_that_exists_is_loaded_with_the_direction_it_has(url: str) -> None:
    hpo.create_study(study_name="s", storage=url, direction="maximize")
    assert hpo.create_study(study_name="s", storage=url, load_if_exists=True).direction == "maximize"
    with pytest.raises(SettingsError, match="exists with the direction maximize, not minimize"):
        hpo.create_study(study_name="s", storage=url, load_if_exists=True, direction="minimize")


@pytest.mark.parametrize("load", [False, True])
def test_where_an_experiment_has_the_name_nothing_is_said_of_loading_it(url: str, load: bool) -> None:
    with trackers.connect(url) as store:
        store.start_run("base").end()
    with pytest.raises(AlreadyExistsError) as caught:
        hpo.create_study(study_name="base", storage=url, load_if_exists=load)
    assert str(caught.value) == "there is an experiment named 'base' already: choose another name"
    hpo.create_study(study_name="s", storage=url)
    with pytest.raises(AlreadyExistsError, match="there is a study named 's' already: load it, or choose another name"):
        hpo.create_study(study_name="s", storage=url)


# ---- a decorated objective


@hpo.objective(space={"x": hpo.Float(0, 1)}, direction="maximize", metric="gain")
def declared(trial: Any) -> float:
    return float(trial.params["x"])


def test_a_study_that_says_nothing_takes_space_and_goal_from_the_objective(url: str) -> None:
    study = hpo.create_study(storage=url)
    study.optimize(declared, 4)
    assert [t.error for t in study.trials if t.error] == []
    assert study.space == hpo.Space({"x": hpo.Float(0, 1)})
    assert (study.direction, study.metric_names) == ("maximize", ["gain"])
    assert study.best_value == max(t.value or 0 for t in study.trials)
    study.optimize(declared, 2)
    assert len(study.trials) == 6


def test_what_a_study_was_created_with_stays(url: str) -> None:
    space = {"x": hpo.Float(0.5, 0.6)}
    study = hpo.create_study(storage=url, space=space, direction="minimize")
    study.optimize(declared, 2)
    assert (study.direction, study.metric_names, study.space) == ("minimize", ["value"], hpo.Space(space))


def test_a_study_with_trials_does_not_change_its_goal(url: str) -> None:
    study = hpo.create_study(storage=url)
    study.optimize(square, 2)
    with pytest.raises(hpo.UserError, match=r"declares a space and a direction and a name that study .* does not have"):
        study.optimize(declared, 2)
    assert (study.direction, len(study.trials)) == ("minimize", 2)


def test_a_name_that_ends_with_a_slash_is_a_folder_and_one_without_a_suffix_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("roc.png", "pr.png", "LICENSE"):
        (tmp_path / name).write_text(name)
    with trackers.connect(f"sqlite:///{tmp_path}/hpo.db") as store, store.start_run("e") as run:
        for name in ("roc.png", "pr.png"):
            run.log_artifact(tmp_path / name, "plots/")
        run.log_artifact(tmp_path / "LICENSE", "terms")
        assert not caplog.messages
        run.log_artifact(tmp_path / "roc.png", "curves")
        assert caplog.messages == [
            "roc.png is stored as a file called curves, which is its whole name: for a folder write curves/"
        ]
        run.flush()
        assert sorted(one.name for one in store.list_artifacts(run)) == [
            "curves",
            "plots/pr.png",
            "plots/roc.png",
            "terms",
        ]
