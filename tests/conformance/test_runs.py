from __future__ import annotations

import json
import math
import os
import sys
import threading
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hpo
import trackers
from tests.processes import start
from trackers.errors import (
    AlreadyExistsError,
    ArtifactError,
    InvalidValueError,
    NotFoundError,
    StateError,
    TrackersError,
)
from trackers.states import RunState
from trackers.store import Store

STRANGE = ["", "a\0b", "\x1a", "\x1au0000", "\ud800", "𝄞" * 3, "é", "e\u0301", " x ", "line\nline", "x" * 100_000]


def test_what_was_logged_is_read_back(store: Store) -> None:
    params: dict[str, Any] = {
        "lr": 1e-3,
        "layers": 3,
        "big": 2**80,
        "flag": True,
        "nothing": None,
        "inf": -math.inf,
        "shape": [64, 32],
        "nested": {"a": {"b": [1, None]}},
        "kernel": "rbf",
    }
    with store.start_run("fraud", name="first", params=params, tags={"team": "red"}) as run:
        assert trackers.active_run() is run
        run.log_param("late", 1.5)
        run.log_metrics({"auc": 0.5, "loss": 2}, step=10)
        run.log_metric("auc", 0.75, step=20)
        run.log_metrics({"auc": 0.25}, step=1, context={"split": "val", "fold": 0})
        run.set_tags({"team": "blue", "n": 5})
        assert run.run.state is RunState.RUNNING
    assert trackers.active_run() is None
    found = store.get_run(run.uid)
    assert found == store.get_run(run.id) == store.get_run(run)
    assert found.params == {**params, "late": 1.5}
    assert list(found.params) == [*params, "late"]
    assert type(found.params["layers"]) is int
    assert found.metrics == {"auc": 0.75, "loss": 2.0, "auc{fold=0,split=val}": 0.25}
    assert found.tags == {"n": "5", "team": "blue"}
    assert (found.experiment, found.name, found.state, found.number) == ("fraud", "first", RunState.COMPLETE, None)
    assert found.started_at is not None
    assert found.ended_at is not None
    assert found.created_at <= found.started_at <= found.ended_at
    assert found.path == found.uid
    assert found.user
    assert found.host


def test_every_text_and_number_comes_back_as_it_was(store: Store) -> None:
    numbers = [math.inf, -math.inf, 5e-324, 1.7976931348623157e308, -0.0, 0.1]
    with store.start_run(params={f"p{i}": text for i, text in enumerate(STRANGE)}) as run:
        run.set_tags({f"t{i}": text for i, text in enumerate(STRANGE)})
        for number in [*numbers, math.nan]:
            run.log_metric("m", number)
    found = store.get_run(run)
    assert list(found.params.values()) == STRANGE
    assert {found.tags[f"t{i}"] == text for i, text in enumerate(STRANGE)} == {True}
    points = store.metric_history(run, "m")
    assert [point.value for point in points[:-1]] == numbers
    assert math.isnan(points[-1].value)
    assert [point.step for point in points] == list(range(7))
    (summary,) = store.metrics(run)
    assert (summary.count, summary.min, summary.max, summary.last_step) == (7, -math.inf, math.inf, 6)
    assert math.isnan(summary.last)


def test_scalars_of_numpy_are_numbers(store: Store) -> None:
    with store.start_run(params={"a": np.float32(0.5), "b": np.int64(3), "c": np.bool_(True)}) as run:
        run.log_metrics({"m": np.float64(2.5)}, step=np.int64(4))
    found = store.get_run(run)
    assert found.params == {"a": 0.5, "b": 3, "c": True}
    assert type(found.params["c"]) is bool
    assert store.metric_history(run, "m")[0].step == 4


def test_a_param_is_written_once(store: Store) -> None:
    with store.start_run(params={"lr": 0.1, "nan": math.nan, "x": [1]}) as run:
        run.log_params({"lr": 0.1, "nan": math.nan, "x": [1]})
        with pytest.raises(InvalidValueError, match=r"param 'lr' is 0.1 and cannot become 0.2"):
            run.log_param("lr", 0.2)
        with pytest.raises(InvalidValueError, match=r"param 'lr' is 0.1 and cannot become '0.1'"):
            run.log_params({"new": 1, "lr": "0.1"})
        run.log_param("new", 2)
    assert store.get_run(run).params == {"lr": 0.1, "nan": pytest.approx(math.nan, nan_ok=True), "x": [1], "new": 2}


