"""Wrong calls: one sentence that names what is wrong and what to do, exit code 2, no traceback, nothing changed."""

from __future__ import annotations

import hashlib
import shlex
import sqlite3
from pathlib import Path

import pytest

from hpo.cli import main
from tests.unit.filled_store import fill

STUDY = """
import hpo

@hpo.objective(space={"x": hpo.Float(0, 1)}, direction="minimize", total_trials=3)
def wrong_square(trial):
    return trial.params["x"] ** 2
"""

FILES = {
    "wrong_study.py": STUDY,
    "wrong_two.py": STUDY + STUDY.replace("wrong_square", "wrong_cube"),
    "wrong_none.py": "x = 1\n",
    "wrong_raises.py": "import hpo\n\nraise RuntimeError('no data today')\n",
    "wrong_bounds.py": STUDY.replace("hpo.Float(0, 1)", "hpo.Float(2, 1)"),
    "wrong_log.py": STUDY.replace("hpo.Float(0, 1)", "hpo.Float(0, 1, log=True)"),
    "wrong_when.py": STUDY.replace("hpo.Float(0, 1)", "hpo.Float(0, 1, when={'y': 1})"),
    "wrong_circle.py": STUDY.replace(
        '"x": hpo.Float(0, 1)', '"x": hpo.Int(0, 1, when={"y": 1}), "y": hpo.Int(0, 1, when={"x": 1})'
    ),
    "wrong_setting.py": STUDY.replace("total_trials", "total_trails"),
    "notes.txt": "hello",
    "none.db": "this is no database, only some text that is long enough to be read as a page " * 20,
}

