"""Every logging method, on a run and on a trial alike."""

from __future__ import annotations

import io
import json
import math
import os
import re
import subprocess
import sys
import threading
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.figure
import numpy as np
import pytest
from PIL import Image

import hpo
import trackers
from hpo.errors import UserError
from trackers.changes import ParamsLogged
from trackers.errors import ArtifactError, InvalidValueError, NotFoundError, StateError
from trackers.recorder import _tell_hidden
from trackers.sql import tables as t
from trackers.states import RunState
from trackers.store import Store
from trackers.values import Run

Logged = Callable[[Callable[[Any], object]], Run]


@pytest.fixture(params=["run", "trial"])
def logged(request: pytest.FixtureRequest, store: Store) -> Logged:
    """Return a function that calls another with what logs, and returns the run as it is stored then."""

    def on_a_run(work: Callable[[Any], object]) -> Run:
        with store.start_run("e") as run:
            work(run)
        return store.get_run(run)

    def on_a_trial(work: Callable[[Any], object]) -> Run:
        study = hpo.create_study(study_name="s", storage=store, sampler="random", pruner="none")

        def objective(trial: Any) -> float:
            work(trial)
            return 1.0

        study.optimize(objective, n_trials=1)
        (trial,) = study.trials
        assert trial.error is None
        return store.get_run("s/0")

    return on_a_run if request.param == "run" else on_a_trial


def files(store: Store, run: Run) -> dict[str, int]:
    return {file.name: file.size for file in store.list_artifacts(run)}


def test_no_file_of_a_run_is_a_folder_too(store: Store, tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "loss.txt").write_text("x")
    with store.start_run("e") as run:
        run.log_text("1", "plots")
        run.log_text("2", "plots")  # over the first
        run.log_text("3", "out/a/b.txt")
        for name in ("plots/loss.txt", "out/a", "out"):
            with pytest.raises(InvalidValueError, match="would be both a file and a folder of the run"):
                run.log_text("x", name)
        with pytest.raises(InvalidValueError, match="'plots' would be both"):
            run.log_artifacts(tmp_path / "tree", "plots")
        run.log_text("4", "tree")
    assert sorted(file.name for file in store.list_artifacts(run)) == ["out/a/b.txt", "plots", "tree"]


def test_a_metric_is_not_named_as_another_ones_context_is_written(store: Store) -> None:
    with store.start_run("e") as run:
        with pytest.raises(InvalidValueError, match=r"give context='split=val' with the metric 'loss'"):
            run.log_metric("loss{split=val}", 1.0)
        with pytest.raises(InvalidValueError, match="may not end in braces"):
            run.log_points("loss{}", [1.0])
        run.log_metrics({"{a}b": 1.0, "a}": 2.0})
        run.log_metric("loss", 3.0, context={"split": "val"})
    assert store.get_run(run).metrics == {"{a}b": 1.0, "a}": 2.0, "loss{split=val}": 3.0}


def test_a_context_has_one_form_however_it_is_written(store: Store) -> None:
    written = (
        {"split": "val", "fold": 1},
        {"fold": " 1", "split": "val "},
        "split=val,fold=1",
        " fold = 1 , split = 'val' ",
    )
    with store.start_run("e") as run:
        for step, context in enumerate(written):
            run.log_metric("loss", float(step), step=step, context=context)
        run.log_metric("loss", 9.0, context={"note": "a, b"})
        run.log_metric("loss", 7.0, context="two words")
    assert store.get_run(run).metrics == {"loss{fold=1,split=val}": 3.0, "loss{note=a, b}": 9.0, "loss{two words}": 7.0}
    for context in written:
        assert len(store.metric_history(run, "loss", context)) == 4
    assert len(store.metric_history(run, "loss", "two words")) == 1
    with store.database.writing() as connection:  # as it was stored before contexts had one form
        connection.execute(
            t.series.update().where(t.series.c.context == "two words").values(context="split=val,fold=2")
        )
    assert [series.context for series in store.metrics(run)][-1] == "split=val,fold=2"
    assert len(store.metric_history(run, "loss", "split=val,fold=2")) == 1
    for braces in ("split=val,fold=1", "fold=1, split='val'", ' split = "val" ,fold=1 '):
        assert len(store.search_runs(f"metrics.loss{{{braces}}} = 3")) == 1
    assert len(store.search_runs("metrics.loss{note=a, b} = 9")) == 1


