"""What every executor does the same: one suite, inline and on Ray."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import hpo
from hpo.study import Study
from trackers.states import RunState

SPACE = {"x": hpo.Float(-5.0, 5.0), "kind": hpo.Categorical(["a", "b"]), "depth": hpo.Int(1, 4, when={"kind": "b"})}


HERE = pytest.mark.parametrize("workers", ["inline"], indirect=True)
"""For what the manager alone decides: starting processes takes seconds."""


@pytest.fixture(params=["inline", "ray"])
def workers(request: pytest.FixtureRequest) -> int:
    """0 for inline, 1 on the suite's one Ray cluster: another costs a second, and few tests are about two."""
    if request.param == "ray":
        request.getfixturevalue("cluster")
        return 1
    return 0


@pytest.fixture
def study(tmp_path: Path) -> Iterator[Study]:
    with hpo.create_study(
        study_name="s", storage=f"sqlite:///{tmp_path}/hpo.db", space=SPACE, sampler="random", pruner="none"
    ).store as store:
        yield Study(store, store.get_study("s"))


def square(trial: Any) -> float:
    return float(trial.params["x"]) ** 2


def test_two_hundred_trials_are_two_hundred(study: Study, workers: int) -> None:
    summary = study.optimize(square, n_trials=200, workers=2 * workers)
    trials = study.trials
    assert summary.status == "complete"
    assert [t.number for t in trials] == list(range(200))
    assert all(t.state is RunState.COMPLETE and t.value == t.params["x"] ** 2 for t in trials)
    assert all(("depth" in t.params) == (t.params["kind"] == "b") for t in trials)
    assert all(len(t.attempts) == 1 and t.attempts[0].outcome == "complete" for t in trials)
    assert study.best_value == min(t.value or 0.0 for t in trials)


@HERE
def test_further_trials_continue_the_numbers(study: Study, workers: int) -> None:
    study.optimize(square, n_trials=5, workers=workers)
    study.optimize(square, n_trials=4, workers=workers)
    study.optimize(square, total_trials=12, workers=workers)
    assert [t.number for t in study.trials] == list(range(12))


def test_a_failing_objective_costs_one_trial_and_its_traceback_is_kept(study: Study, workers: int) -> None:
    def sometimes(trial: Any) -> float:
        if trial.number == 2:
            raise ZeroDivisionError("two is bad")
        return 1.0

    study.optimize(sometimes, n_trials=6, workers=workers)
    failed = study.trials[2]
    assert [t.state for t in study.trials].count(RunState.COMPLETE) == 5
    assert failed.state is RunState.FAIL
    assert failed.error == "ZeroDivisionError: two is bad"
    assert failed.traceback is not None
    assert "raise ZeroDivisionError" in failed.traceback
    assert "hpo/execution" not in failed.traceback, "a person looks for their own frames"


@pytest.mark.parametrize(
    ("result", "sentence"),
    [
        (None, "the objective returned None: return a float"),
        ("0.5", "returned text ('0.5') for 'value'"),
        ((1.0, 2.0), "returned 2 values, and the study has 1 objective"),
        (float("nan"), "returned NaN for 'value'"),
        ({}, "returned a dict for 'value'"),
        (10**400, "too large for a float"),
    ],
)
def test_what_is_no_result_fails_with_a_sentence(study: Study, result: Any, sentence: str) -> None:
    study.optimize(lambda trial: result if trial.number else 1.0, n_trials=2)
    failed = study.trials[1]
    assert failed.state is RunState.FAIL
    assert sentence in (failed.error or "")


@HERE
def test_infinity_is_a_result(study: Study, workers: int) -> None:
    study.optimize(lambda trial: float("inf"), n_trials=2, workers=workers)
    assert [t.value for t in study.trials] == [float("inf")] * 2


def test_both_ways_of_pruning_prune(study: Study, workers: int) -> None:
    def pruned(trial: Any) -> float:
        trial.report(float(trial.number), step=0)
        if trial.number % 2:
            import optuna

            raise optuna.TrialPruned
        raise hpo.TrialPruned

    study.optimize(pruned, n_trials=4, workers=workers)
    assert [(t.state, t.value) for t in study.trials] == [(RunState.PRUNED, float(n)) for n in range(4)]