@pytest.mark.parametrize("value", [object(), {"deep": [object()]}, {1: {(1, 2): 3}}, [b"x"]])
def test_a_param_that_cannot_be_kept_is_refused_at_once_by_its_name_and_takes_nothing_along(
    store: Store, value: object
) -> None:
    with store.start_run("names") as run:
        with pytest.raises(InvalidValueError, match="the param 'odd' must be a number"):
            run.log_params({"before": 1, "odd": value})  # type: ignore[dict-item]
        run.log_params({"scalar": np.float64(1.5), "whole": np.int64(3), "list": [1, "a"]})
    assert store.get_run(run.uid).params == {"scalar": 1.5, "whole": 3, "list": [1, "a"]}


def test_two_writers_of_one_param_learn_of_each_other(store: Store) -> None:
    first = store.start_run()
    second = store.resume_run(first.uid)
    first.supersede(False)  # as in a process that does not know
    first.log_param("lr", 1)
    first.flush()
    second.log_param("lr", 1)
    second.flush()
    second.log_param("lr2", 1)
    second.flush()
    first.log_param("lr2", 2)
    with pytest.raises(InvalidValueError, match=r"param 'lr2' is 1 and cannot become 2"):
        first.flush()
    first.flush()  # a failure is told once
    second.end()


def nested(depth: int) -> Any:
    """Return a list in a list in a list."""
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda run: run.log_param("", 1), "name of a param may not be empty"),
        (lambda run: run.log_param("a\0", 1), "may not hold the character"),
        (lambda run: run.log_param("x" * 251, 1), "250 characters, not 251"),
        (lambda run: run.log_param(5, 1), "must be text, not int"),
        (lambda run: run.log_param("p", object()), "the param 'p' must be a number"),
        (lambda run: run.log_param("p", nested(101)), "the param 'p' is nested 101 deep, 100 is the most"),
        (lambda run: run.log_param("p", nested(9000)), "the param 'p' "),
        (lambda run: run.log_metric("m", "0.5"), "the metric 'm' must be a number, not str '0.5'"),
        (lambda run: run.log_metric("m", None), "must be a number, not NoneType None"),
        (lambda run: run.log_metric("m", [1, 2]), "must be a number, not list"),
        (lambda run: run.log_metric("m", 1, step=0.5), "a step is a whole number, not 0.5"),
        (lambda run: run.log_metric("m", 1, step=2**63), "64 bits"),
        (lambda run: run.log_metrics({"m": 1}, context="a{b}"), "may not hold braces"),
        (lambda run: run.set_tag("a\nb", "x"), "may not hold the character"),
        (lambda run: run.log_text("x", "../x"), "has the part '..'"),
        (lambda run: run.log_text("x", "/etc/x"), "is absolute"),
        (lambda run: run.log_dict({"a": object()}, "x.json"), "cannot be written as JSON"),
        (lambda run: run.end(RunState.RUNNING), "a run ends as COMPLETE, PRUNED or FAIL"),
    ],
)
def test_what_cannot_be_kept_is_refused_at_once_and_harms_nothing(store: Store, call: Any, message: str) -> None:
    with store.start_run() as run:
        with pytest.raises((InvalidValueError, StateError), match=message):  # noqa: PT012
            call(run)
            run.flush()
        run.log_metric("after", 1)
    assert store.get_run(run).metrics == {"after": 1.0}


def test_an_exception_marks_the_run_failed_and_goes_on_up(store: Store) -> None:
    with pytest.raises(ZeroDivisionError), store.start_run() as run:  # noqa: PT012
        run.log_metric("m", 1)
        1 / 0  # noqa: B018
    found = store.get_run(run)
    assert (found.state, found.error) == (RunState.FAIL, "division by zero")
    assert found.metrics == {"m": 1.0}
    error = store.error(run)
    assert error is not None
    assert (error.type, error.message) == ("ZeroDivisionError", "division by zero")
    assert error.traceback is not None
    assert "1 / 0" in error.traceback
    with store.start_run() as fine:
        pass
    assert store.error(fine) is None


