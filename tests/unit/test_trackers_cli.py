from __future__ import annotations

import csv
import io
import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import hpo
import trackers
from hpo.cli import main as run_hpo
from trackers.cli.exit import run_command

MAIN = "from trackers.cli.exit import run_command; raise SystemExit(run_command())"


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the URL of a store with three runs in two experiments."""
    url = f"sqlite:///{tmp_path_factory.mktemp('cli') / 'hpo.db'}"
    with trackers.connect(url) as store:
        for index, kernel in enumerate(["rbf", "linear", "rbf"]):
            with store.start_run("fraud", params={"kernel": kernel, "c": index}) as run:
                run.log_metrics({"auc": 0.5 + index / 10, "loss": math.nan}, step=1)
                run.log_text("hello", "hello.txt")
        store.start_run("audio", name="evil", params={"k": "\x1b]0;x\x07"}, tags={"t": "\x1b[31m\n"}).end()
    return url


@pytest.fixture
def call(storage: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return what calls ``trackers`` on that store: arguments in, exit code and both outputs out."""
    monkeypatch.setenv("HPO_STORAGE", storage)

    def run(*args: str) -> tuple[int, str, str]:
        code = run_command(list(args))
        out, err = capsys.readouterr()
        return code, out, err

    return run


def test_search_shows_what_was_asked_about(call: Any) -> None:
    code, out, err = call("search", "metrics.auc > 0.55 and params.kernel = 'rbf'", "--order", "metrics.auc desc")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert len(lines) == 2
    assert lines[0].split() == ["run", "experiment", "state", "started", "metrics.auc", "params.kernel"]
    assert lines[1].split()[-2:] == ["0.7", "rbf"]


def test_whether_a_run_has_a_tag_is_a_fair_question_about_one_that_nobody_has(call: Any) -> None:
    assert call("search", "tags.reviewed is null and params.c = 2")[0] == 0
    for none in ("tags.reviewed is not null", "not tags.reviewed is null", "tags.reviewed is null and params.c = 7"):
        assert call("search", none) == (0, "No run matches.\n", ""), none
    assert call("search", "tags.reviewed is null and metrics.aux > 1")[0] == 2


def test_search_pages_by_token_and_its_json_says_everything(call: Any) -> None:
    code, out, _ = call("search", "--experiment", "fraud", "--limit", "2", "--json")
    page = json.loads(out)
    assert code == 0
    assert [run["params"]["c"] for run in page["runs"]] == [2, 1]
    assert page["runs"][0]["metrics"] == {"auc": 0.7, "loss": None}
    assert page["runs"][0]["state"] == "COMPLETE"
    assert page["runs"][0]["started_at"].endswith("+00:00")
    code, out, _ = call("search", "-e", "fraud", "--limit", "2", "--page-token", page["next_token"], "--json")
    last = json.loads(out)
    assert [run["params"]["c"] for run in last["runs"]] == [0]
    assert last["next_token"] is None
    code, out, err = call("search", "-e", "fraud", "-n", "2")
    assert err == f"More follow: --page-token {page['next_token']}\n"


def test_search_prints_csv_that_holds_everything(call: Any) -> None:
    code, out, _ = call("search", "--order", "attributes.created", "--csv")
    assert code == 0
    rows = list(csv.DictReader(io.StringIO(out)))
    assert len(rows) == len(json.loads(call("search", "--json")[1])["runs"])
    assert {"run_id", "experiment", "state"} <= set(rows[0])
    listed = json.loads(call("search", "--order", "attributes.created", "--json")[1])["runs"]
    for csv_name, name in (("created", "created_at"), ("started", "started_at"), ("ended", "ended_at")):
        assert [row[csv_name] for row in rows] == [run[name] for run in listed], "ISO 8601 in UTC, as in JSON"
    assert call("search", "metrics.auc > 5", "--csv")[1] == ""


def test_a_search_for_data_sets_shows_runs_as_any_other(call: Any) -> None:
    assert call("search", "datasets.name = 'nothing' and metrics.auc > 0")[1] == "No run matches.\n"
    assert call("search", "datasets.name is null")[0] == 0


