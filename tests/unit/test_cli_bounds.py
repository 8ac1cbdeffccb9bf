"""What commands print stays readable however much a run holds; --json has all of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import NamedTuple

import pytest

import hpo
import trackers
from hpo.cli import main
from trackers.capture.compare import CodeDifference
from trackers.cli.exit import run_command
from trackers.cli.launch import launch_lines
from trackers.store import Store

LONG = "long " * 20_000


class Said(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def store(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    folder = tmp_path_factory.mktemp("bounds")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HPO_STORAGE", f"sqlite:///{folder / 'hpo.db'}")
    with trackers.connect(f"sqlite:///{folder / 'hpo.db'}") as store:
        yield store


@pytest.fixture
def call(store: Store, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Return what calls ``trackers``, or ``hpo`` where that is the first word."""

    def run(*args: str) -> Said:
        code = main(list(args[1:])) if args[0] == "hpo" else run_command(list(args))
        return Said(code, *capsys.readouterr())

    return run


def test_one_long_param_does_not_swell_every_row_of_a_table(store: Store, call: Callable[..., Said]) -> None:
    for number in range(3):
        store.start_run("wide", params={"text": LONG if number else "short", "n": number}).end()
    said = call("runs")
    assert len(said.out.splitlines()) == 4
    assert max(map(len, said.out.splitlines())) < 400
    assert "…" in said.out
    assert said.err == "Texts of more than 200 characters are cut: --json shows all.\n"
    assert json.loads(call("runs", "--json").out)["runs"][0]["params"]["text"] == LONG
    assert LONG in call("search", "--csv").out


def pair(store: Store) -> list[str]:
    """Return two runs whose metrics, params and tags are many, and one of them long."""
    uids = []
    for number in (0, 1):
        with store.start_run("many", params={"long": LONG + str(number), "n": number}) as run:
            run.log_metrics({f"m{i:05d}": i + number / 2 for i in range(1000)})
            run.set_tags({f"t{i:03d}": str(i + number) for i in range(300)})
        uids.append(run.uid)
    return uids


def test_a_diff_shows_the_first_of_many_changes_and_all_where_it_is_asked(
    store: Store, call: Callable[..., Said]
) -> None:
    uids = pair(store)
    said = call("diff", *uids)
    assert len(said.out.splitlines()) < 450
    assert "  ... and 100 more: --all shows all\n" in said.out
    assert "m00198" in said.out
    assert "m00999" not in said.out
    assert "m00999" in call("diff", *uids, "--all").out
    assert len(json.loads(call("diff", *uids, "--json").out)["metrics"]) == 1000


def test_a_diff_shows_the_first_lines_of_much_code(
    store: Store, call: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {f"{name}.py": ("---", "+++", *(f"+x = {i}" for i in range(900))) for name in "abc"}
    monkeypatch.setattr("trackers.difference._code", lambda *_: CodeDifference((), 0, files, ()))
    made = iter("abcd")
    monkeypatch.setattr("trackers.difference._digest", lambda _: next(made))
    uids = []
    for _ in "ab":
        with store.start_run("code") as run:
            uids.append(run.uid)
    said = call("diff", *uids)
    assert said.out.count("+x = ") == 1000
    assert "    ... and 800 more lines: --all shows all\n  c.py  +900 -0\n    ... and 900 more lines" in said.out
    assert call("diff", *uids, "--all").out.count("+x = ") == 2700


def test_show_cuts_a_long_call_and_counts_the_data_beyond_the_first(store: Store, call: Callable[..., Said]) -> None:
    with store.start_run("called") as run:
        for number in range(202):
            run.log_input([number], f"part {number}")
    launch = replace(store.launch(run), arguments=(LONG,))
    lines = launch_lines(launch, store.inputs(run))
    assert max(len(text) for _, text in lines) < 2100
    assert lines[-1] == ("data ...", "2 more: --json has all")


def many(trial: hpo.Trial) -> float:
    trial.log_params({"long": LONG, **{f"p{i:03d}": i for i in range(300)}})
    trial.log_metrics({f"m{i:04d}": float(i) for i in range(1000)})
    trial.set_user_attr("about", LONG)
    return trial.suggest_float("x", 0, 1)


def test_a_trial_and_trials_side_by_side_show_the_first_of_many(store: Store, call: Callable[..., Said]) -> None:
    hpo.create_study(study_name="many").optimize(many, 2, workers=0)
    shown = call("hpo", "show", "many/0").out
    assert len(shown) < 20_000
    assert "... and 800 more: --json has all" in shown
    assert f"({len(LONG) + 5} characters: --json has all)" in shown
    compared = call("hpo", "compare", "many/0", "many/1").out
    assert len(compared.splitlines()) < 450
    assert compared.splitlines()[-1].endswith("more: --json has all")
    assert LONG in call("hpo", "show", "many/0", "--json").out


def test_a_table_of_hpo_says_what_it_cuts_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    from hpo.cli import text

    assert text.table(["name", "text"], [["a", "short"]]) == "name  text\na     short"
    assert capsys.readouterr().err == ""
    assert max(map(len, text.table(["name", "text"], [["a", LONG]]).splitlines())) < 400
    assert capsys.readouterr().err == "Texts of more than 200 characters are cut: --json shows all.\n"
