"""``hpo run`` and what follows it: again, with more trials, with other code, resumed; all in this process."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import trackers
from hpo.cli import main
from trackers.errors import TrackersError
from trackers.states import RunState
from trackers.values import StudyRow

STUDY = """
import hpo

@hpo.objective(space={"x": hpo.Float(0, 1)}, metric="loss", total_trials=4, workers=0)
def again(trial):
    print("trial", trial.number)
    return trial.params["x"] ** 2
"""
SLOW = """
import time
import hpo

@hpo.objective(space={"x": hpo.Float(0, 1)}, total_trials=1000, workers=0, pruner="none")
def slow(trial):
    for step in range(100):
        time.sleep(0.02)
        trial.report(trial.params["x"], step)
    return trial.params["x"]
"""
Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def hpo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Iterator[Call]:
    """Call ``hpo`` in an empty folder with a study file."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("HPO_")]:
        monkeypatch.delenv(name)
    (tmp_path / "again_study.py").write_text(STUDY)
    modules, path = set(sys.modules), list(sys.path)

    def call(*args: str) -> tuple[int, str, str]:
        capfd.readouterr()
        code = main(list(args))
        out, err = capfd.readouterr()
        return code, out, err

    yield call
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def row_of(name: str) -> StudyRow:
    with trackers.connect("sqlite:///hpo.db") as store:
        return store.get_study(name)


FLAKY = """
import sqlite3 as database
import hpo

class Flaky(Exception):
    pass

@hpo.objective(space={"x": hpo.Float(0, 1)}, total_trials=2, workers=0)
def flaky(trial):
    if trial.attempt == 0:
        raise Flaky if trial.number else database.OperationalError
    return trial.params["x"]
"""


def test_an_exception_that_does_not_exist_is_refused_before_anything_is_written(hpo: Call) -> None:
    Path("flaky_study.py").write_text(FLAKY)
    code, out, err = hpo("run", "flaky_study.py", "--retry-on", "Flakey")
    assert (code, out) == (2, "")
    assert err == ("Error: retry_on (--retry-on) names Flakey, and there is no such exception; did you mean Flaky?\n")
    assert not Path("hpo.db").exists()
    code, out, err = hpo("run", "flaky_study.py", "--retry-on", "Flaky", "--retry-on", "database.OperationalError")
    assert code == 0, err
    with trackers.connect("sqlite:///hpo.db") as store:
        trials = store.get_trials(store.get_study("flaky").id)
    assert [[a.outcome for a in t.attempts] for t in trials] == [["fail", "complete"]] * 2


def test_a_run_ends_with_the_ranking_and_the_next_commands(hpo: Call) -> None:
    code, out, err = hpo("run", "again_study.py")
    assert code == 0
    assert "4 trials: 4 completed" in out
    assert "hpo report again" in out
    assert "trial 3" in out
    assert "4/4 trials: 4 done" in err
    assert "Study again" in err
    assert row_of("again").metric_names == ("loss",)


def test_run_again_says_that_it_is_complete_and_names_trials_and_new(hpo: Call) -> None:
    hpo("run", "again_study.py")
    code, out, _ = hpo("run", "again_study.py")
    assert code == 0
    assert "again is complete and unchanged" in out
    assert "--trials" in out
    assert "--new" in out
    assert "rank" in out
    assert sum(row_of("again").counts.values()) == 4


def test_fewer_trials_than_there_are_is_told(hpo: Call) -> None:
    hpo("run", "again_study.py")
    code, out, _ = hpo("run", "again_study.py", "--trials", "3")
    assert code == 0
    assert "again is complete and unchanged (it has 4 trials, and 3 were asked for)" in out


def test_a_study_that_could_not_begin_is_not_announced(hpo: Call) -> None:
    code, _, err = hpo("run", "again_study.py", "--workers", "1", "--address", "nowhere")
    assert (code, "Study again" in err, "nowhere" in err) == (2, False, True)


def test_a_raised_number_of_trials_is_met_exactly(hpo: Call) -> None:
    hpo("run", "again_study.py")
    code, out, _ = hpo("run", "again_study.py", "--trials", "7")
    assert code == 0
    assert re.findall(r"^trial (\d)$", out, re.MULTILINE) == ["4", "5", "6"]
    assert sum(row_of("again").counts.values()) == 7


def test_new_starts_a_study_beside_the_old_one(hpo: Call) -> None:
    hpo("run", "again_study.py")
    code, _, err = hpo("run", "again_study.py", "--new", "--trials", "2")
    assert code == 0
    assert "Study again-2" in err
    assert sum(row_of("again-2").counts.values()) == 2
    assert sum(row_of("again").counts.values()) == 4