def test_define_by_run_suggests_in_every_executor(tmp_path: Path, workers: int) -> None:
    study = hpo.create_study(study_name="d", storage=f"sqlite:///{tmp_path}/d.db", sampler="tpe")

    def objective(trial: Any) -> float:
        x = trial.suggest_float("x", -1.0, 1.0)
        if trial.suggest_categorical("deep", [True, False]):
            return float(x + trial.suggest_int("layers", 1, 3))
        return float(x)

    study.optimize(objective, n_trials=20, workers=workers)
    assert all(t.state is RunState.COMPLETE for t in study.trials), [t.error for t in study.trials]
    for trial in study.trials:
        assert set(trial.params) == {"x", "deep"} | ({"layers"} if trial.params["deep"] else set())
        assert trial.value == trial.params["x"] + trial.params.get("layers", 0)
        assert set(trial.distribution_specs) == set(trial.params)


@HERE
def test_suggest_mixes_with_a_declared_space(study: Study, workers: int) -> None:
    def objective(trial: Any) -> float:
        assert trial.suggest_float("x", -5.0, 5.0) == trial.params["x"]
        return float(trial.suggest_float("extra", 0.0, 1.0))

    study.optimize(objective, n_trials=6, workers=workers)
    assert [t.error for t in study.trials] == [None] * 6
    assert all(t.value == t.params["extra"] and "x" in t.params for t in study.trials)


def test_everything_logged_lands_on_the_trial(study: Study, workers: int, tmp_path: Path) -> None:
    def objective(trial: Any) -> float:
        for step in range(3):
            trial.log_metrics({"loss": 1.0 / (step + 1)}, step=step, context="train")
            trial.report(step * 1.0, step=step)
        trial.set_user_attr("note", {"a": [1, float("inf")]})
        trial.set_tag("owner", "me")
        trial.set_constraint("size", 1.5)
        trial.log_text("hello", "notes/hello.txt")
        trial.log_input([1, 2, 3], name="numbers")
        print("a line from the objective")
        return 1.0

    study.optimize(objective, n_trials=2, workers=workers)
    for trial in study.trials:
        assert trial.error is None
        assert dict(trial.intermediate_values) == {0: 0.0, 1: 1.0, 2: 2.0}
        assert trial.user_attrs["note"] == {"a": [1, float("inf")]}
        assert trial.tags["owner"] == "me"
        assert dict(trial.constraints) == {"size": 1.5}
        assert not trial.feasible
        assert [p.value for p in study.store.metric_history(trial.run_id, "loss", "train")] == [1.0, 0.5, 1.0 / 3]
        assert study.store.read_artifact(trial.run_id, "notes/hello.txt") == b"hello"
        assert "a line from the objective" in study.store.trial_log(trial.run_id)


def log_booster(trial: Any) -> float:
    import lightgbm
    import numpy as np

    rows = np.arange(40.0).reshape(20, 2)
    model = lightgbm.LGBMRegressor(n_estimators=2, min_child_samples=1, verbose=-1).fit(rows, rows[:, 0])
    trial.log_model(model, input_example=rows, pip_requirements=["lightgbm"])
    return float(trial.params["x"])


@HERE
def test_a_model_of_any_flavour_goes_to_the_store_and_loads_by_its_trial(study: Study, workers: int) -> None:
    pytest.importorskip("lightgbm")
    study.optimize(log_booster, n_trials=2, workers=workers)
    for trial in study.trials:
        loaded = study.store.load_model(f"s/{trial.number}")
        assert (loaded.flavor, trial.model_error) == ("lightgbm", None)
        assert str(loaded.signature) == "(rows, 2) float64 -> (rows) float64"
        assert loaded.predict([[1, 2]]).shape == (1,)


def test_an_exception_that_is_named_is_tried_again(study: Study, workers: int, tmp_path: Path) -> None:
    marks = str(tmp_path)

    def flaky(trial: Any) -> float:
        mark = Path(marks) / f"{trial.number}"
        if not mark.exists():
            mark.touch()
            raise ConnectionError("come back later")
        return 1.0

    study.optimize(flaky, n_trials=3, workers=workers, retry_on=[ConnectionError])
    assert [t.state for t in study.trials] == [RunState.COMPLETE] * 3
    assert [[a.outcome for a in t.attempts] for t in study.trials] == [["fail", "complete"]] * 3


@HERE
def test_another_exception_of_the_same_name_is_not_tried_again(study: Study, workers: int) -> None:
    def objective(trial: Any) -> float:
        raise type("TimeoutError", (Exception,), {})("another one")

    study.optimize(objective, n_trials=2, workers=workers, retry_on=["TimeoutError"], max_retries=1)
    assert [len(t.attempts) for t in study.trials] == [1, 1]


