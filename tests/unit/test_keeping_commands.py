"""The commands that keep a store small, whole and safe, called as commands: exit codes, JSON, dry runs, wrong names."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

import trackers
from hpo.cli.app import hpo
from hpo.cli.exit import run_command as run_hpo
from tests.unit.filled_store import fill
from trackers.cli.app import trackers as program
from trackers.cli.exit import run_command

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder whose ``hpo.db`` has two experiments, each with a run and a file."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HPO_STORAGE", raising=False)
    with trackers.connect("sqlite:///hpo.db") as store:
        for name in ("fraud", "tries"):
            with store.start_run(name, params={"depth": 3}) as run:
                run.log_metric("auc", 0.9, step=1)
                run.log_text(f"what we saw in {name}", "notes.txt")
    return tmp_path


@pytest.fixture
def call(folder: Path, capfd: pytest.CaptureFixture[str]) -> Call:
    """Call ``trackers``, or ``hpo`` where that is the first word: exit code, stdout, stderr."""

    def run(*args: str) -> tuple[int, str, str]:
        capfd.readouterr()
        code = run_hpo(hpo, list(args[1:])) if args[0] == "hpo" else run_command(list(args))
        out, err = capfd.readouterr()
        return code, out, err

    return run


def as_json(answer: tuple[int, str, str], code: int = 0) -> Any:
    assert answer[0] == code, answer
    return json.loads(answer[1])


def test_gc_says_what_would_go_and_removes_it_only_without_dry_run(call: Call) -> None:
    assert call("delete", "tries", "--yes")[0] == 0
    grace = ("--grace", "0", "--file-grace", "0", "--json")
    would = as_json(call("gc", "--dry-run", *grace))
    assert (would["dry_run"], [one["name"] for one in would["experiments"]]) == (True, ["tries"])
    assert as_json(call("restore", "tries", "--json"))["restored"] == "tries"
    call("delete", "tries", "--yes")
    done = as_json(call("hpo", "gc", *grace))
    assert (done["dry_run"], done["files"], done["problems"]) == (False, 1, [])
    code, out, err = call("restore", "tries")
    assert (code, out) == (2, "")
    assert "there is no experiment 'tries' in this store: nothing was deleted" in err
    assert call("gc")[1].splitlines()[-1] == "0 files (0 bytes) deleted."
    assert "'soon' is not a length of time" in call("gc", "--grace", "soon")[2]


def test_restore_names_what_was_deleted_each_once(call: Call) -> None:
    for _ in range(2):
        call("delete", "tries", "--yes")
        with trackers.connect("sqlite:///hpo.db") as store:
            store.create_experiment("tries")
    call("delete", "tries", "--yes")
    assert call("restore", "nope")[2] == ("Error: there is no experiment 'nope' in this store: deleted are tries\n")
    assert call("restore", "trie")[2].endswith("; did you mean 'tries'?\n")


def test_pins_are_set_listed_and_taken_away(call: Call) -> None:
    with trackers.connect("sqlite:///hpo.db") as store:
        run = store.search_runs(experiments="fraud")[0]
    assert call("pin", "--list")[1] == "Nothing is pinned.\n"
    assert call("pin", run.uid, "--reason", "figure 3")[:2] == (0, f"The run {run.uid} is pinned.\n")
    (pin,) = as_json(call("hpo", "pin", "--list", "--json"))
    assert (pin["kind"], pin["target"], pin["reason"]) == ("run", run.uid, "figure 3")
    assert as_json(call("hpo", "unpin", str(run.id), "--json")) == {"unpinned": str(run.id)}
    code, _, err = call("unpin", run.uid)
    assert (code, "is not pinned: `trackers pin --list` shows what is" in err) == (2, True)
    assert call("pin", "f" * 32)[0] == 2
    assert call("pin")[2] == "Error: Name what is to be pinned, or give --list.\n"


def test_fsck_ends_with_1_while_something_is_wrong(call: Call, folder: Path) -> None:
    assert as_json(call("fsck", "--json"))["files"] == 2
    assert call("hpo", "backup", "backup")[0] == 0
    assert call("fsck", "--from", "backup")[2] == "Error: --from is where --repair takes files from: give both.\n"
    with trackers.connect("sqlite:///hpo.db") as store:
        run = store.search_runs(experiments="fraud")[0]
        path = store.artifacts.path(store.list_artifacts(run)[0].digest)
    assert path is not None
    path.unlink()
    code, out, _ = call("fsck", "--quick")
    assert (code, out.splitlines()[-1].split("; ")[1]) == (1, "1 problem is left.")
    assert call("hpo", "fsck", "--repair", "--from", "backup")[0] == 0
    assert as_json(call("fsck", "--quick", "--json"))["files"] == 2


def test_du_tells_sizes_by_experiment_and_by_run(call: Call) -> None:
    facts = as_json(call("du", "--json"))
    assert {one["experiment"] for one in facts["experiments"]} == {"fraud", "tries"}
    assert "; 2 files, " in call("du")[1]
    assert call("hpo", "du", "--runs")[1].split()[:3] == ["run", "points", "files"]
    assert call("du", "--storage", "sqlite:///none.db")[0] == 2


def test_archive_hides_and_writes_parquet_files(call: Call, folder: Path) -> None:
    assert as_json(call("archive", "tries", "--json")) == {"archived": True, "name": "tries"}
    assert [one["name"] for one in as_json(call("experiments", "--json"))] == ["fraud"]
    assert as_json(call("hpo", "archive", "tries", "--undo", "--json"))["archived"] is False
    assert "--files and --remove go with --to FOLDER" in call("archive", "tries", "--files")[2]
    assert "did you mean 'tries'" in call("archive", "triez")[2]
    pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install hpo[parquet]")
    code, out, _ = call("archive", "tries", "--to", "old", "--files")
    assert (code, out.splitlines()[0].partition(": ")[2].split(", ")[0]) == (0, "1 run")
    assert "1 file (" in out
    assert call("archive", "tries", "--to", "old")[0] == 2, "the folder holds something"
    assert as_json(call("hpo", "archive", "tries", "--to", "older", "--remove", "--json"))["removed"] is True
    assert [one["name"] for one in as_json(call("experiments", "--json"))] == ["fraud"]


def test_a_backup_is_restored_by_either_program(call: Call, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = as_json(call("backup", "backup", "--json"))
    assert (done["files"], done["added"], done["problems"]) == (2, 2, [])
    assert "0 new) to backup.\n" in call("hpo", "backup", "backup")[1]
    there = as_json(call("hpo", "restore", "backup", "--storage", "sqlite:///again.db", "--json"))
    assert there["files"] == 2
    monkeypatch.setenv("HPO_STORAGE", "sqlite:///again.db")
    assert call("hpo", "fsck")[0] == 0
    assert call("restore", "backup")[::2] == (
        2,
        "Error: this store holds something already: restore into one that does not exist yet\n",
    )
    assert call("restore", "nowhere", "--partial")[2].startswith("Error: --partial is for a backup")


def test_the_doctor_names_the_marks_of_stores_that_are_gone_and_what_removes_them(call: Call, folder: Path) -> None:
    with trackers.connect("sqlite:///hpo.db") as store:
        root, uid = Path(store.artifact_root), store.identity.uid
    for name in ("gone", "kept"):
        with trackers.connect(f"sqlite:///{name}.db", artifacts=str(root)) as other, other.start_run() as run:
            run.log_text("x", "x.txt")
    (folder / "gone.db").unlink()
    marks = {path.read_text().rpartition("/")[2]: path for path in (root / "stores").iterdir()}
    assert "If a store of these is gone, `hpo doctor` says how to remove its mark.\n" in call("hpo", "gc")[1]
    code, out, _ = call("doctor")
    lines = {name: line for line in out.splitlines() for name in marks if f"{name} keeps files" in line}
    assert (code, set(lines)) == (0, {"gone.db", "kept.db"})
    assert f"there is no file {folder}/gone.db" in lines["gone.db"]
    assert "is gone for good" in lines["kept.db"]
    assert lines["gone.db"].endswith(f"remove the mark: rm {shlex.quote(str(marks['gone.db']))}")
    marks["gone.db"].unlink()
    (folder / "kept.db").rename(folder / "hpo.db.bak")
    with trackers.connect("sqlite:///kept.db"):
        pass
    assert "kept.db is another store by now" in call("doctor")[1]
    marks["kept.db"].unlink()
    assert "1 file (1 byte) that nothing refers to waits for a later gc" in call("gc")[1]
    assert [path.name for path in (root / "stores").iterdir()] == [uid]


def test_what_hpo_deletes_is_brought_back_by_the_call_it_names(call: Call) -> None:
    fill(Path("studies.db"))
    code, out, _ = call("hpo", "delete", "digits", "--yes", "--storage", "sqlite:///studies.db")
    again = out.partition("`")[2].partition("`")[0]
    assert (code, again) == (0, "hpo restore digits --storage sqlite:///studies.db")
    assert out.endswith("brings it back, for 30 days.\n")
    assert call(*shlex.split(again))[:2] == (0, "digits is back.\n")


def test_the_shared_commands_name_the_program_that_was_called(call: Call) -> None:
    for name in ("gc", "restore", "models", "import", "search", "policy"):
        assert f"\n    hpo {name}" in call("hpo", name, "--help")[1]
        assert "trackers " not in call("hpo", name, "--help")[1].partition("Example")[2]
        assert f"\n    trackers {name}" in call(name, "--help")[1]
    assert "    hpo import optuna " in call("hpo", "import", "optuna", "--help")[1]


@pytest.mark.parametrize("group", [program, hpo])
def test_no_line_of_the_help_is_cut_at_80_columns(group: click.Group) -> None:
    groups = [([], group)]
    for path, one in groups:
        shown = one.get_help(
            click.Context(
                one, info_name=" ".join(["hpo", *path]), terminal_width=80, help_option_names=["-h", "--help"]
            )
        )
        lines = shown.partition("Commands:\n")[2].partition("\n\n")[0].splitlines()
        names = one.list_commands(click.Context(one))
        assert [line.split()[0] for line in lines] == names, "a line for each, and none that goes on in the next"
        assert not [line for line in lines if line.endswith("...")]
        commands = {name: one.get_command(click.Context(one), name) for name in names}
        groups += [([*path, name], each) for name, each in commands.items() if isinstance(each, click.Group)]


def test_a_reader_that_goes_away_is_no_failure(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    with trackers.connect("sqlite:///hpo.db") as store:
        run, other = (one.uid for one in store.search_runs())
    for words in (
        *("runs", "search --csv", "search --json", "experiments", "du", "doctor", "hpo list", "hpo search", "--help"),
        *(f"show {run}", f"diff {run} {other}", "models --json", "hpo --help"),
    ):
        reader, writer = os.pipe()
        os.close(reader)
        with open(writer, "w", buffering=1) as out, monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", out)
            code, _, err = call(*words.split())
            assert sys.stdout is out
        assert (words, code, err) == (words, 0, "")


def test_a_pipe_that_breaks_elsewhere_is_a_failure(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr("trackers.cli.experiments.open_store", broken)
    code, _, err = call("experiments")
    assert (code, "broken pipe" in err) == (1, True)


def test_gc_says_of_a_run_that_never_ended_until_when_it_stays(call: Call) -> None:
    with trackers.connect("sqlite:///hpo.db") as store:
        store.start_run("crashed").flush()
    with trackers.connect("sqlite:///hpo.db") as store:
        store.delete_experiment("crashed")
    code, out, _ = call("gc", "--grace", "0", "--file-grace", "0")
    assert code == 0
    assert not any(line.startswith("crashed") for line in out.splitlines()), "a row of noughts says nothing"
    assert "1 deleted run never ended and may still be logged to: kept until 20" in out
    assert as_json(call("gc", "--grace", "0", "--json"))["never_ended"] == 1