def test_a_page_is_an_arrow_table(storage: str) -> None:
    pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install hpo[parquet]")
    with trackers.connect(storage, create=False) as store:
        page = store.search_runs()
        table = page.to_arrow()
        assert table.num_rows == len(page)
        assert table.column("run_id").to_pylist() == [run.uid for run in page]


def test_a_search_that_finds_nothing_says_so(call: Any) -> None:
    assert call("search", "metrics.auc > 5") == (0, "No run matches.\n", "")
    assert json.loads(call("search", "metrics.auc > 5", "--json")[1]) == {"runs": [], "next_token": None}


def test_runs_lists_those_of_experiments(call: Any) -> None:
    code, out, _ = call("runs", "fraud", "--order", "params.c")
    assert code == 0
    assert [line.split()[-1] for line in out.splitlines()] == ["params.c", "0", "1", "2"]


def test_show_tells_everything_about_a_run(call: Any) -> None:
    uid = json.loads(call("search", "params.kernel = 'linear'", "--json")[1])["runs"][0]["uid"]
    code, out, _ = call("show", uid)
    assert code == 0
    for word in ("params.kernel  'linear'", "COMPLETE", "hello.txt", "auc", "nan"):
        assert word in out
    facts = json.loads(call("show", uid, "--json")[1])
    assert facts["artifacts"][0]["name"] == "hello.txt"
    assert [one["key"] for one in facts["series"]] == ["auc", "loss"]
    points = json.loads(call("show", str(facts["id"]), "--history", "auc", "--json")[1])["points"]
    assert [(point["step"], point["value"]) for point in points] == [(1, 0.6)]
    assert "0.6" in call("show", uid, "--history", "auc")[1]


