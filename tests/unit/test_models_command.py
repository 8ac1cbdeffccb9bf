import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import trackers
from trackers import changes as c
from trackers.cli.exit import run_command
from trackers.cli.models import models
from trackers.cli.promote import promote
from trackers.clock import now_us
from trackers.errors import ConflictError
from trackers.states import RunState
from trackers.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with trackers.connect(f"sqlite:///{tmp_path}/hpo.db") as opened:
        yield opened


@pytest.fixture
def registered(store: Store) -> Store:
    """A registered model with two versions, ``fraud``; its files are of no matter here."""
    study = store.create_study("sweep", directions=["maximize"], metric_names=["auc"])
    lease = store.acquire_study(study.id)
    for number in range(2):
        run_id = store.allocate_ids(1)[0]
        created = c.TrialCreated(run_id, store.new_uid(), number, RunState.RUNNING, now_us())
        logged = c.ModelLogged(run_id, now_us(), store.new_uid(), manifest={"flavor": "sklearn"})
        lease.submit([created, logged]).wait(30)
        model = store.get_logged_model(run_id)
        assert model is not None
        store.registry.register("fraud", model, metrics={"auc": 0.5 + number / 4}, source=f"sweep/{number}")
    lease.release("stopped", "the test is over")
    store.registry.describe("fraud", "who \x1b[31msteals")
    return store


def call(command: Any, store: Store, *arguments: str) -> Result:
    return CliRunner().invoke(command, [*arguments, "--storage", store.url])


def test_models_lists_names_and_versions(registered: Store) -> None:
    assert call(promote, registered, "fraud", "1", "--to", "production").exit_code == 0
    listed = call(models, registered).output
    assert "fraud" in listed
    assert "production=1" in listed
    assert "\x1b" not in listed, "stored text cannot write to the terminal"
    shown = call(models, registered, "fraud").output
    assert "auc=0.75" in shown
    assert "sweep/1" in shown
    assert "production: nothing -> 1" in shown
    data = json.loads(call(models, registered, "fraud", "--json").output)
    assert [version["version"] for version in data["versions"]] == [2, 1]
    assert data["aliases"] == {"production": 1}
    assert json.loads(call(models, registered, "--json").output)[0]["name"] == "fraud"


def test_promote_moves_an_alias_and_says_what_was_there(registered: Store) -> None:
    call(promote, registered, "fraud", "1", "--to", "production", "--expect", "none")
    done = call(promote, registered, "fraud", "2", "--to", "production", "--reason", "better", "--expect", "1")
    assert "fraud@production now points at version 2 (before: version 1)." in done.output
    assert f'trackers.load_model("models:/fraud@production", store="{registered.url}")' in done.output
    copied = call(promote, registered, "fraud", "production", "--to", "candidate", "--json")
    assert json.loads(copied.output)["new_version"] == 2
    assert isinstance(
        call(promote, registered, "fraud", "1", "--to", "production", "--expect", "1").exception, ConflictError
    )
    assert registered.registry.get("fraud").aliases == {"candidate": 2, "production": 2}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["models", "frud"], "did you mean 'fraud'?"),
        (["promote", "fraud", "9", "--to", "production"], "no version 9: its versions are 1 to 2."),
        (["promote", "fraud", "abc", "--to", "production"], "no alias 'abc'"),
        (["promote", "fraud", "1", "--to", "a@b"], "must be a word"),
        (["promote", "fraud", "1"], "--to"),
        (["promote", "fraud", "1", "--to", "production", "--expect", "x"], "give a number, or none"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_2(
    registered: Store, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command([*arguments, "--storage", registered.url]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith("Error: ")
    assert len(error.splitlines()) == 1


def test_a_store_that_is_not_there_is_not_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["models", "--storage", f"sqlite:///{tmp_path}/none.db"]) == 2
    assert "none.db" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_an_empty_registry_says_how_to_fill_it(store: Store) -> None:
    assert call(models, store).output == (
        "No model is registered yet: trackers register RUN NAME, hpo register STUDY NAME\n"
    )


def test_reading_the_registry_loads_nothing_heavy(registered: Store) -> None:
    code = (
        "import sys; from trackers.cli.exit import run_command; run_command(sys.argv[1:]); "
        "print([m for m in ('ray', 'optuna', 'numpy', 'sklearn', 'matplotlib', 'fsspec') if m in sys.modules])"
    )
    command = [sys.executable, "-c", code, "models", "fraud", "--storage", registered.url]
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert time.perf_counter() - start < 10


def test_an_unknown_command_is_answered_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["model"]) == 2
    assert capsys.readouterr().err == "Error: There is no command model; did you mean models?\n"


def test_every_command_of_the_table_is_there_with_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    from trackers.cli.app import TABLE

    for name in TABLE:
        assert run_command([name, "--help"]) == 0
        assert "Example" in capsys.readouterr().out
