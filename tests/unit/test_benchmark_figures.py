"""What the benchmarks make of what they measured."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks import result, sleeping
from benchmarks.result import Figure
from benchmarks.sleeping import Span
from benchmarks.suggest import percentile

FIGURES = [
    Figure("hpo", "trials_per_second", 250.0, "1/s", {"database": "sqlite", "sampler": "random", "trials": 10}),
    Figure("ray", "trials_per_second", 12.5, "1/s", {"database": "files", "sampler": "random", "trials": 5}),
]


def spans(slots: int, each: int, gap: float = 0.0, start: float = 0.0) -> list[Span]:
    """Give *slots* slots that run *each* trials one after another, with a *gap* before each."""
    length = sleeping.SECONDS + gap
    begins = sorted(start + gap + n * length for n in range(each) for _ in range(slots))
    return [Span(begin, begin + sleeping.SECONDS) for begin in begins]


def test_slots_that_never_wait_are_fully_used() -> None:
    assert sleeping.cold(spans(4, 10), called=0.0, slots=4) == pytest.approx(1.0)
    assert sleeping.warm(spans(4, 10), slots=4) == pytest.approx(1.0)


def test_the_start_of_the_workers_counts_when_cold_and_not_when_warm() -> None:
    late = spans(4, 10, start=5.0)
    assert sleeping.cold(late, called=0.0, slots=4) == pytest.approx(20.0 / 25.0)
    assert sleeping.warm(late, slots=4) == pytest.approx(1.0)


def test_a_wait_before_each_trial_counts_always() -> None:
    slow = spans(4, 10, gap=2.0)
    assert sleeping.cold(slow, called=0.0, slots=4) == pytest.approx(0.5)
    assert sleeping.warm(slow, slots=4) == pytest.approx(0.5)


def test_time_that_a_report_takes_is_not_work() -> None:
    stretched = [Span(span.start, span.start + 4.0) for span in spans(1, 10, gap=2.0)]
    assert sleeping.warm(stretched, slots=1) == pytest.approx(0.5)


def test_a_trial_writes_one_line_of_the_diary(tmp_path: Path) -> None:
    diary = str(tmp_path / "diary")
    sleeping.note(diary, 2.0, 4.0)
    sleeping.note(diary, 1.0, 3.0)
    assert sleeping.read(diary) == [Span(1.0, 3.0), Span(2.0, 4.0)]


def test_results_are_written_with_commit_machine_and_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(result, "RESULTS", tmp_path)
    record = json.loads(result.write("throughput", FIGURES).read_text(encoding="utf-8"))
    assert set(record) == {"name", "commit", "machine", "figures"}
    assert {"cpu", "cores", "memory_gb", "python", "versions"} <= set(record["machine"])
    assert record["figures"][0] == {
        "system": "hpo",
        "measure": "trials_per_second",
        "value": 250.0,
        "unit": "1/s",
        "conditions": {"database": "sqlite", "sampler": "random", "trials": 10},
    }


def test_a_table_has_columns_for_what_differs_and_says_the_rest_once() -> None:
    page = Console(file=io.StringIO(), width=120)
    result.show("throughput", FIGURES, page)
    text = page.file.getvalue()  # type: ignore[attr-defined]
    assert "throughput, sampler random" in text
    assert "database" in text
    assert "250" in text


def test_a_percentile_is_one_of_the_numbers() -> None:
    spent = [float(n) for n in range(100, 0, -1)]
    assert percentile(spent, 0.5) == 50.0
    assert percentile(spent, 0.99) == 99.0
    assert percentile([3.0], 0.99) == percentile([3.0], 0.5) == 3.0