@pytest.mark.parametrize(
    ("workers", "sampler"), [("inline", "random"), ("inline", "tpe"), ("ray", "tpe")], indirect=["workers"]
)
def test_a_retried_trial_has_the_params_that_its_last_attempt_asked_for(
    tmp_path: Path, workers: int, sampler: str
) -> None:
    study = hpo.create_study(study_name="d", storage=f"sqlite:///{tmp_path}/d.db", sampler=sampler)

    def objective(trial: Any) -> float:
        first = trial.attempt == 0
        kept = trial.suggest_float("kept", 0.0, 1.0)
        narrow = trial.suggest_float("moved", 0.0, 1.0) if first else trial.suggest_float("moved", 10.0, 11.0)
        if first:
            trial.suggest_int("gone", 1, 5)
            trial.report(kept, step=0)  # the store has all three
            trial.set_user_attr("kept", kept)
            raise ConnectionError
        assert set(trial.params) == {"kept", "moved"}
        return float(kept + narrow)

    study.enqueue_trial({"kept": 0.25, "gone": 3, "never": 1})
    study.optimize(objective, n_trials=3, workers=workers, retry_on=[ConnectionError])
    for trial in study.trials:
        assert (trial.state, len(trial.attempts)) == (RunState.COMPLETE, 2), trial.error
        assert set(trial.params) == {"kept", "moved"}
        assert trial.params["kept"] == trial.user_attrs["kept"], "asked for again: the same value"
        assert 10.0 <= trial.params["moved"] <= 11.0
        assert trial.value == trial.params["kept"] + trial.params["moved"]
        assert set(trial.to_optuna().params) == {"kept", "moved"}
    assert study.trials[0].params["kept"] == 0.25
    study.optimize(lambda trial: float(trial.suggest_float("kept", 0.0, 1.0)), n_trials=2, workers=workers)
    assert [set(t.params) for t in study.trials[3:]] == [{"kept"}] * 2


@HERE
def test_a_retry_that_asks_for_another_kind_of_param_is_told(tmp_path: Path, workers: int) -> None:
    study = hpo.create_study(study_name="d", storage=f"sqlite:///{tmp_path}/d.db", sampler="tpe")

    def objective(trial: Any) -> float:
        if trial.attempt == 0:
            trial.suggest_categorical("x", ["a", "b"])
            raise ConnectionError
        return float(trial.suggest_float("x", 0.0, 1.0))

    study.optimize(objective, n_trials=1, workers=workers, retry_on=[ConnectionError])
    (trial,) = study.trials
    assert trial.state is RunState.FAIL
    assert "param 'x' was suggested with another kind of distribution before" in (trial.error or "")
    assert trial.params == {}, "the choice is not what the last attempt worked with"


@HERE
def test_params_that_are_not_declared_leave_a_retried_trial_too(study: Study, workers: int) -> None:
    def objective(trial: Any) -> float:
        if trial.attempt == 0:
            trial.suggest_float("extra", 0.0, 1.0)
            trial.report(1.0, step=0)
            raise ConnectionError
        assert "extra" not in trial.params
        return 1.0

    study.optimize(objective, n_trials=2, workers=workers, retry_on=[ConnectionError])
    assert [t.error for t in study.trials] == [None] * 2
    assert all({"x", "kind"} <= set(t.params) <= set(SPACE) for t in study.trials)


@HERE
def test_the_first_ten_failures_end_the_study(study: Study, workers: int) -> None:
    def broken(trial: Any) -> float:
        raise ValueError("always")

    summary = study.optimize(broken, n_trials=50, workers=workers)
    assert summary.status == "failed"
    assert "the first 10 trials all failed" in summary.reason
    assert "ValueError: always" in summary.reason
    assert len(study.trials) < 50


def test_stop_inside_the_objective_ends_the_study(study: Study, workers: int) -> None:
    def objective(trial: Any) -> float:
        if trial.number == 3:
            trial.study.stop()
        return 1.0

    summary = study.optimize(objective, n_trials=500, workers=2 * workers)
    assert summary.status == "stopped"
    assert 4 <= len(study.trials) < 500
    assert not any(t.state is RunState.RUNNING for t in study.trials)


