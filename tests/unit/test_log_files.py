"""``trackers log``: what its files of metrics mean, what is refused before there is a store, and how it is ended."""

from __future__ import annotations

import math
import os
import pickle
import signal
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.test_log_command import Answer, Cli, opened
from tests.unit.test_log_command import cli as cli
from trackers.active import ActiveRun
from trackers.cli.log import BATCH
from trackers.cli.series import read_series
from trackers.errors import InvalidValueError
from trackers.sql.writer import SPILL_AT
from trackers.states import RunState
from trackers.termination import Terminated

Log = Callable[[str], Answer]


@pytest.fixture
def log(cli: Cli) -> Log:
    """Call ``trackers log e`` with what it is given, in an empty folder."""
    return lambda line: cli(f"log e {line}")


def series(uid: str) -> dict[str, list[tuple[int, float]]]:
    """Return what the run has: the points of each metric."""
    with opened() as store:
        keys = [(one.key, one.context) for one in store.metrics(uid)]
        return {
            f"{key}{{{context}}}" if context else key: [
                (point.step, point.value) for point in store.metric_history(uid, key, context)
            ]
            for key, context in keys
        }


@pytest.mark.parametrize(
    ("text", "found"),
    [
        # a line of empty cells is a row, an empty line is none; pandas writes one of a NaN as ""
        ('loss\n1\n""\n\n3\n', {"loss": [(0, 1.0), (2, 3.0)]}),
        ("a,b\n1,2\n,\n3,4\n", {"a": [(0, 1.0), (2, 3.0)], "b": [(0, 2.0), (2, 4.0)]}),
        # steps are read to their last digit
        ("step,a\n9007199254740992,1\n9007199254740993,2\n", {"a": [(2**53, 1.0), (2**53 + 1, 2.0)]}),
        ("step,a\n1e3,1\n5.0,2\n-7,3\n9007199254740993.0,4\n", {"a": [(-7, 3), (5, 2), (1000, 1), (2**53 + 1, 4)]}),
        (f'{{"step": {2**53 + 1}, "a": 1}}\n{{"step": 1e3, "a": 2}}\n', {"a": [(1000, 2.0), (2**53 + 1, 1.0)]}),
        # pandas separates by tabs, and its index has no name
        ("\tloss\n0\t0.5\n1\t0.25\n", {"loss": [(0, 0.5), (1, 0.25)]}),
        (",step,loss\n0,4,0.5\n1,5,0.25\n", {"loss": [(4, 0.5), (5, 0.25)]}),
        # PyTorch Lightning writes a step twice, and what both rows have twice
        ("epoch,step,train,val\n0,9,0.5,\n0,9,,0.7\n", {"epoch": [(9, 0.0)], "train": [(9, 0.5)], "val": [(9, 0.7)]}),
        ("Wall time,Step,Value\n1.5,3,0.5\n", {"Wall time": [(3, 1.5)], "Value": [(3, 0.5)]}),
        ('{"Step": 3, "a": 1}\n', {"a": [(3, 1.0)]}),
        ("step,Step\n3,1\n", {"Step": [(3, 1.0)]}),
        ("a\ninf\n-Infinity\n", {"a": [(0, math.inf), (1, -math.inf)]}),
        ('{"a": Infinity}\n{"a": "-inf"}\n', {"a": [(0, math.inf), (1, -math.inf)]}),
    ],
)
def test_a_file_of_metrics_means_what_it_says(
    log: Log, tmp_path: Path, text: str, found: dict[str, list[tuple[int, float]]]
) -> None:
    (tmp_path / "m").write_text(text)
    answer = log("--metrics m")
    assert answer.code == 0, answer.err
    assert series(answer.out.strip()) == found


