"""What ``hpo run`` tells of trials that fail, and what the commands around it say in odd cases."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import trackers
from hpo.cli import main
from hpo.cli.app import hpo as program
from hpo.manager.failures import SHOWN
from hpo.ranking import Ranking
from hpo.reports import facts
from hpo.trial import Assignment
from tests.unit.bench import bench, ended
from tests.unit.odd_studies import view
from trackers.names import clean_name
from trackers.states import RunState

FLAKY = """
import time
import hpo

@hpo.objective(space={"x": hpo.Float(0, 1)}, total_trials=16, workers=0, sampler="random")
def flaky_study(trial):
    if trial.number == 1:
        time.sleep(60)
    if trial.number % 2:
        raise ValueError(f"no {trial.number}\\nsecond line")
    return trial.params["x"]
"""
BRUTE = """
import hpo
import optuna

@hpo.objective(sampler=optuna.samplers.BruteForceSampler(), pruner="none", total_trials=3, workers=0)
def no_step(trial):
    return trial.suggest_float("x", 0, 1)
"""
GRID = """
import hpo

@hpo.objective(space={"k": hpo.Int(1, 3)}, total_trials=10, workers=0)
def small_grid(trial):
    return trial.params["k"]
"""
Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Iterator[Call]:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("HPO_")]:
        monkeypatch.delenv(name)
    modules, path = set(sys.modules), list(sys.path)

    def answer(*args: str) -> tuple[int, str, str]:
        capfd.readouterr()
        code = main(list(args))
        out, err = capfd.readouterr()
        return code, out, err

    yield answer
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if name.endswith(("_study", "_grid")):
            del sys.modules[name]


def test_each_of_the_first_failures_is_a_line_and_the_rest_are_counted(call: Call) -> None:
    Path("flaky_study.py").write_text(FLAKY)
    code, out, err = call("run", "flaky_study.py", "--trial-timeout", "0.5")
    assert code == 0
    lines = [line for line in err.splitlines() if line.startswith("trial ")]
    assert [line.split()[1] for line in lines] == ["1", "3", "5", "7", "9"]
    assert "0.5 s" in lines[0]
    assert lines[1] == "trial 3 failed: ValueError: no 3 second line"
    assert err.count("... and 3 trials more failed\n") == 1
    assert "See why:   hpo show flaky_study --failed\n" in out
    code, out, _ = call("show", "flaky_study", "--failed")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()[1:]] == [f"flaky_study/{n}" for n in range(1, 16, 2)]


def test_a_lost_worker_is_told_as_well(tmp_path: Path) -> None:
    with bench(tmp_path, total=4, max_retries=0) as b:
        b.join("a")
        trial: Assignment = b.pull("a").trials[0]
        b.manager.gone("a", "segmentation fault")
        b.settle()
        (note,) = (note for note in b.manager.notes() if note.startswith("trial "))
        assert note.startswith(f"trial {trial.number} failed: ")
        assert "segmentation fault" in note


def test_a_late_trial_is_told_as_well(tmp_path: Path) -> None:
    with bench(tmp_path, total=4, max_retries=0, trial_timeout=0.05) as b:
        b.join("a")
        trial: Assignment = b.pull("a").trials[0]
        b.until(lambda: "a" in b.hands.killed)
        b.manager.gone("a", "ended")
        b.settle()
        (note,) = (note for note in b.manager.notes() if note.startswith("trial "))
        assert note.startswith(f"trial {trial.number} failed: ")
        assert "0.05" in note


def test_a_flood_of_failures_keeps_a_few_lines(tmp_path: Path) -> None:
    with bench(tmp_path, total=40) as b:
        b.join("a")
        done: Any = ()
        for number in range(40):
            (trial,) = b.pull("a", *done).trials
            done = (ended(trial, RunState.FAIL if number else RunState.COMPLETE),)
        b.pull("a", *done)
        assert b.finish() == "complete"
        assert b.manager.summary is not None
        told = [note for note in b.manager.summary.notes if "failed" in note]
        assert len(told) == SHOWN + 1
        assert told[-1].startswith(f"... and {39 - SHOWN} trials more failed")


def test_an_exhausted_space_is_not_answered_with_more_trials(call: Call) -> None:
    Path("small_grid.py").write_text(GRID)
    assert call("run", "small_grid.py")[0] == 0
    code, out, _ = call("run", "small_grid.py")
    assert code == 0
    assert "all 3 of its points were tried" in out
    assert "--trials raises" not in out
    assert "more trials need a wider space" in out


def test_a_trial_that_failed_before_it_asked_for_anything_exhausts_no_space(call: Call) -> None:
    Path("no_step.py").write_text(BRUTE)
    code, out, err = call("run", "no_step.py")
    assert code == 1
    assert "all 3 trials ended" in out
    assert "step must be given" in err
    code, out, _ = call("run", "no_step.py", "--trials", "4")  # a resumed sampler learns the same
    assert (code, "all 4 trials ended" in out) == (1, True)


MIXED = """
def objective(trial):
    trial.suggest_float("x", 0, 1)
    {first}
    return "text"
