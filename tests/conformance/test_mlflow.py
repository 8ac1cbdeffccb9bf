"""MLflow's runs and models, copied with the real client: everything is there, once, and the same on the way back."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import trackers
from tests.conformance.mlflow_source import BEGIN, PARAMS, client, content, fill, sqlite_uri
from tests.extras import needs
from trackers.cli.app import trackers as command
from trackers.cli.exit import run_command
from trackers.errors import InvalidValueError, NotFoundError
from trackers.interop.mlflow import export_mlflow, import_mlflow
from trackers.states import RunState
from trackers.store import Store

pytestmark = [
    needs("mlflow", reason="pip install 'hpo[mlflow]'"),
    pytest.mark.filterwarnings("ignore"),
]


class Line:
    """A model of our own."""

    def __init__(self, slope: float) -> None:
        self.slope = slope

    def save(self, folder: str) -> None:
        Path(folder, "slope.txt").write_text(str(self.slope))

    @classmethod
    def load(cls, folder: str) -> Line:
        return cls(float(Path(folder, "slope.txt").read_text()))

    def predict(self, x: Any) -> Any:
        return [self.slope * each for each in x]


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest) -> str:
    """Return the URL of a store that holds nothing: what is copied goes through the same doors on each database."""
    url: str = request.getfixturevalue(f"{request.param}_store_url")
    return url


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return an empty database of MLflow: making one takes seconds."""
    path = tmp_path_factory.mktemp("mlflow") / "empty.db"
    with client(sqlite_uri(path)):
        pass
    return path.read_bytes()


@pytest.fixture(scope="module")
def filled(empty: bytes, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict[str, str]]:
    """Return a folder that holds a database with files, a copy of it, and the ids of what is there."""
    place = tmp_path_factory.mktemp("mlflow")
    folder = place / "filled"
    folder.mkdir()
    (folder / "mlflow.db").write_bytes(empty)
    with client(sqlite_uri(folder / "mlflow.db")) as mlflow:
        ids = fill(mlflow, folder)
    return folder, shutil.copytree(folder, place / "copy"), ids


@pytest.fixture
def source(filled: tuple[Path, Path, dict[str, str]]) -> tuple[str, dict[str, str]]:
    """Return the address of a database that is as it was filled: its files lie where it says."""
    folder, copy, ids = filled
    shutil.rmtree(folder)
    shutil.copytree(copy, folder)
    return sqlite_uri(folder / "mlflow.db"), ids


def test_everything_is_there_and_a_second_import_adds_nothing(source: tuple[str, dict[str, str]], store: Store) -> None:
    uri, _ = source
    first = import_mlflow(store, uri)
    assert first.problems == []
    fraud = first.experiments[0]
    assert (fraud.name, fraud.runs, fraud.added, fraud.points, fraud.files, fraud.models) == ("fraud", 3, 3, 8, 2, 1)
    assert [(m.name, m.versions, m.added, m.moved) for m in first.models] == [("fraud", 3, 3, 2)]
    assert any("1 deleted run was left out" in note for note in first.notes)
    assert any("deleted experiments were left out: thrown away" in note for note in first.notes)
    history = len(store.registry.history("fraud"))
    again = import_mlflow(store, uri)
    assert again.problems == []
    assert [(e.runs, e.added, e.points) for e in again.experiments] == [(3, 0, 0)]
    assert [(m.versions, m.added, m.moved) for m in again.models] == [(3, 0, 0)]
    assert len(store.registry.history("fraud")) == history
    assert len(store.search_runs(experiments="fraud")) == 3


