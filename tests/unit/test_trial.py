"""What an objective may do to its trial, and what that costs: never more than the trial."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hpo
from hpo.errors import ObjectiveError
from hpo.study import Study
from hpo.trial import Assignment, FixedTrial, StudyFacts, Trial
from trackers.changes import ModelLogged
from trackers.states import RunState

SPACE = {"x": hpo.Float(-5.0, 5.0), "n": hpo.Int(1, 4)}


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return hpo.create_study(
        study_name="s", storage=f"sqlite:///{tmp_path}/hpo.db", space=SPACE, sampler="random", pruner="none"
    )


@pytest.fixture
def free(tmp_path: Path) -> Study:
    """A study without a declared space."""
    return hpo.create_study(study_name="f", storage=f"sqlite:///{tmp_path}/f.db", sampler="random", pruner="none")


def only_first(mistake: Callable[[Any], object]) -> Callable[[Any], float]:
    """Return an objective that makes *mistake* in trial 0."""

    def objective(trial: Any) -> float:
        if trial.number == 0:
            mistake(trial)
        return 1.0

    return objective


MISTAKES: dict[str, Callable[[Any], object]] = {
    "a metric's name": lambda t: t.log_metric("loss\n", 1.0),
    "a metric's name that is no text": lambda t: t.log_metrics({1: 1.0}),
    "a metric's context": lambda t: t.log_metric("loss", 1.0, context="a\nb"),
    "a metric's step": lambda t: t.log_metric("loss", 1.0, step=10**30),
    "a report's step": lambda t: t.report(1.0, step=10**30),
    "an attribute's name": lambda t: t.set_user_attr("k" * 300, 1),
    "a tag's name": lambda t: t.set_tag("", "x"),
    "a constraint's name": lambda t: t.set_constraint("a\x00", 1.0),
    "an input's name": lambda t: t.log_input([1], name="a\nb"),
    "an input's role": lambda t: t.log_input([1], role="r" * 1000),
    "a file's name": lambda t: t.log_text("x", "../x"),
    "a param's name": lambda t: t.suggest_float("p\n", 0.0, 1.0),
    "choices that are no values": lambda t: t.suggest_categorical("c", [object(), object()]),
    "a cancelled task": lambda t: (_ for _ in ()).throw(asyncio.CancelledError()),
}


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_costs_its_trial_and_not_the_study(study: Study, mistake: Callable[[Any], object]) -> None:
    summary = study.optimize(only_first(mistake), n_trials=2)
    assert summary.status == "complete"
    first, second = study.trials
    assert first.state is RunState.FAIL
    assert first.error
    assert second.state is RunState.COMPLETE


def test_choices_that_no_database_keeps_are_told(free: Study) -> None:
    free.optimize(lambda trial: float(len(str(trial.suggest_categorical("layers", [len, max])))), n_trials=1)
    (trial,) = free.trials
    assert trial.state is RunState.FAIL
    assert "name your objects by text" in (trial.error or "")


def test_a_range_that_is_not_the_declared_one_is_told(study: Study) -> None:
    study.enqueue_trial({"x": -4.0})
    study.optimize(lambda trial: trial.suggest_float("x", 0.0, 1.0), n_trials=1)
    (trial,) = study.trials
    assert trial.state is RunState.FAIL
    assert "'x'" in (trial.error or "")
    assert "-4" in (trial.error or "")


def test_numpy_numbers_are_reported_as_they_are(study: Study) -> None:
    def objective(trial: Any) -> Any:
        for step in np.arange(3):
            trial.report(np.float32(step) / 2, step=step)
        trial.log_metrics({"loss": np.float64(0.5)}, step=np.int64(1))
        return np.float64(2.0)

    study.optimize(objective, n_trials=1)
    (trial,) = study.trials
    assert (trial.error, trial.value) == (None, 2.0)
    assert dict(trial.intermediate_values) == {0: 0.0, 1: 0.5, 2: 1.0}


def test_the_objectives_own_metric_is_its_report(study: Study) -> None:
    def objective(trial: Any) -> float:
        trial.log_metrics({"value": 0.5, "loss": 1.0}, step=0)
        trial.log_metric("value", 0.75)
        trial.log_metric("value", 9.0, step=0)
        assert [(s, v) for s, v, _ in trial.reports] == [(0, 0.5), (1, 0.75)]
        return 1.0

    study.optimize(objective, n_trials=1)
    (trial,) = study.trials
    assert trial.error is None
    assert dict(trial.intermediate_values) == {0: 0.5, 1: 0.75}


def test_what_is_logged_is_as_it_was_then(study: Study) -> None:
    def objective(trial: Any) -> float:
        history: list[int] = []
        trial.set_user_attr("history", history)
        history.append(1)
        return 1.0

    study.optimize(objective, n_trials=1)
    assert study.trials[0].user_attrs["history"] == []


class FileChannel:
    """A channel that keeps nothing but files."""

    def __init__(self, folder: Path) -> None:
        from trackers.artifacts import ArtifactStore

        self.store = ArtifactStore(str(folder))

    def reported(self, trial: Trial) -> Any:
        from hpo.trial import Verdict

        return Verdict.CONTINUE

    judged = flush = reported

    def suggest(self, trial: Trial, name: str, spec: Any) -> Any:
        raise AssertionError

    def stop_study(self) -> None:
        """Nothing to stop."""

    def artifacts(self) -> Any:
        return self.store


@pytest.fixture
def new_trial(tmp_path: Path) -> Callable[..., Trial]:
    def make(**assignment: Any) -> Trial:
        facts = StudyFacts("s", ("maximize",), ("value",), artifacts=str(tmp_path / "files"))
        return Trial(Assignment(0, 0, 1, {}, **assignment), facts, FileChannel(tmp_path / "files"))  # type: ignore[arg-type]

    return make


def model(tag: float) -> Any:
    """Return a small model that predicts *tag*."""
    from sklearn.dummy import DummyRegressor

    return DummyRegressor(strategy="constant", constant=tag).fit([[0.0]], [tag])


def tag_of(study: Study, trial: Any) -> float:
    return float(study.store.load_model(f"runs:/{trial.path}").predict([[0.0]])[0])


def logged(trial: Trial) -> list[tuple[str, float | None]]:
    return [(r.name, r.value) for r in trial.records if isinstance(r, ModelLogged) and r.manifest is not None]


def test_the_model_of_the_best_report_is_kept_by_name(new_trial: Callable[..., Trial]) -> None:
    trial = new_trial()
    for step, value in enumerate([0.5, 0.9, math.nan, 0.7]):
        trial.report(value, step=step)
        kept = [trial.log_model(model(1), name="a"), trial.log_model(model(2), name="b")]
        assert kept == [value in (0.5, 0.9)] * 2
    assert logged(trial)[-2:] == [("a", 0.9), ("b", 0.9)]


def test_a_retry_keeps_the_better_model_of_the_attempt_it_goes_on_from(new_trial: Callable[..., Trial]) -> None:
    trial = new_trial(models={"model": (0.9, 3)})
    trial.report(0.6, step=4)
    assert not trial.log_model(model(1))
    trial.report(0.95, step=5)
    assert trial.log_model(model(1))


def test_a_retry_from_the_start_begins_its_models_anew(new_trial: Callable[..., Trial]) -> None:
    trial = new_trial(models={"model": (0.9, 3)})
    trial.report(0.6, step=0)
    assert trial.log_model(model(1))


def test_a_retried_trial_ends_with_its_best_model(study: Study) -> None:
    def objective(trial: Any) -> float:
        values = [0.9, 0.1, 0.5, 0.4]
        start = trial.restore() or 0
        for step in range(start, 4):
            trial.report(values[step], step=step)
            trial.log_model(model(step))
            trial.checkpoint(step + 1)
            if step == 2 and trial.attempt == 0:
                raise ConnectionError
        return 1.0

    study.optimize(objective, n_trials=1, retry_on=[ConnectionError])
    (trial,) = study.trials
    kept = study.store.get_logged_model(trial.run_id)
    assert kept is not None
    assert (kept.value, kept.step) == (0.1, 1)
    assert tag_of(study, trial) == 1.0


def test_a_model_that_cannot_be_saved_leaves_the_one_that_was(study: Study) -> None:
    def objective(trial: Any) -> float:
        trial.report(0.5, step=0)
        trial.log_model(model(7))
        trial.report(0.4, step=1)
        assert not trial.log_model(n for n in range(3))
        return 0.4

    study.optimize(objective, n_trials=1)
    (trial,) = study.trials
    assert trial.error is None
    assert trial.model_error
    assert tag_of(study, trial) == 7.0


def test_a_model_with_a_name_that_cannot_be_fails_no_trial(study: Study) -> None:
    study.optimize(only_first(lambda trial: trial.log_model(model(1), name="m\n")), n_trials=1)
    (trial,) = study.trials
    assert trial.state is RunState.COMPLETE
    assert "name of a model" in (trial.model_error or "")


def test_files_of_replaced_models_and_checkpoints_do_not_pile_up(study: Study) -> None:
    def objective(trial: Any) -> float:
        for step in range(30):
            trial.report(-float(step), step=step)
            trial.log_model(model(100 * trial.number + step))
            trial.checkpoint({"trial": trial.number, "step": step})
        return 1.0

    study.optimize(objective, n_trials=5, keep_models=2)
    left = [p for p in Path(study.store.artifact_root).rglob("*") if p.is_file() and len(p.name) == 64]
    models = study.store.list_logged_models([t.run_id for t in study.trials])
    referred = {digest for model in models for digest in model.files.values()}
    assert len(models) == 2
    launch = study.store.launch(study.trials[0].run_id)
    assert launch is not None
    assert launch.code is not None
    code = {launch.code.bundle, launch.code.commits} - {None}  # where these tests lie in a folder with changes
    assert {p.name for p in left} == referred | code


def test_a_fixed_trial_calls_an_objective_by_hand() -> None:
    trial = FixedTrial({"x": 0.5, "n": 3, "kind": "a"})
    assert trial.suggest_float("x", 0.0, 1.0) == 0.5
    assert trial.suggest_int("n", 1, 4) == 3
    assert trial.suggest_categorical("kind", ["a", "b"]) == "a"
    trial.report(1.0, step=0)
    assert not trial.should_prune()
    trial.set_user_attr("k", 1)
    assert not trial.log_model(model(1))
    trial.checkpoint(1)
    assert trial.restore() is None
    trial.study.stop()
    assert set(trial.distributions) == {"x", "n", "kind"}
    with pytest.raises(ValueError, match="'other'"):
        trial.suggest_float("other", 0.0, 1.0)
    with pytest.raises(KeyError, match="other"):
        trial.params["other"]


def test_a_callback_has_the_callers_own_handle(study: Study) -> None:
    seen: list[Study] = []
    study.optimize(lambda t: 1.0, n_trials=2, callbacks=[lambda s, t: seen.append(s)])
    assert seen[0] is study


def test_stop_in_a_callback_ends_the_study_there(study: Study) -> None:
    def callback(study: Study, trial: Any) -> None:
        if trial.number == 2:
            study.stop()

    summary = study.optimize(lambda t: 1.0, n_trials=200, callbacks=[callback])
    assert summary.status == "stopped"
    assert "callback" in summary.reason
    assert [t.state for t in study.trials] == [RunState.COMPLETE] * 3


def test_a_trial_enqueued_in_a_callback_runs_next(study: Study) -> None:
    numbers: list[int | None] = []

    def callback(study: Study, trial: Any) -> None:
        if trial.number in (0, 2):
            numbers.append(study.enqueue_trial({"x": 0.125}))

    study.optimize(lambda t: 1.0, total_trials=3, callbacks=[callback])
    assert [t.params["x"] == 0.125 for t in study.trials[:2]] == [False, True]
    assert numbers[0] == 1


def test_the_same_seed_gives_the_same_suggestions_however_long_trials_take(tmp_path: Path) -> None:
    import time

    found = []
    for name, seconds in (("a", 0.0), ("b", 0.003)):
        study = hpo.create_study(
            study_name=name, storage=f"sqlite:///{tmp_path}/{name}.db", space=SPACE, sampler="tpe", seed=7
        )

        def objective(trial: Any, seconds: float = seconds) -> float:
            time.sleep(seconds * (trial.number % 3))  # the work
            return float(trial.params["x"]) ** 2

        study.optimize(objective, n_trials=60)
        found.append([dict(t.params) for t in study.trials])
    assert found[0] == found[1]


def test_an_objective_that_cannot_be_loaded_leaves_no_lease_behind(study: Study) -> None:
    from hpo.driver.inline import run_inline
    from hpo.driver.order import Order

    def load() -> Any:
        raise ObjectiveError("the file is gone")

    with pytest.raises(ObjectiveError):
        run_inline(Order(study.store.url, study.row.id, load, total=1))
    assert study.row.status != "running"


def test_nothing_is_left_open_after_optimize(study: Study) -> None:
    import gc
    import os
    import threading

    study.optimize(lambda t: 1.0, n_trials=2, callbacks=[lambda s, t: None])
    gc.collect()
    before = (len(os.listdir("/proc/self/fd")), threading.active_count())
    gc.disable()
    for _ in range(5):
        study.optimize(lambda t: 1.0, n_trials=2, callbacks=[lambda s, t: None])
    after = (len(os.listdir("/proc/self/fd")), threading.active_count())
    gc.enable()
    assert after == before


def test_what_callbacks_and_progress_print_is_not_the_trials(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    def objective(trial: Any) -> float:
        import time

        for step in range(3):
            time.sleep(0.03)  # the work
            print(f"step {step}")
            trial.report(1.0, step=step)
        return 1.0

    study.optimize(
        objective, n_trials=3, callbacks=[lambda s, t: print("a callback")], on_progress=lambda p: print("progress")
    )
    for trial in study.trials:
        assert study.store.trial_log(trial.run_id).splitlines() == ["step 0", "step 1", "step 2"]
    assert "progress" in capsys.readouterr().out


def test_studies_in_several_threads_give_the_streams_back(tmp_path: Path) -> None:
    import sys
    import threading

    streams = sys.stdout, sys.stderr
    inside, go_on = threading.Barrier(2), threading.Barrier(2)

    def objective(trial: Any) -> float:
        (inside if trial.number == 0 else go_on).wait(10)
        return 1.0

    def sweep(name: str, trials: int) -> None:
        made = hpo.create_study(study_name=name, storage=f"sqlite:///{tmp_path}/{name}.db", sampler="random")
        made.optimize(objective, n_trials=trials)

    threads = [threading.Thread(target=sweep, args=(n, 2)) for n in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (sys.stdout, sys.stderr) == streams


def test_a_refit_keeps_what_it_reports(study: Study) -> None:
    study.optimize(lambda t: 1.0, n_trials=1)

    def train(trial: Any) -> float:
        trial.report(0.25, step=0)
        trial.log_metrics({"value": 0.5, "loss": 1.0}, step=1)
        return 0.5

    uid = study.refit(train)
    assert [p.value for p in study.store.metric_history(uid, "value")] == [0.25, 0.5]
    assert [p.value for p in study.store.metric_history(uid, "loss")] == [1.0]