def test_a_value_that_is_there_again_counts_once_even_nan(log: Log, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("step,loss\n1,nan\n0,0.5\n1,nan\n")
    assert repr(series(log("--metrics a.csv").out.strip())) == "{'loss': [(0, 0.5), (1, nan)]}"


def test_several_files_are_read_and_what_they_have_of_a_series_is_one(log: Log, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("step,loss,acc\n0,0.5,0.1\n1,0.25,0.2\n")
    (tmp_path / "b.csv").write_text("step,loss\n1,0.25\n2,0.125\n")
    (tmp_path / "c.jsonl").write_text('{"acc": 0.9, "step": 3}\n')
    answer = log("--metrics a.csv --metrics b.csv --metrics c.jsonl -m loss=4")
    assert series(answer.out.strip()) == {
        "loss": [(0, 0.5), (1, 0.25), (2, 0.125), (3, 4.0)],
        "acc": [(0, 0.1), (1, 0.2), (3, 0.9)],
    }


HUGE = "9" * 300
REFUSED = [
    ("--metrics step.csv --metrics other.csv", "step.csv and other.csv have two values of loss at step 1."),
    ("--metrics step.csv -m loss=1@1", "There are two values of loss at step 1."),
    ("--metrics - --metrics -", "Standard input can be read once: give --metrics - once."),
    ("--metrics bare.csv", "bare.csv, line 1: the first line must name the columns, as in step,loss."),
    ("--metrics twice.jsonl", "twice.jsonl, line 2, has two columns loss."),
    ("--metrics large.csv", "large.csv, line 3: loss is too large for a float: 1e999."),
    ("--metrics large.jsonl", "large.jsonl, line 1: loss is too large for a float: -1e999."),
    ("--metrics whole.jsonl", f"whole.jsonl, line 1: loss is too large for a float: {'9' * 40}."),
    ("--metrics digits.jsonl", f"digits.jsonl, line 1: loss is too large for a float: {'9' * 40}."),
    ("-m loss=-1e400", "The metric loss is too large for a float: -1e400."),
    ("-m auc=１", "The metric auc must be a number, not '１'."),
    ("-m a=b=1", "The metric a must be a number, not 'b=1'."),
    (f"-m a=1@{2**63 - 1} -m a=2", f"There is no step of a after {2**63 - 1}: give one, as in KEY=VALUE@0."),
    (f"-m a=1@{HUGE}", "a step has 64 bits: a number of 997 bits is out of range"),
    ("--metrics far.csv", f"far.csv, line 3: a step has 64 bits: {'9' * 40} is out of range."),
    ("--metrics far.jsonl", f"far.jsonl, line 1: a step has 64 bits: {'9' * 40} is out of range."),
    ("--metrics half.csv", "half.csv, line 2: step must be a whole number, not '9007199254740993.5'."),
    ("--metrics words.csv", "words.csv holds no column of numbers: line 2 has 'high' under acc."),
    ("--metrics beside.csv", "beside.csv holds no column of numbers beside step: line 3 has 'high' under acc."),
    ("--metrics steps.csv", "steps.csv has the columns Step and STEP: call the one with the steps step."),
    ("--metrics long.csv", "long.csv: the name of a metric may have 250 characters, not 300"),
    ("--metrics none.csv", "Cannot read none.csv: No such file or directory."),
    ("--metrics /dev/zero", "/dev/zero is a device, which has no end: give a file, or - for standard input."),
    ("--file none.bin", "Cannot read none.bin: No such file or directory."),
    ("--file s3://me:word@x/y?z=1=name", "--file takes a path on this machine, not s3://x/y: download it first."),
    ("--data s3://x/y", "--data takes a path on this machine, not s3://x/y: download it first."),
    ("--name ' x'", "may not be empty or start or end with a space"),
    ("--parent 99", "hpo.db: name another with --storage or HPO_STORAGE"),
]
FILES = {
    "step.csv": "step,loss\n0,1\n1,2\n",
    "other.csv": "step,loss\n1,3\n",
    "bare.csv": "0,0.5\n1,0.25\n",
    "twice.jsonl": '{"loss": 1}\n{"loss": 2, "loss": 3}\n',
    "large.csv": "loss\n1\n1e999\n",
    "large.jsonl": '{"loss": -1e999}\n',
    "whole.jsonl": f'{{"loss": {"9" * 350}}}\n',
    "digits.jsonl": f'{{"loss": {"9" * 5000}}}\n',
    "far.csv": f"step,loss\n0,1\n{HUGE},2\n",
    "far.jsonl": f'{{"step": {"9" * 5000}, "loss": 1}}\n',
    "half.csv": "step,loss\n9007199254740993.5,1\n",
    "words.csv": "acc,note\nhigh,x\n",
    "beside.csv": "step,acc\n1,\n2,high\n",
    "steps.csv": "Step,STEP,loss\n1,1,1\n",
    "long.csv": f"{'x' * 300}\n1\n",
}


@pytest.mark.parametrize(("words", "sentence"), REFUSED)
def test_what_is_refused_leaves_no_store_behind(log: Log, tmp_path: Path, words: str, sentence: str) -> None:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    before = sorted(os.listdir())
    answer = log(words)
    assert (answer.code, answer.out) == (2, "")
    assert sentence in answer.err
    assert answer.err.count("\n") == 1
    assert sorted(os.listdir()) == before


def test_offline_a_parent_that_is_no_uid_leaves_no_journal_behind(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HPO_OFFLINE", "1")
    assert log("--parent 17").err == "Error: Offline --parent takes the 32 hex digits of a uid, not '17'.\n"
    assert os.listdir() == []


def test_a_param_that_no_float_holds_stays_text(log: Log) -> None:
    uid = log("-p x=1e999 -p y=-1e999 -p z=1e300").out.strip()
    with opened() as store:
        assert store.get_run(uid).params == {"x": "1e999", "y": "-1e999", "z": 1e300}


def test_a_pipe_is_read_as_a_file_is(log: Log) -> None:
    reading, writing = os.pipe()
    os.write(writing, b"loss\n1\n2\n")
    os.close(writing)
    uid = log(f"--metrics /dev/fd/{reading}").out.strip()
    os.close(reading)
    assert series(uid) == {"loss": [(0, 1.0), (1, 2.0)]}


def test_a_long_file_takes_no_more_room_than_its_points_and_is_written_in_batches(
    log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = 2 * SPILL_AT
    (tmp_path / "long.csv").write_text("step,a,b\n" + "".join(f"{at},{at}.5,-{at}.5\n" for at in range(rows)))
    tracemalloc.start()
    read_series(["long.csv"])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 40 * 2 * rows  # bytes; dicts of rows took ten times that
    written: list[int] = []
    plain = ActiveRun.log_points

    def count(run: ActiveRun, key: str, values: Any, *rest: Any) -> None:
        written.append(len(values))
        plain(run, key, values, *rest)

    monkeypatch.setattr(ActiveRun, "log_points", count)
    answer = log("--metrics long.csv")
    assert (sum(written), max(written)) == (2 * rows, BATCH)
    assert answer.err == ""  # nothing went over to the journal
    found = series(answer.out.strip())
    assert found["a"] == [(at, at + 0.5) for at in range(rows)]
    assert len(found["b"]) == rows


@pytest.mark.parametrize("moment", ["flush", "log_metrics"])
@pytest.mark.parametrize(
    ("number", "code", "word"), [(signal.SIGINT, 130, "Interrupted."), (signal.SIGTERM, 143, "Terminated.")]
)
def test_who_ends_the_call_ends_its_run(
    log: Log, monkeypatch: pytest.MonkeyPatch, moment: str, number: signal.Signals, code: int, word: str
) -> None:
    plain = getattr(ActiveRun, moment)

    def end(*args: Any) -> None:
        monkeypatch.setattr(ActiveRun, moment, plain)
        os.kill(os.getpid(), number)
        plain(*args)

    before = signal.getsignal(number)
    monkeypatch.setattr(ActiveRun, moment, end)
    answer = log("-m loss=1")
    with opened() as store:
        [run] = store.search_runs()
        assert (run.state, run.error) == (RunState.FAIL, "interrupted")
    said = f"The run {run.uid} had begun, and ended as FAIL.\n\n{word}\n"  # click's line is that of ^C
    assert (answer.code, answer.out, answer.err) == (code, "", said)
    assert signal.getsignal(number) == before


def test_a_signal_that_comes_again_disturbs_no_end(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    ending = ActiveRun.end

    def end(*args: Any) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        ending(*args)

    monkeypatch.setattr(ActiveRun, "log_metrics", lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    monkeypatch.setattr(ActiveRun, "end", end)
    answer = log("-m loss=1")
    with opened() as store:
        [run] = store.search_runs()
        assert run.state == RunState.FAIL
    assert (answer.code, answer.err) == (143, f"The run {run.uid} had begun, and ended as FAIL.\n\nTerminated.\n")
    assert pickle.loads(pickle.dumps(Terminated(signal.SIGTERM))).number == signal.SIGTERM


def test_a_run_that_the_store_does_not_take_had_not_begun(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise InvalidValueError("no such run")

    with monkeypatch.context() as patch:
        patch.setattr("trackers.sql.runs.start_later", refuse)
        answer = log("-m loss=1")
    assert (answer.code, answer.out, answer.err) == (2, "", "Error: no such run\n")
    with opened() as store:
        assert len(store.search_runs()) == 0
