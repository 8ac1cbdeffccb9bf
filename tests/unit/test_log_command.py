"""``trackers log`` and ``trackers experiments create``: runs and experiments that are written from a shell."""

from __future__ import annotations

import io
import json
import math
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import trackers
from tests.git import git, make_repository
from trackers.cli.exit import run_command
from trackers.errors import ArtifactError
from trackers.states import RunState
from trackers.store import Store


class Answer(NamedTuple):
    code: int
    out: str
    err: str


Cli = Callable[[str], Answer]


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Call ``trackers`` as its program in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HPO_STORAGE", raising=False)
    monkeypatch.delenv("HPO_OFFLINE", raising=False)
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", None)

    def call(line: str) -> Answer:
        words = shlex.split(line)
        monkeypatch.setattr(sys, "argv", ["/opt/bin/trackers", *words])
        code = run_command(words)
        return Answer(code, *capsys.readouterr())

    return call


def opened() -> Store:
    return trackers.connect("sqlite:///hpo.db", create=False)


def points(store: Store, uid: str, key: str, context: str = "") -> list[tuple[int, float]]:
    return [(point.step, point.value) for point in store.metric_history(uid, key, context)]


def test_one_call_makes_a_whole_run_and_prints_its_uid_alone(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "plots" / "deep").mkdir(parents=True)
    (tmp_path / "plots" / "deep" / "roc.txt").write_text("roc")
    (tmp_path / "a=b.txt").write_text("equals")
    (tmp_path / "train.csv").write_text("x,y\n1,2\n")
    answer = cli(
        "log fraud --name first -p lr=0.1 --param layers=3 -p exact=true -p none=null -p zip=007 -p note='a=b' -p list=[1] "
        "-m auc=0.9 -m auc=0.95 -m loss=nan@7 --metric 'loss{split = val}=inf' -m bound=-inf@-2 "
        "-t team=risk --tag empty= --file plots --file a=b.txt --file train.csv=data/t.csv --data train.csv"
    )
    assert (answer.code, answer.err) == (0, "")
    uid = answer.out.removesuffix("\n")
    with opened() as store:
        run = store.get_run(uid)
        assert (run.experiment, run.name, run.state) == ("fraud", "first", RunState.COMPLETE)
        typed = {"lr": 0.1, "layers": 3, "exact": True, "none": None, "zip": "007", "note": "a=b", "list": "[1]"}
        assert run.params == typed
        assert list(map(type, run.params.values())) == list(map(type, typed.values()))
        assert run.tags == {"team": "risk", "empty": ""}
        assert points(store, uid, "auc") == [(0, 0.9), (1, 0.95)]
        assert points(store, uid, "bound") == [(-2, -math.inf)]
        assert points(store, uid, "loss", "split=val") == [(0, math.inf)]
        [(step, value)] = points(store, uid, "loss")
        assert (step, math.isnan(value)) == (7, True)
        files = {file.name: store.read_artifact(uid, file.name) for file in store.list_artifacts(uid)}
        assert files == {"plots/deep/roc.txt": b"roc", "a=b.txt": b"equals", "data/t.csv": b"x,y\n1,2\n"}
        [read] = store.inputs(uid)
        assert (read.name, read.digest, read.source) == (
            "train.csv",
            trackers.capture.data_digest("train.csv").digest,
            "train.csv",
        )
    again = cli(f"log fraud --parent {uid} --state fail --json")
    facts = json.loads(again.out)
    assert {name: facts[name] for name in ("experiment", "name", "state", "in_journal")} == {
        "experiment": "fraud",
        "name": "",
        "state": "FAIL",
        "in_journal": False,
    }
    with opened() as store:
        child = store.get_run(facts["uid"])
        assert (child.state, child.parent_id, child.id) == (RunState.FAIL, run.id, facts["id"])
        assert store.error(child) is None