def test_show_names_the_attempts_of_a_resumed_run(call: Any, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/own.db"
    with trackers.connect(url) as store:
        uid = store.start_run("e").uid
        with store.start_run("e") as once:
            pass
        store.flush()
        store.resume_run(uid).end("FAIL", ValueError("no luck"))
    out = call("show", uid, "--storage", url)[1]
    assert re.search(r"attempt +started +took +outcome +process +why", out)
    assert re.search(rf"0 .* lost +{os.getpid()} on .* the run was resumed", out)
    assert re.search(rf"1 .* fail +{os.getpid()} on .* no luck", out)
    facts = json.loads(call("show", uid, "--storage", url, "--json")[1])
    assert [one["outcome"] for one in facts["attempts"]] == ["lost", "fail"]
    assert "outcome" not in call("show", once.uid, "--storage", url)[1], "there is nothing to say"


def test_experiments_are_listed_with_their_number_of_runs(call: Any) -> None:
    code, out, _ = call("experiments")
    assert code == 0
    assert [line.split()[:3] for line in out.splitlines()[1:]] == [
        ["audio", "experiment", "1"],
        ["fraud", "experiment", "3"],
    ]
    assert [one["runs"] for one in json.loads(call("experiments", "--json")[1])] == [1, 3]


def test_what_a_user_stored_does_not_steer_the_terminal(call: Any) -> None:
    for args in (("runs",), ("show", "4"), ("search", "--json"), ("search", "params.k is not null")):
        code, out, _ = call(*args)
        assert code == 0
        assert "\x1b" not in out
        assert "\x07" not in out


EVIL = "ESC \x1b]0;x\x07 CR \r LS \u2028 bidi \u202e.\nsecond line\twith a tab"
TAME = "ESC \\x1b]0;x\\x07 CR \\r LS \\u2028 bidi \\u202e.\nsecond line    with a tab"


def test_a_traceback_keeps_its_lines_and_steers_no_terminal(call: Any, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/own.db"
    with trackers.connect(url) as store, pytest.raises(ValueError), store.start_run("e") as run:
        raise ValueError(EVIL)
    out = call("show", run.uid, "--storage", url)[1]
    traceback = out[out.index("Traceback (most recent") :]
    assert traceback.count("\n") > 3
    assert traceback.endswith(f"ValueError: {TAME}\n")
    assert json.loads(call("show", run.uid, "--storage", url, "--json")[1])["traceback"].endswith(f"{EVIL}\n")


def test_a_traceback_of_a_trial_does_likewise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(trial: Any) -> float:
        raise ValueError(EVIL)

    url = f"sqlite:///{tmp_path}/own.db"
    monkeypatch.setenv("HPO_STORAGE", url)
    study = hpo.create_study(study_name="s", storage=url, space={"x": hpo.Float(0, 1)}, sampler="random")
    study.optimize(fail, n_trials=1)
    capsys.readouterr()
    assert run_hpo(["show", "s/0"]) == 0
    out = capsys.readouterr().out
    assert out.endswith(f"ValueError: {TAME}\n")
    assert "\nTraceback (most recent" in out
    (tmp_path / "evil_study.py").write_text(
        f"import hpo\n\n@hpo.objective(space={{'x': hpo.Float(0, 1)}})\ndef evil(trial):\n    raise ValueError({EVIL!r})\n"
    )
    assert run_hpo(["try", str(tmp_path / "evil_study.py")]) == 1
    err = capsys.readouterr().err
    assert err.count(TAME) == 2
    assert not {"\x1b", "\x07", "\r", "\u2028", "\u202e"} & set(err)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (
            ["search", "metricss.auc > 1"],
            "Error: there is no 'metricss'; did you mean metrics?\n  metricss.auc > 1\n  ^",
        ),
        (["search", "--order", "metrics.auc downwards"], "a field is followed by asc, desc or a comma"),
        (["search", "-e", "frud"], "there is no experiment 'frud' in this store; did you mean 'fraud'?"),
        (["search", "--limit", "0"], "--limit must be from 1 to 100000, not 0"),
        (["search", "--page-token", "x"], "the page token cannot be read"),
        (["search", "a", "b"], "unexpected extra argument"),
        (["show", "f" * 32], "there is no run"),
        (["show", "fraud/3"], "'fraud' is an experiment and no study: its runs go by their uids"),
        (["register", "fraud/3", "m"], "which `trackers runs fraud` lists"),
        (["show", "frond/3"], "there is no study 'frond'"),
        (["show", "RUN", "--history", "aux"], "has no metric 'aux'; did you mean 'auc'?"),
        (
            ["search", "metrics.auc{split=test} > 0"],
            "No run has the metric 'auc{split=test}': they have metrics.auc",
        ),
        (["serch"], "There is no command serch; did you mean search?"),
        (["runs", "--storage", "nonsense"], "is not the URL of a store"),
        (["runs", "--storage", "sqlite:////nowhere/hpo.db"], "there is no store at"),
        (["runs", "--storage", "postgresql://u:secret@127.0.0.1:1/x"], "***"),
    ],
)
def test_wrong_input_gets_one_sentence_and_exit_code_2(call: Any, storage: str, args: list[str], message: str) -> None:
    if "RUN" in args:
        with trackers.connect(storage) as store:
            uid = store.search_runs(experiments="fraud")[0].uid
        args = [uid if word == "RUN" else word for word in args]
    code, out, err = call(*args)
    assert (code, out) == (2, "")
    assert message in err or ("postgresql" in args[-1] and "secret" not in err)
    assert "Traceback" not in err
    assert "secret" not in err


def test_debug_shows_the_traceback(call: Any) -> None:
    code, _, err = call("search", "metricss.auc > 1", "--debug")
    assert code == 2
    assert "Traceback" in err