def test_changed_code_is_refused_and_continued_only_on_request(hpo: Call, tmp_path: Path) -> None:
    hpo("run", "again_study.py")
    (tmp_path / "again_study.py").write_text(STUDY.replace("** 2", "** 4"))
    code, out, err = hpo("run", "again_study.py", "--trials", "6")
    assert (code, out) == (2, "")
    assert "the code of again_study.py (1 line new, 1 gone" in err
    assert "--continue" in err
    assert "--new" in err
    assert sum(row_of("again").counts.values()) == 4
    assert hpo("run", "again_study.py", "--trials", "6", "--continue")[0] == 0
    assert sum(row_of("again").counts.values()) == 6
    assert hpo("run", "again_study.py", "--trials", "6")[0] == 0  # what it continued with is the code it knows now


def test_a_changed_space_is_named_and_taken_over_on_request(hpo: Call, tmp_path: Path) -> None:
    hpo("run", "again_study.py")
    (tmp_path / "again_study.py").write_text(STUDY.replace('{"x": hpo.Float(0, 1)}', '{"x": hpo.Float(2, 3)}'))
    code, _, err = hpo("run", "again_study.py", "--trials", "6")
    assert code == 2
    assert "the space (other: x)" in err
    assert hpo("run", "again_study.py", "--trials", "6", "--continue")[0] == 0
    with trackers.connect("sqlite:///hpo.db") as store:
        trials = store.get_trials(store.get_study("again").id)
    assert [trial.params["x"] >= 2 for trial in trials] == [False] * 4 + [True] * 2


def test_settings_and_comments_are_no_change(hpo: Call, tmp_path: Path) -> None:
    hpo("run", "again_study.py")
    text = STUDY.replace("total_trials=4", "total_trials=5").replace("    return", "    # the square\n    return")
    (tmp_path / "again_study.py").write_text(text)
    assert hpo("run", "again_study.py")[0] == 0
    assert sum(row_of("again").counts.values()) == 5


def test_another_goal_needs_a_new_study(hpo: Call) -> None:
    hpo("run", "again_study.py")
    code, _, err = hpo("run", "again_study.py", "--direction", "maximize", "--continue")
    assert code == 2
    assert "the goal (it was minimize loss, now it is maximize loss)" in err
    assert "--continue" not in err


def test_a_plain_optuna_objective_runs_by_its_name(hpo: Call, tmp_path: Path) -> None:
    (tmp_path / "plain_study.py").write_text("def objective(trial):\n    return trial.suggest_float('x', -1, 1)\n")
    args = ("run", "plain_study.py:objective", "--direction", "maximize", "--trials", "3", "--workers", "0")
    assert hpo(*args)[0] == 0
    assert row_of("objective").directions == ("maximize",)
    assert hpo(*args[:2], "--trials", "5", "--workers", "0")[0] == 0  # a direction that nobody gives is the study's
    assert sum(row_of("objective").counts.values()) == 5


def test_an_objective_that_always_fails_is_work_that_failed(hpo: Call, tmp_path: Path) -> None:
    (tmp_path / "failing_study.py").write_text("def objective(trial):\n    raise ValueError('no data')\n")
    code, out, _ = hpo("run", "failing_study.py", "--trials", "30", "--workers", "0")
    assert code == 1
    assert "hpo show objective --failed" in out
    assert sum(row_of("objective").counts.values()) < 30
    code, out, _ = hpo("show", "objective/0")
    assert code == 0
    assert "ValueError: no data" in out


def test_try_runs_one_trial_and_records_nothing(hpo: Call, tmp_path: Path) -> None:
    code, out, _ = hpo("try", "again_study.py", "--param", "x=0.5")
    assert code == 0
    assert "loss 0.25" in out
    (tmp_path / "folder").mkdir()
    (tmp_path / "again_study.py").rename(tmp_path / "folder" / "again_study.py")
    for file in ("folder/again_study.py", f"{tmp_path}/folder/again_study.py:again"):
        code, out, err = hpo("try", file, "--param", "x=0.5")
        assert (code, err) == (0, "")
        assert "loss 0.25" in out
    assert not (tmp_path / "hpo.db").exists()