def test_an_interrupt_marks_the_run_failed_as_interrupted(store: Store) -> None:
    with pytest.raises(KeyboardInterrupt), store.start_run() as run:
        raise KeyboardInterrupt
    assert (store.get_run(run).state, store.get_run(run).error) == (RunState.FAIL, "interrupted")


def test_leaving_with_exit_code_zero_completes_the_run(store: Store) -> None:
    for code, state in ((0, RunState.COMPLETE), (3, RunState.FAIL)):
        with pytest.raises(SystemExit), store.start_run() as run:
            sys.exit(code)
        assert store.get_run(run).state is state


def test_a_run_ends_once_and_takes_nothing_more(store: Store) -> None:
    with store.start_run() as run:
        run.end(RunState.PRUNED)
        for call in (lambda: run.log_metric("m", 1), lambda: run.set_tag("a", "b"), lambda: run.log_text("x", "x")):
            with pytest.raises(StateError, match="has ended: nothing more can be logged"):
                call()
        with pytest.raises(StateError, match="has ended"):
            run.end()
    assert store.get_run(run).state is RunState.PRUNED
    with pytest.raises(StateError, match=r"has ended \(PRUNED\): start a new one"):
        store.resume_run(run)


def test_params_are_kept_as_argument_parsers_and_configurations_have_them(store: Store, tmp_path: Path) -> None:
    class Kind(Enum):
        FAST = "fast"

    given: dict[str, Any] = {
        "path": tmp_path,
        "since": datetime(2026, 11, 30, 12, tzinfo=UTC),
        "sizes": np.array([8, 16]),
        "tags": {"b", "a"},
        "kind": Kind.FAST,
        "run": math.hypot,
        "nested": {"paths": (tmp_path, None)},
    }
    with store.start_run("e", params=given) as run:
        run.log_params(given)  # the same again
        run.log_dict({"score": np.float32(0.5), **given}, "config.json")
        with pytest.raises(InvalidValueError, match="'large' is an array of 2000 numbers: log it as a file"):
            run.log_param("large", np.zeros(2000))  # type: ignore[arg-type]
        with pytest.raises(InvalidValueError, match="'odd' must be a number, text"):
            run.log_param("odd", object())  # type: ignore[arg-type]
    kept = {
        "path": str(tmp_path),
        "since": "2026-11-30T12:00:00+00:00",
        "sizes": [8, 16],
        "tags": ["a", "b"],
        "kind": "fast",
        "run": "math.hypot",
        "nested": {"paths": [str(tmp_path), None]},
    }
    assert store.get_run(run).params == kept
    assert json.loads(store.read_artifact(run, "config.json")) == {"score": 0.5, **kept}


def test_a_resumed_run_goes_on_and_hides_the_steps_that_are_logged_again(store: Store) -> None:
    crashed = store.start_run(params={"lr": 1})
    for step in range(6):
        crashed.log_metric("loss", 10.0 + step, step=step)
    crashed.log_metric("other", 1.0)
    crashed.flush()
    run = store.resume_run(crashed.uid)
    with pytest.raises(InvalidValueError):
        run.log_param("lr", 2)
    for step in (3, 4):
        run.log_metric("loss", 20.0 + step, step=step)
    run.log_metric("other", 2.0)
    run.log_metric("loss", 25.0)
    run.log_points("loss", [26.0, 27.0])
    run.end()
    history = [(point.step, point.value, point.attempt) for point in store.metric_history(run, "loss")]
    assert history == [
        (0, 10.0, 0),
        (1, 11.0, 0),
        (2, 12.0, 0),
        (3, 23.0, 1),
        (4, 24.0, 1),
        (5, 25.0, 1),
        (6, 26.0, 1),
        (7, 27.0, 1),
    ], "what is logged without a step goes on behind this attempt's own, not behind what it took the place of"
    assert [(point.step, point.value) for point in store.metric_history(run, "other")] == [(0, 1.0), (1, 2.0)]
    assert store.get_run(run).metrics == {"loss": 27.0, "other": 2.0}
    assert store.get_run(run).state is RunState.COMPLETE