def test_a_run_is_as_it_was_with_its_own_id_and_times(source: tuple[str, dict[str, str]], store: Store) -> None:
    uri, ids = source
    import_mlflow(store, uri)
    run = store.get_run(ids["parent"])
    assert (run.name, run.user, run.state) == ("parent", "ann", RunState.COMPLETE)
    assert run.started_at is not None
    assert run.ended_at is not None
    assert round(run.started_at.timestamp() * 1000) == BEGIN
    assert round(run.ended_at.timestamp() * 1000) == BEGIN + 9000
    typed = {"n": 5, "lr": 0.1, "deep": True, "odd": "1e5", "zeros": "007", "none": "None", "small": 1e-05}
    assert {key: run.params[key] for key in typed} == typed
    assert isinstance(run.params["nan"], float)
    assert run.params["big"] == int(PARAMS["big"])
    points = store.metric_history(run, "loss")
    assert [repr(point.value) for point in points] == ["1.0", "nan", "inf", "-inf", "0.5"]
    assert [round(point.time.timestamp() * 1000) for point in points] == [BEGIN + 50 - i for i in range(5)]
    assert len(store.metric_history(run, "val/auc")) == 2
    assert store.read_artifact(run, "a.txt") == b"hello\0"
    assert [(i.name, i.digest, i.role, i.rows) for i in store.inputs(run)] == [("iris", "abcd1234", "train", 10)]
    assert run.tags["mlflow.source.git.commit"] == "0123abc"
    launch = store.launch(run)
    assert launch is not None
    assert launch.code is not None
    assert (launch.code.commit, launch.code.dirty, launch.entry_point) == ("0123abc", None, "train.py")
    assert launch.remote == "https://example.org/team/repo.git"
    child = store.get_run(ids["child"])
    assert (child.parent_id, child.state, child.error) == (run.id, RunState.FAIL, "it was killed, as MLflow says")
    assert store.get_run(ids["going"]).state is RunState.RUNNING
    assert len(store.search_runs("params.lr < 0.2 and metrics.loss = 0.5")) == 1


def test_registered_models_keep_their_numbers_and_their_history_says_that_they_were_imported(
    source: tuple[str, dict[str, str]], store: Store
) -> None:
    uri, ids = source
    import_mlflow(store, uri)
    model = store.registry.get("fraud")
    assert (model.description, model.tags, model.aliases) == (
        "finds fraud",
        {"owner": "ann"},
        {"champion": 3, "old": 1},
    )
    versions = store.registry.versions("fraud")
    assert [(v.version, v.description, v.tags) for v in versions] == [
        (4, "", {}),
        (3, "the 3.", {"number": "3"}),
        (1, "the 1.", {"number": "1"}),
    ]
    logged = store.registry.model_of(versions[2])
    assert (logged.uid, logged.name, sorted(logged.files)) == (
        ids["model"].removeprefix("m-"),
        "net",
        ["a.txt", "deep/ö.bin"],
    )
    assert list(store.registry.model_of(versions[0]).files) == ["ö.bin"]
    lines = [(move.action, move.new_version) for move in store.registry.history("fraud")]
    assert [line for line in lines if line[0] == "import"] == [("import", 1), ("import", 3), ("import", 4)]
    assert all(
        "imported from" in m.reason for m in store.registry.history("fraud") if m.action in ("import", "promote")
    )


def test_what_is_new_in_mlflow_is_picked_up(source: tuple[str, dict[str, str]], store: Store) -> None:
    uri, ids = source
    import_mlflow(store, uri)
    store.registry.promote("fraud", 1, to="mine", reason="for me")
    with client(uri) as mlflow:
        mlflow.log_metric(ids["going"], "loss", 2.0, timestamp=BEGIN + 20, step=1)
        mlflow.log_metric(ids["going"], "new", math.nan, timestamp=BEGIN + 20, step=1)
        mlflow.set_tag(ids["going"], "note", "goes on")
        mlflow.set_terminated(ids["going"], "FAILED", BEGIN + 30)
        mlflow.log_metric(ids["parent"], "loss", 9.0, timestamp=BEGIN - 9, step=2)  # out of order, after its end
        mlflow.set_terminated(ids["child"], "FINISHED", BEGIN + 40)
        mlflow.log_text(ids["child"], "late", "late.txt")
        mlflow.set_registered_model_alias("fraud", "champion", "4")
        mlflow.delete_registered_model_alias("fraud", "old")
        mlflow.create_run(ids["experiment"], start_time=BEGIN + 50, run_name="later")
    again = import_mlflow(store, uri)
    assert again.problems == []
    assert [(e.runs, e.added, e.points) for e in again.experiments] == [(4, 1, 3)]
    assert (again.models[0].moved, store.registry.get("fraud").aliases) == (2, {"champion": 4, "mine": 1})
    going = store.get_run(ids["going"])
    assert (going.state, going.tags["note"], going.metrics["loss"]) == (RunState.FAIL, "goes on", 2.0)
    child = store.get_run(ids["child"])
    assert child.state is RunState.COMPLETE
    assert store.read_artifact(child, "late.txt") == b"late"
    assert len(store.metric_history(ids["parent"], "loss")) == 6