def test_try_repeats_a_stored_trial(hpo: Call) -> None:
    hpo("run", "again_study.py")
    with trackers.connect("sqlite:///hpo.db") as store:
        trial = store.get_trial(store.get_study("again").id, 2)
    code, out, _ = hpo("try", "again/2")
    assert code == 0
    assert "trial 2" in out
    assert trial.value is not None
    assert f"{trial.value:.3g}"[:4] in out
    assert sum(row_of("again").counts.values()) == 4


def test_try_reads_params_of_a_define_by_run_objective(hpo: Call, tmp_path: Path) -> None:
    text = "def objective(trial):\n    return len(trial.suggest_categorical('word', ['a', 'bbb']))\n"
    (tmp_path / "choosing_study.py").write_text(text)
    assert "value 3" in hpo("try", "choosing_study.py", "--param", "word=bbb")[1]
    code, _, err = hpo("try", "choosing_study.py", "--param", "word=cc")
    assert code == 2
    assert "param word cannot be 'cc'" in err
    assert "Never asked for: other." in hpo("try", "choosing_study.py", "--param", "other=1")[2]


def test_try_of_a_failing_objective_shows_its_traceback(hpo: Call, tmp_path: Path) -> None:
    (tmp_path / "raising_study.py").write_text("def objective(trial):\n    raise ValueError('no luck')\n")
    code, _, err = hpo("try", "raising_study.py")
    assert code == 1
    assert "raising_study.py" in err
    assert "ValueError: no luck" in err


def _started(folder: Path, *args: str) -> subprocess.Popen[str]:
    code = "from hpo.cli import main; raise SystemExit(main())"
    return subprocess.Popen(
        [sys.executable, "-c", code, *args], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def _await(name: str, ready: Callable[[StudyRow], object]) -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        try:
            if ready(row_of(name)):
                return
        except TrackersError:
            pass  # it is not there yet
        time.sleep(0.05)
    pytest.fail(f"{name} did not start")


def test_ctrl_c_keeps_what_finished_and_says_how_to_go_on(hpo: Call, tmp_path: Path) -> None:
    (tmp_path / "slow_study.py").write_text(SLOW)
    process = _started(tmp_path, "run", "slow_study.py")
    _await("slow", lambda row: row.counts)
    code, _, err = hpo("run", "slow_study.py")
    assert code == 2
    assert f"process {process.pid}" in err
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=15)
    assert process.returncode == 130
    assert "hpo resume slow" in err
    assert "Traceback" not in out + err
    assert hpo("status", "slow")[1].count("hpo resume slow") == 1


def test_stop_ends_a_run_from_another_process_and_resume_goes_on(hpo: Call, tmp_path: Path) -> None:
    (tmp_path / "slow_study.py").write_text(SLOW)
    process = _started(tmp_path, "run", "slow_study.py")
    _await("slow", lambda row: row.renewals > 1)  # what is sent before a manager's first beat is for nobody
    code, out, err = hpo("stop", "slow")
    assert (code, "slow is stopped" in out) == (0, True), err
    process.communicate(timeout=15)
    assert process.returncode == 0
    count = sum(row_of("slow").counts.values())
    resumed = hpo("resume", "slow", "--trials", str(count), "--timeout", "0.5")
    assert resumed[0] == 0, resumed


def test_stop_ends_a_trial_that_says_nothing(hpo: Call, tmp_path: Path) -> None:
    (tmp_path / "slow_study.py").write_text(SLOW.replace("0.02", "600"))
    process = _started(tmp_path, "run", "slow_study.py")
    _await("slow", lambda row: row.renewals > 1 and row.counts.get(RunState.RUNNING))
    code, out, err = hpo("stop", "slow", "--grace", "0.5")
    assert (code, "slow is stopped" in out) == (0, True), err
    process.communicate(timeout=30)
    assert process.returncode == 0
    assert row_of("slow").counts == {RunState.WAITING: 1}


def test_a_killed_run_is_seen_as_interrupted_and_goes_on_exactly(hpo: Call, tmp_path: Path) -> None:
    (tmp_path / "slow_study.py").write_text(SLOW.replace("0.02", "0.002"))
    process = _started(tmp_path, "run", "slow_study.py")
    _await("slow", lambda row: row.counts.get(RunState.COMPLETE))
    process.kill()
    process.communicate()
    count = sum(row_of("slow").counts.values())
    out = hpo("status", "slow")[1]
    assert "interrupted: its process is gone" in out
    assert "hpo resume slow" in out
    assert "not running" in hpo("stop", "slow")[1]
    assert hpo("resume", "slow", "--trials", str(count + 1))[0] == 0
    assert row_of("slow").counts == {RunState.COMPLETE: count + 1}
