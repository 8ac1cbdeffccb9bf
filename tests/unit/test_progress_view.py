from __future__ import annotations

import io
import pdb
import sys
from dataclasses import replace

import pytest
from rich.console import Console

from hpo.cli import progress as views
from hpo.progress import Progress

RUNNING = Progress(
    study="digits",
    total=60,
    complete=9,
    pruned=12,
    failed=2,
    running=4,
    waiting=1,
    best_value=0.97771,
    best_number=17,
    rate=3.21,
    seconds_left=11.5,
    workers=4,
    busy=4,
    notes=("TPE: the space has categorical params",),
    elapsed=7.2,
)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(views.time, "monotonic", lambda: now[0])
    return now


def test_a_plain_line_says_all_there_is_to_know() -> None:
    stream = io.StringIO()
    with views.view(stream=stream) as view:
        view.update(RUNNING)
    assert stream.getvalue().splitlines() == [
        "TPE: the space has categorical params",
        "[7.2 s] 23/60 trials: 9 done, 12 pruned, 2 failed, 4 running; "
        "best 0.97771 (trial 17), 3.21 trials/s, 11.5 s left, 4/4 workers busy",
    ]


def test_plain_lines_come_every_few_seconds_and_on_a_new_best(clock: list[float]) -> None:
    stream = io.StringIO()

    def lines() -> int:
        return len(stream.getvalue().splitlines())

    with views.view(stream=stream) as view:
        quiet = replace(RUNNING, notes=())
        view.update(replace(quiet, complete=0, pruned=0, failed=0))
        assert lines() == 0
        view.update(quiet)
        assert lines() == 1
        clock[0] += views.EVERY - 0.1
        view.update(replace(quiet, complete=10))
        assert lines() == 1
        view.update(replace(quiet, complete=11, best_number=18))
        assert lines() == 2
        clock[0] += views.AT_LEAST - 0.1
        view.update(replace(quiet, complete=12, best_number=19))
        assert lines() == 2
        clock[0] += views.EVERY
        view.update(replace(quiet, complete=13, best_number=19))
        assert lines() == 3
        view.update(replace(quiet, complete=14, best_number=19))
    assert "14 done" in stream.getvalue().splitlines()[-1]


@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_bar_fits_the_terminal(width: int) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=width, color_system=None)
    view = views.LiveView(console)
    for progress in (RUNNING, replace(RUNNING, total=None), replace(RUNNING, study="s" * 200, total=10**6)):
        view.update(replace(progress, notes=()))
        lines = console.render_lines(view._render(), pad=False)
        text = ["".join(segment.text for segment in line) for line in lines]
        assert len(text) == 3
        assert max(len(line.rstrip()) for line in text) <= width
        assert "9 done" in text[1]
        assert "best 0.97771 (trial 17)" in text[2]


def test_the_live_view_prints_each_note_once_and_leaves_the_last_state() -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=80, color_system=None)
    with views.view(console) as view:
        assert isinstance(view, views.LiveView)
        view.update(RUNNING)
        view.update(replace(RUNNING, complete=49, running=0))
    text = stream.getvalue()
    assert text.count("TPE: the space has categorical params") == 1
    assert "63/60" in text.split("23/60")[-1] or "63/60" in text


def test_a_debugger_gets_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(pdb.Pdb, "set_trace", lambda self, frame: asked.append(frame.f_code.co_name))
    monkeypatch.delenv("PYTHONBREAKPOINT", raising=False)
    before = sys.breakpointhook
    console = Console(file=io.StringIO(), force_terminal=True, width=80, color_system=None)
    with views.LiveView(console) as view:
        assert view._live.is_started
        breakpoint()
        assert not view._live.is_started
        monkeypatch.setenv("PYTHONBREAKPOINT", "0")
        breakpoint()
    assert asked == ["test_a_debugger_gets_the_terminal"]
    assert sys.breakpointhook is before


def test_values_that_are_not_known_yet_are_left_out() -> None:
    assert views.pace(Progress(study="s", total=None)) == ""
    assert views.counts(Progress(study="s", total=None)) == "0 trials: 0 done, 0 pruned, 0 failed"
    assert views.pace(Progress(study="s", total=9, rate=0.05)) == "3 trials/min"