def test_an_alias_that_was_moved_here_stays(source: tuple[str, dict[str, str]], store: Store) -> None:
    uri, _ = source
    import_mlflow(store, uri)
    store.registry.promote("fraud", 1, to="champion", reason="the third was wrong")
    again = import_mlflow(store, uri)
    assert any("the alias champion of fraud was moved here" in note for note in again.notes)
    assert store.registry.get("fraud").aliases["champion"] == 1


def test_what_was_taken_out_of_the_registry_here_stays_out(source: tuple[str, dict[str, str]], store: Store) -> None:
    uri, _ = source
    import_mlflow(store, uri)
    store.registry.delete_version("fraud", 4, reason="a typing error")
    store.registry.unset_alias("fraud", "old")
    store.registry.delete_version("fraud", 1)
    again = import_mlflow(store, uri)
    assert again.problems == []
    assert [note.split(" by ")[0] for note in again.notes if "version" in note and "out here" in note] == [
        "version 1 of fraud was taken out here",
        "version 4 of fraud was taken out here",
    ]
    assert [version.version for version in store.registry.versions("fraud")] == [3]
    assert store.registry.get("fraud").aliases == {"champion": 3}
    store.registry.unset_alias("fraud", "champion")
    store.registry.delete("fraud")
    again = import_mlflow(store, uri)
    assert again.problems == []
    assert any("the registered model fraud was taken out here" in note for note in again.notes)
    assert store.registry.list() == []


def test_the_way_back_gives_the_same_mlflow(
    source: tuple[str, dict[str, str]], store: Store, empty: bytes, tmp_path: Path
) -> None:
    uri, _ = source
    import_mlflow(store, uri)
    (tmp_path / "back.db").write_bytes(empty)
    back = sqlite_uri(tmp_path / "back.db")
    first = export_mlflow(store, back, artifacts=str(tmp_path / "back"))
    assert first.problems == []
    assert [(e.runs, e.added, e.points, e.files, e.models) for e in first.experiments] == [(3, 3, 8, 2, 1)]
    again = export_mlflow(store, back)
    assert again.problems == []
    assert [(e.runs, e.added, e.points) for e in again.experiments] == [(3, 0, 0)]
    assert [(m.versions, m.added, m.moved) for m in again.models] == [(3, 0, 0)]
    with client(uri) as mlflow:
        before = content(mlflow)
    with client(back) as mlflow:
        after = content(mlflow)
    assert before["models"][0] in after["models"]  # and the version that was a folder of a run, which is one now
    for key in ("experiment", "runs", "registry"):
        assert after[key] == before[key]


def test_what_came_from_mlflow_goes_back_there_as_nothing_new(source: tuple[str, dict[str, str]], store: Store) -> None:
    uri, _ = source
    import_mlflow(store, uri)
    back = export_mlflow(store, uri)
    assert back.problems == []
    assert [(e.runs, e.added, e.points) for e in back.experiments] == [(3, 0, 0)]
    assert [(m.versions, m.added) for m in back.models] == [(3, 0)]