def test_metrics_with_a_context_and_many_points_at_once(store: Store, logged: Logged) -> None:
    def work(run: Any) -> None:
        run.log_metric("loss", 1.0, context={"split": "train"})
        run.log_metrics({"loss": 0.5, "acc": 1}, context={"split": "train"})
        run.log_points("loss", np.linspace(0, 1, 5), context={"split": "val", "fold": 1})
        run.log_points("loss", [1, 2], steps=np.array([10, 20]), context={"split": "val", "fold": 1})
        run.log_points("loss", iter([7.0]), context={"split": "val", "fold": 1})
        run.log_points("nothing", [])

    run = logged(work)
    train = store.metric_history(run, "loss", {"split": "train"})
    assert [(point.step, point.value) for point in train] == [(0, 1.0), (1, 0.5)]
    points = store.metric_history(run, "loss", {"fold": 1, "split": "val"})
    assert [point.step for point in points] == [0, 1, 2, 3, 4, 10, 20, 21]
    assert points[3].value == 0.75
    assert run.metrics["acc{split=train}"] == 1.0
    assert "nothing" not in {one.key for one in store.metrics(run)}


def test_what_is_no_list_of_points_is_refused(store: Store) -> None:
    with store.start_run() as run:
        for wrong in (
            lambda: run.log_points("m", [1.0, 2.0], steps=[1]),
            lambda: run.log_points("m", ["x"]),
            lambda: run.log_points("m", [1.0], steps=[0.5]),
            lambda: run.log_points("", [1.0]),
        ):
            with pytest.raises(InvalidValueError):
                wrong()
    assert store.get_run(run).metrics == {}


def test_a_folder_comes_with_its_tree(store: Store, logged: Logged, tmp_path: Path) -> None:
    top = tmp_path / "out"
    (top / "a" / "b").mkdir(parents=True)
    (top / "a" / "b" / "deep.txt").write_text("deep")
    (top / "top.txt").write_text("top!")

    def work(run: Any) -> None:
        run.log_artifact(top)
        run.log_artifact(top, "again")
        run.log_artifacts(top)
        run.log_artifact(top / "top.txt", "one/file.txt")

    run = logged(work)
    assert set(files(store, run)) == {
        *("out/a/b/deep.txt", "out/top.txt", "again/a/b/deep.txt", "again/top.txt", "a/b/deep.txt", "top.txt"),
        "one/file.txt",
    }


def test_text_and_mappings_by_their_suffix(store: Store, logged: Logged) -> None:
    content = {"a": [1, 2.5, None], "ü": {"b": True}}

    def work(run: Any) -> None:
        run.log_text("words\ud800", "note.md")
        run.log_dict(content, "c.json")
        run.log_dict(content, "c.yaml")
        run.log_dict([1, 2], "list.yml")
        run.log_dict(odd, "odd.yaml")

    odd = {
        "f": np.float64(0.5),
        "i": np.int64(3),
        "b": np.bool_(True),
        "a": np.arange(2),
        "p": Path("x"),
        "s": np.str_("y"),
    }
    run = logged(work)
    assert store.read_artifact(run, "odd.yaml") == b"f: 0.5\ni: 3\nb: true\na:\n- 0\n- 1\np: x\ns: y\n"
    assert store.read_artifact(run, "note.md") == b"words\\ud800"
    assert json.loads(store.read_artifact(run, "c.json")) == content
    assert store.read_artifact(run, "c.yaml").decode().startswith("a:\n- 1\n- 2.5\n- null\n")
    assert store.read_artifact(run, "list.yml") == b"- 1\n- 2\n"