def test_a_run_of_a_killed_process_is_there_and_can_be_resumed(store: Store) -> None:
    code = (
        "import sys, trackers\n"
        "store = trackers.connect(sys.argv[1])\n"
        "run = store.start_run('killed', params={'a': 1})\n"
        "run.log_metric('m', 0.5)\n"
        "run.flush()\n"
        "print(run.uid, flush=True)\n"
        "sys.stdin.read()\n"
    )
    with start(code, store.url) as process:
        uid = process.line()
        with pytest.raises(StateError, match=f"is not over: process {process.pid} on .* still logs to it"):
            store.resume_run(uid)
        process.kill()
        process.wait()
    found = store.get_run(uid)
    assert (found.state, found.params, found.metrics) == (RunState.RUNNING, {"a": 1}, {"m": 0.5})
    with store.resume_run(uid) as run:
        run.log_metric("m", 0.75)
    first, second = store.attempts(uid)
    assert (first.number, first.pid, first.outcome, first.reason) == (0, process.pid, "lost", "the run was resumed")
    assert (second.number, second.pid, second.outcome, second.reason) == (1, os.getpid(), "complete", "")
    assert first.started_at is not None
    assert second.started_at is not None
    assert first.started_at <= second.started_at
    assert [point.value for point in store.metric_history(uid, "m")] == [0.5, 0.75]


def test_a_run_is_found_as_listings_write_it(store: Store) -> None:
    with store.start_run("fraud") as run:
        pass
    for ref in (f"fraud/{run.uid}", f"fraud/{run.uid[:13]}", run.uid[:13], run.uid.upper()):
        assert store.get_run(ref).uid == run.uid
    with pytest.raises(NotFoundError):
        store.get_run(f"other/{run.uid}")


def test_what_is_no_file_is_refused_with_what_is_wrong(store: Store, tmp_path: Path) -> None:
    with store.start_run("e") as run, (tmp_path / "open.txt").open("w") as file:
        for path, sentence in (
            (file, "a file is named by its path, not given as TextIOWrapper"),
            (3, "not given as int"),
            ("/long" * 2000, "File name too long"),
            (tmp_path / "none", "No such file"),
        ):
            with pytest.raises((InvalidValueError, ArtifactError), match=sentence):
                run.log_artifact(path)  # type: ignore[arg-type]
        if Path("/proc/self/mem").exists():
            with pytest.raises(ArtifactError, match="Cannot read /proc/self/mem"):
                run.log_artifact("/proc/self/mem")
    assert store.list_artifacts(run.id) == []


def test_nested_runs_know_their_parent_and_share_its_experiment(store: Store) -> None:
    with store.start_run("sweep") as parent:
        with store.start_run(nested=True) as child:
            assert trackers.active_run() is child
            with trackers.start_run(nested=True, params={"a": 1}) as grandchild:
                pass
        assert trackers.active_run() is parent
    assert store.get_run(child).parent_id == parent.id
    assert store.get_run(grandchild.uid).parent_id == child.id
    assert {store.get_run(run).experiment for run in (child, grandchild)} == {"sweep"}
    found = store.search_runs(f"attributes.parent = '{parent.uid}'")
    assert [run.uid for run in found] == [child.uid]
    with pytest.raises(NotFoundError, match="there is no run"):
        store.start_run(parent="f" * 32)


def test_the_active_run_is_that_of_the_thread(store: Store) -> None:
    seen = []
    with store.start_run():
        thread = threading.Thread(target=lambda: seen.append(trackers.active_run()))
        thread.start()
        thread.join()
    assert seen == [None]