CSV = "step,loss,acc{split=val},note,mixed\n0,0.5,,first,\n10,nan,0.25,second,\n20,inf,0.5,,\n"


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_each_column_of_numbers_of_a_table_is_a_series(cli: Cli, tmp_path: Path, mark: str) -> None:
    (tmp_path / "losses.csv").write_bytes(b"\xef\xbb\xbf" + CSV.replace(",", mark).replace("\n", "\r\n").encode())
    answer = cli("log fraud --metrics losses.csv -m loss=4")
    assert answer.code == 0
    assert answer.err == (
        "note: the column 'note' of losses.csv holds no numbers: left out\n"
        "note: the column 'mixed' of losses.csv holds no numbers: left out\n"
    )
    with opened() as store:
        uid = answer.out.strip()
        assert repr(points(store, uid, "loss")) == "[(0, 0.5), (10, nan), (20, inf), (21, 4.0)]"
        assert points(store, uid, "acc", "split=val") == [(10, 0.25), (20, 0.5)]
        assert {one.key for one in store.metrics(uid)} == {"loss", "acc"}


def test_lines_of_json_come_by_standard_input_and_rows_are_steps(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = (
        '{"loss": 1, "word": "a\u2028b"}\n\n{"loss": NaN, "acc": "0.5", "flag": true}\n{"acc": Infinity, "loss": null}'
    )
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines.encode())))
    answer = cli("log fraud --metrics -")
    assert answer.code == 0
    assert "'word' of standard input" in answer.err
    assert "'flag' of standard input" in answer.err
    with opened() as store:
        assert repr(points(store, answer.out.strip(), "loss")) == "[(0, 1.0), (1, nan)]"
        assert points(store, answer.out.strip(), "acc") == [(1, 0.5), (2, math.inf)]


def test_the_index_that_pandas_writes_is_no_series(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text(",loss\n0,0.5\n1,0.25\n")
    answer = cli("log fraud --metrics p.csv")
    assert (answer.code, answer.err) == (0, "note: a column of p.csv has no name: left out\n")
    with opened() as store:
        assert points(store, answer.out.strip(), "loss") == [(0, 0.5), (1, 0.25)]


def test_a_point_without_a_step_comes_after_those_of_the_file(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("step,loss\n0,1\n5,2\n")
    uid = cli("log e --metrics a.csv -m loss=7 -m loss=8@2").out.strip()
    with opened() as store:
        assert points(store, uid, "loss") == [(0, 1.0), (2, 8.0), (5, 2.0), (6, 7.0)]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("-p lr", "--param takes KEY=VALUE, not 'lr'."),
        ("-p lr=1 -p lr=2", "--param gives lr twice."),
        ("-t team", "--tag takes KEY=VALUE, not 'team'."),
        ("-p ' lr=1'", "may not be empty or start or end with a space"),
        ("-m auc", "--metric takes KEY=VALUE or KEY=VALUE@STEP, as in loss=0.25@10, not 'auc'."),
        ("-m 'auc{split=1'", "--metric takes KEY=VALUE"),
        ("-m auc=high", "The metric auc must be a number, not 'high'."),
        ("-m auc=1_000", "The metric auc must be a number, not '1_000'."),
        ("-m auc=1@first", "The step of auc must be a whole number, not 'first'."),
        (f"-m auc=1@{2**63}", "a step has 64 bits"),
        ("-m 'auc{a=1}=1@2' -m 'auc{ a = 1 }=3@2'", "--metric gives auc{a=1} twice at step 2."),
        ("-m auc=1 -m auc=2@0", "There are two values of auc at step 0."),
        ("--metrics good.csv -m loss=9@1", "There are two values of loss at step 1."),
        ("--metrics words.csv", "words.csv, line 3: loss must be a number, not '0,5'."),
        ("--metrics ragged.csv", "ragged.csv, line 2: there are 3 cells, and the head has 2."),
        ("--metrics steps.csv", "steps.csv, line 3: step must be a whole number, not '1.5'."),
        ("--metrics holes.csv", "holes.csv, line 3: step must be a whole number, not empty."),
        ("--metrics again.csv", "again.csv has two values of loss at step 1."),
        ("--metrics twice.csv", "twice.csv has two columns loss."),
        ("--metrics alike.csv", "alike.csv has two columns loss{a=1}."),
        ("--metrics empty.csv", "empty.csv holds no column of numbers."),
        ("--metrics lines.jsonl", "lines.jsonl, line 2: each line must be an object of JSON."),
        ("--metrics some.jsonl", "some.jsonl, line 2: some lines have a step, and some have none."),
        ("--metrics bytes.csv", "bytes.csv is no text in UTF-8."),
        ("--file none.bin", "Cannot read none.bin: No such file or directory."),
        ("--file =x", "--file takes PATH or PATH=NAME, not '=x'."),
        ("--file words.csv=../x", "has the part '..'"),
        ("--file words.csv --file ragged.csv=words.csv", "two files would be called 'words.csv'"),
        ("--file words.csv=a --file words.csv=a/b", "'a' would be both a file and a folder of the run"),
        ("--file nothing", "--file nothing: the folder holds no file."),
        ("--file link", "link is a link: give the file that it points to."),
        ("--data none.csv", "There is no file or folder 'none.csv' to make a digest of."),
        ("--state running", "'running' is not one of 'complete', 'fail'."),
    ],
)
def test_a_wrong_call_is_answered_with_a_sentence_and_there_is_no_run(
    cli: Cli, tmp_path: Path, words: str, sentence: str
) -> None:
    texts = {
        "good.csv": "step,loss\n0,1\n1,2\n",
        "words.csv": "step,loss\n0,1\n1,'0,5'\n".replace("'", '"'),
        "ragged.csv": "step,loss\n0,1,2\n",
        "steps.csv": "step,loss\n0,1\n1.5,2\n",
        "holes.csv": "step,loss\n0,1\n,2\n",
        "again.csv": "step,loss\n1,1\n1,2\n",
        "twice.csv": "loss,loss\n1,1\n",
        "alike.csv": "loss{a=1},loss{ a=1 }\n1,1\n",
        "empty.csv": "",
        "lines.jsonl": '{"loss": 1}\n[1]\n',
        "some.jsonl": '{"loss": 1, "step": 0}\n{"loss": 2}\n',
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "bytes.csv").write_bytes(b"loss\n\xff\n")
    (tmp_path / "nothing").mkdir()
    (tmp_path / "link").symlink_to("words.csv")
    answer = cli(f"log fraud -p good=1 {words}")
    assert (answer.code, answer.out) == (2, "")
    assert sentence in answer.err
    assert answer.err.count("\n") == 1
    assert "no experiment" in cli("experiments").out or not (tmp_path / "hpo.db").exists()


