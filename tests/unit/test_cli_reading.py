from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import trackers
from hpo.cli import main
from tests.unit.filled_store import fill


class Answer(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))


Cli = Callable[..., Answer]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("filled")
    fill(folder / "hpo.db")
    return folder


@pytest.fixture
def cli(filled: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Cli:
    """Call ``hpo`` in a folder with a filled store."""
    monkeypatch.chdir(filled)
    monkeypatch.delenv("HPO_STORAGE", raising=False)

    def call(*args: str) -> Answer:
        capfd.readouterr()
        code = main(list(args))
        out, err = capfd.readouterr()
        return Answer(code, out, err)

    return call


def test_list_shows_every_study_newest_first(cli: Cli) -> None:
    answer = cli("list")
    assert answer.code == 0
    lines = answer.out.splitlines()
    assert lines[0].split() == ["study", "status", "trials", "goal", "created"]
    assert [line.split()[0] for line in lines[1:]] == ["digits", "pareto", "empty"]
    assert "6 of 6" in lines[1]
    assert [study["study"] for study in cli("list", "--json").json] == ["digits", "pareto", "empty"]


def test_list_says_when_there_is_nothing_yet(cli: Cli, tmp_path: Path) -> None:
    import trackers

    trackers.connect(f"sqlite:///{tmp_path}/new.db").close()
    answer = cli("list", "--storage", f"sqlite:///{tmp_path}/new.db")
    assert (answer.code, answer.out) == (0, "No studies yet: `hpo run FILE` starts one.\n")


def test_status_says_how_far_a_study_is_and_what_to_do_next(cli: Cli) -> None:
    answer = cli("status", "digits")
    assert "stopped by a test" in answer.out
    assert "accuracy 0.97 (trial 1)" in answer.out
    assert "hpo resume digits" in answer.out
    told = cli("status", "digits", "--json").json
    assert told["best"] == {"number": 1, "values": {"accuracy": 0.97}}
    assert told["alive"] is False
    assert told["counts"] == {"RUNNING": 1, "COMPLETE": 3, "PRUNED": 1, "FAIL": 1, "WAITING": 0}
    assert cli("status", "empty").code == 0


def test_show_tells_everything_of_a_trial(cli: Cli) -> None:
    out = cli("show", "digits/1").out
    for part in ("digits/1", "COMPLETE", "accuracy 0.97", "lr=0.002", "ünïcode", "2 core-seconds"):
        assert part in out
    failed = cli("show", "digits/3").out
    assert "ValueError: no such image" in failed
    assert "Traceback ..." in failed


def test_show_json_has_null_where_a_number_is_nan(cli: Cli) -> None:
    told = cli("show", "digits/1", "--json").json
    assert told["user_attrs"] == {"note": "ünïcode", "nan": None}
    assert told["values"] == {"accuracy": 0.97}
    assert told["reports"] == {"0": 0.1, "1": 0.30000000000000004}


def test_show_log_prints_what_the_trial_printed(cli: Cli) -> None:
    out = cli("show", "digits/3", "--log").out
    assert re.sub("\x1b\\[[01]m", "", out) == "epoch 1 of trial 3\\x1b]0;title\\x07\\x1b[2J\r\n", (
        "colours and lines, no more"
    )
    assert cli("show", "digits/5", "--log").out == "digits/5 printed nothing.\n"


def test_show_tells_everything_of_a_study(cli: Cli) -> None:
    out = cli("show", "digits").out
    for part in ("maximize accuracy", "workers=2", "lr", "stopped"):
        assert part in out
    assert cli("show", "digits", "--json").json["seed"] == 7


def test_best_shows_the_winner_and_its_params(cli: Cli) -> None:
    assert cli("best", "digits").out.splitlines() == ["digits/1: accuracy 0.97", "  lr  0.002"]
    assert cli("best", "digits", "--json").json["params"] == {"lr": 0.002}


def test_best_of_several_objectives_is_the_front(cli: Cli) -> None:
    assert {trial["number"] for trial in cli("best", "pareto", "--json").json} == {0, 1}
    assert "Pareto front" in cli("best", "pareto").out


def test_rank_orders_trials_and_keeps_to_the_limit(cli: Cli) -> None:
    rows = cli("rank", "digits", "--json").json
    assert [row["number"] for row in rows][:3] == [1, 4, 0]
    assert len(rows) == 6
    assert len(cli("rank", "digits", "--limit", "2", "--json").json) == 2
    text = cli("rank", "digits", "--limit", "2").out
    assert "… and 4 more trials" in text
    assert len(cli("rank", "digits", "--all").out.splitlines()) == 8


def test_compare_puts_trials_side_by_side(cli: Cli) -> None:
    lines = cli("compare", "digits/0", "digits/1").out.splitlines()
    assert lines[0].split() == ["digits/0", "digits/1"]
    assert ["params.lr", "0.001", "0.002"] in [line.split() for line in lines]
    changed = cli("compare", "digits/0", "digits/1", "--changed").out
    assert "params.lr" in changed
    assert "COMPLETE" not in changed


def test_compare_puts_studies_side_by_side(cli: Cli) -> None:
    told = cli("compare", "digits", "pareto", "--json").json
    assert [study["best trial"] for study in told] == [1, 0]


def test_export_writes_csv_with_optunas_columns(cli: Cli, tmp_path: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(cli("export", "digits").out)))
    assert [row["number"] for row in rows] == ["0", "1", "2", "3", "4", "5"]
    assert rows[1]["value"] == "0.97"
    assert rows[1]["params_lr"] == "0.002"
    assert rows[3]["error"] == "ValueError: no such image"
    several = list(csv.DictReader(io.StringIO(cli("export", "pareto").out)))
    assert several[0]["values_accuracy"] == "0.9"
    assert several[0]["values_size"] == "10.0"


