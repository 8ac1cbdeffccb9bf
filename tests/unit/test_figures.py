"""The figures that a study draws of itself, and what a notebook shows of it."""

from __future__ import annotations

import subprocess
import sys
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

import hpo
from hpo.study import Study

PLOTS = sorted(name for name in dir(Study) if name.startswith("plot_"))


def objective(trial: Any) -> float:
    for step in range(3):
        trial.report(step * trial.params["x"], step)
    return float(trial.params["x"])


def new_study(tmp_path: Path, **arguments: Any) -> Study:
    space = {"x": hpo.Float(0, 1), "kind": hpo.Categorical(["a", "b"])}
    return hpo.create_study(
        study_name="s", storage=f"sqlite:///{tmp_path}/hpo.db", space=space, sampler="random", **arguments
    )


@pytest.fixture
def study(tmp_path: Path) -> Study:
    made = new_study(tmp_path)
    made.optimize(objective, 15)
    return made


def words(figure: Figure) -> str:
    found = [text.get_text() for text in figure.findobj(match=lambda artist: hasattr(artist, "get_text"))]
    return " ".join(found)


def test_a_study_has_the_figures_that_optuna_has_under_their_names() -> None:
    import optuna

    shared = [name for name in PLOTS if hasattr(optuna.visualization, name)]
    assert shared == PLOTS
    assert len(PLOTS) == 8


@pytest.mark.parametrize("name", PLOTS)
def test_every_figure_is_matplotlibs_and_is_drawn_of_any_study(tmp_path: Path, study: Study, name: str) -> None:
    figure = getattr(study, name)()
    assert isinstance(figure, Figure)
    figure.savefig(tmp_path / "figure.png")
    (tmp_path / "empty").mkdir()
    empty = getattr(new_study(tmp_path / "empty"), name)()
    assert any(sentence in words(empty) for sentence in ("No trial", "at least 10 completed", "no Pareto front"))


def test_a_study_of_two_objectives_draws_its_front(tmp_path: Path) -> None:
    study = new_study(tmp_path, directions=["minimize", "maximize"], metrics=["cost", "gain"])
    study.optimize(lambda trial: (trial.params["x"], trial.params["x"] ** 2), 12)
    assert "cost" in words(study.plot_pareto_front())
    shown = study._repr_html_()
    assert "data:image/png" in shown


def test_a_figure_draws_the_params_that_were_named_and_knows_no_others(study: Study) -> None:
    assert {"x", "kind"} <= set(words(study.plot_slice()).split())
    assert "kind" not in words(study.plot_slice(params=["x"])).split()
    assert "x" not in words(study.plot_parallel_coordinate(["kind"])).split()
    with pytest.raises(hpo.UserError, match=r"has a param 'knd' \(there: .*\); did you mean kind\?"):
        study.plot_slice(["knd"])


def test_a_notebook_shows_the_best_the_counts_a_figure_and_the_ranking(study: Study) -> None:
    shown = study._repr_html_()
    assert f"Trial {study.best_trial.number} won" in shown
    assert "15 trials: " in shown
    data = shown.split("data:image/png;base64,")[1].split("'")[0]
    assert b64decode(data).startswith(b"\x89PNG")
    assert len(shown) < 40_000
    assert shown.count("<tr") == 11


def test_a_notebook_shows_a_study_without_trials_too(tmp_path: Path) -> None:
    shown = new_study(tmp_path)._repr_html_()
    assert "No trial has been started yet." in shown
    assert "<img" not in shown


def test_a_study_that_draws_nothing_does_not_load_matplotlib(tmp_path: Path) -> None:
    code = "import sys, hpo; hpo.Study.plot_slice; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False).returncode == 0


def test_learning_curves_call_a_failed_trial_failed_and_say_what_cannot_be_drawn(tmp_path: Path) -> None:
    def odd(trial: Any) -> float:
        for step in range(4):
            trial.report(float("nan") if step == 2 else step + trial.number, step)
        if trial.number == 1:
            raise ValueError("no data")
        return float(trial.number)

    def blind(trial: Any) -> float:
        trial.report(float("nan"), 0)
        return 0.0

    made = new_study(tmp_path, direction="maximize")
    made.optimize(odd, 3)
    made.optimize(blind, 2)
    figure = made.plot_intermediate_values()
    figure.savefig(tmp_path / "curves.png")
    assert "failed or not finished" in words(figure)
    assert "pruned" not in words(figure)
    assert "3 reported NaN or infinite values are not drawn" in words(figure)
    assert "2 trials reported NaN or infinity alone" in words(figure)

    (tmp_path / "blank").mkdir()
    blank = new_study(tmp_path / "blank")
    blank.optimize(lambda trial: (trial.report(float("nan"), 0), 1.0)[1], 2)
    assert "Trials reported NaN or infinity alone" in words(blank.plot_intermediate_values())
