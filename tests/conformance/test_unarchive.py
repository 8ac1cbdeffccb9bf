"""An archive read back is the same experiment, value by value, whatever database it came from and goes to."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import select

import trackers
from tests.conformance.managed import manage
from trackers import changes as c
from trackers.cli.app import trackers as command
from trackers.clock import now_us
from trackers.errors import (
    AlreadyExistsError,
    ConflictError,
    DigestError,
    InvalidValueError,
    NotFoundError,
    SchemaError,
)
from trackers.intake import Intake
from trackers.sql import archived, columnar
from trackers.sql import tables as t
from trackers.states import RunState
from trackers.store import Store

pytest.importorskip("pyarrow")
pytestmark = pytest.mark.usefixtures("without_code")

ODD = {
    "big": 2**80,
    "nul": "a\0b\x1a",
    "lone": "a\ud800b",
    "nan": math.nan,
    "inf": -math.inf,
    "text": "𝄞 ü",
    "none": None,
}


def fill(store: Store, tmp_path: Path) -> str:
    """Write an experiment with what is hard to keep; return the uid of its run with the most of it."""
    with store.start_run("odd", name="parent", params={**ODD, "json": [1, {"x": None}]}, tags={"t": "x\0y 𝄞"}) as run:
        for step, value in enumerate([1.5, math.nan, math.inf, -math.inf, 5e-324, 1.7976931348623157e308]):
            run.log_metrics({"m": value}, step=step)
        run.log_metrics({"m": 1.0}, step=0, context="validation")
        for name in ("file.bin", "same.bin"):
            (tmp_path / name).write_bytes(bytes(range(256)) * 100)
            run.log_artifact(tmp_path / name, f"folder/{name}")
        run.log_input([[1, 2], [3, 4]], name="grid", role="test")
        with store.start_run(parent=run, name="child") as child:
            child.log_points("long", [float(step) for step in range(3000)])
    with pytest.raises(ZeroDivisionError), store.start_run("odd", name="failed"):
        raise ZeroDivisionError("a\0b")
    store.start_run("odd", name="living")
    store.flush()
    return run.uid


def fill_study(store: Store) -> None:
    """Write a study with a trial that was lost after some points and began again."""
    manager = manage(store)
    lost = manager.created()
    now = now_us()
    manager.lease.submit(
        [
            *manager.whole(),
            lost,
            manager.event("asked", lost.number),
            manager.started(lost.run_id),
            c.PointsLogged(lost.run_id, "accuracy", tuple((step, 0, now, 0.1 * step) for step in range(5))),
            c.AttemptEnded(lost.run_id, 0, now, "lost", "the worker was killed\0"),
            c.TrialRequeued(lost.run_id, now),
            manager.started(lost.run_id, 1),
            c.PointsLogged(lost.run_id, "accuracy", tuple((step, 1, now, 0.2 * step) for step in range(2, 4))),
            c.AttrsSet(lost.run_id, "user", {"why": math.inf, "none": None}),
            c.LogKept(lost.run_id, 1, "printed \0 𝄞"),
            c.AttemptEnded(lost.run_id, 1, now, "complete"),
            c.TrialFinished(lost.run_id, now, RunState.COMPLETE, (math.nan,)),
            manager.event("finished", lost.number),
            c.DistributionsSeen({"lr": {"name": "FloatDistribution"}}),
        ]
    ).wait(10)
    manager.lease.release("stopped", "a\0reason")


def told(store: Store, name: str) -> dict[str, Any]:
    """Return every row of an experiment and every point, with uids and digests in the place of ids."""
    store.flush()
    home = store.get_experiment(name).id
    with store.database.reading() as connection:
        found = {
            table: [row for part in archived.read(connection, table, home) for row in part] for table in archived.TABLES
        }
        metrics = [row for part in columnar.read(connection, "metrics", home) for row in part]
        ids = [row["id"] for row in found["runs"]]
        s = t.series
        series = [dict(row) for row in connection.execute(select(s).where(s.c.run_id.in_(ids))).mappings()]
    for row in series:
        # None and 0 say the same: a group of several series notes them all the same
        row["hidden"] = row["hidden"] or None
        row["since_step"] = row["since_step"] if row["last_attempt"] else None
    named = {row["id"]: row["uid"] for row in found["runs"]}
    shared = {table: {row["id"]: row["digest"] for row in found[table]} for table in ("launches", "datasets")}
    for rows in (*found.values(), metrics, series):
        for row in rows:
            for key in ("experiment_id", "study_id", "id", "code_id", "environment_id", "series_id", "sealed"):
                row.pop(key, None)
            for key, names in (("run_id", named), ("parent_id", named)):
                if key in row:
                    row[key] = names.get(row[key])
            for key, table in (("launch_id", "launches"), ("dataset_id", "datasets")):
                if key in row:
                    row[key] = shared[table].get(row[key])
    for row in found["studies"]:
        for key in [key for key in row if key.startswith("owner_")]:
            del row[key]
    for row in found["blobs"]:
        del row["created_at"]
    return {table: sorted(map(repr, rows)) for table, rows in {**found, "metrics": metrics, "series": series}.items()}


def go_and_return(source: Store, target: Store, tmp_path: Path) -> None:
    uid = fill(source, tmp_path)
    fill_study(source)
    with target.start_run("another"):
        pass  # so that ids differ
    for name, runs, points in (("odd", 4, 3007), ("s", 2, 10)):
        source.archive(name, tmp_path / name, files=True)
        first = target.import_archive(tmp_path / name)
        assert (first.problems, first.notes) == ([], [])
        assert [(one.runs, one.added, one.points) for one in first.experiments] == [(runs, runs, points)]
        assert told(target, name) == told(source, name)
        again = target.import_archive(tmp_path / name)
        assert (again.problems, again.notes) == ([], [])
        assert [(one.runs, one.added, one.points) for one in again.experiments] == [(runs, 0, 0)]
        assert told(target, name) == told(source, name)
    run = target.get_run(uid)
    assert run.params["lone"] == "a\ud800b"
    assert target.read_artifact(run, "folder/same.bin") == bytes(range(256)) * 100
    assert target.get_run(uid).id != source.get_run(uid).id
    assert target.fsck().findings == ()
    lease = target.acquire_study(target.get_study("s").id)  # as a manager does that goes on with it
    assert lease.next_number == 2
    lease.release("stopped", "")


def test_an_archive_read_back_is_the_same_and_a_second_import_adds_nothing(sqlite_url: str, tmp_path: Path) -> None:
    with trackers.connect(sqlite_url) as source, trackers.connect(tmp_path / "new.db") as target:
        go_and_return(source, target, tmp_path)


def test_an_archive_of_one_database_is_read_back_into_another(
    postgresql_url: str, mariadb_url: str, tmp_path: Path
) -> None:
    with (
        trackers.connect(postgresql_url, artifacts=str(tmp_path / "one")) as source,
        trackers.connect(mariadb_url, artifacts=str(tmp_path / "two")) as target,
    ):
        go_and_return(source, target, tmp_path)


def test_a_later_archive_of_the_same_run_adds_the_points_that_came_since(sqlite_url: str, tmp_path: Path) -> None:
    with trackers.connect(sqlite_url) as source, trackers.connect(tmp_path / "new.db") as target:
        target.create_experiment("odd")
        run = source.start_run("odd")
        run.log_metrics({"m": 1.0}, step=1)
        source.archive("odd", tmp_path / "first")
        run.log_metrics({"m": 2.0}, step=1)
        run.end()
        source.archive("odd", tmp_path / "second")
        assert target.import_archive(tmp_path / "first").equal  # it joins the experiment of that name
        found = target.import_archive(tmp_path / "second")
        assert (found.problems, found.experiments[0].added, found.experiments[0].points) == ([], 0, 1)
        assert found.notes == [f"run {run.uid} was here and has other runs, attempts than the archive"]
        assert target.get_run(run.uid).metrics["m"] == 2.0
        assert target.import_archive(tmp_path / "second").experiments[0].points == 0


def test_what_is_not_in_an_archive_is_named_and_the_rest_is_read_back(sqlite_url: str, tmp_path: Path) -> None:
    with trackers.connect(sqlite_url) as source:
        uid = fill(source, tmp_path)
        source.archive("odd", tmp_path / "archive")
    words = ["import", "archive", str(tmp_path / "archive"), "--storage", f"sqlite:///{tmp_path / 'new.db'}"]
    said = CliRunner().invoke(command, words, standalone_mode=False)
    assert said.exit_code == 0, said.output
    lines = said.stdout.splitlines()
    assert lines[1].split() == ["odd", "4", "4", "3007", "0", "0", "equal"]
    assert not [line for line in lines if line.startswith("compared")], "there was nothing to compare"
    assert f"note: run {uid}: the file 'folder/file.bin' is neither in the archive nor in this store" in lines
    with trackers.connect(tmp_path / "new.db") as target:
        assert target.list_artifacts(uid) == []
        assert target.fsck().findings == ()


def test_an_archive_that_cannot_be_read_back_changes_nothing(sqlite_url: str, tmp_path: Path) -> None:
    folder, target = tmp_path / "archive", trackers.connect(tmp_path / "new.db")
    with trackers.connect(sqlite_url) as source, target:
        fill_study(source)
        source.archive("s", folder)
        about = json.loads((folder / "archive.json").read_text())
        for changed, error, words in (
            ({"format": 3}, InvalidValueError, "newer release"),
            ({"format": 1}, InvalidValueError, "cannot be read back"),
            ({"revision": "9999"}, SchemaError, "install a release that knows it"),
            ({"tables": "x"}, InvalidValueError, "is damaged"),
            ({"tables": {"metrics.parquet": None}}, InvalidValueError, "is damaged"),
            ({"missing": None}, InvalidValueError, "is damaged"),
            ({"experiment": ["s"]}, InvalidValueError, "is damaged"),
            ({"experiment": "../s"}, InvalidValueError, "is damaged"),
            ({"parents": ["s"]}, InvalidValueError, "is damaged"),
            ({"parents": {"x": "y"}}, InvalidValueError, "is damaged"),
            ({"files": None}, InvalidValueError, "is damaged"),
        ):
            (folder / "archive.json").write_text(json.dumps(about | changed))
            with pytest.raises(error, match=words):
                target.import_archive(folder)
        (folder / "archive.json").write_text(json.dumps(about))
        whole = (folder / "metrics.parquet").read_bytes()
        (folder / "metrics.parquet").write_bytes(whole[:-1])
        with pytest.raises(DigestError, match=r"metrics\.parquet is damaged"):
            target.import_archive(folder)
        (folder / "metrics.parquet").write_bytes(whole)
        target.create_experiment("s")
        with pytest.raises(AlreadyExistsError, match="rename it"):
            target.import_archive(folder)
        assert list(target.search_runs(view="all")) == []
        with pytest.raises(NotFoundError, match="no archive in"):
            target.import_archive(tmp_path)
        source.delete_experiment("s")
        with pytest.raises(ConflictError, match="trackers restore s"):
            source.import_archive(folder)
        source.gc(grace=timedelta(0))
        assert source.import_archive(folder).equal
        assert source.get_study("s").directions == ("maximize",)


FORGED = {
    "artifacts": ("name", "../../outside"),
    "model_files": ("name", "../../outside"),
    "experiments": ("name", "../../outside"),
    "runs": ("state", 99),
    "params": ("kind", 77),
    "runs ": ("created_at", 2**62),
    "artifacts ": ("created_at", -1),
    "params ": ("name", "a\tb"),
    "params  ": ("number_kind", 7),
    "tags": ("name", "a\x07b"),
}


@pytest.mark.parametrize("what", FORGED)
def test_an_archive_with_what_no_store_writes_is_refused(sqlite_url: str, tmp_path: Path, what: str) -> None:
    from pyarrow import parquet
    from sklearn.linear_model import LinearRegression

    table, (column, value) = what.strip(), FORGED[what]
    folder, target = tmp_path / "archive", trackers.connect(tmp_path / "new.db")
    with trackers.connect(sqlite_url) as source, target:
        fill(source, tmp_path)
        with source.start_run("odd") as run:
            run.log_model(LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0]))
        source.archive("odd", folder)
        path = folder / "rows" / f"{table}.parquet"
        held = parquet.read_table(path)
        assert held.num_rows
        at = held.schema.get_field_index(column)
        parquet.write_table(held.set_column(at, held.schema.field(column), [[value] * held.num_rows]), path)
        about = json.loads((folder / "archive.json").read_text())
        about["tables"][f"rows/{table}.parquet"]["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
        (folder / "archive.json").write_text(json.dumps(about))
        with pytest.raises(
            InvalidValueError, match=rf"was not written by a store: .*{re.escape(repr(value).strip(chr(39)))}"
        ):
            target.import_archive(folder)
        assert list(target.search_runs(view="all")) == []


def test_an_import_that_was_broken_off_is_finished_by_the_next(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, left = Intake.submit, iter([True, False])

    def break_off(intake: Intake, changes: Sequence[Any]) -> Any:
        if next(left):
            return whole(intake, changes)
        raise KeyboardInterrupt

    with trackers.connect(sqlite_url) as source, trackers.connect(tmp_path / "new.db") as target:
        fill(source, tmp_path)
        source.archive("odd", tmp_path / "archive", files=True)
        with monkeypatch.context() as patched:
            patched.setattr(Intake, "submit", break_off)
            with pytest.raises(KeyboardInterrupt):
                target.import_archive(tmp_path / "archive")
        found = target.import_archive(tmp_path / "archive")
        assert (found.problems, found.notes, found.experiments[0].added) == ([], [], 0)
        assert told(target, "odd") == told(source, "odd")