def test_files_are_kept_by_name_and_read_back_verified(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    (folder / "deep").mkdir(parents=True)
    (folder / "a.bin").write_bytes(b"\0\1\2")
    (folder / "deep" / "b.txt").write_text("b")
    with store.start_run() as run:
        run.log_text("Grüße \0", "notes/hello.txt")
        run.log_dict({"a": [1, 2]}, "config.json")
        run.log_artifact(folder / "a.bin")
        run.log_artifact(folder / "a.bin", "renamed/c.bin")
        run.log_artifacts(folder, "all")
        run.log_text("second", "notes/hello.txt")
    names = [file.name for file in store.list_artifacts(run)]
    assert names == ["a.bin", "all/a.bin", "all/deep/b.txt", "config.json", "notes/hello.txt", "renamed/c.bin"]
    assert store.read_artifact(run, "notes/hello.txt") == b"second"
    assert json.loads(store.read_artifact(run, "config.json")) == {"a": [1, 2]}
    assert store.download_artifact(run, "all/deep/b.txt", tmp_path) == tmp_path / "b.txt"
    assert store.download_artifact(run, "all/a.bin", tmp_path / "x" / "y").read_bytes() == b"\0\1\2"
    (tmp_path / "mine").write_bytes(b"mine")
    with pytest.raises(AlreadyExistsError, match="is there already, and is another file"):
        store.download_artifact(run, "all/a.bin", tmp_path / "mine")
    assert (tmp_path / "mine").read_bytes() == b"mine"
    assert store.download_artifact(run, "all/deep/b.txt", tmp_path) == tmp_path / "b.txt", "it is the same file"
    with pytest.raises(NotFoundError, match=rf"run {run.uid} has no artifact 'confg.json'; did you mean 'config.json'"):
        store.read_artifact(run, "confg.json")
    with pytest.raises(ArtifactError), store.start_run() as failed:
        failed.log_artifact(tmp_path / "missing")


def test_inputs_are_known_by_their_digest(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "train.csv"
    path.write_text("a,b\n1,2\n")
    with store.start_run() as run:
        run.log_input(np.arange(6).reshape(3, 2), name="numbers")
        run.log_input(path, role="test")
    with store.database.reading() as connection:
        rows = connection.exec_driver_sql(
            "SELECT d.name, d.rows, i.role FROM trackers_inputs i JOIN trackers_datasets d ON d.id = i.dataset_id "
            "ORDER BY d.name"
        ).all()
    assert [tuple(row) for row in rows] == [("numbers", 3, "train"), ("train.csv", None, "test")] or rows[1][
        2
    ] == "test"


def test_a_model_is_kept_and_the_newer_one_of_its_name_replaces_it(store: Store) -> None:
    from sklearn.linear_model import LinearRegression

    x, y = np.arange(8.0).reshape(4, 2), np.arange(4.0)
    with store.start_run() as run:
        run.log_model(LinearRegression().fit(x, y))
        model = run.log_model(LinearRegression().fit(x, -y), step=3, value=0.5)
    kept = store.get_logged_model(run.id)
    assert kept is not None
    assert (kept.uid, kept.step, kept.value, dict(kept.files)) == (model.uid, 3, 0.5, dict(model.files))


@pytest.mark.parametrize("library", ["lightgbm", "xgboost"])
def test_a_model_of_another_library_comes_back_from_the_store_as_what_it_was(store: Store, library: str) -> None:
    module = pytest.importorskip(library)
    kind = module.LGBMClassifier if library == "lightgbm" else module.XGBClassifier
    rows, labels = np.arange(80.0).reshape(40, 2), np.arange(40) % 2
    model = kind(n_estimators=2, class_weight={0: 1.0, 1: 2.0}, missing=float("nan"), verbosity=0).fit(rows, labels)
    with store.start_run() as run:
        logged = run.log_model(model, "boosted", input_example=rows)
    loaded = store.load_model(f"runs:/{run.uid}/boosted")
    assert (logged.flavor, type(loaded.unwrap())) == (library, type(model))
    np.testing.assert_array_equal(loaded.predict_proba(rows), model.predict_proba(rows))
    assert loaded.unwrap().get_params()["class_weight"] == {0: 1.0, 1: 2.0}


def test_experiments_are_made_found_and_listed(store: Store) -> None:
    made = store.create_experiment("fraud", description="first", tags={"owner": "me"})
    store.start_run("audio").end()
    store.create_study("digits", directions=["maximize"], metric_names=["acc"])
    assert store.get_experiment("fraud") == store.get_experiment(made.id) == made
    assert made.tags == {"owner": "me"}
    assert [(one.name, one.kind) for one in store.list_experiments()] == [
        ("digits", "study"),
        ("audio", "experiment"),
        ("fraud", "experiment"),
    ]
    with pytest.raises(AlreadyExistsError, match="named 'fraud' already"):
        store.create_experiment("fraud")
    with pytest.raises(NotFoundError, match="there is no experiment 'frauds' in this store; did you mean 'fraud'"):
        store.get_experiment("frauds")
    with pytest.raises(InvalidValueError, match="may not hold a slash"):
        store.start_run("a/b")
    for name in ("..", ".", "fra\u202eud", "\u2066fraud"):
        with pytest.raises(InvalidValueError, match="may not"):
            store.create_experiment(name)
    assert store.count_runs() == {store.get_experiment("audio").id: 1}


@pytest.mark.parametrize(
    "ref", ["", "x", "digits/0", "f" * 32, 10**30, -1, "digits/-1", "a/b/c", "\0", None, 1.5, True]
)
def test_a_run_that_is_not_there_is_named(store: Store, ref: Any) -> None:
    with pytest.raises(TrackersError) as caught:
        store.get_run(ref)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, NotFoundError | InvalidValueError)


def test_a_metric_that_is_not_there_is_named_with_close_ones(store: Store) -> None:
    with store.start_run() as run:
        run.log_metrics({"accuracy": 1.0}, context="split=val")
    with pytest.raises(NotFoundError, match=f"run {run.uid} has no metric 'accuracy'; did you mean 'accuracy"):
        store.metric_history(run, "accuracy")
    assert store.metric_history(run, "accuracy", {"split": "val"})[0].value == 1.0


def test_many_threads_log_to_one_run_without_losing_a_point(store: Store) -> None:
    with store.start_run() as run:

        def log() -> None:
            for _ in range(50):
                run.log_metrics({"m": 1.0, "n": 2.0})

        threads = [threading.Thread(target=log) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(point.step for point in store.metric_history(run, "m")) == list(range(200))
    assert {summary.count for summary in store.metrics(run)} == {200}


RACER = """
import os, sys, trackers
with trackers.connect(sys.argv[1]) as store:
    print("ready", flush=True)
    sys.stdin.readline()
    with store.start_run("raced", params={"pid": os.getpid()}) as run:
        run.log_metrics({"m": 1.0})
    print(run.uid, store.get_run(run).experiment_id, flush=True)
"""


def test_processes_that_make_one_experiment_at_once_all_get_it(store: Store) -> None:
    racers = [start(RACER, store.url) for _ in range(3)]
    assert [racer.line() for racer in racers] == ["ready"] * 3
    for racer in racers:
        racer.tell("go")
    found = [racer.communicate()[0].split() for racer in racers]
    assert {int(experiment) for _, experiment in found} == {store.get_experiment("raced").id}
    assert {run.uid for run in store.search_runs(experiments=["raced"])} == {uid for uid, _ in found}


def test_inside_an_objective_a_nested_run_is_the_trial() -> None:
    from trackers.active import reset_active, set_active

    logged: list[Any] = []

    class Trial:
        def log_params(self, params: Any) -> None:
            logged.append(params)

        def log_metric(self, key: str, value: float) -> None:
            logged.append((key, value))

    token = set_active(Trial())
    try:
        with trackers.start_run(nested=True, params={"a": 1}) as run:
            run.log_metric("m", 0.5)
    finally:
        reset_active(token)
    assert logged == [{"a": 1}, ("m", 0.5)]


def test_the_default_store_is_that_of_the_environment(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    from trackers.default import default_store

    monkeypatch.setenv("HPO_STORAGE", store.url)
    with default_store() as default, trackers.start_run("here") as run:
        assert default.safe_url == store.safe_url
    assert store.get_run(run.uid).experiment == "here"


def test_a_run_of_another_store_is_none_of_this_one(store: Store, tmp_path: Path) -> None:
    with trackers.connect(tmp_path / "other.db") as other, other.start_run("A", name="mine") as theirs:
        ours = store.start_run("B", name="ours")
        row = other.get_run(theirs)
        for foreign in (theirs, row):
            for call in (store.get_run, store.metrics, store.delete_run, store.resume_run):
                with pytest.raises(NotFoundError, match=theirs.uid):
                    call(foreign)
            with pytest.raises(NotFoundError, match=theirs.uid):
                store.start_run("B", parent=foreign)
        with pytest.raises(NotFoundError, match=theirs.uid):
            store.start_run("B", nested=True)
        ours.end()
        with trackers.connect(store.url) as again:
            assert again.get_run(ours).name == "ours", "another connection to the same store"


def test_a_run_inside_a_trial_of_another_store_is_not_nested_in_it(store: Store, tmp_path: Path) -> None:
    def objective(trial: Any) -> float:
        with pytest.raises(NotFoundError, match="is in another store"):
            store.start_run("B", nested=True)
        return 1.0

    with trackers.connect(tmp_path / "other.db") as other:
        study = hpo.create_study(study_name="s", storage=other, sampler="random", pruner="none")
        study.optimize(objective, n_trials=1)
        assert study.trials[0].error is None
