"""An archive holds all of an experiment, in files that pandas reads, and its bytes."""

from __future__ import annotations

import hashlib
import math
import sys
from pathlib import Path

import pytest

from tests.conformance.managed import manage
from trackers.errors import InvalidValueError, NotFoundError, StoreError
from trackers.store import Store

pandas = pytest.importorskip("pandas")
pytest.importorskip("pyarrow")


def fill(store: Store, tmp_path: Path) -> int:
    with store.start_run("fraud", params={"lr": 0.1, "big": 2**80, "odd": "a\ud800b", "nan": math.nan}) as run:
        for step, value in enumerate((0.5, math.nan, math.inf)):
            run.log_metrics({"loss": value}, step=step)
        run.set_tags({"team": "risk"})
        (tmp_path / "plot.png").write_bytes(b"pixels")
        run.log_artifact(tmp_path / "plot.png", "plot.png")
    with store.start_run("other") as other:
        other.log_metrics({"loss": 1.0})
    return run.id


def test_an_archive_is_read_by_pandas_and_holds_everything(store: Store, tmp_path: Path) -> None:
    run_id = fill(store, tmp_path)
    folder = tmp_path / "archive"
    done = store.archive("fraud", folder, files=True)
    assert done.rows == {
        "runs": 1,
        "params": 4,
        "metrics": 3,
        "results": 0,
        "tags": 1,
        "artifacts": 1,
        "model_files": 0,
    }
    read = {name: pandas.read_parquet(folder / f"{name}.parquet") for name in done.rows}
    assert {name: len(table) for name, table in read.items()} == done.rows
    assert list(read["runs"].id) == [run_id]
    assert list(read["runs"].state) == ["COMPLETE"]
    assert str(read["runs"].created_at.dtype) == "datetime64[us, UTC]"
    values = list(read["metrics"].value)
    assert values[0] == 0.5
    assert math.isnan(values[1])
    assert values[2] == math.inf
    params = read["params"].set_index("name")
    assert params.loc["big", "value"] == str(2**80)
    assert params.loc["lr", "number"] == 0.1
    digest = read["artifacts"].digest[0]
    data = (folder / "files" / digest[:2] / digest).read_bytes()
    assert data == b"pixels"
    assert hashlib.sha256(data).hexdigest() == digest
    assert store.get_experiment("fraud").name == "fraud"


def test_an_archived_study_can_be_removed_in_two_steps(store: Store, tmp_path: Path) -> None:
    manager = manage(store)
    manager.lease.submit([*manager.whole(), *manager.whole()]).wait(10)
    manager.lease.release("stopped", "")
    done = store.archive("s", tmp_path / "archive", remove=True)
    assert (done.rows["runs"], done.rows["results"], done.removed) == (2, 2, True)
    with pytest.raises(NotFoundError):
        store.get_study("s")
    assert [(line.name, line.runs) for line in store.gc(dry_run=True).experiments] == []


def test_an_experiment_can_be_removed_and_its_name_is_free(store: Store, tmp_path: Path) -> None:
    fill(store, tmp_path)
    store.archive("fraud", tmp_path / "archive", remove=True)
    store.create_experiment("fraud")


def test_a_folder_with_something_in_it_is_refused_and_so_is_an_unknown_experiment(store: Store, tmp_path: Path) -> None:
    fill(store, tmp_path)
    with pytest.raises(InvalidValueError, match="holds something"):
        store.archive("fraud", tmp_path)
    with pytest.raises(NotFoundError, match="did you mean 'fraud'"):
        store.archive("freud", tmp_path / "archive")


def test_without_pyarrow_the_sentence_says_what_to_install(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(store, tmp_path)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(StoreError, match=r"hpo\[parquet\]"):
        store.archive("fraud", tmp_path / "archive")


def test_an_archive_holds_the_points_of_long_series(store: Store, tmp_path: Path) -> None:
    with store.start_run("long") as run:
        for step in range(5000):
            run.log_metrics({"loss": float(step)}, step=step)
    assert store.archive("long", tmp_path / "archive").rows["metrics"] == 5000
    assert sorted(pandas.read_parquet(tmp_path / "archive" / "metrics.parquet").value) == [
        float(n) for n in range(5000)
    ]
    assert store.fsck().findings == ()