def test_our_runs_trials_and_models_come_back_under_their_own_ids(store: Store, empty: bytes, tmp_path: Path) -> None:
    import optuna

    from trackers.interop.optuna import OptunaStorage

    with store.start_run("plain", params={"x": 1, "text": "t", "list": [1, {"a": None}]}, tags={"a": "b"}) as run:
        for step in range(3):
            run.log_metrics({"loss": 1.0 / (step + 1)}, step=step, context={"split": "val"})
        run.log_text("hi", "notes/hi.txt")
        with run.start_run(name="inner") as inner:
            inner.log_param("long", "é" * 5_000_000)
            inner.log_param("odd\u2028"[:3] + "?!", math.inf)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(study_name="sphere", storage=OptunaStorage(store))

    def objective(trial: optuna.Trial) -> float:
        if trial.number == 1:
            raise optuna.TrialPruned
        if trial.number == 2:
            trial.report(77.0, 3)
        trial.set_user_attr("folds", [0.5, {"n": trial.number}])
        return trial.suggest_float("x", -1, 1) ** 2

    study.set_user_attr("data set", "v7")
    study.optimize(objective, n_trials=3)
    (tmp_path / "out.db").write_bytes(empty)
    uri = sqlite_uri(tmp_path / "out.db")
    outcome = export_mlflow(store, uri, artifacts=str(tmp_path / "out"))
    assert outcome.problems == []
    assert {e.name: (e.runs, e.added) for e in outcome.experiments} == {"plain": (2, 2), "sphere": (3, 3)}
    assert any("'loss{split=val}' is called 'loss.split_val'" in note for note in outcome.notes)
    assert any("5000000 characters; MLflow takes 6000: it is cut" in note for note in outcome.notes)
    with client(uri) as mlflow:
        trials = mlflow.search_runs([mlflow.get_experiment_by_name("sphere").experiment_id])
        by_name = {trial.info.run_name: trial for trial in trials}
        assert by_name["sphere/1"].info.status == "KILLED"
        assert by_name["sphere/1"].data.tags["trackers.state"] == "PRUNED"
        assert by_name["sphere/0"].data.metrics[store.get_study("sphere").metric_names[0]] == study.trials[0].value
        assert by_name["sphere/2"].data.tags["trackers.attr.folds"] == '[0.5, {"n": 2}]'
        result = f"{store.get_study('sphere').metric_names[0]}.result"
        assert by_name["sphere/2"].data.metrics[result] == study.trials[2].value
        assert result not in by_name["sphere/0"].data.metrics
        assert mlflow.get_experiment_by_name("sphere").tags["trackers.attr.data set"] == '"v7"'
        plain = mlflow.search_runs([mlflow.get_experiment_by_name("plain").experiment_id])
        inner_there = next(one for one in plain if one.info.run_name == "inner")
        assert inner_there.data.params["odd??!"[:3] + "__"] == "inf"
    there = [(one.name, one.kind) for one in store.list_experiments("all")]
    for _ in range(2):
        again = import_mlflow(store, uri)
        assert again.problems == []
        assert [(e.name, e.runs, e.added) for e in again.experiments] == [("plain", 2, 0), ("sphere", 3, 0)]
    assert [(one.name, one.kind) for one in store.list_experiments("all")] == there, "no 'sphere (MLflow)' beside it"
    with trackers.connect(tmp_path / "other.db") as other:
        assert import_mlflow(other, uri).problems == []
        assert other.get_run(run.uid).params == {"x": 1, "text": "t", "list": '[1, {"a": null}]'}
        assert other.get_run(inner.uid).parent_id == other.get_run(run.uid).id
        states = [trial.state for trial in other.search_runs(experiments="sphere", order_by="attributes.created asc")]
        assert states == [RunState.COMPLETE, RunState.PRUNED, RunState.COMPLETE]


def test_a_model_that_went_to_mlflow_and_came_back_is_what_it_was(store: Store, empty: bytes, tmp_path: Path) -> None:
    with store.start_run("lines") as run:
        logged = run.log_model(Line(2.0), input_example=[1.0, 2.0])
    store.registry.register("line", logged)
    store.registry.promote("line", 1, to="production")
    (tmp_path / "out.db").write_bytes(empty)
    uri = sqlite_uri(tmp_path / "out.db")
    assert export_mlflow(store, uri, artifacts=str(tmp_path / "out")).problems == []
    with trackers.connect(tmp_path / "back.db") as back:
        assert import_mlflow(back, uri).problems == []
        version = back.registry.version("line", "production")
        model = trackers.load_model("models:/line@production", store=back, trust=True)
        assert list(model.predict([3.0])) == [6.0]
        kept = back.registry.model_of(version).manifest
        assert (kept["flavor"], kept["input"]) == (model.manifest["flavor"], model.manifest["input"])
        assert back.fsck().findings == ()


def test_a_folder_that_mlflow_fetched_from_its_registry_is_loaded(tmp_path: Path) -> None:
    from trackers.models import load, save

    save(Line(2.0), tmp_path / "model")
    (tmp_path / "model" / "registered_model_meta").write_text("model_name: line\nmodel_version: '1'\n")
    assert list(load(tmp_path / "model", trust=True).predict([3.0])) == [6.0]


def _spoil(path: Path, *statements: tuple[str, tuple[Any, ...]]) -> None:
    with sqlite3.connect(path) as connection:
        for statement, values in statements:
            connection.execute(statement, values)
    connection.close()