def test_export_writes_json_by_the_name_of_the_file(cli: Cli, tmp_path: Path) -> None:
    answer = cli("export", "digits", "-o", str(tmp_path / "digits.json"))
    assert (answer.code, answer.out) == (0, "")
    whole = json.loads((tmp_path / "digits.json").read_text())
    assert whole["study"]["study"] == "digits"
    assert [trial["state"] for trial in whole["trials"]].count("COMPLETE") == 3


def test_lines_that_go_to_a_terminal_fit_it(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hpo.cli.text.width", lambda: 80)
    for args in (
        ["list"],
        ["status", "digits"],
        ["show", "digits/3"],
        ["rank", "digits"],
        ["compare", "digits", "pareto"],
    ):
        assert max(map(len, cli(*args).out.splitlines())) <= 80, args


def test_delete_asks_first_and_frees_the_name(tmp_path: Path, cli: Cli) -> None:
    url = fill(tmp_path / "own.db")
    refused = cli("delete", "digits", "--storage", url)
    assert (refused.code, refused.err) == (
        2,
        "Error: Deleting digits with its 6 trials must be confirmed: give --yes.\n",
    )
    assert cli("delete", "digits", "--yes", "--storage", url).code == 0
    assert cli("status", "digits", "--storage", url).code == 2


def test_stop_of_a_study_that_nobody_runs_says_so(cli: Cli) -> None:
    answer = cli("stop", "digits")
    assert (answer.code, answer.out) == (0, "digits is not running (stopped by a test).\n")


def test_storage_is_taken_from_the_environment_and_from_hpo_toml(
    cli: Cli, filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli("list").code == 2
    (tmp_path / "hpo.toml").write_text(f'storage = "sqlite:///{filled}/hpo.db"\n')
    assert cli("list").code == 0
    (tmp_path / "hpo.toml").write_text(f'[profiles.team]\nstorage = "sqlite:///{filled}/hpo.db"\n')
    assert cli("list").code == 2
    assert cli("list", "--profile", "team").code == 0
    monkeypatch.setenv("HPO_STORAGE", f"sqlite:///{filled}/hpo.db")
    assert cli("list").code == 0


def test_reading_does_not_make_a_store(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    answer = cli("list")
    assert answer == (2, "", "Error: There is no store at hpo.db: run `hpo run FILE` first, or give --storage.\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "args", [["list"], ["rank", "digits"], ["show", "digits/1"], ["search", "metrics.accuracy > 0"]]
)
def test_reading_commands_load_nothing_heavy(filled: Path, args: list[str]) -> None:
    code = (
        "import sys; from hpo.cli import main; code = main(sys.argv[1:]); "
        "heavy = {'ray', 'optuna', 'matplotlib', 'numpy', 'pandas', 'alembic', 'sqlalchemy.dialects.mysql', "
        "'sqlalchemy.dialects.postgresql'} & set(sys.modules); "
        "sys.exit(f'{code} {heavy}' if code or heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code, *args], cwd=filled, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(("name", "code"), [("fine", 0), ("broken", 1)])
def test_a_sweep_goes_on_without_its_reader_and_its_exit_code_is_its_own(tmp_path: Path, name: str, code: int) -> None:
    (tmp_path / "two.py").write_text(
        "def fine(trial):\n    return trial.suggest_float('x', 0, 1)\n\n"
        "def broken(trial):\n    raise ValueError('no data')\n"
    )
    args = [f"two.py:{name}", "--trials", "40", "--workers", "0"]
    command = [sys.executable, "-c", "from hpo.cli import main; raise SystemExit(main())", "run", *args]
    read, write = os.pipe()
    os.close(read)  # nobody reads
    with os.fdopen(write) as nobody:
        done = subprocess.run(command, cwd=tmp_path, stdout=nobody, stderr=nobody, check=False, timeout=120)
    assert done.returncode == code
    with trackers.connect(f"sqlite:///{tmp_path}/hpo.db") as store:
        states = {trial.state.name for trial in store.get_trials(store.get_study(name).id)}
        assert states == ({"COMPLETE"} if name == "fine" else {"FAIL"})
        assert store.get_study(name).status == ("complete" if name == "fine" else "failed")


def test_a_reader_that_goes_away_is_no_error(filled: Path) -> None:
    call = f"{sys.executable} -c 'from hpo.cli import main; raise SystemExit(main())' list --json | head -1"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {call}"], cwd=filled, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "[\n", "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(cli: Cli, shell: str) -> None:
    answer = cli("completion", shell)
    assert answer.code == 0
    assert "_HPO_COMPLETE" in answer.out


@pytest.mark.parametrize(("typed", "offered"), [("di", ["digits"]), ("digits/", [1, 4, 0, 2, 3, 5]), ("digits/4", [4])])
def test_studies_and_their_trials_are_completed_the_best_first(
    filled: Path, typed: str, offered: list[str | int]
) -> None:
    env = {"_HPO_COMPLETE": "bash_complete", "COMP_WORDS": f"hpo show {typed}", "COMP_CWORD": "2", "PATH": "/bin"}
    code = "from hpo.cli import main; raise SystemExit(main())"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=filled, env=env, capture_output=True, text=True, check=False
    )
    assert done.stdout == "".join(f"plain,{o if isinstance(o, str) else f'digits/{o}'}\n" for o in offered)
