"""``checkout``, ``diff``, ``env``, ``data`` and ``show`` in the terminal."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hpo
import trackers
from hpo.cli import main as hpo_main
from hpo.objective_file import load_objective
from tests.git import git, make_repository
from trackers.capture import process
from trackers.capture.state import read_bundle
from trackers.cli.exit import run_command
from trackers.difference import compare_runs

Cli = Callable[..., tuple[int, str, str]]


TUNE = """
import hpo


@hpo.objective(space={"x": hpo.Float(0, 1)}, study_name="tuned", total_trials=2)
def tune(trial):
    return trial.params["x"]
"""


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Cli:
    monkeypatch.setenv("HPO_STORAGE", f"sqlite:///{tmp_path / 'hpo.db'}")
    monkeypatch.setenv("COLUMNS", "80")

    def call(*words: str) -> tuple[int, str, str]:
        code = run_command(list(words)) if words[0] != "hpo" else hpo_main(list(words[1:]))
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: Cli) -> tuple[str, str]:
    """Return two runs of a repository: the second one after a commit, with other changes, params, data and results."""
    repository = make_repository(tmp_path / "repo")
    monkeypatch.chdir(repository)
    (repository / "study.py").write_text("x = 2\n")
    process._launch.cache_clear()
    with trackers.connect(tmp_path / "hpo.db") as store:
        with store.start_run(
            "e", name="one", params={"lr": 0.1, "same": 1, "gone": "x", "left": None, "set": None}
        ) as first:
            first.log_metrics({"auc": 0.5, "same": 1.0})
            first.log_input(np.arange(4), "train")
        git(repository, "commit", "-am", "Double x")
        (repository / "sub" / "a.txt").write_text("a\nb\n")
        (repository / "new.py").write_text("y = 1\n")
        process._launch.cache_clear()
        with store.start_run("e", name="two", params={"lr": 0.01, "same": 1, "new": True, "set": 2}) as second:
            second.log_metrics({"auc": 0.75, "same": 1.0})
            second.log_input(np.arange(5), "train")
    return first.uid, second.uid


def test_checkout_restores_the_code_of_a_run(cli: Cli, runs: tuple[str, str], tmp_path: Path) -> None:
    code, out, _ = cli("checkout", runs[1], "--to", str(tmp_path / "again"))
    assert code == 0
    assert out == (
        f"Restored commit {git(tmp_path / 'repo', 'rev-parse', 'HEAD')[:12]}, 1 changed file, 1 new file to "
        f"{tmp_path / 'again'}; it is what was recorded.\n"
    )
    assert (tmp_path / "again" / "new.py").read_text() == "y = 1\n"
    assert (tmp_path / "again" / "sub" / "a.txt").read_text() == "a\nb\n"
    code, out, err = cli("checkout", runs[1], "--to", str(tmp_path / "again"))
    assert (code, out) == (2, "")
    assert "is there already: name a new folder with --to" in err
    code, out, _ = cli("checkout", runs[0], "--json")
    shown = json.loads(out)
    assert (code, shown["exact"], shown["changed"]) == (0, True, ["study.py"])
    assert shown["folder"] == str(tmp_path / "repo" / f"run-{runs[0][:12]}")


def test_checkout_says_where_the_commit_must_come_from(
    cli: Cli, runs: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(tmp_path / "repo", "commit", "-am", "Write b")
    git(tmp_path / "repo", "update-ref", "refs/remotes/origin/main", "HEAD")  # as if it were pushed
    process._launch.cache_clear()
    with trackers.connect(tmp_path / "hpo.db") as store, store.start_run("e") as pushed:
        pass
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    code, _, err = cli("checkout", pushed.uid)
    assert code == 2
    assert "name it with --repo; it was cloned from https://example.org/team/repo.git" in err
    assert cli("checkout", pushed.uid, "--repo", str(tmp_path / "repo"))[0] == 0
    assert (tmp_path / "elsewhere" / f"run-{pushed.uid[:12]}" / "new.py").read_text() == "y = 1\n"
    assert cli("checkout", runs[0])[0] == 0, "nothing of that was pushed: all of it was kept"
    assert (tmp_path / "elsewhere" / f"run-{runs[0][:12]}" / "study.py").read_text() == "x = 2\n"
    assert cli("checkout", runs[0])[0] == 2
    git(tmp_path / "elsewhere", "init", "--quiet")
    assert cli("checkout", runs[0], "--to", "alone")[0] == 0
    assert (tmp_path / "elsewhere" / "alone" / ".git").is_dir(), "this one has nothing to do with it"
    assert cli("checkout", runs[0], "--repo", ".", "--to", "named")[0] == 0
    assert (tmp_path / "elsewhere" / "named" / ".git").is_file(), "a worktree of the repository that was named"


def test_diff_says_what_changed_at_80_columns(cli: Cli, runs: tuple[str, str]) -> None:
    code, out, err = cli("diff", *runs)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0] == f"{runs[0]} -> {runs[1]}"
    text = "\n".join(line.rstrip() for line in lines)
    assert " Double x" in text
    assert "  new.py  +1 -0\n    @@ -0,0 +1 @@\n    +y = 1" in text
    assert "  sub/a.txt  +1 -0\n    @@ -1 +1,2 @@\n     a\n    +b" in text
    assert "study.py" not in text, "what was a change is committed now: the file is the same"
    changed = ["lr    0.1  -> 0.01", "gone  'x'  -> -", "left  None -> -", "set   None -> 2", "new   -    -> True"]
    assert "\n  ".join(["params", *changed]) in text, "of a None that is there, and one that is not"
    assert "environment: nothing" in text
    assert "call: nothing" in text
    assert "auc" in text
    assert "  same" not in text
    assert "  train train  " in text
    code, out, _ = cli("diff", runs[0], runs[0])
    assert [line for line in out.splitlines() if line][1:] == [
        f"{what}: nothing" for what in ("code", "call", "params", "tags", "environment", "data", "results")
    ]


def test_diff_shows_where_long_params_differ(cli: Cli, tmp_path: Path) -> None:
    long = "/data/warehouse/2026/features/of/customers/"
    with trackers.connect(tmp_path / "hpo.db") as store:
        with store.start_run("e", params={"path": f"{long}v1/part.parquet", "short": "a"}) as first:
            pass
        with store.start_run("e", params={"path": f"{long}v2/part.parquet", "short": "b"}) as second:
            pass
    out = cli("diff", first.uid, second.uid)[1]
    assert "path …tomers/v1/part.parquet' -> …tomers/v2/part.parquet'" in " ".join(out.split())
    assert "'a'" in out
    assert max(map(len, out.splitlines())) <= 80


def test_diff_never_shows_two_values_alike(cli: Cli, tmp_path: Path) -> None:
    pairs = {
        "z": (0.1 + 0.2, 0.3),
        "one": (1, 1.0),
        "list": ([1], [1.0]),
        "nan": (math.nan, math.nan),
        "yes": (1, True),
    }
    with trackers.connect(tmp_path / "hpo.db") as store:
        uids = []
        for side in (0, 1):
            with store.start_run("e", params={name: pair[side] for name, pair in pairs.items()}) as run:
                run.log_metric("m", 1e6 + side / 100)
                run.set_tag("end", ("1", "1 ")[side])
            uids.append(run.uid)
    out = [" ".join(line.split()) for line in cli("diff", *uids)[1].splitlines()]
    assert "z 0.30000000000000004 -> 0.3" in out
    assert "one 1 (int) -> 1.0 (float)" in out
    assert "list [1] -> [1.0]" in out
    assert "m 1000000.0 -> 1000000.01" in out
    assert "end '1' -> '1 '" in out
    assert not any(line.startswith("nan") for line in out)
    assert "yes 1 -> True" in out


def test_diff_as_json_and_counted(cli: Cli, runs: tuple[str, str]) -> None:
    shown = json.loads(cli("diff", *runs, "--json")[1])
    changed = {"lr": [0.1, 0.01], "gone": ["x", None], "left": [None, None], "set": [None, 2], "new": [None, True]}
    assert shown["params"] == changed
    assert list(shown["params"]) == list(changed)
    assert shown["missing_params"] == {"a": ["new"], "b": ["gone", "left"]}, (
        "of a None that is there, and one that is not"
    )
    assert shown["metrics"] == {"auc": [0.5, 0.75]}
    assert sorted(shown["code"]["files"]) == ["new.py", "sub/a.txt"]
    assert len(shown["code"]["commits"]) == 1
    assert json.loads(cli("diff", *runs, "--json", "--stat")[1])["code"]["files"]["new.py"] == [1, 0]
    assert "+y = 1" not in cli("diff", *runs, "--stat")[1]
    assert json.loads(cli("diff", runs[0], runs[0], "--json")[1])["code"] is None
    backwards = json.loads(cli("diff", runs[1], runs[0], "--json")[1])
    assert (backwards["code"]["commits"], backwards["code"]["commits_back"]) == ([], 1)
    assert "-y = 1" in backwards["code"]["files"]["new.py"]


def test_diff_without_the_repository_shows_the_changes(
    cli: Cli, runs: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    code, out, _ = cli("diff", *runs)
    assert code == 0
    assert "has no commit" in out
    assert "+y = 1" in out


def test_env_is_a_lock(cli: Cli, runs: tuple[str, str]) -> None:
    code, out, _ = cli("env", runs[0])
    assert code == 0
    assert out.startswith("# python 3.")
    assert f"numpy=={np.__version__}\n" in out
    assert json.loads(cli("env", runs[0], "--json")[1])["packages"]["numpy"] == np.__version__


def test_data_lists_sets_and_their_runs(cli: Cli, runs: tuple[str, str]) -> None:
    code, out, _ = cli("data")
    assert code == 0
    assert out.splitlines()[0].split() == ["name", "digest", "rows", "runs", "source"]
    assert len(out.splitlines()) == 3
    shown = json.loads(cli("data", "train", "--json")[1])
    assert [one["rows"] for one in shown["data"]] == [5, 4]
    assert {one["run"] for one in shown["runs"]} == set(runs)
    digest = shown["data"][0]["digest"]
    assert runs[1] in cli("data", digest[:10])[1]
    assert runs[0] not in cli("data", digest[:10])[1]
    code, _, err = cli("data", "trian")
    assert code == 2
    assert "did you mean 'train'" in err


def test_show_has_code_environment_and_data(cli: Cli, runs: tuple[str, str], tmp_path: Path) -> None:
    out = cli("show", runs[1])[1]
    commit = git(tmp_path / "repo", "rev-parse", "HEAD")
    assert f"code         {commit[:8]}+" in out
    assert "(main, with changes, by ann@example.org)" in out
    assert "new files    new.py" in out
    assert "environment  Python 3." in out
    assert "data         train (train), 5 rows, " in out
    shown = json.loads(cli("show", runs[1], "--json")[1])
    assert shown["code"]["commit"] == commit
    assert shown["data"][0]["rows"] == 5


def test_a_study_and_its_trials_show_and_restore_the_same(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = make_repository(tmp_path / "repo")
    (repository / "tune.py").write_text("import hpo\n")
    monkeypatch.chdir(repository)
    with trackers.connect(tmp_path / "hpo.db") as store:
        study = hpo.create_study(study_name="s", storage=store, space={"x": hpo.Float(0, 1)})
        study.optimize(lambda trial: trial.params["x"], n_trials=2)
        assert compare_runs(store, "s/0", "s/1").code is None
    commit = git(repository, "rev-parse", "HEAD")
    for name in ("s", "s/1"):
        out = cli("hpo", "show", name)[1]
        assert f"code         {commit[:8]}." in out
        assert "(main, clean, by ann@example.org)" in out
        assert "environment  Python 3." in out
        shown = json.loads(cli("hpo", "show", name, "--json")[1])
        assert (shown["code"]["commit"], shown["branch"]) == (commit, "main")
    assert cli("hpo", "checkout", "s/1")[0] == 0
    assert (repository / "s-1" / "tune.py").read_text() == "import hpo\n"
    assert "code: nothing" in cli("hpo", "diff", "s/0", "s/1")[1]


@pytest.mark.parametrize("inside", [False, True], ids=["outside a repository", "with changes"])
def test_the_code_of_a_trial_has_one_name_wherever_it_is_shown(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inside: bool
) -> None:
    folder = make_repository(tmp_path / "work") if inside else tmp_path / "work"
    folder.mkdir(exist_ok=True)
    (folder / "tune.py").write_text(TUNE)
    monkeypatch.chdir(folder)
    process._launch.cache_clear()
    assert cli("hpo", "run", "tune.py", "--workers", "0")[0] == 0
    version = json.loads(cli("hpo", "show", "tuned/0", "--json")[1])["code"]["version"]
    assert version in cli("show", "tuned/0")[1]
    for words in (("hpo", "lineage", "tuned/0"), ("lineage", "tuned/1")):
        assert version in cli(*words)[1]
        nodes = json.loads(cli(*words, "--json")[1])["nodes"]
        assert [node["facts"]["version"] for node in nodes if node["kind"] == "code"] == [version]


def test_a_run_of_which_nothing_is_known_says_so(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any, **options: Any) -> None:
        raise OSError

    monkeypatch.setattr("trackers.capture.process.launch", fail)
    with trackers.connect(tmp_path / "hpo.db") as store, store.start_run("e") as run:
        pass
    for command, sentence in (("checkout", "was not recorded"), ("env", "was not recorded")):
        code, _, err = cli(command, run.uid)
        assert code == 2
        assert sentence in err
    assert cli("show", run.uid)[0] == 0
    assert "code: nothing" in cli("diff", run.uid, run.uid)[1]
    assert cli("data") == (0, "No run has logged its data yet: run.log_input(data) does.\n", "")


def test_no_secret_is_anywhere_in_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = make_repository(tmp_path / "repo")  # its remote has a password
    monkeypatch.chdir(repository)
    secret = "tops3cret"
    (repository / "kept.py").write_text(f'password = "{secret}-old"\nx = 1\n')
    git(repository, "add", ".")
    git(repository, "commit", "-m", "oops")
    (repository / "kept.py").write_text(f'password = "{secret}-new"\nx = 2\nurl = "https://ann:{secret}@h/x"\n')
    (repository / ".env").write_text(f"X={secret}\n")
    (repository / "new.py").write_text(f'token = "{secret}"\n')
    (repository / "harmless.py").write_text("y = 1\n")
    tune = f'import hpo\nAPI_KEY = "{secret}"\n@hpo.objective(space={{"x": hpo.Float(0, 1)}}, direction="minimize")\n'
    (repository / "tune.py").write_text(tune + "def f(trial):\n    return trial.params['x']\n")
    monkeypatch.setattr("sys.argv", ["train.py", "--password", secret, f"--db=postgresql://u:{secret}@h/d"])
    process._launch.cache_clear()
    with trackers.connect(tmp_path / "hpo.db", artifacts=str(tmp_path / "files")) as store:
        with store.start_run("e") as run:
            run.log_input([1, 2], source=f"https://ann:{secret}@example.org/data")
        objective = load_objective("tune.py:f")
        hpo.create_study(study_name="s", storage=store, space=objective.spec.space).optimize(objective, n_trials=1)
        for launch in (store.launch(run), store.launch("s/0")):
            assert launch is not None
            assert launch.code is not None
            assert "+x = 2" in store.code_diff(launch.code)
            assert secret not in store.code_diff(launch.code)
            assert list(launch.code.content["files"]) == ["harmless.py"]
            bundle = store.read_bundle(launch.code)
            assert bundle is not None
            assert all(secret.encode() not in part for part in read_bundle(bundle).values())
    for path in [tmp_path / "hpo.db", *(p for p in (tmp_path / "files").rglob("*") if p.is_file())]:
        assert secret.encode() not in path.read_bytes(), path
        assert b"hunter2" not in path.read_bytes(), path