CALLS = [
    # a call and a part of the sentence that answers it
    ("frobnicate", "There is no command frobnicate"),
    ("lst", "did you mean list?"),
    ("run", "Missing argument 'FILE[:NAME]': the call is hpo run FILE[:NAME]."),
    ("run wrong_study.py wrong_two.py", "unexpected extra argument (wrong_two.py): the call is hpo run FILE[:NAME]."),
    ("run wrong_study.py --worker 2", "There is no option --worker in hpo run; did you mean --workers?"),
    ("run wrong_study.py --direction max", "--direction must be minimize or maximize, not max"),
    ("run wrong_study.py --storage hpo.db", "write sqlite:///hpo.db for a file"),
    ("run wrong_study.py --storage sqlite:///. --workers 0", "is a folder"),
    ("run wrong_study.py --sampler tpee --storage sqlite:///new.db", "--sampler must be one of auto, random"),
    ("run .", ". is a folder: name the .py file in it"),
    ("try wrong_study.py --param x:1", "--param must be NAME=VALUE, not x:1"),
    ("show 17", "'17'"),
    ("rank 'my study'", "'my study'"),
    ("list --storage postgres://postgres@127.0.0.1:1/x", "cannot be reached"),
    ("promote nope 1", "Missing option '--to': the call is hpo promote NAME VERSION --to ALIAS."),
    ("rank digits --limit abc", "--limit must be a whole number of at least 1, not abc."),
    ("show digits/abc", "'abc' is no number of a trial: write digits/17, or digits alone."),
    ("show digits/", "'nothing' is no number"),
    ("show digits/0 --failed", "name the study, digits"),
    ("search --order metrics.acuracy", "No run has the metric 'acuracy'; did you mean 'accuracy'?"),
    ("search --order 'params.nosuch desc'", "No run has the param 'nosuch'"),
    ("search 'metrics.acuracy > 1'", "No run has the metric 'acuracy'; did you mean 'accuracy'?"),
    ("search 'params.kernle = 1'", "No run has the param 'kernle'"),
    ("export digits -o absent/digits.csv", "There is no folder absent"),
    ("export digits --json --format csv", "--json and --format csv exclude each other"),
    ("run absent.py", "There is no file absent.py"),
    ("run wrong_studdy.py", "did you mean wrong_study.py?"),
    ("run notes.txt", "notes.txt is not a .py file"),
    ("run wrong_none.py", "wrong_none.py holds no objective: mark one with @hpo.objective"),
    ("run wrong_two.py", "wrong_two.py:wrong_square or wrong_two.py:wrong_cube"),
    ("run wrong_study.py:wrong_squar", "did you mean wrong_square?"),
    ("run wrong_raises.py", "wrong_raises.py cannot be imported: line 3: RuntimeError: no data today"),
    ("run wrong_bounds.py", "line 4"),
    ("run wrong_log.py", "log"),
    ("run wrong_when.py", "'y'"),
    ("run wrong_circle.py", "circle"),
    ("run wrong_setting.py", "no setting total_trails in @hpo.objective; did you mean total_trials?"),
    ("run wrong_study.py --trials 0", "--trials must be at least 1, not 0"),
    ("run wrong_study.py --trials -5", "--trials must be at least 1, not -5"),
    (
        "run wrong_study.py --trials 99999999999999999999",
        "--trials must be at most 2147483647, not 99999999999999999999",
    ),
    ("run wrong_study.py --trials abc", "--trials must be a whole number of at least 1, not abc"),
    ("run wrong_study.py --trails 5", "--trials"),
    ("run wrong_study.py --workers x", "--workers must be a whole number of at least 0, not x"),
    ("run wrong_study.py --timeout 0", "--timeout must be a number of seconds, more than 0, not 0"),
    ("run wrong_study.py --direction up", "--direction must be minimize or maximize, not up"),
    ("run wrong_study.py --metric a --metric b", "give one --direction for each --metric"),
    ("run wrong_study.py --sampler tpee --workers 0", "not tpee; did you mean tpe?"),
    ("run wrong_study.py --pruner mediann --workers 0", "not mediann; did you mean median?"),
    ("run wrong_study.py --profile nope", "There is no profile nope: this folder has no hpo.toml"),
    ("run wrong_study.py --new --continue", "--new and --continue exclude each other"),
    ("run wrong_study.py --storage nonsense", "nonsense"),
    ("run wrong_study.py --storage sqlite:///none.db", "none.db"),
    ("run wrong_study.py --storage postgresql+psycopg://postgres@127.0.0.1:1/x", "127.0.0.1"),
    ("run wrong_study.py --storage sqlite:///absent/hpo.db", "absent"),
    ("try wrong_study.py --param y=1", "'y' is not in the space"),
    ("try wrong_study.py --param x=3", "x: 3 is outside 0.0..1.0"),
    ("try wrong_study.py --param x", "--param must be NAME=VALUE, not x"),
    ("try digits/0", "The objective of digits has no file"),
    ("try digits/99", "There is no trial digits/99: it has 6 trials, 0 to 5"),
    ("resume digts", "digits"),
    ("resume digits", "hpo.load_study(study_name='digits').optimize(objective)"),
    ("status digts", "did you mean 'digits'?"),
    ("show digits/6", "There is no trial digits/6: it has 6 trials, 0 to 5"),
    ("show empty/0", "There is no trial empty/0: it has no trials yet"),
    ("show digits --log", "name a trial, digits/0"),
    ("best empty", "empty has no best trial yet"),
    ("rank digits --limit 0", "--limit must be at least 1, not 0."),
    ("compare digits", "Name two or more to compare"),
    ("compare digits digits/1", "is of one kind: studies (digits), trials (digits/17), or two versions"),
    ("delete nope --yes", "nope"),
    ("delete digits", "give --yes"),
    ("stop nope", "nope"),
    ("search 'metrics.accuracy >'", "metrics.accuracy >\n"),
    ("search 'metrics.accuracy = = 3'", "^"),
    ("search 'colour = 3'", "colour"),
    ("report digits -o absent/report.html", "There is no folder absent"),
    ("export digits --format xml", "xml"),
    ("export nope", "nope"),
    ("register digits digits-model", "model"),
    ("register digits digits-model --trial 9", "There is no trial digits/9"),
    ("refit empty wrong_study.py:wrong_square", "no complete trial"),
    ("refit digits wrong_study.py:nothing", "has no function nothing"),
    ("promote nope 1 --to production", "nope"),
    ("models nope", "nope"),
    ("list --storage sqlite:///absent.db", "There is no store at absent.db"),
    ("list --storage sqlite:///none.db", "none.db"),
    ("list --profile nope", "There is no profile nope: this folder has no hpo.toml"),
    ("db upgrade --storage sqlite:///absent.db", "absent.db"),
    ("completion tcsh", "tcsh"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wrong")
    for name, text in FILES.items():
        (folder / name).write_text(text)
    fill(folder / "hpo.db")
    return folder


def state_of(folder: Path) -> dict[str, str]:
    """Digest every file, and the rows of every table of the store (its journal may move)."""
    found = {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith("hpo.db") and "__pycache__" not in path.parts
    }
    with sqlite3.connect(folder / "hpo.db") as connection:
        for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"):
            rows = connection.execute(f"SELECT * FROM {table}").fetchall()
            found[table] = hashlib.sha256(repr(sorted(map(repr, rows))).encode()).hexdigest()
    connection.close()
    return found


@pytest.mark.parametrize(("call", "part"), CALLS, ids=[call for call, _ in CALLS])
def test_a_wrong_call_gets_one_sentence_and_changes_nothing(
    folder: Path,
    call: str,
    part: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(folder)
    for name in ("HPO_STORAGE", "HPO_ADDRESS", "HPO_WORKERS"):
        monkeypatch.delenv(name, raising=False)
    before = state_of(folder)
    code = main(shlex.split(call))
    out, err = capfd.readouterr()
    sentence = err.removeprefix("Study wrong_square\n")
    assert code == 2, err
    assert part in sentence
    assert sentence.startswith("Error: ")
    assert "Traceback" not in err
    assert out == ""
    assert len(sentence.splitlines()) == 1 or "^" in sentence
    assert state_of(folder) == before


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("prunner = 'asha'", "There is no setting prunner in hpo.toml; did you mean pruner?"),
        ("trials = -1", "trials in hpo.toml must be at least 1, not -1."),
        ("trials", "hpo.toml cannot be read as TOML"),
    ],
)
@pytest.mark.parametrize("call", [["list"], ["run", "wrong_study.py"]], ids=["list", "run"])
def test_a_wrong_hpo_toml_is_named_whatever_the_command(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    text: str,
    part: str,
    call: list[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wrong_study.py").write_text(STUDY)
    (tmp_path / "hpo.toml").write_text(text)
    assert main(call) == 2
    assert part in capfd.readouterr().err
    assert not (tmp_path / "hpo.db").exists()


def test_a_wrong_variable_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HPO_WORKERS", "many")
    assert main(["run", "wrong_study.py"]) == 2
    assert "HPO_WORKERS must be a whole number of at least 0, not many." in capfd.readouterr().err


def test_debug_shows_the_traceback(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    assert main(["run", "wrong_raises.py", "--debug"]) == 2
    err = capfd.readouterr().err
    assert "raise RuntimeError('no data today')" in err
    assert err.splitlines()[-1].startswith("Error: wrong_raises.py cannot be imported")


def test_a_password_is_never_shown(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    assert main(["list", "--storage", "postgresql+psycopg://me:s3cret@127.0.0.1:1/x", "--debug"]) == 2
    out, err = capfd.readouterr()
    assert "s3cret" not in out + err


def test_a_wrong_sampler_is_told_though_the_study_is_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wrong_study.py").write_text(STUDY)
    assert main(["run", "wrong_study.py", "--workers", "0"]) == 0
    capfd.readouterr()
    for option in ("--sampler", "--pruner"):
        assert main(["run", "wrong_study.py", option, "medain"]) == 2
        assert "must be one of" in capfd.readouterr().err


def test_a_result_is_found_by_the_name_it_was_given_or_as_the_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wrong_study.py").write_text(STUDY)
    assert main(["run", "wrong_study.py", "--workers", "0"]) == 0
    capfd.readouterr()
    assert main(["search", "metrics.value < 1"]) == 2
    assert "study wrong_square calls its result: search for attributes.value." in capfd.readouterr().err
    assert main(["search", "attributes.value > 1"]) == 0
    assert capfd.readouterr().out == "No run matches.\n"
    assert main(["run", "wrong_study.py", "--workers", "0", "--metric", "loss", "--study", "named"]) == 0
    capfd.readouterr()
    assert main(["search", "metrics.loss <= 1"]) == 0
    assert "named/0" in capfd.readouterr().out