def test_a_timeout_puts_running_trials_back(study: Study, workers: int) -> None:
    def slow(trial: Any) -> float:
        for step in range(1000):
            time.sleep(0.05)  # the work
            trial.report(1.0, step=step)
        return 1.0

    begun = time.monotonic()
    summary = study.optimize(slow, n_trials=5, workers=2 * workers, timeout=2.0)
    assert time.monotonic() - begun < 45.0  # five trials of 50 s each
    assert summary.status == "stopped"
    assert "timeout" in summary.reason
    assert {t.state for t in study.trials} <= {RunState.WAITING, RunState.COMPLETE}
    assert all(a.outcome == "released" and not a.counts for t in study.trials for a in t.attempts)


def test_a_timeout_ends_a_trial_that_says_nothing(study: Study, workers: int) -> None:
    def silent(trial: Any) -> float:
        while True:
            time.sleep(60.0)  # the work

    begun = time.monotonic()
    summary = study.optimize(silent, n_trials=3, workers=workers, timeout=1.0)
    assert time.monotonic() - begun < 45.0
    assert (summary.status, "timeout" in summary.reason) == ("stopped", True)
    assert {t.state for t in study.trials} <= {RunState.WAITING}  # on a busy machine it may not have begun
    assert all(a.outcome == "released" and not a.counts for t in study.trials for a in t.attempts)


@HERE
def test_an_enqueued_trial_runs_first_with_its_params(study: Study, workers: int) -> None:
    assert study.enqueue_trial({"x": 0.25}) == 0
    study.optimize(square, n_trials=3, workers=workers)
    assert study.trials[0].params["x"] == 0.25
    assert "kind" in study.trials[0].params, "what was left out is sampled"
    assert len(study.trials) == 3


def test_callbacks_see_committed_trials(study: Study, workers: int, tmp_path: Path) -> None:
    seen = str(tmp_path / "seen")

    def callback(study: Study, trial: Any) -> None:
        with open(seen, "a") as file:
            file.write(
                f"{trial.number} {trial.state.name} {study.get_trials(states=[RunState.COMPLETE])[0].state.name}\n"
            )

    study.optimize(square, n_trials=4, workers=workers, callbacks=[callback])
    lines = Path(seen).read_text().splitlines()
    assert sorted(lines) == [f"{n} COMPLETE COMPLETE" for n in range(4)]


def test_what_a_callback_raises_comes_out_of_optimize_and_its_trial_is_kept(study: Study, workers: int) -> None:
    def callback(study: Study, trial: Any) -> None:
        raise LookupError(f"enough after trial {trial.number}")

    with pytest.raises(LookupError, match="enough after trial"):
        study.optimize(square, n_trials=500, workers=workers, callbacks=[callback])
    kept = [t for t in study.trials if t.state is RunState.COMPLETE]
    assert kept
    assert "callback raised LookupError" in study.row.reason
    assert study.optimize(square, total_trials=max(len(study.trials), len(kept) + 1)).status == "complete"


def test_args_reach_the_objective(study: Study, workers: int) -> None:
    import numpy as np

    def objective(trial: Any, X: Any) -> float:  # noqa: N803
        return float(X.sum())

    study.optimize(objective, n_trials=2, workers=workers, args={"X": np.ones(10)})
    assert [t.value for t in study.trials] == [10.0, 10.0]


@HERE
def test_a_finite_space_that_is_exhausted_ends_the_study(tmp_path: Path, workers: int) -> None:
    space = {"a": hpo.Int(1, 3), "b": hpo.Categorical(["x", "y"])}
    study = hpo.create_study(study_name="g", storage=f"sqlite:///{tmp_path}/g.db", space=space, sampler="random")
    summary = study.optimize(lambda trial: 1.0, n_trials=50, workers=workers)
    assert summary.status == "complete"
    assert "exhausted" in summary.reason
    assert len({tuple(sorted(t.params.items())) for t in study.trials}) == 6 == len(study.trials)


def test_a_retry_finds_its_checkpoint(study: Study, workers: int) -> None:
    def objective(trial: Any) -> float:
        state = trial.restore() or {"step": 0}
        for step in range(state["step"], 4):
            trial.report(float(step), step=step)
            trial.checkpoint({"step": step + 1})
            if step == 2 and trial.attempt == 0:
                raise OSError("lost")
        return float(state["step"])

    study.optimize(objective, n_trials=2, workers=workers, retry_on=["OSError"])
    for trial in study.trials:
        assert trial.value == 3.0
        assert list(trial.intermediate_values) == [0, 1, 2, 3]