def test_tables_grow_and_are_read_back_over_runs(store: Store, logged: Logged) -> None:
    import pandas

    def work(run: Any) -> None:
        run.log_table({"id": [1, 2], "text": ["a", "b"]}, "preds")
        run.log_table([{"id": 3, "score": 0.5}], "preds.json")
        run.log_table(pandas.DataFrame({"id": np.array([4]), "score": [math.inf]}), "preds")
        run.log_table({"one": 1}, "single")

    run = logged(work)
    table = store.load_table("preds", run)
    assert table.columns == {
        "id": [1, 2, 3, 4],
        "text": ["a", "b", None, None],
        "score": [None, None, 0.5, math.inf],
    }
    assert list(table)[2] == {"id": 3, "text": None, "score": 0.5}
    assert len(table.to_pandas()) == 4
    assert store.load_table("single", run).columns == {"one": [1]}
    with store.start_run("other") as second:
        second.log_table({"id": [9]}, "preds")
    both = store.load_table("preds", [run, second.uid])
    assert both.columns["run"] == [run.path] * 4 + [second.uid]
    assert store.load_table("preds", experiments="other").columns == {"run": [second.uid], "id": [9]}
    with pytest.raises(NotFoundError, match="has a table"):
        store.load_table("nothing", run)


def test_a_table_as_parquet(store: Store, logged: Logged) -> None:
    arrow = pytest.importorskip("pyarrow")

    def work(run: Any) -> None:
        run.log_table(arrow.table({"x": [1, 2], "y": [0.5, None]}), "t.parquet")
        run.log_table({"x": [3]}, "t.parquet")

    run = logged(work)
    table = store.load_table("t.parquet", run)
    assert table.columns == {"x": [1, 2, 3], "y": [0.5, None, None]}
    assert table.to_arrow().num_rows == 3


def test_figures_and_images_of_every_kind(store: Store, logged: Logged, tmp_path: Path) -> None:
    figure = matplotlib.figure.Figure()
    figure.subplots().plot([1, 2, 3])
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    Image.fromarray(grey).save(tmp_path / "file.JPG", "JPEG")

    def work(run: Any) -> None:
        run.log_figure(figure, "plots/loss")
        run.log_figure(figure, "plots/loss.svg")
        run.log_image(grey, "grey")
        run.log_image(grey[:, :, None], "grey1.png")
        run.log_image(np.full((2, 2, 3), 0.5), "half.png")
        run.log_image(np.zeros((2, 2, 4), dtype=np.uint8), "clear.png")
        run.log_image(np.zeros((2, 2, 4), dtype=np.uint8), "clear.jpg")
        run.log_image(Image.new("RGB", (5, 6)), "pil.png")
        run.log_image(tmp_path / "file.JPG", "own")
        run.log_image(str(tmp_path / "file.JPG"), "other.png")
        for step in (1, 10):
            run.log_image(grey > step, "series", step=step)

    run = logged(work)
    found = files(store, run)
    assert {"plots/loss.png", "plots/loss.svg", "series/step-00000001.png", "series/step-00000010.png"} <= set(found)

    def pixels(name: str) -> Any:
        return np.asarray(Image.open(io.BytesIO(store.read_artifact(run, name))))

    assert (pixels("grey.png") == grey).all()
    assert (pixels("grey1.png") == grey).all()
    assert (pixels("half.png") == 128).all()
    assert pixels("clear.png").shape == (2, 2, 4)
    assert pixels("clear.jpg").shape == (2, 2, 3)
    assert pixels("pil.png").shape == (6, 5, 3)
    assert store.read_artifact(run, "own.jpg") == (tmp_path / "file.JPG").read_bytes(), "it keeps its bytes"
    assert pixels("other.png").shape == (3, 4)
    assert set(np.unique(pixels("series/step-00000010.png"))) == {0, 255}


WRONG_PICTURES: list[Callable[[Any], object]] = [
    lambda run: run.log_image(np.zeros((2, 2, 2)), "x"),
    lambda run: run.log_image(np.zeros(4), "x"),
    lambda run: run.log_image(np.zeros((0, 4)), "x"),
    lambda run: run.log_image(np.full((2, 2), 1.5), "x"),
    lambda run: run.log_image(np.full((2, 2), np.nan), "x"),
    lambda run: run.log_image(np.full((2, 2), 256), "x"),
    lambda run: run.log_image(np.full((2, 2), "a"), "x"),
    lambda run: run.log_image(np.zeros((2, 2)), "x.nosuch"),
    lambda run: run.log_figure(3, "x"),
    lambda run: run.log_figure(matplotlib.figure.Figure(), "x.nosuch"),
    lambda run: run.log_table(3, "x"),
    lambda run: run.log_table([1, 2], "x"),
    lambda run: run.log_table({"a": [1], "b": [1, 2]}, "x"),
    lambda run: run.log_table({"a": [object()]}, "x"),
    lambda run: run.log_table({"a": [1]}, "x.csv"),
    lambda run: run.log_table({"a": [1]}, "../x"),
    lambda run: run.log_dict({"a": object()}, "x.yaml"),
]