def test_a_parent_that_is_not_there_is_named(cli: Cli) -> None:
    assert cli("log fraud").code == 0
    answer = cli("log fraud --parent 99")
    assert (answer.code, answer.out) == (2, "")
    assert "there is no run '99' in this store" in answer.err
    with opened() as store:
        assert len(store.search_runs()) == 1


def test_where_logging_fails_the_run_has_failed(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ArtifactError("the bucket is gone")

    (tmp_path / "model.bin").write_bytes(b"x")
    monkeypatch.setattr("trackers.active.ActiveRun.log_artifact", fail)
    answer = cli("log fraud -m auc=1 --file model.bin")
    with opened() as store:
        [run] = store.search_runs()
        assert (run.state, run.metrics, run.error) == (RunState.FAIL, {"auc": 1.0}, "the bucket is gone")
    said = f"The run {run.uid} had begun, and ended as FAIL.\nError: the bucket is gone\n"
    assert (answer.code, answer.out, answer.err) == (2, "", said)


def test_offline_a_run_waits_in_a_journal_with_all_that_it_has(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model.bin").write_bytes(b"x")
    monkeypatch.setenv("HPO_OFFLINE", "1")
    answer = cli("log fraud -p lr=0.1 -m auc=1@3 --file model.bin --data model.bin --json")
    facts = json.loads(answer.out)
    assert (answer.code, facts["id"], facts["in_journal"]) == (0, None, True)
    child = cli(f"log fraud --parent {facts['uid']}").out.strip()
    assert cli("log fraud --parent 17").code == 2
    assert not (tmp_path / "hpo.db").exists()
    monkeypatch.delenv("HPO_OFFLINE")
    assert cli("sync").code == 0
    with opened() as store:
        run = store.get_run(facts["uid"])
        assert (run.params, run.metrics, run.state) == ({"lr": 0.1}, {"auc": 1.0}, RunState.COMPLETE)
        assert store.read_artifact(run, "model.bin") == b"x"
        assert [one.name for one in store.inputs(run)] == ["model.bin"]
        assert store.get_run(child).parent_id == run.id
        launch = store.launch(run)
        assert launch is not None
        assert (launch.code, launch.entry_point) == (None, "trackers")


def test_the_code_of_a_run_is_the_repository_around_the_folder(cli: Cli, tmp_path: Path) -> None:
    repository = make_repository(tmp_path)
    (repository / "study.py").write_text("x = 2\n")
    uid = cli("log fraud -p api_key=k123 -m auc=1").out.strip()
    with opened() as store:
        launch = store.launch(uid)
        assert launch is not None
        assert launch.code is not None
        assert (launch.code.commit, launch.branch) == (git(repository, "rev-parse", "HEAD"), "main")
        assert "+x = 2" in store.code_diff(launch.code)
        assert launch.entry_point == "trackers"
        assert launch.arguments == ("log", "fraud", "-p", "api_key=***", "-m", "auc=1")
        assert store.get_run(uid).params == {"api_key": "***"}


def test_outside_a_repository_no_code_is_recorded_least_of_all_the_programs_own(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "bin" / "trackers"  # as pip install --user puts it, on no path of packages
    own.parent.mkdir()
    own.write_text("from trackers.cli import main\n")
    (tmp_path / "loaded.py").write_text("")
    module: Any = type(sys)("loaded")
    module.__file__ = str(tmp_path / "loaded.py")
    monkeypatch.setitem(sys.modules, "loaded", module)
    monkeypatch.setattr(sys.modules["__main__"], "__file__", str(own), raising=False)
    uid = cli("log fraud -m auc=1").out.strip()
    with opened() as store:
        launch = store.launch(uid)
        assert launch is not None
        assert launch.code is None
        assert launch.environment is not None
    shown = cli(f"show {uid}").out
    assert "call         trackers log fraud -m auc=1\n" in shown
    assert "\ncode " not in shown
    assert json.loads(cli(f"show {uid} --json").out)["code"] is None
    assert "was not recorded" in cli(f"checkout {uid}").err
    assert "code: nothing" in cli(f"diff {uid} {uid}").out


def test_the_uid_serves_the_next_call(cli: Cli) -> None:
    uid = cli("log fraud -m auc=0.9").out.strip()
    assert cli(f"tag --run {uid} looked=yes").code == 0
    assert "fraud" in cli(f"show {uid}").out
    assert "auc" in cli("search 'metrics.auc > 0.8'").out


def test_an_experiment_is_created_and_the_list_is_as_it_was(cli: Cli, tmp_path: Path) -> None:
    assert cli("experiments").code == 2
    made = cli("experiments create churn --description 'Customers.' -t team=risk -t level=2")
    assert (made.code, made.out) == (0, "It is the experiment churn.  Log to it:  trackers log churn\n")
    [facts] = json.loads(cli("experiments --json").out)
    assert facts == {
        **facts,
        "name": "churn",
        "kind": "experiment",
        "runs": 0,
        "description": "Customers.",
        "tags": {"team": "risk", "level": "2"},
    }
    again = cli("experiments create churn")
    assert (again.code, again.out) == (2, "")
    assert "there is an experiment or study named 'churn' already" in again.err
    assert json.loads(cli("experiments create other --json").out)["name"] == "other"
    assert cli("experiments --view archived").out == "No experiment is archived.\n"
    assert cli("experiments create 'my exp'").out.endswith("Log to it:  trackers log 'my exp'\n")
    assert cli("experiments create -- -x").out.endswith("Log to it:  trackers log -- -x\n")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("create", "Missing argument 'NAME': the call is trackers experiments create NAME"),
        ("create a/b", "may not hold a slash"),
        ("create a -t b", "--tag takes KEY=VALUE, not 'b'."),
        ("--json create a", "--json in front of create is for the list: give it behind the name."),
        ("--storage sqlite:///o.db create a", "--storage in front of create is for the list: give it behind the name."),
        ("make a", "There is no command make in trackers experiments: there is create."),
    ],
)
def test_an_experiment_that_cannot_be_is_refused(cli: Cli, words: str, sentence: str) -> None:
    answer = cli(f"experiments {words}")
    assert (answer.code, answer.out) == (2, "")
    assert sentence in answer.err
    assert not [name for name in os.listdir() if name.endswith(".db")]