def test_a_hostile_database_reads_no_file_of_ours_and_gives_no_wild_name(
    source: tuple[str, dict[str, str]], store: Store, tmp_path: Path
) -> None:
    uri, ids = source
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key.txt").write_text("do not copy")
    folder = Path(uri.removeprefix("sqlite:///")).parent
    art = folder / "art" / ids["child"] / "artifacts"
    art.mkdir(parents=True)
    (art / "link.txt").symlink_to(secret / "key.txt")
    (art / "50% #1.txt").write_text("odd")
    _spoil(
        folder / "mlflow.db",
        ("UPDATE runs SET artifact_uri = ? WHERE run_uuid = ?", (f"file://{secret}", ids["going"])),
        ("UPDATE tags SET value = ? WHERE key = 'mlflow.parentRunId'", (ids["child"],)),
        ("INSERT INTO params (key, value, run_uuid) VALUES (?, ?, ?)", ("a\x1b[31m\nb", "v\0\x1b", ids["going"])),
        ("INSERT INTO params (key, value, run_uuid) VALUES (?, ?, ?)", ("huge", "9" * 10_000_000, ids["going"])),
        ("UPDATE runs SET name = ? WHERE run_uuid = ?", ("bad\nname\u202e", ids["going"])),
    )
    outcome = import_mlflow(store, uri)
    text = "\n".join(outcome.problems)
    assert "which is no folder of MLflow's: left out" in text
    assert "'link.txt' is a link or a device: left out" in text
    assert "would be its own ancestor" in text
    going = store.get_run(ids["going"])
    assert store.list_artifacts(going) == []
    assert len(str(going.params["huge"])) == 10_000_000
    strange = next(name for name in going.params if name.startswith("a_"))
    assert (strange.isprintable(), going.params[strange]) == (True, "v\0\x1b")
    assert "\n" not in going.name
    assert [row.name.startswith("50") and row.name.endswith(".txt") for row in store.list_artifacts(ids["child"])] == [
        True
    ]
    assert store.get_run(ids["child"]).parent_id is None


def test_a_run_of_ours_is_not_written_into(source: tuple[str, dict[str, str]], store: Store) -> None:
    uri, ids = source
    with store.start_run("mine", params={"n": 1}) as mine:
        pass
    _spoil(
        Path(uri.removeprefix("sqlite:///")),
        ("PRAGMA foreign_keys = OFF", ()),
        *(
            (f"UPDATE {table} SET run_uuid = ? WHERE run_uuid = ?", (mine.uid, ids["going"]))
            for table in ("runs", "metrics", "latest_metrics", "tags")
        ),
    )
    outcome = import_mlflow(store, uri)
    assert any("this store has a run of that id that is another" in problem for problem in outcome.problems)
    assert store.get_run(mine.uid).metrics == {}


def test_what_is_no_mlflow_is_named(store: Store, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="there is no file"):
        import_mlflow(store, f"sqlite:///{tmp_path / 'none.db'}")
    with pytest.raises(NotFoundError, match="there is no folder"):
        import_mlflow(store, str(tmp_path / "none"))
    (tmp_path / "x.db").write_text("x")
    with pytest.raises(InvalidValueError, match="is a file: write sqlite:///"):
        import_mlflow(store, str(tmp_path / "x.db"))


