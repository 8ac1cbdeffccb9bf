"""What people see on a terminal of 80 columns: nothing wraps by accident, and what matters is not cut away."""

from __future__ import annotations

import os
import pty
import struct
import sys
import termios
from fcntl import ioctl
from pathlib import Path

import pytest

import trackers
from hpo.ranking import wording
from tests.processes import Beside
from tests.unit.filled_store import fill
from trackers.wording import padded, text_width, wrapped

WIDE = "größe 参数 with a name that goes on and on"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("terminal")
    fill(folder / "hpo.db")
    with trackers.connect(f"sqlite:///{folder}/hpo.db") as store:
        for number in range(3):
            params = {WIDE: number / 7, **{f"param_{i:02d}": i + number for i in range(20)}}
            with store.start_run("odd", name="a name that is longer than it need be, by far", params=params) as run:
                run.log_metric("auc", 0.5 + number / 10)
    return folder


def on_a_terminal(folder: Path, *args: str, columns: int = 80) -> list[str]:
    """Run ``hpo`` on a terminal and return the lines it shows."""
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "HPO_STORAGE")}
    call = [sys.executable, "-c", "from hpo.cli import main; raise SystemExit(main())", *args]
    with Beside(call, cwd=folder, env=environment, stdout=theirs, stderr=theirs, stdin=theirs) as process:
        os.close(theirs)
        shown = b""
        try:
            while part := os.read(ours, 65536):
                shown += part
        except OSError:
            pass  # the other end is closed
        assert process.wait(30) == 0, shown
    os.close(ours)
    return shown.decode().splitlines()


def test_csv_on_a_terminal_steers_it_not(folder: Path) -> None:
    with trackers.connect(f"sqlite:///{folder}/hpo.db") as store:
        store.start_run("steering", params={"k": "a\x1b[31m\x00"}).end()
    assert "a\\x1b[31m\\x00" in on_a_terminal(folder, "search", "-e", "steering", "--csv")[1]


@pytest.mark.parametrize(
    "call", ["list", "rank digits", "best digits", "show digits/1", "compare digits pareto", "search", "models"]
)
def test_no_line_is_wider_than_the_terminal(folder: Path, call: str) -> None:
    lines = on_a_terminal(folder, *call.split())
    assert max(text_width(line) for line in lines if not line.startswith("More follow")) <= 80, lines


def test_search_names_every_run_and_the_columns_that_have_no_room(folder: Path) -> None:
    with trackers.connect(f"sqlite:///{folder}/hpo.db") as store:
        uids = [run.uid for run in store.search_runs(experiments=["odd"])]
    lines = on_a_terminal(folder, "search", "--study", "odd", columns=60)
    assert [line.split()[0] for line in lines[1:4]] == [uid[:16] for uid in uids]
    assert all("a name that" in line and "odd" not in line for line in lines[1:4]), "odd was asked for"
    told = " ".join(lines[4:])
    assert told.startswith("No room for 5 columns (params.")
    assert lines[0].endswith("  metrics.auc")
    assert told.endswith(", ...): a wider terminal or --json shows all.")
    assert len(lines) <= 6


def test_a_listing_of_80_columns_has_room_for_when_and_a_metric(folder: Path) -> None:
    lines = on_a_terminal(folder, "search", "--study", "odd")
    assert lines[0].split() == ["run", "name", "state", "started", "metrics.auc"]
    assert lines[1].endswith("0.7")
    uid = lines[1].split()[0]
    asked = on_a_terminal(folder, "search", "metrics.auc > 0")
    assert asked[0].split() == ["run", "experiment", "name", "state", "metrics.auc"]
    assert asked[-1] == "No room for started: a wider terminal or --json shows all."
    with trackers.connect(f"sqlite:///{folder}/hpo.db") as store:
        assert store.get_run(uid).uid.startswith(uid), "the digits that are shown name the run"


def test_show_breaks_long_params_into_lines_and_cuts_none(folder: Path) -> None:
    wide = on_a_terminal(folder, "show", "digits/1", columns=200)
    narrow = on_a_terminal(folder, "show", "digits/1", columns=40)
    assert "".join("".join(narrow).split()) == "".join("".join(wide).split())


def test_rank_gives_up_cost_and_time_before_the_params(folder: Path) -> None:
    assert "core-s" in on_a_terminal(folder, "rank", "digits", columns=200)[1]
    narrow = on_a_terminal(folder, "rank", "digits", columns=66)
    assert "core-s" not in narrow[1]
    assert narrow[1].endswith("params")


def test_wide_characters_count_twice() -> None:
    assert text_width("参数") == 4
    assert text_width("e\u0301") == 1
    assert wording.short("参数参数", 5) == "参数…"
    assert padded("色", 4) == "色  "
    assert wrapped("a bb 参数参数 c", 5) == ["a bb", "参数", "参数", "c"]


def test_what_the_machine_did_and_params_do_not_take_the_room_of_a_metric(tmp_path: Path) -> None:
    with trackers.connect(f"sqlite:///{tmp_path}/hpo.db") as store:
        for experiment in ("fraud", "a-longer-experiment"):
            with store.start_run(experiment, name="a name that is longer than it need be", params={"C": 1}) as run:
                run.log_metrics({f"system/{name}": 1.0 for name in ("cpu", "memory", "disk", "network", "gpu")})
                run.log_metrics({"accuracy_on_may": 0.5})
    heads, *_, told = on_a_terminal(tmp_path, "search")
    assert heads.split() == ["run", "experiment", "name", "state", "metrics.accuracy_on_may"]
    assert told == "No room for params.C, started: a wider terminal or --json shows all."
    assert "metrics.system/cpu" in on_a_terminal(tmp_path, "search", "metrics.system/cpu > 0")[0]


def test_a_long_name_of_a_model_leaves_room_for_the_rest(tmp_path: Path) -> None:
    with trackers.connect(f"sqlite:///{tmp_path}/hpo.db") as store:
        store.registry.create("m" * 250, "who steals")
        store.registry.create("short")
    heads, first, second, _ = on_a_terminal(tmp_path, "models")
    assert heads.split() == ["model", "newest", "aliases", "since"]
    assert first.startswith("m" * 39 + "…  ")
    assert second.startswith("short  ")
