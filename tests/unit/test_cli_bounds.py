"""What commands print stays readable however much a run holds; --json has all of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest

import trackers
from hpo.cli import main
from trackers.cli.exit import run_command
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
