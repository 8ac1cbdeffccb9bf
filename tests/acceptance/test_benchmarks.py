"""Our own side of the benchmarks does the work that its figures are about."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import curve, sleeping
from benchmarks.digests import each, seconds
from benchmarks.measure import measure
from trackers.capture import data_digest


def test_every_trial_of_the_throughput_benchmark_makes_its_reports(tmp_path: Path) -> None:
    question = {
        "measure": "throughput",
        "url": f"sqlite:///{tmp_path / 'bench.db'}",
        "trials": 60,
        "workers": 2,
        "sampler": "random",
    }
    answer = measure("benchmarks.ours", question, timeout=100)
    assert answer["trials"] == 60
    assert answer["reports"] == 60 * curve.REPORTS
    assert answer["seconds"] > 0


def test_every_trial_of_the_utilisation_benchmark_writes_its_diary(tmp_path: Path) -> None:
    diary = tmp_path / "diary"
    question = {
        "measure": "utilisation",
        "url": f"sqlite:///{tmp_path / 'bench.db'}",
        "trials": 4,
        "slots": 2,
        "diary": str(diary),
    }
    answer = measure("benchmarks.ours", question, timeout=100)
    assert answer["trials"] == len(sleeping.read(str(diary))) == 4


@pytest.mark.parametrize("module", ["benchmarks.suggesting", "benchmarks.peers.optuna_suggest"])
def test_the_suggest_benchmark_times_as_many_suggestions_as_it_says(module: str) -> None:
    question = {"sampler": "tpe", "objectives": 2, "history": 30, "suggestions": 5, "seconds": 60.0}
    answer = measure(module, question, timeout=100)
    assert len(answer["ms"]) == 5
    assert min(answer["ms"]) > 0


def test_digests_are_made_of_each_kind_of_data() -> None:
    with each(1 << 17) as kinds:
        digests = {name: data_digest(given).digest for name, given in kinds.items()}
    assert digests["an array"] == digests["an array by columns"]
    assert len(set(digests.values())) == len(digests) - 1
    assert seconds(lambda: None) >= 0.0