@pytest.mark.parametrize("name", ["out.db", "out.SQLite", "out.sqlite3"])
def test_an_export_to_the_bare_name_of_a_database_says_how_it_is_written(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with trackers.connect(sqlite_url) as store:
        store.start_run("fraud").end()
    words = ["export", "mlflow", name, "--storage", sqlite_url]
    assert run_command(words) == 2
    assert capsys.readouterr() == (
        "",
        f"Error: there is no folder {name}, and the name is a database's: write sqlite:///{name} for one of MLflow\n",
    )
    assert not Path(name).exists()
    Path(name).write_bytes(b"SQLite")
    assert run_command(words) == 2
    said = f"Error: {name} is a file: write sqlite:///{name} for a database of MLflow\n"
    assert capsys.readouterr() == ("", said)
    Path(name).unlink()
    Path(name).mkdir()
    assert run_command(words) == 0, "a folder that is there is MLflow's, whatever it is called"


def test_a_folder_of_files_is_read_too(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "mlruns"
    with client(str(folder)) as mlflow:
        run = mlflow.create_run(mlflow.create_experiment("files"), run_name="old", start_time=BEGIN)
        mlflow.log_metric(run.info.run_id, "loss", math.inf, timestamp=BEGIN, step=2)
        mlflow.log_param(run.info.run_id, "p", "1")
        mlflow.log_text(run.info.run_id, "text", "a/b.txt")
    outcome = import_mlflow(store, str(folder))
    assert outcome.problems == []
    assert store.get_run(run.info.run_id).metrics == {"loss": math.inf}
    assert store.read_artifact(run.info.run_id, "a/b.txt") == b"text"


def test_the_terminal_says_what_was_copied(source: tuple[str, dict[str, str]], tmp_path: Path) -> None:
    uri, _ = source
    url = sqlite_uri(tmp_path / "hpo.db")
    said = CliRunner().invoke(command, ["import", "mlflow", uri, "--storage", url, "--json"])
    assert said.exit_code == 0, said.output
    assert json.loads(said.stdout)["equal"] is True
    said = CliRunner().invoke(command, ["import", "mlflow", uri, "--storage", url, "--experiment", "fraud"])
    assert said.stdout.splitlines()[-1] == "read back: equal"
    said = CliRunner().invoke(command, ["export", "mlflow", uri, "fraud", "--storage", url])
    assert (said.exit_code, said.stdout.splitlines()[-1]) == (0, "read back: equal"), said.output
    said = CliRunner().invoke(command, ["import", "mlflow", uri, "--storage", url, "--experiment", "nope"])
    assert isinstance(said.exception, NotFoundError)


def test_a_copy_tells_how_many_digests_were_compared_and_which_files_by_size_alone(
    source: tuple[str, dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri, _ = source
    url = sqlite_uri(tmp_path / "hpo.db")
    words = ["import", "mlflow", uri, "--storage", url]
    said = CliRunner().invoke(command, [*words, "--json"])
    assert json.loads(said.stdout)["compared"] == {"digests": 5, "bytes": 9012, "sizes_alone": 0}
    lines = CliRunner().invoke(command, words).stdout.splitlines()
    assert lines[-2:] == ["compared: 5 digests of 9.01 kB", "read back: equal"]
    with trackers.connect(url) as store:
        with store.start_run("fresh") as run:
            run.log_text("hello", "deep/hello.txt")
            run.log_model(Line(1.0))
        size = sum(model.size for model in store.list_logged_models([run.id]))
        files = sum(len(model.files) for model in store.list_logged_models([run.id]))
    place, there = tmp_path / "art", sqlite_uri(tmp_path / "out.db")
    out = ["export", "mlflow", there, "fresh", "--artifacts", str(place), "--storage", url]
    said = CliRunner().invoke(command, [*out, "--json"])
    assert json.loads(said.stdout)["compared"] == {"digests": 1 + files, "bytes": 5 + size, "sizes_alone": 0}
    again = CliRunner().invoke(command, [*out, "--json"])
    assert json.loads(again.stdout)["compared"] == json.loads(said.stdout)["compared"], (
        "the model, too, though it is there"
    )
    (copied,) = place.rglob("hello.txt")
    copied.write_text("hullo")
    said = CliRunner().invoke(command, out)
    assert (said.exit_code, said.stdout.splitlines()[-1]) == (1, "read back: 1 differs")
    assert "the file 'deep/hello.txt' is another one in MLflow" in said.stderr
    (manifest,) = place.rglob("model.json")
    manifest.write_bytes(manifest.read_bytes() + b" ")
    said = CliRunner().invoke(command, out)
    assert (said.exit_code, said.stdout.splitlines()[-1]) == (1, "read back: 2 differ")
    assert "its file 'model.json' is another one in MLflow" in said.stderr
    monkeypatch.setattr("trackers.interop.mlflow.exporting_runs.local_path", lambda uri: None)
    monkeypatch.setattr("trackers.interop.mlflow.exporting_models.local_path", lambda uri: None)
    said = CliRunner().invoke(command, out)
    assert said.stdout.splitlines()[-2:] == [
        "compared: 0 digests; 1 file by name and size alone",
        "read back: equal",
    ]


def test_a_file_that_was_lost_here_comes_back_and_one_that_mlflow_lost_is_told(
    source: tuple[str, dict[str, str]], store: Store, empty: bytes, tmp_path: Path
) -> None:
    uri, ids = source
    import_mlflow(store, uri)
    kept = store.list_logged_models([store.get_run(ids["parent"]).id])
    model = next(one for one in kept if "model_id" in one.manifest["details"]["mlflow"])
    digest = next(iter(model.files.values()))
    (lost,) = Path(store.artifact_root).rglob(f"*{digest[4:]}")
    lost.unlink()
    again = import_mlflow(store, uri)
    assert again.problems == []
    assert lost.is_file()
    (tmp_path / "out.db").write_bytes(empty)
    out = sqlite_uri(tmp_path / "out.db")
    with store.start_run("ours") as run:
        run.log_model(Line(1.0))
    assert export_mlflow(store, out, experiments=("ours",), artifacts=str(tmp_path / "out")).problems == []
    (model,) = store.list_logged_models([run.id])
    name = next(one for one in model.files if one.endswith("slope.txt"))
    (lost,) = Path(store.artifact_root).rglob(f"*{model.files[name][4:]}")
    lost.unlink()
    (told,) = export_mlflow(store, out, experiments=("ours",), artifacts=str(tmp_path / "out")).problems
    assert f"its file {name!r} is lost here" in told
    with client(uri) as mlflow:
        (there,) = mlflow.search_logged_models([mlflow.get_experiment_by_name("fraud").experiment_id])
    shutil.rmtree(there.artifact_location.removeprefix("file://"))
    told = "\n".join(import_mlflow(store, uri).problems)
    assert f"the logged model {there.model_id} has no files in MLflow any more" in told


def test_a_version_that_is_no_logged_model_is_compared_at_every_import(
    source: tuple[str, dict[str, str]], store: Store
) -> None:
    uri, _ = source
    first = import_mlflow(store, uri)
    with client(uri) as mlflow:
        of_files = [v for v in mlflow.search_model_versions("name='fraud'") if not v.source.startswith("models:/")]
        (version,) = of_files
    (changed,) = Path(version.source.removeprefix("file://")).glob("*.bin")
    before = changed.read_bytes()
    with client(uri) as mlflow:
        (logged,) = mlflow.search_logged_models([mlflow.get_experiment_by_name("fraud").experiment_id])
    Path(logged.artifact_location.removeprefix("file://"), "registered_model_meta").write_text("loaded by MLflow")
    again = import_mlflow(store, uri)
    assert again.problems == []
    assert again.digests == first.digests
    changed.write_bytes(b"other weights")
    told = import_mlflow(store, uri)
    assert "version 4 of 'fraud' differs from its files in MLflow" in told.problems
    assert [model.unlike for model in told.models] == [1]
    changed.unlink()
    assert "version 4 of 'fraud' has no files in MLflow any more" in import_mlflow(store, uri).problems
    changed.write_bytes(before)
    (lost,) = Path(store.artifact_root).rglob(f"*{hashlib.sha256(before).hexdigest()[4:]}")
    lost.unlink()
    assert import_mlflow(store, uri).problems == []
    assert lost.is_file()


def test_points_that_a_resume_hides_do_not_come_along(store: Store, empty: bytes, tmp_path: Path) -> None:
    run = store.start_run("resumed")
    run.log_points("loss", [float(step) for step in range(1200)])
    run.flush()
    again = store.resume_run(run)
    again.log_points("loss", [-1.0] * 300, steps=range(1000, 1300))
    again.log_metric("acc", 1.0, step=0)
    again.end()
    seen = [(point.step, point.value) for point in store.metric_history(run, "loss")]
    assert len(seen) == 1300
    (tmp_path / "out.db").write_bytes(empty)
    uri = sqlite_uri(tmp_path / "out.db")
    assert export_mlflow(store, uri, artifacts=str(tmp_path / "out")).problems == []
    with client(uri) as mlflow:
        (there,) = mlflow.search_runs([mlflow.get_experiment_by_name("resumed").experiment_id])
        history = mlflow.get_metric_history(there.info.run_id, "loss")
    assert sorted((point.step, point.value) for point in history) == seen


def test_an_export_goes_on_where_files_were_lost_and_names_them(sqlite_url: str, empty: bytes, tmp_path: Path) -> None:
    with trackers.connect(sqlite_url) as store:
        with store.start_run("lossy") as run:
            for name in ("first.txt", "second.txt"):
                run.log_text(name, name)
            run.log_model(Line(1.0), "broken")
            run.log_model(Line(2.0), "whole")
        store.flush()
        path = store.get_run(run.id).path
        lost = [row.digest for row in store.list_artifacts(run) if row.name == "first.txt"]
        broken = next(model for model in store.list_logged_models([run.id]) if model.name == "broken")
        whole = next(model for model in store.list_logged_models([run.id]) if model.name == "whole")
        name, digest = next((n, d) for n, d in broken.files.items() if d not in whole.files.values())
        store.registry.register("m", broken)
        for each in [*lost, digest]:
            place = store.artifacts.path(each)
            assert place is not None
            place.unlink()
    (tmp_path / "out.db").write_bytes(empty)
    uri = sqlite_uri(tmp_path / "out.db")
    words = ["export", "mlflow", uri, "--artifacts", str(tmp_path / "out"), "--storage", sqlite_url]
    said = CliRunner().invoke(command, words)
    assert said.exit_code == 1, said.output
    assert f"{path}: the file 'first.txt' was not exported" in said.stderr
    assert said.stderr.count(f"{path}: the model 'broken' was not exported: its file {name!r}") == 1
    assert "version 1 of m was not exported: its run or its model is not there" in said.stderr
    with client(uri) as mlflow:
        experiment = mlflow.get_experiment_by_name("lossy").experiment_id
        (there,) = mlflow.search_runs([experiment])
        assert [one.path for one in mlflow.list_artifacts(there.info.run_id)] == ["second.txt"]
        assert [one.name for one in mlflow.search_logged_models([experiment])] == ["whole"]


def test_an_export_counts_and_names_the_runs_that_are_deleted_or_archived(
    sqlite_url: str, empty: bytes, tmp_path: Path
) -> None:
    with trackers.connect(sqlite_url) as store:
        runs = [store.start_run("fraud") for _ in range(9)]
        for run in runs:
            run.end()
        for run in runs[:6]:
            store.archive_run(run)
        store.delete_run(runs[6])
        store.start_run("two words").end()
        store.archive_experiment("two words")
        store.start_run("whole").end()
    (tmp_path / "out.db").write_bytes(empty)
    uri = sqlite_uri(tmp_path / "out.db")
    words = ["export", "mlflow", uri, "--artifacts", str(tmp_path / "out"), "--storage", sqlite_url]
    uids = [run.uid for run in runs]
    fraud = [
        f"fraud: 1 deleted run was left out: {uids[6]}; `trackers restore {uids[6]}` brings it back",
        f"fraud: 6 archived runs were left out: {', '.join(uids[:5])} and 1 more; "
        "`trackers archive RUN --undo` brings each back",
    ]
    whole = "archived experiments were left out: two words; `trackers archive 'two words' --undo` brings it back"
    said = CliRunner().invoke(command, [*words, "--json"])
    assert (said.exit_code, said.stderr) == (0, ""), said.output
    assert json.loads(said.stdout)["notes"] == [*fraud, whole]
    said = CliRunner().invoke(command, [*words[:3], "fraud", "two words", *words[3:]])
    assert [line for line in said.stdout.splitlines() if line.startswith("note: ")] == [
        *(f"note: {line}" for line in fraud),
        "note: two words: 1 archived run was left out: "
        f"{uid_in(sqlite_url, 'two words')}; `trackers archive 'two words' --undo` brings it back",
    ]


def uid_in(url: str, experiment: str) -> str:
    with trackers.connect(url) as store:
        return store.search_runs(experiments=[experiment], view="all")[0].uid


def test_an_export_leaves_out_what_is_deleted_or_archived_says_so_and_ends_well(
    sqlite_url: str, empty: bytes, tmp_path: Path
) -> None:
    with trackers.connect(sqlite_url) as store:
        for name in ("lives", "old", "hidden"):
            with store.start_run(name) as run:
                store.registry.register("m", run.log_model(Line(1.0)))
            store.registry.register("only-" + name, store.get_logged_model(run))
        store.registry.promote("m", 2, to="best")
        store.delete_experiment("old")
        store.archive_experiment("hidden")
    (tmp_path / "out.db").write_bytes(empty)
    uri = sqlite_uri(tmp_path / "out.db")
    words = ["export", "mlflow", uri, "--artifacts", str(tmp_path / "out"), "--storage", sqlite_url]
    for _ in range(2):
        said = CliRunner().invoke(command, words)
        assert (said.exit_code, said.stderr) == (0, ""), said.output
        notes = [line for line in said.stdout.splitlines() if "left out" in line]
        assert notes == [
            "note: left out, since their runs were deleted here: version 2 of m (best), version 1 of only-old; "
            "`trackers restore` brings the runs back",
            "note: left out, since their runs were archived here: version 3 of m, version 1 of only-hidden; "
            "`trackers archive --undo` brings the runs back",
            "note: deleted experiments were left out: old; `trackers restore old` brings it back",
            "note: archived experiments were left out: hidden; `trackers archive hidden --undo` brings it back",
        ]
    with client(uri) as mlflow:
        assert {one.name for one in mlflow.search_registered_models()} == {"m", "only-lives"}
        assert [int(one.version) for one in mlflow.search_model_versions("name = 'm'")] == [1]
    with trackers.connect(sqlite_url) as store:
        before = [one.name for one in store.list_experiments("all")], len(store.registry.history("m"))
        assert import_mlflow(store, uri).problems == []
        assert ([one.name for one in store.list_experiments("all")], len(store.registry.history("m"))) == before