"""


@pytest.mark.parametrize(
    ("first", "code"),
    [
        ("pass", 2),
        ("if trial.number == 0: return 1.0", 0),
        ("if trial.number == 0: raise ValueError('of its own')", 1),
        ("if trial.number == 0: trial.report(1.0, 0); raise hpo.TrialPruned", 1),
    ],
)
def test_a_study_is_written_wrongly_where_every_trial_returns_no_number(call: Call, first: str, code: int) -> None:
    Path("mixed.py").write_text("import hpo\n" + MIXED.format(first=first))
    assert call("run", "mixed.py", "--trials", "3", "--pruner", "none", "--workers", "0")[0] == code


def test_resume_advises_only_what_it_has(call: Call) -> None:
    Path("small_grid.py").write_text(GRID)
    assert call("run", "small_grid.py")[0] == 0
    Path("small_grid.py").write_text(GRID.replace("hpo.Int(1, 3)", "hpo.Int(1, 4)"))
    sys.modules.pop("small_grid", None)
    code, _, err = call("resume", "small_grid")
    assert code == 2
    assert "--continue goes on with it as it is now, hpo run with --new starts a new study" in err


def test_a_wrong_profile_shows_before_it_is_wanted(call: Call) -> None:
    Path("hpo.toml").write_text("workers = 0\n[profiles.night]\nworkrs = 8\n")
    code, _, err = call("list")
    assert code == 2
    assert "There is no setting workrs in profile night of hpo.toml; did you mean workers?" in err


def test_a_shell_completes_the_names_of_samplers_and_pruners() -> None:
    from click.shell_completion import BashComplete

    complete = BashComplete(program, {}, "hpo", "_HPO_COMPLETE")
    assert [c.value for c in complete.get_completions(["run", "x.py", "--sampler"], "t")] == ["tpe"]
    assert "median" in [c.value for c in complete.get_completions(["run", "x.py", "--pruner"], "")]


def test_a_gpu_that_is_not_there_is_refused_inline(call: Call) -> None:
    if trackers.capture.environment()["gpus"]:
        pytest.skip("this machine has a GPU")
    Path("small_grid.py").write_text(GRID)
    code, _, err = call("run", "small_grid.py", "--gpus-per-trial", "1")
    assert code == 2
    assert "a trial needs a GPU" in err
    assert "No studies yet" in call("list")[1]
    code, _, err = call("status", "small_grid")
    assert (code, "deleted" in err) == (2, False), "it never began: there is nothing to restore"


def test_brute_force_goes_by_its_own_name(call: Call) -> None:
    Path("small_grid.py").write_text(GRID.replace("hpo.Int(1, 3)", "hpo.Float(0, 1)"))
    code, _, err = call("run", "small_grid.py", "--sampler", "brute_force")
    assert code == 2
    assert "brute_force: 'k' is continuous" in err


def test_one_is_written_as_one(call: Call) -> None:
    Path("small_grid.py").write_text(GRID)
    code, out, err = call("run", "small_grid.py", "--trials", "1")
    assert code == 0
    assert " 1 trials" not in out + err
    assert "1 trial is too few" in err
    with pytest.raises(ValueError, match="the name of an attribute"):
        clean_name("", "attribute")
    with pytest.raises(ValueError, match="the name of a study"):
        clean_name("", "study")


def test_a_complete_study_of_pruned_trials_says_so() -> None:
    from dataclasses import replace

    made = view(3)
    trials = tuple(replace(t, state=RunState.PRUNED, values=None) for t in made.trials)
    said = facts.verdict(replace(made, trials=trials, row=replace(made.row, status="complete")))
    assert said.headline == "No trial completed."
    assert "pruned" in said.detail


def test_a_ranking_says_shortly_why_there_is_no_model() -> None:
    from dataclasses import replace

    made = view(3)
    trials = [replace(t, model=None, model_error="cannot be pickled: a lock") for t in made.trials]
    assert "no: cannot be pickled: a lock" in Ranking(made.row, trials).to_text(3, 200)
    assert "no: " not in Ranking(made.row, [replace(t, model=None, model_error=None) for t in trials]).to_text(3, 200)


def test_dir_of_trackers_has_what_is_public() -> None:
    assert dir(trackers) == sorted(trackers.__all__)


@pytest.mark.parametrize(
    ("returned", "code"), [("None", 2), ("'high'", 2), ("(1.0, 2.0)", 2), ("1.0 / 0.0", 1), ("float('nan')", 1)]
)
def test_a_study_that_fails_by_what_its_objective_returns_was_called_wrong(
    call: Call, returned: str, code: int
) -> None:
    Path("wrong_study.py").write_text(
        "import hpo\n\n@hpo.objective(space={'x': hpo.Float(0, 1)}, total_trials=20, workers=0)\n"
        f"def wrong(trial):\n    return {returned}\n"
    )
    found, _, err = call("run", "wrong_study.py")
    assert found == code
    assert "the first 10 trials all failed" in err or "trial 0 failed" in err
