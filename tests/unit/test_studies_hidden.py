"""What is archived is hidden from ``hpo list`` and ``hpo rank``; what nobody ran is not called new."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest

import trackers
from hpo.cli import main
from tests.unit.filled_store import fill
from trackers.cli.exit import run_command
from trackers.interop.optuna import OptunaStorage

Cli = Callable[..., str]


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Cli:
    """Call ``hpo``, or ``trackers`` where that is the first word, in a folder with a filled store."""
    fill(tmp_path / "hpo.db")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HPO_STORAGE", raising=False)

    def call(*args: str) -> str:
        capfd.readouterr()
        code = run_command(list(args[1:])) if args[0] == "trackers" else main(list(args))
        out, err = capfd.readouterr()
        assert code == 0, err
        return out

    return call


def names(text: str) -> list[str]:
    return [study["study"] for study in json.loads(text)]


def test_an_archived_study_is_listed_only_where_it_is_asked_for(cli: Cli) -> None:
    cli("trackers", "archive", "pareto")
    cli("trackers", "delete", "empty", "--yes")
    assert names(cli("list", "--json")) == ["digits"]
    assert names(cli("list", "--json", "--view", "archived")) == ["pareto"]
    assert names(cli("list", "--json", "--view", "deleted")) == ["empty"]
    assert names(cli("list", "--json", "--view", "all")) == ["digits", "pareto", "empty"]
    assert "pareto" in cli("status", "pareto")
    cli("trackers", "archive", "pareto", "--undo")
    assert names(cli("list", "--json")) == ["digits", "pareto"]
    assert cli("list", "--view", "archived") == "No studies are archived: `hpo list --view all` lists every one.\n"


def test_an_archived_trial_has_no_line_in_the_ranking_unless_asked_for(cli: Cli) -> None:
    cli("trackers", "archive", "digits/1")
    assert [(row["rank"], row["number"]) for row in json.loads(cli("rank", "digits", "--json"))][:2] == [(2, 4), (3, 0)]
    assert "1 archived trial hidden: --archived shows" in cli("rank", "digits")
    shown = cli("rank", "digits", "--archived", "--json")
    assert [(row["rank"], row["number"]) for row in json.loads(shown)][:2] == [(1, 1), (2, 4)]
    assert "hidden" not in cli("rank", "digits", "--archived")
    with trackers.connect("sqlite:///hpo.db") as store:
        trials = store.get_trials(store.get_study("digits").id)
        assert [trial.number for trial in trials] == list(range(6)), "who goes on with the study sees every trial"
        assert [trial.number for trial in trials if trial.archived] == [1]


def test_a_shared_study_with_trials_is_called_shared_not_new(cli: Cli) -> None:
    storage = OptunaStorage("sqlite:///hpo.db")
    study = optuna.create_study(storage=storage, study_name="together")
    assert json.loads(cli("status", "together", "--json"))["status"] == "new"
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=3)
    assert "shared, 3 trials" in cli("status", "together")
    assert "shared, 3 trials" in cli("show", "together")
    assert "hpo rank together" in cli("status", "together")
    assert next(s["status"] for s in json.loads(cli("list", "--json")) if s["study"] == "together") == "shared"
    assert "new" not in next(line for line in cli("list").splitlines() if line.startswith("together"))
    compared = cli("compare", "together", "digits")
    assert re.search(r"^status +shared +", compared, re.MULTILINE)
    assert json.loads(cli("compare", "together", "digits", "--json"))[0]["status"] == "shared"
