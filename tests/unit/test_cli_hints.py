"""What commands say to do next, and what they print as JSON."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import click
import pytest

import trackers
from hpo.cli import main
from hpo.cli.app import hpo as program
from hpo.cli.life import ended, life_of
from hpo.wording import quoted
from tests.processes import Beside

STUDY = """
import hpo
from sklearn.dummy import DummyClassifier

@hpo.objective(space={"x": hpo.Float(0, 1)}, direction="maximize", total_trials=3)
def hinted(trial):
    print("trial", trial.number, "prints")
    trial.report(trial.params["x"], step=1)
    trial.log_model(DummyClassifier().fit([[0]], [1]))
    return trial.params["x"] if trial.number < 2 else float("inf")

def again(trial):
    trial.log_model(DummyClassifier().fit([[0]], [1]))
"""


class Answer(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))


Cli = Callable[[str], Answer]


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Cli:
    """Call ``hpo`` in a folder with a study file."""
    (tmp_path / "hinted_study.py").write_text(STUDY)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HPO_STORAGE", raising=False)

    def call(words: str) -> Answer:
        capfd.readouterr()
        code = main(shlex.split(words))
        out, err = capfd.readouterr()
        return Answer(code, out, err)

    return call


def test_every_hint_names_the_store_that_was_given(cli: Cli) -> None:
    elsewhere = "--storage sqlite:///other.db"
    ran = cli(f"run hinted_study.py --workers 0 {elsewhere}")
    assert f"hpo report hinted {elsewhere}" in ran.out
    assert f"hpo register hinted MODEL-NAME {elsewhere}" in ran.out
    for command in ("status", "show"):
        assert f"hpo rank hinted {elsewhere}" in cli(f"{command} hinted {elsewhere}").out
    registered = cli(f"register hinted best {elsewhere}").out
    assert f"hpo promote best 1 --to production {elsewhere}" in registered
    assert 'trackers.load_model("models:/best/1", store="sqlite:///other.db")' in registered
    promoted = cli(f"promote best 1 --to production {elsewhere}").out
    assert 'trackers.load_model("models:/best@production", store="sqlite:///other.db")' in promoted
    refitted = cli(f"refit hinted hinted_study.py:again {elsewhere}").out
    assert refitted.splitlines()[1].endswith(elsewhere)


def test_hints_are_short_where_the_store_is_the_default(cli: Cli) -> None:
    ran = cli("run hinted_study.py --workers 0")
    registered = cli("register hinted best")
    promoted = cli("promote best 1 --to production")
    for answer in (ran, registered, promoted, cli("status hinted")):
        assert answer.code == 0
        assert "storage" not in answer.out
        assert "store=" not in answer.out


def test_what_was_done_is_told_as_json(cli: Cli) -> None:
    ran = cli("run hinted_study.py --workers 0 --json")
    assert (ran.json["outcome"], ran.json["ran"], ran.json["trials"]) == ("complete", True, 3)
    assert ran.json["best"]["number"] == 2
    assert ran.json["best"]["values"] == {"value": None}  # infinity
    assert "trial 1 prints" in ran.err
    assert cli("resume hinted --json").json["ran"] is False
    assert cli("stop hinted --json").json["status"] == "complete"
    assert cli("try hinted_study.py --param x=0.5 --json").json["values"] == {"value": 0.5}
    assert cli("register hinted best --json").json["source"] == "hinted/2"
    assert len(cli("refit hinted hinted_study.py:again --json").json["run"]) == 32
    assert len(cli("export hinted --json").json["trials"]) == 3
    assert cli("report hinted --json").json["report"] == "report.html"
    assert cli("delete hinted --yes --json").json == {"deleted": "hinted", "trials": 3}


def test_try_shows_params_once_where_all_are_known(cli: Cli) -> None:
    lines = cli("try hinted_study.py --param x=0.5").out.splitlines()
    assert lines[0] == "params  x=0.5"
    assert not any(line.startswith("used") for line in lines)


def test_a_study_that_somebody_runs_is_named_with_the_call_that_stops_it(cli: Cli, tmp_path: Path) -> None:
    hold = (
        "import select, sys, trackers\n"
        "store = trackers.connect(sys.argv[1])\n"
        "row = store.create_study('hinted', directions=['maximize'], metric_names=['value'])\n"
        "lease = store.acquire_study(row.id)\n"
        "print('held', flush=True)\n"
        "while not select.select([sys.stdin], [], [], 0.2)[0]:\n"
        "    lease.renew()\n"
    )
    url = f"sqlite:///{tmp_path}/held.db"
    call = [sys.executable, "-c", hold, url]
    with Beside(call, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        for words in ("run hinted_study.py --workers 0 --continue", "delete hinted --yes"):
            refused = cli(f"{words} --storage {url}")
            assert refused.code == 2, words
            sentence = refused.err.splitlines()[-1]
            assert sentence.startswith("Error: hinted is run by "), words
            assert f"process {holder.pid}" in sentence, words
            assert f"`hpo stop hinted --storage {url}`" in sentence, words
        holder.kill()
        holder.wait(10)
    listed = cli(f"list --storage {url}").out
    assert "interrupted" in listed, "its process is gone"


def test_a_status_and_its_reason_say_no_word_twice() -> None:
    assert ended("stopped", "stopped by me@here") == "stopped by me@here"
    assert ended("stopped", "interrupted") == "interrupted"
    assert ended("complete", "all 3 trials ended") == "complete: all 3 trials ended"
    assert ended("complete", "") == "complete"


def test_a_name_is_quoted_where_a_shell_would_break_it(tmp_path: Path) -> None:
    assert quoted("überprüfung-2") == "überprüfung-2"
    assert quoted("my study") == "'my study'"
    with trackers.connect(f"sqlite:///{tmp_path}/hpo.db") as store:
        store.create_study("my study", directions=["minimize"], metric_names=["value"])
        lease = store.acquire_study(store.get_study("my study").id)
        lease.release("stopped", "stopped by a test")
        assert life_of(store.get_study("my study")).advice == "hpo resume 'my study'"


def test_the_first_line_on_a_terminal_stands_alone(tmp_path: Path, cli: Cli) -> None:
    import pty

    ours, theirs = pty.openpty()
    call = [sys.executable, "-c", "from hpo.cli import main; raise SystemExit(main())"]
    call += ["run", "hinted_study.py", "--workers", "0"]
    with Beside(call, cwd=tmp_path, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        shown = b""
        try:
            while part := os.read(ours, 65536):
                shown += part
        except OSError:
            pass  # the other end is closed
        assert process.wait(30) == 0
    os.close(ours)
    before, _, _ = shown.partition(b"Study hinted")
    assert before.endswith((b"\r\x1b[2K", b"\x1b[2m")), before  # the line is cleared first


def _opens_a_store() -> dict[str, click.Command]:
    """Return every command of ``hpo`` that takes ``--storage``, those of groups too."""
    found: dict[str, click.Command] = {}

    def walk(group: click.Group, before: str) -> None:
        context = click.Context(group)
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            assert command is not None
            if isinstance(command, click.Group):
                walk(command, f"{before}{name} ")
            elif any("--storage" in parameter.opts for parameter in command.params):
                found[before + name] = command

    walk(program, "")
    return found


def test_every_command_that_opens_a_store_knows_the_profiles() -> None:
    commands = _opens_a_store()
    assert {"search", "models", "promote", "run", "list", "db upgrade"} <= commands.keys()
    for name, command in commands.items():
        options = [option for parameter in command.params for option in parameter.opts]
        assert options.count("--storage") == options.count("--profile") == 1, name


PROFILED = (
    "run hinted_study.py:hinted",
    "list",
    "status hinted",
    "show hinted/0",
    "best hinted",
    "rank hinted",
    "compare hinted/0 hinted/1",
    "search --study hinted",
    "report hinted -o r.html",
    "export hinted",
    "register hinted m",
    "models m",
    "promote m 1 --to production",
    "try hinted/0",
    "stop hinted",
    "db upgrade",
    "delete hinted --yes",
)


@pytest.mark.parametrize("file", ["hpo.toml", "pyproject.toml"])
def test_a_profile_leads_each_command_to_its_store(cli: Cli, file: str) -> None:
    assert cli("run hinted_study.py:hinted --workers 0 --storage sqlite:///team.db").code == 0
    table = "tool.hpo." if file == "pyproject.toml" else ""
    Path(file).write_text(f"[{table}profiles.team]\nstorage = 'sqlite:///team.db'\n")
    for words in PROFILED:
        answer = cli(f"{words} --profile team")
        assert answer.code == 0 or words == "stop hinted", (words, answer)
        assert not Path("hpo.db").exists(), words
    for words in PROFILED:
        answer = cli(f"{words} --profile tem")
        assert (answer.code, answer.out) == (2, ""), words
        assert "There is no profile tem" in answer.err
        assert "did you mean team?" in answer.err