def test_the_same_seed_gives_the_same_suggestions(tmp_path: Path) -> None:
    found = []
    for name in ("a", "b"):
        study = hpo.create_study(
            study_name=name, storage=f"sqlite:///{tmp_path}/{name}.db", space=SPACE, sampler="tpe", seed=7
        )
        study.optimize(square, n_trials=25)
        found.append([dict(t.params) for t in study.trials])
    assert found[0] == found[1]


@pytest.mark.usefixtures("cluster")
def test_a_killed_worker_costs_no_trial(study: Study, tmp_path: Path) -> None:
    marks = str(tmp_path)

    def objective(trial: Any) -> float:
        trial.report(1.0, step=0)
        if trial.number in (1, 4) and trial.attempt == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        (Path(marks) / f"done-{trial.number}-{trial.attempt}").touch()
        return 1.0

    summary = study.optimize(objective, n_trials=8, workers=2)
    trials = study.trials
    assert summary.status == "complete"
    assert [t.state for t in trials] == [RunState.COMPLETE] * 8
    assert [a.outcome for a in trials[1].attempts] == ["lost", "complete"]
    assert [a.outcome for a in trials[4].attempts] == ["lost", "complete"]


@pytest.mark.usefixtures("cluster")
def test_a_hung_trial_is_ended_by_its_timeout(study: Study) -> None:
    def objective(trial: Any) -> float:
        if trial.number == 1:
            signal.pause()
        return 1.0

    study.optimize(objective, n_trials=4, workers=2, trial_timeout=2.0)
    trials = study.trials
    assert [t.state.name for t in trials] == ["COMPLETE", "FAIL", "COMPLETE", "COMPLETE"]
    assert "trial_timeout=2" in (trials[1].error or "")


def test_each_trial_keeps_the_code_that_it_ran(study: Study) -> None:
    study.optimize(square, n_trials=2)

    def cube(trial: Any) -> float:
        return float(trial.params["x"]) ** 3

    study.optimize(cube, n_trials=1)
    row = study.row
    versions = [t.attempts[-1].code for t in study.trials]
    assert versions[0] == versions[1] != versions[2]
    assert row.code is not None
    assert row.code["version"] == versions[2]
    first, last = (study.store.launch(trial) for trial in (study.trials[0], study.trials[2]))
    assert first is not None
    assert last is not None
    assert first.code is not None
    assert last.code is not None
    assert "** 2" in first.code.content["objective"]["source"]
    assert "** 3" in last.code.content["objective"]["source"]
    assert first.environment is not None
    assert first.environment == last.environment
    assert first.environment["packages"]["numpy"]
    assert [r["code"] for r in sorted(study.ranking().to_rows(), key=lambda r: r["number"])] == versions


def test_an_objective_may_ask_its_study_and_write_to_it(tmp_path: Path, workers: int) -> None:
    layers = [(50,), (100,), (50, 50)]

    def objective(trial: Any) -> float:
        study = trial.study
        if trial.number == 0:
            try:
                assert study.best_value is None
            except ValueError as exc:
                study.set_user_attr("empty", str(exc))
            study.enqueue_trial({"hidden": (50, 50)}, user_attrs={"from": "trial 0"})
        elif trial.number == 3:
            while not study.get_trials(states=[RunState.COMPLETE]):
                pass  # what came before is committed in a moment
            best = study.best_trial
            assert (study.best_value, study.best_params) == (best.value, best.params)
            assert study.best_trials[0].number == best.number
            assert len(study.trials) > len(study.get_trials(states=[RunState.COMPLETE])) > 0
            assert len(study.trials_dataframe()) > 0
            assert study.user_attrs["empty"].startswith("no trial")
            assert (study.study_name, len(study.directions)) == ("asks", 1)
        hidden = trial.suggest_categorical("hidden", layers)
        assert any(hidden is choice for choice in layers)
        return float(sum(hidden))

    study = hpo.create_study(study_name="asks", storage=f"sqlite:///{tmp_path}/hpo.db", sampler="random")
    with study.store:
        study.optimize(objective, total_trials=6, workers=workers)
        trials = study.trials
        assert [t.error for t in trials if t.error] == []
        assert [t.params["hidden"] for t in trials if t.user_attrs.get("from") == "trial 0"] == [[50, 50]]
        assert all(isinstance(t.params["hidden"], list) for t in trials)