@pytest.mark.parametrize("wrong", WRONG_PICTURES)
def test_what_is_no_picture_and_no_table_is_refused_with_a_sentence(
    store: Store, wrong: Callable[[Any], object]
) -> None:
    with store.start_run() as run:
        with pytest.raises(InvalidValueError):
            wrong(run)
        run.log_metric("after", 1.0)
    assert store.list_artifacts(run) == []


@pytest.mark.parametrize(
    ("wrong", "way"),
    [
        (lambda run: run.log_image(np.zeros((3, 8, 8)), "x"), "channels come first: give np.moveaxis(image, 0, -1)"),
        (
            lambda run: run.log_figure(matplotlib.figure.Figure(), "f.html"),
            "name it .svg or .png, which a browser shows",
        ),
        (lambda run: run.log_image("nowhere.png", "x"), "the image nowhere.png cannot be read: "),
        (lambda run: run.log_image(__file__, "x"), "cannot be read: "),
    ],
)
def test_a_picture_that_is_refused_is_told_the_way_out(store: Store, wrong: Callable[[Any], object], way: str) -> None:
    with store.start_run() as run, pytest.raises(InvalidValueError, match=re.escape(way)):
        wrong(run)


def test_functions_log_to_the_active_run(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HPO_STORAGE", sqlite_url)
    with pytest.raises(StateError, match=r"there is none: call trackers\.start_run"):
        trackers.log_metric("m", 1.0)
    run = trackers.start_run("fluent", params={"a": 1})
    assert trackers.active_run() is run
    trackers.log_param("b", 2)
    trackers.log_metrics({"m": 1.0, "n": 2.0}, step=3)
    trackers.set_tags({"t": "x"})
    trackers.log_text("hello", "a.txt")
    trackers.log_table({"x": [1]}, "t")
    with trackers.start_run(nested=True, name="inside") as child:
        trackers.log_metric("m", 5.0)
    assert trackers.active_run() is run
    trackers.end_run()
    assert trackers.active_run() is None
    with pytest.raises(StateError, match="there is none"):
        trackers.end_run()
    from trackers.default import default_store

    store = default_store()
    found = store.get_run(run.uid)
    assert (found.params, found.metrics, found.tags) == ({"a": 1, "b": 2}, {"m": 1.0, "n": 2.0}, {"t": "x"})
    assert store.get_run(child.uid).parent_id == found.id
    with trackers.start_run("fluent") as second:
        trackers.set_tag("k", 1)
    assert trackers.active_run() is None
    assert store.get_run(second.uid).tags == {"k": "1"}
    store.close()


def test_functions_inside_an_objective_log_to_the_trial(tmp_path: Path) -> None:
    study = hpo.create_study(study_name="s", storage=f"sqlite:///{tmp_path}/s.db", sampler="random", pruner="none")

    def objective(trial: Any) -> float:
        trackers.log_metric("m", 2.0, context="val")
        trackers.log_dict({"a": 1}, "a.json")
        trackers.end_run()  # a trial ends with its objective
        return 1.0

    study.optimize(objective, n_trials=1)
    run = study.store.get_run("s/0")
    assert run.metrics["m{val}"] == 2.0
    assert study.store.read_artifact(run, "a.json")


def test_system_metrics_come_while_a_run_goes_on_and_end_with_it(store: Store) -> None:
    with store.start_run(system_metrics=0.1) as run:
        end = time.monotonic() + 60
        while "system/cpu_utilization_percentage" not in run.run.metrics:
            assert time.monotonic() < end, "no reading came"
            time.sleep(0.02)
    assert not [thread for thread in threading.enumerate() if thread.name == "trackers-system"]
    keys = {one.key for one in store.metrics(run)}
    assert {"system/cpu_utilization_percentage", "system/system_memory_usage_percentage"} <= keys
    assert {"system/disk_usage_percentage", "system/network_receive_megabytes"} <= keys
    assert 0 <= store.get_run(run).metrics["system/system_memory_usage_percentage"] <= 100
    with pytest.raises(ZeroDivisionError), store.start_run(system_metrics=True):
        1 / 0  # noqa: B018 - what a run fails by
    assert not [thread for thread in threading.enumerate() if thread.name == "trackers-system"]


class OneCard:
    """A library of NVIDIA's with one card."""

    class NVMLError(Exception):
        pass

    ended = False

    def nvmlInit(self) -> None:
        pass

    def nvmlShutdown(self) -> None:
        self.ended = True

    def nvmlDeviceGetCount(self) -> int:
        return 1

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> Any:
        return types.SimpleNamespace(used=25_000_000, total=100_000_000)

    def nvmlDeviceGetUtilizationRates(self, handle: int) -> Any:
        return types.SimpleNamespace(gpu=40)

    def nvmlDeviceGetPowerUsage(self, handle: int) -> int:
        raise self.NVMLError


def test_graphics_cards_are_read_as_far_as_they_tell(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    library = OneCard()
    monkeypatch.setitem(sys.modules, "pynvml", library)
    with trackers.connect(sqlite_url) as store:
        with store.start_run(system_metrics=True) as run:
            pass
        found = store.get_run(run).metrics
    assert found["system/gpu_0_memory_usage_percentage"] == 25.0
    assert found["system/gpu_0_utilization_percentage"] == 40.0
    assert "system/gpu_0_power_usage_watts" not in found
    assert library.ended


def test_trials_log_what_the_machine_does_where_it_is_asked_for(tmp_path: Path) -> None:
    study = hpo.create_study(study_name="s", storage=f"sqlite:///{tmp_path}/s.db", sampler="random", pruner="none")
    study.optimize(lambda trial: 1.0, n_trials=1)
    study.optimize(lambda trial: 1.0, n_trials=1, system_metrics=0.5)
    without, with_them = (study.store.get_run(f"s/{number}").metrics for number in (0, 1))
    assert not without
    assert "system/system_memory_usage_percentage" in with_them


@pytest.mark.parametrize(
    ("work", "said"),
    [
        (lambda run: run.log_params(None), "params are given as a mapping, {name: value}, not as NoneType"),
        (lambda run: run.log_params([1]), "params are given as a mapping"),
        (lambda run: run.log_metrics([1]), "metrics are given as a mapping"),
        (lambda run: run.set_tags(["a"]), "tags are given as a mapping"),
        (lambda run: run.log_metric("m", 1.0, context=3), "a metric's context is a mapping or text, not int"),
        (lambda run: run.log_metric("m", 10**400), "the metric 'm' is too large for a float"),
        (lambda run: run.log_metric("m", 1.0, step=True), "a step is a whole number, not True"),
        (lambda run: run.log_text(b"x", "b.txt"), "log_text takes text, not bytes"),
        (lambda run: run.log_text(None, "b.txt"), "log_text takes text, not NoneType"),
        (lambda run: run.log_dict({}, {"a": 1}), "name must be text, not dict"),
        (lambda run: run.log_table("t", {"a": [1]}), "name must be text, not dict"),
        (lambda run: run.log_artifact(""), "this one is empty"),
        (lambda run: run.log_artifacts(""), "this one is empty"),
    ],
)
def test_what_is_given_wrong_is_named_and_nothing_is_logged(
    store: Store, logged: Logged, work: Callable[[Any], object], said: str
) -> None:
    def wrong(run: Any) -> None:
        with pytest.raises(InvalidValueError, match=re.escape(said)):
            work(run)

    run = logged(wrong)
    assert files(store, run) == {}
    assert run.params == {}


def test_a_param_that_was_suggested_is_not_written_over(store: Store) -> None:
    def objective(trial: Any) -> float:
        chosen = trial.suggest_float("C", 0.0, 1.0)
        trial.log_params({"C": chosen, "depth": 3})
        trial.log_param("depth", 3)
        for name, value in (("C", 5), ("depth", 4)):
            with pytest.raises(InvalidValueError, match=f"param '{name}' is .* and cannot become {value}"):
                trial.log_param(name, value)
        with pytest.raises(InvalidValueError, match="must be a number, text"):
            trial.log_param("q", object())
        return 1.0

    study = hpo.create_study(study_name="s", storage=store, sampler="random", pruner="none")
    study.optimize(objective, n_trials=1)
    assert study.trials[0].error is None
    assert (study.trials[0].logged_params, list(study.trials[0].params)) == ({"depth": 3}, ["C"])
    assert store.get_run("s/0").params == {"C": study.trials[0].params["C"], "depth": 3}


def test_a_retry_may_log_what_was_searched_over_before(store: Store) -> None:
    tries: list[Any] = []

    def objective(trial: Any) -> float:
        tries.append(trial.suggest_float("lr", 0.0, 1.0))
        if len(tries) == 1:
            trial.suggest_int("x", 1, 4)
            trial.report(1.0, 0)
            raise OSError("the disk is away")
        trial.log_params({"x": 99})
        return 1.0

    study = hpo.create_study(study_name="s", storage=store, sampler="random", pruner="none")
    study.optimize(objective, n_trials=1, max_retries=1, retry_on=["OSError"])
    (trial,) = study.trials
    assert (list(trial.params), trial.logged_params) == (["lr"], {"x": 99})
    store.writer.submit([ParamsLogged(trial.run_id, {"lr": 7.0, "y": 1})]).wait()
    (again,) = store.get_trials(store.get_study("s").id)
    assert (again.params, again.logged_params) == (trial.params, {"x": 99, "y": 1}), "what was searched over stays"


def test_secrets_in_params_and_tags_are_hidden_and_that_is_said_once(
    store: Store, logged: Logged, caplog: pytest.LogCaptureFixture
) -> None:
    def work(run: Any) -> None:
        for _ in range(2):
            run.log_params({"api_key": "sk-abc12345", "url": "postgresql://u:hunter2@db/x", "max_tokens": 512})
            run.set_tag("db_password", "hunter2")

    _tell_hidden.cache_clear()
    run = logged(work)
    assert run.params == {"api_key": "***", "url": "postgresql://***@db/x", "max_tokens": 512}
    assert run.tags["db_password"] == "***"
    assert [record.args and record.args[1] for record in caplog.records] == ["api_key", "url", "db_password"]


def test_a_param_that_an_older_release_kept_may_be_logged_again(store: Store) -> None:
    with store.start_run("e") as run:
        run.known({"api_key": "sk-abc12345"})
        run.log_params({"api_key": "sk-abc12345"})


def test_what_was_searched_over_is_logged_again_as_it_is(store: Store) -> None:
    def objective(trial: Any) -> float:
        trial.log_params({"password": trial.suggest_categorical("password", ["a1", "b2"])})
        return 1.0

    study = hpo.create_study(study_name="s", storage=store, sampler="random", pruner="none")
    study.optimize(objective, n_trials=1)
    assert study.trials[0].params["password"] in ("a1", "b2")


def test_params_that_an_objective_logs_are_found_as_those_of_runs_and_no_sampler_knows_them(store: Store) -> None:
    tries: list[int] = []

    def objective(trial: Any) -> float:
        tries.append(trial.number)
        trial.log_params({"layers": 3, "sizes": [8, 16], "attempt": len(tries)})
        with pytest.raises(UserError, match="'layers' was logged before it was suggested"):
            trial.suggest_int("layers", 1, 4)
        value: float = trial.suggest_float("lr", 0.0, 1.0)
        if len(tries) == 1:
            raise OSError("the disk is away")
        return value

    study = hpo.create_study(study_name="s", storage=store, sampler="tpe", pruner="none")
    study.optimize(objective, n_trials=12, max_retries=1, retry_on=["OSError"])
    assert {tuple(trial.params) for trial in study.trials} == {("lr",)}
    assert study.trials[0].logged_params == {"layers": 3, "sizes": [8, 16], "attempt": 2}, "the last attempt's"
    assert list(store.get_run("s/0").params) == ["lr", "layers", "sizes", "attempt"]
    assert len(store.search_runs("params.layers >= 3 and params.lr <= 1")) == 12
    assert [run.path for run in store.search_runs("params.attempt between 3 and 4", order_by="params.attempt")] == [
        "s/1",
        "s/2",
    ]
    assert store.fsck().findings == ()


@pytest.mark.parametrize(
    ("word", "state"),
    [("FAIL", RunState.FAIL), ("finished", RunState.COMPLETE), ("KILLED", RunState.FAIL), (2, RunState.PRUNED)],
)
def test_a_run_ends_in_a_state_that_is_named(store: Store, word: Any, state: RunState) -> None:
    run = store.start_run("e")
    with pytest.raises(InvalidValueError, match="a run ends as COMPLETE, PRUNED or FAIL, not as 'DONE'"):
        run.end("DONE")
    run.end(word)
    assert store.get_run(run).state is state


@pytest.mark.parametrize(
    ("last", "state", "error"),
    [("", "COMPLETE", None), ("raise ValueError('no data')", "FAIL", "no data"), ("sys.exit(3)", "COMPLETE", None)],
)
def test_a_run_that_a_script_began_ends_with_it(tmp_path: Path, last: str, state: str, error: str | None) -> None:
    script = f"""
import sys, trackers
outer = trackers.start_run("e", name="outer")
inner = trackers.start_run(nested=True, name="inner")
trackers.log_metric("m", 1.0)
trackers.start_run("e", name="ended").end()
{last}
"""
    url = f"sqlite:///{tmp_path}/hpo.db"
    done = subprocess.run(
        [sys.executable, "-c", script], env={**os.environ, "HPO_STORAGE": url}, capture_output=True, text=True
    )
    with trackers.connect(url) as store:
        runs = {run.name: run for run in store.search_runs()}
        assert {name: run.state.name for name, run in runs.items()} == {
            "outer": state,
            "inner": state,
            "ended": "COMPLETE",
        }, done.stderr
        assert runs["inner"].metrics == {"m": 1.0}
        told = store.error(runs["outer"])
        assert (told.message if told else None) == error


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf"), "5"])
def test_a_time_that_is_none_starts_no_run(store: Store, seconds: Any) -> None:
    with pytest.raises(InvalidValueError, match="system_metrics is True, or every how many seconds"):
        store.start_run("e", system_metrics=seconds)
    store.flush()
    assert store.list_experiments() == []


def test_a_folder_that_holds_the_store_is_logged_without_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("a")
    (tmp_path / "hpo.db.txt").write_text("mine")
    with trackers.connect(f"sqlite:///{tmp_path}/hpo.db") as store:
        with store.start_run("e") as run:
            run.log_text("first", "first.txt")
            run.log_artifacts(tmp_path)
            run.log_artifacts(tmp_path / "notes", "again")
        names = sorted(file.name for file in store.list_artifacts(run))
    assert names == ["again/a.txt", "first.txt", "hpo.db.txt", "notes/a.txt"]
    assert sum("the store's own files" in record.getMessage() for record in caplog.records) == 1


def test_the_files_of_the_store_itself_are_not_stored_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, artifacts in (("one", None), ("two", str(tmp_path / "files"))):
        with trackers.connect(f"sqlite:///{name}.db", artifacts=artifacts) as store:
            run = store.start_run("e")
            run.log_text("mine", "a.txt")
            run.flush()
            root = Path(store.artifact_root)
            (root / "ab").mkdir(exist_ok=True)
            for own in (f"{name}.db", root, next(path for path in root.rglob("*") if len(path.name) == 64)):
                with pytest.raises(ArtifactError, match=r"the store's own .*: `trackers backup` copies a store"):
                    run.log_artifact(own)
            assert [file.name for file in store.list_artifacts(run)] == ["a.txt"]
            (root.parent / "files").mkdir(exist_ok=True)
            (root.parent / "files" / "mine.txt").write_text("mine")
            run.log_artifact(root.parent / "files" / "mine.txt")
            run.log_artifacts("files", "mine")
            assert [file.name for file in store.list_artifacts(run)] == ["a.txt", "mine.txt", "mine/mine.txt"]
            (root.parent / "files" / "mine.txt").unlink()
            run.end()


def test_a_page_of_runs_is_a_table_in_a_notebook(store: Store) -> None:
    assert store.search_runs()._repr_html_() is None
    with store.start_run("e", params={"depth": 3}):
        pass
    html = store.search_runs()._repr_html_()
    assert html is not None
    assert "params.depth" in html
