from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

import hpo
import trackers
from hpo.cli import main
from hpo.errors import UserError

STUDY = """
import hpo
from sklearn.linear_model import LogisticRegression

X, Y = [[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1]

@hpo.objective(space={"C": hpo.Float(0.1, 10)}, direction="maximize", metric="accuracy", total_trials=2, workers=0)
def refitted(trial):
    return trial.params["C"]

def train(trial):
    model = LogisticRegression(C=trial.params["C"]).fit(X, Y)
    trial.log_model(model)
    return model.score(X, Y)

def train_nothing(trial):
    return 0.5
"""


def test_a_refitted_model_is_registered_with_the_lineage_of_its_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HPO_STORAGE", raising=False)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "refitted_study.py").write_text(STUDY)
    assert main(["run", "refitted_study.py"]) == 0
    assert main(["register", "refitted", "toy"]) == 2
    assert main(["refit", "refitted", "refitted_study.py:train"]) == 0
    out = capfd.readouterr().out
    assert "Result:    refit 1\n" in out
    run = re.search(r"--run ([0-9a-f]{32})", out)
    assert run is not None
    assert main(["register", "refitted", "toy"]) == 2
    assert f"its refit has one: register that with --run {run[1]}" in capfd.readouterr().err
    assert main(["report", "refitted", "-o", "refitted.html"]) == 0
    page = Path("refitted.html").read_text(encoding="utf-8")
    assert f"A refit has one: hpo register refitted MODEL-NAME --run {run[1]}" in page
    assert "auto chose TPE: numeric space" in page or "auto chose GP: numeric space" in page, "what it comes to"
    assert main(["show", "refitted"]) == 0
    shown = capfd.readouterr().out
    assert re.search(r"\nauto +auto chose ", shown)
    assert f"run {run[1]} has a model: hpo register refitted NAME --run {run[1]}" in shown
    assert main(["show", run[1]]) == 2
    assert f"use trackers show {run[1]}" in capfd.readouterr().err
    assert main(["register", "refitted", "toy", "--run", run[1]]) == 0
    assert main(["promote", "toy", "1", "--to", "production"]) == 0
    with trackers.connect("sqlite:///hpo.db") as store:
        version = store.registry.version("toy", "production")
        best = store.get_study("refitted")
        assert version.lineage["study"] == best.name
        assert version.lineage["refit"] == run[1]
        assert version.metrics["refit"] == 1.0
        assert "accuracy" in version.metrics
        model = trackers.load_model("models:/toy@production", store=store)
        assert list(model.predict([[0.0], [3.0]])) == [0, 1]

    with trackers.connect("sqlite:///hpo.db") as store, pytest.raises(UserError, match="not str"):
        hpo.load_study(study_name="refitted", storage=store).refit("train")  # type: ignore[arg-type]
    assert main(["refit", "refitted", "refitted_study.py:train_nothing"]) == 0
    out = capfd.readouterr().out
    assert "It logged no model." in out
    run = re.search(r"run ([0-9a-f]{32})", out)
    assert run is not None
    assert main(["register", "refitted", "toy", "--run", run[1]]) == 2
    assert "has no model" in capfd.readouterr().err


KEPT = """
import hpo
from sklearn.linear_model import LogisticRegression

X, Y = [[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1]

@hpo.objective(space={"C": hpo.Float(0.1, 10)}, direction="maximize", metric="accuracy", total_trials=2, workers=0)
def kept(trial):
    model = LogisticRegression(C=trial.params["C"]).fit(X, Y)
    trial.log_metrics({"recall": trial.params["C"]}, context={"split": "val"})
    trial.log_model(model)
    trial.log_param("rows", 4)
    return trial.params["C"]
"""


def test_two_versions_of_a_study_are_compared_alike_whichever_command_registered_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HPO_STORAGE", raising=False)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "kept_study.py").write_text(KEPT)
    assert main(["run", "kept_study.py", "--keep-models", "2"]) == 0
    assert main(["register", "kept", "toy", "--trial", "0"]) == 0
    with trackers.connect("sqlite:///hpo.db") as store:
        store.registry.register("toy", "kept/1")
        found = store.registry.compare("toy/1", "toy/2")
    differ = {f"{line.section}.{line.name}" for line in found.lines if not line.same}
    assert differ - {"model.bytes"} == {"metrics.accuracy", "metrics.recall{split=val}", "params.C"}
    assert "code.objective" in {f"{line.section}.{line.name}" for line in found.lines}
    assert len([line for line in found.lines if line.section == "environment"]) > 20, "all that was installed"


def test_a_sweep_by_the_name_of_an_experiment_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HPO_STORAGE", raising=False)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "refitted_study.py").write_text(STUDY)
    with trackers.connect("sqlite:///hpo.db") as store:
        store.start_run("refitted").end()
    assert main(["run", "refitted_study.py"]) == 2
    assert capfd.readouterr().err == "Error: there is an experiment named 'refitted' already: choose another name.\n"


BEATEN = """
import hpo
from sklearn.dummy import DummyClassifier

@hpo.objective(space={"x": hpo.Float(0, 1)}, direction="maximize", total_trials=4, workers=0, keep_models=1, sampler="random")
def beaten(trial):
    if trial.number < 3:
        trial.log_model(DummyClassifier().fit([[0]], [1]))
    return float(trial.number)
"""


def test_a_trial_whose_model_was_dropped_is_told_from_one_that_logged_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HPO_STORAGE", raising=False)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "beaten_study.py").write_text(BEATEN)
    assert main(["run", "beaten_study.py"]) == 0
    capfd.readouterr()
    assert main(["register", "beaten", "toy", "--trial", "0"]) == 2
    assert capfd.readouterr().err == (
        "Error: trial beaten/0 has no model any more (it was dropped: beaten by better trials): register another, or run "
        "it again with a larger --keep-models (in Python keep_models=)\n"
    )
    assert main(["register", "beaten", "toy", "--trial", "3"]) == 2
    assert "trial beaten/3 has no model (it logged none): register another, or run" in capfd.readouterr().err
    assert main(["register", "beaten", "toy", "--trial", "2"]) == 0