def test_a_command_that_reads_makes_no_file(tmp_path: Path, call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HPO_STORAGE")
    code, _, err = call("runs")
    assert code == 2
    assert "hpo.db" in err
    assert list(tmp_path.iterdir()) == []


def test_every_command_has_help_with_an_example(call: Any) -> None:
    from trackers.cli.app import TABLE

    assert all(name in call("--help")[1] for name in TABLE)
    for name in ("search", "runs", "show", "experiments"):
        code, out, _ = call(name, "--help")
        assert code == 0
        assert f"trackers {name}" in out.partition("Example")[2]
    assert call("--version")[1].startswith("trackers 0.")


def test_a_reading_command_loads_nothing_heavy(storage: str) -> None:
    code = (
        "import sys\n"
        "from trackers.cli.exit import run_command\n"
        f"assert run_command(['search', '--storage', {storage!r}]) == 0\n"
        "heavy = {'ray', 'optuna', 'matplotlib', 'numpy', 'pandas', 'alembic', 'sklearn', 'fsspec'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_importing_trackers_loads_no_database() -> None:
    code = "import sys, trackers; trackers.active_run(); assert 'sqlalchemy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_the_files_of_a_run_are_listed_and_brought(call: Any, storage: str, tmp_path: Path) -> None:
    with trackers.connect(storage) as store, store.start_run("files") as run:
        run.log_text("one", "notes/a.txt")
        run.log_text("two", "notes/b.txt")
        run.log_text("three", "c.md")
    code, out, _ = call("artifacts", run.uid)
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == ["file", "c.md", "notes/a.txt", "notes/b.txt"]
    assert call("artifacts", run.uid, "notes/*", "--to", str(tmp_path / "here"))[:2] == (
        0,
        f"2 files copied into {tmp_path / 'here'}.\n",
    )
    assert (tmp_path / "here" / "notes" / "a.txt").read_text() == "one"
    assert not (tmp_path / "here" / "c.md").exists()
    code, _, err = call("artifacts", run.uid, "notes/a.txt", "--to", str(tmp_path / "here"))
    assert code == 2
    assert "is there already" in err
    (tmp_path / "nowhere").mkdir()
    (tmp_path / "nowhere" / "c.md").symlink_to(tmp_path / "gone")
    code, _, err = call("artifacts", run.uid, "c.md", "--to", str(tmp_path / "nowhere"))
    assert (code, "is there already" in err) == (2, True), "a link that leads nowhere is there, too"
    assert (tmp_path / "nowhere" / "c.md").is_symlink()
    code, _, err = call("artifacts", run.uid, "notes/x.txt")
    assert code == 2
    assert "has no file 'notes/x.txt': it has c.md, notes/a.txt, notes/b.txt" in err
    assert [f["name"] for f in json.loads(call("artifacts", run.uid, "c.md", "--json")[1])] == ["c.md"]
    done = subprocess.run(
        [sys.executable, "-c", MAIN, "artifacts", run.uid, "c.md", "--cat", "--storage", storage],
        capture_output=True,
        check=False,
    )
    assert done.stdout == b"three", done.stderr
    assert call("artifacts", run.uid, "--cat")[0] == 2


def test_a_run_is_found_by_the_beginning_of_its_uid(call: Any, storage: str) -> None:
    with trackers.connect(storage) as store:
        uids = [run.uid for run in store.search_runs()]
    length = next(n for n in range(8, 33) if len({uid[:n] for uid in uids}) == len(uids))
    assert uids[0] in call("show", uids[0][: max(length, 20)])[1]
    shared = next(n for n in range(31, 0, -1) if len({uid[:n] for uid in uids}) < len(uids))
    if shared >= 8:
        twice = next(uid[:shared] for uid in uids if [other[:shared] for other in uids].count(uid[:shared]) > 1)
        code, _, err = call("show", twice)
        assert code == 2
        assert "give more digits of the run" in err
    assert call("show", "ffffffff")[0] == 2


def test_show_cuts_what_is_long_and_what_is_many(call: Any, storage: str) -> None:
    params = {"long": "x" * 1_000_000} | {f"p{number:04d}": number for number in range(300)}
    with trackers.connect(storage) as store, store.start_run("many", params=params) as run:
        run.log_metrics({f"m{number:04d}": 1.0 for number in range(300)})
    code, out, _ = call("show", run.uid)
    assert code == 0
    assert len(out) < 60_000
    assert "(1000002 characters: --json has all)" in out
    assert "101 more: --json has all" in out
    assert "... and 100 more: --json has all" in out
    assert len(json.loads(call("show", run.uid, "--json")[1])["params"]["long"]) == 1_000_000


def test_what_is_hidden_is_not_said_to_be_missing(tmp_path: Path, call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path}/own.db"
    place = ("--storage", url)
    with trackers.connect(url) as store:
        for _ in range(3):
            with store.start_run("fraud") as run:
                run.log_metric("auc", 0.7)
    assert call("runs", "--view", "deleted", *place)[1] == "No run is deleted.\n"
    call("delete", run.uid[:16], "--yes", *place)
    call("archive", "fraud", *place)
    hidden = "2 runs are archived: --view archived shows them. 1 run is deleted: --view deleted shows it.\n"
    assert call("runs", *place)[1] == f"No run is shown. {hidden}"
    assert call("search", "metrics.auc > 0", *place)[1] == f"No run matches. {hidden}"
    with trackers.connect(url) as store:
        store.start_run("another").end()
    assert call("search", "metrics.auc > 0", *place)[1] == f"No run matches. {hidden}", "though no other run has it"
    call("archive", "another", *place)
    monkeypatch.setattr("trackers.cli.search._COUNTED", 2)
    assert "At least 2 runs are archived: " in call("runs", *place)[1]
    told = "No experiment is shown. 2 experiments are archived: --view archived shows them.\n"
    assert call("experiments", *place)[1] == told
    assert json.loads(call("experiments", "--json", *place)[1]) == []
    call("delete", "fraud", "--yes", *place)
    code, _, err = call("rename", "fraud", "x", *place)
    assert (code, "it was deleted, and `trackers restore fraud` brings it back" in err) == (2, True)
    assert call("restore", "fraud", *place)[0] == 0


def test_half_a_character_breaks_no_json(call: Any, storage: str) -> None:
    with trackers.connect(storage) as store, store.start_run("half", params={"half": "a\ud800b"}) as run:
        pass
    for words in (["show", run.uid], ["search", "--experiment", "half"]):
        code, out, _ = call(*words, "--json")
        assert code == 0
        assert "a\\ud800b" in out
        assert json.loads(out)
        assert call(*words)[0] == 0


def test_runs_and_experiments_are_tagged_from_the_terminal(tmp_path: Path, call: Any) -> None:
    url = f"sqlite:///{tmp_path / 'own.db'}"
    with trackers.connect(url) as store, store.start_run("e") as run:
        pass
    place = ("--storage", url)
    assert call("tag", "--run", run.uid[:12], "looked=yes", *place)[:2] == (0, f"{run.uid[:12]}: looked = yes\n")
    assert "looked" in call("show", run.uid, *place)[1]
    assert call("tag", "e", "owner=ann", "--experiment", *place)[0] == 0
    assert call("describe", "e", "who steals", "--experiment", *place)[0] == 0
    (found,) = json.loads(call("experiments", "--json", *place)[1])
    assert (found["tags"], found["description"]) == ({"owner": "ann"}, "who steals")
    code, _, err = call("tag", "--run", run.uid, "--remove", "none", *place)
    assert (code, "has no tag 'none': it has looked" in err) == (2, True)


def test_what_others_wrote_steers_no_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"sqlite:///{tmp_path}/hpo.db"
    with trackers.connect(url) as store:
        store.create_experiment("abc\u200btxt")
    assert run_command(["runs", "nosuch", "--storage", url]) == 2
    said = capsys.readouterr().err
    assert "\u200b" not in said
    assert "\\u200b" in said


CALL = "import sys; from trackers.cli.exit import run_command; sys.exit(run_command(sys.argv[1:]))"


@pytest.mark.parametrize("closed", [1, 2])
def test_a_command_whose_output_leads_nowhere_does_its_work(closed: int, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/hpo.db"
    with trackers.connect(url) as store:
        run = store.start_run("e", name="before")
        run.end()
    command = [sys.executable, "-c", CALL, "rename", run.uid, "after", "--storage", url]
    done = subprocess.run(command, preexec_fn=lambda: os.close(closed), capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    with trackers.connect(url) as store:
        assert store.get_run(run.uid).name == "after"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_full_disk_behind_the_output_is_told(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/hpo.db"
    trackers.connect(url).close()
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-c", CALL, "experiments", "--storage", url, "--json"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode != 0
    assert "the disk is full; the work itself is done" in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_full_disk_under_a_file_is_not_taken_for_that_of_the_output(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/hpo.db"
    hpo.create_study(study_name="s", storage=url).optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)
    run = "import sys; from hpo.cli import main; sys.exit(main())"
    call = [sys.executable, "-c", run, "export", "s", "--storage", url, "-o", "/dev/full"]
    done = subprocess.run(call, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "/dev/full: No space left on device" in done.stderr


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (["policy"], "trackers policy is called with one of its commands: add, list, remove."),
        (["policy", "ad"], "There is no command ad in trackers policy; did you mean add?"),
        (["db", "x"], "There is no command x in trackers db: there are check, upgrade."),
    ],
)
def test_a_group_without_a_command_of_its_own_says_which_there_are(
    call: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(call) == 2
    assert capsys.readouterr().err == f"Error: {said}\n"
