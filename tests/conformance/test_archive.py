"""An archive holds all of an experiment, in files that pandas reads, and its bytes."""

from __future__ import annotations

import hashlib
import math
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import trackers
from tests.conformance.managed import manage
from trackers.cli.app import trackers as command
from trackers.errors import InvalidValueError, NotFoundError, StateError, StoreError
from trackers.keeping.archive_folder import MARK, begun
from trackers.store import Store

pandas = pytest.importorskip("pandas")
pytest.importorskip("pyarrow")
pytestmark = pytest.mark.usefixtures("without_code")


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


def test_an_archive_whose_writer_was_killed_is_taken_over_and_nothing_else_is(sqlite_url: str, tmp_path: Path) -> None:
    folder = tmp_path / "archive"
    with trackers.connect(sqlite_url) as store:
        fill(store, tmp_path)
        (folder / "files").mkdir(parents=True)
        (folder / "runs.parquet").write_bytes(b"PAR1")
        with pytest.raises(InvalidValueError, match="holds something"):
            store.archive("fraud", folder)
        (folder / MARK).touch()  # what the killed one leaves
        (folder / "mine.txt").touch()
        with pytest.raises(InvalidValueError, match="holds something"):
            store.archive("fraud", folder)
        (folder / "mine.txt").unlink()
        assert store.archive("fraud", folder).rows["runs"] == 1
        assert not (folder / MARK).exists()
        with pytest.raises(InvalidValueError, match="holds something"):
            store.archive("fraud", folder)
        with begun(tmp_path / "other"), pytest.raises(InvalidValueError, match="another archive is being written"):
            store.archive("fraud", tmp_path / "other")


def test_an_experiment_with_a_living_run_is_not_removed(sqlite_url: str, tmp_path: Path) -> None:
    folder = tmp_path / "archive"
    with trackers.connect(sqlite_url) as store:
        run = store.start_run("fraud")
        store.flush()
        with pytest.raises(StateError, match=f"the run {run.uid} is still running: end it first"):
            store.archive("fraud", folder, remove=True)
        assert not folder.exists()
        words = ["archive", "fraud", "--to", str(folder), "--storage", sqlite_url]
        said = CliRunner().invoke(command, words, standalone_mode=False)
        assert f"The run {run.uid} is still running" in said.stderr
        run.end()
        assert store.archive("fraud", tmp_path / "ended", remove=True).removed


def test_a_run_whose_process_is_gone_is_archived_and_named(sqlite_url: str, tmp_path: Path) -> None:
    code = f"import os, trackers; s = trackers.connect({sqlite_url!r}); r = s.start_run('fraud'); s.flush(); print(r.uid, flush=True); os._exit(1)"
    uid = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False).stdout.strip()
    words = ["archive", "fraud", "--to", str(tmp_path / "archive"), "--remove", "--storage", sqlite_url]
    said = CliRunner().invoke(command, words, standalone_mode=False)
    assert f"The run {uid} has no end: its process is gone" in said.stderr
    assert "It is deleted from the store" in said.stdout


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


def test_an_archive_holds_the_rest_where_a_file_was_lost_and_removes_nothing(sqlite_url: str, tmp_path: Path) -> None:
    with trackers.connect(sqlite_url) as store:
        run_id = fill(store, tmp_path)
        (tmp_path / "kept.txt").write_text("kept")
        with store.start_run("fraud") as run:
            run.log_artifact(tmp_path / "kept.txt", "kept.txt")
        store.flush()
        path = store.artifacts.path(store.list_artifacts(run_id)[0].digest)
        named = store.get_run(run_id).path
    assert path is not None
    path.unlink()
    folder = tmp_path / "archive"
    words = ["archive", "fraud", "--to", str(folder), "--files", "--remove", "--storage", sqlite_url]
    said = CliRunner().invoke(command, words, standalone_mode=False)
    assert said.return_value == 1, said.output
    assert "1 file (4 bytes) is with it." in said.stdout
    assert f"{named}: the file 'plot.png' is not in the archive" in said.stderr
    assert "not deleted" in said.stderr
    assert [path.read_text() for path in (folder / "files").rglob("*") if path.is_file()] == ["kept"]
    with trackers.connect(sqlite_url) as store:
        assert store.get_experiment("fraud").name == "fraud"
