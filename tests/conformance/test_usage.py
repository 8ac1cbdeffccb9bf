"""What takes room is told by experiment, by kind and by run; what several have is counted once in all."""

from __future__ import annotations

from pathlib import Path

import pytest

from trackers.store import Store

pytestmark = pytest.mark.usefixtures("without_code")


def test_files_are_counted_for_each_that_has_them_and_once_in_all(store: Store, tmp_path: Path) -> None:
    for experiment, own in (("a", 1000), ("b", 20)):
        with store.start_run(experiment) as run:
            (tmp_path / "shared").write_bytes(b"s" * 500)
            (tmp_path / "own").write_bytes(experiment.encode() * own)
            run.log_artifact(tmp_path / "shared", "shared")
            run.log_artifact(tmp_path / "own", "own")
            for step in range(3 if experiment == "b" else 1):
                run.log_metrics({"m": 0.5}, step=step)
    found = store.du()
    assert (found.files, found.file_bytes, found.unused_files) == (3, 1520, 0)
    shares = {
        one.experiment: (one.runs, one.points, one.files, one.file_bytes, one.shared_bytes) for one in found.experiments
    }
    assert shares == {"a": (1, 1, 2, 1500, 500), "b": (1, 3, 2, 520, 500)}
    assert found.kinds == {"artifacts": 1520, "checkpoints": 0, "models": 0} or found.kinds == {"artifacts": 1520}
    assert [one.file_bytes for one in found.biggest] == [1500, 520]
    assert 0 < sum(one.row_bytes for one in found.experiments) <= found.database_bytes
    assert found.facts()["experiments"][0]["experiment"] == found.experiments[0].experiment


def test_an_empty_store_takes_next_to_nothing(store: Store) -> None:
    found = store.du()
    assert (found.experiments, found.files, found.biggest) == ((), 0, ())
