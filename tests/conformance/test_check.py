"""Checking a store: each kind of damage is found, and put right where that can be."""

from __future__ import annotations

import hashlib
import math
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

import trackers
from tests.conformance.managed import manage
from trackers.changes import AttrsSet, ModelLogged
from trackers.clock import now_us
from trackers.errors import ArtifactError, DamagedError, StoreError
from trackers.keeping.doctor import examine
from trackers.sql.columns import JSON
from trackers.sql.tables.registry import TRIGGERS
from trackers.store import Store

pytestmark = pytest.mark.usefixtures("without_code")

LINES = {
    "trial numbers": ("UPDATE trackers_runs SET number = 7 WHERE number = 1", False),
    "events": ("DELETE FROM trackers_events WHERE seq = 2", False),
    "values": ("UPDATE trackers_params SET kind = 77", False),
    "attempts": ("UPDATE trackers_attempts SET ended_at = NULL, outcome = NULL", True),
    "ends": ("UPDATE trackers_runs SET ended_at = NULL WHERE number = 0", True),
    "states": ("UPDATE trackers_runs SET state = 9 WHERE number = 0", False),
    "results": ("DELETE FROM trackers_results", False),
    "series": ('UPDATE trackers_series SET "last" = 99.0, max = -1', True),
    "names": ("UPDATE trackers_experiments SET live_name = NULL", True),
    "counters": ("UPDATE trackers_counters SET next = 1 WHERE name = 'ids'", True),
    "parents": ("UPDATE trackers_runs SET parent_id = id WHERE number = 0", True),
    "models": ("UPDATE trackers_model_files SET name = 'other'", False),
    "versions": ("UPDATE trackers_models SET manifest = '{\"files\": {}}'", False),
    "references": ("DELETE FROM trackers_runs WHERE number = 1", True),
    "schema": ("DROP VIEW trackers_v_params", True),
    "words": ("UPDATE trackers_params SET word = 'other'", True),
    "model sizes": ("UPDATE trackers_models SET size = 1", True),
}
BROKEN = {
    "manifest": (
        "UPDATE trackers_models SET manifest = '{broken'",
        lambda store: store.registry.model_of(store.registry.version("m", 1)),
    ),
    "lineage": ("UPDATE trackers_model_versions SET lineage = ''", lambda store: store.registry.versions("m")),
    "param": (
        f"UPDATE trackers_params SET kind = {JSON}, text = '[1,'",
        lambda store: store.get_trials(store.get_study("s").id),
    ),
    "attr": ("UPDATE trackers_attrs SET value = 'nul'", lambda store: store.get_trials(store.get_study("s").id)),
}
LOST_POINTS = {
    "the first": "DELETE FROM trackers_points WHERE ordinal = 0",
    "one between": "DELETE FROM trackers_points WHERE ordinal = 1",
    "the last": "DELETE FROM trackers_points WHERE ordinal = 2",
    "all": "DELETE FROM trackers_points",
}


@contextmanager
def by_hand(store: Store) -> Iterator[Connection]:
    """Write past every rule of the schema."""
    engine = create_engine(store.url, poolclass=NullPool)
    with engine.begin() as connection:
        if store.database.dialect == "postgresql":
            connection.execute(text("SET session_replication_role = replica"))
        elif store.database.dialect == "mysql":
            connection.execute(text("SET SESSION foreign_key_checks = 0, sql_mode = 'ANSI_QUOTES'"))
        yield connection


@pytest.fixture
def filled(store: Store, tmp_path: Path) -> Store:
    manager = manage(store)
    changes = manager.whole()
    run_id = changes[0].run_id  # type: ignore[union-attr]
    digest, size = store.artifacts.put_bytes(b"weights")
    manifest = {"format": 1, "flavor": "python", "files": {"w": {"sha256": digest, "size": size}}}
    changes.insert(4, ModelLogged(run_id, now_us(), manifest=manifest, files={"w": (digest, size)}))
    changes.insert(5, AttrsSet(run_id, "user", {"note": 1}))
    manager.lease.submit([*changes, *manager.whole()]).wait(10)
    manager.lease.release("stopped", "")
    store.registry.register("m", store.list_logged_models([run_id])[0])
    store.registry.promote("m", 1, to="production")
    with store.start_run("plain") as run:
        (tmp_path / "a.txt").write_text("an artifact")
        run.log_artifact(tmp_path / "a.txt", "a.txt")
        run.log_metrics({"loss": float("nan")}, step=0)
        run.log_metrics({"loss": float("inf")}, step=1)
    return store


def test_a_store_that_is_whole_has_no_findings(filled: Store) -> None:
    assert filled.fsck().findings == ()


@pytest.mark.parametrize("check", LINES)
def test_damaged_rows_are_found_and_repaired_where_they_can_be(filled: Store, check: str) -> None:
    statement, repairable = LINES[check]
    with by_hand(filled) as connection:
        connection.execute(text(statement))
    found = filled.fsck(quick=True)
    assert check in {one.check for one in found.findings}, found
    assert all(not one.repaired for one in found.findings)
    mended = filled.fsck(quick=True, repair=True)
    if repairable:
        filled.fsck(quick=True, repair=True)  # what was hidden behind the first damage
        left = {one.check for one in filled.fsck().findings}
        assert check not in left, left
    else:
        assert check in {one.check for one in mended.left}


@pytest.mark.parametrize("what", BROKEN)
def test_a_value_that_is_no_json_is_named_and_stops_no_check(filled: Store, what: str) -> None:
    statement, reads = BROKEN[what]
    with by_hand(filled) as connection:
        assert connection.execute(text(statement)).rowcount
    found = filled.fsck(quick=True).findings
    assert any(one.check == "json values" and "is no JSON" in one.problem for one in found), found
    filled.fsck(quick=True, repair=True)
    with pytest.raises(DamagedError, match="is no JSON"):
        reads(filled)


def test_a_trigger_that_is_gone_is_made_again(filled: Store) -> None:
    name = next(iter(TRIGGERS[filled.database.dialect]))
    on = " ON trackers_registry_history" if filled.database.dialect == "postgresql" else ""
    with by_hand(filled) as connection:
        connection.execute(text(f"DROP TRIGGER {name}{on}"))
    assert [one.problem for one in filled.fsck(quick=True).findings] == [
        f"the trigger {name} is missing: fsck --repair makes it again"
    ]
    assert any(name in one.told and "fsck --repair" in one.advice for one in examine(filled.url))
    filled.fsck(quick=True, repair=True)
    assert filled.fsck(quick=True).findings == ()
    engine = create_engine(filled.url, poolclass=NullPool)
    with pytest.raises(DBAPIError, match="append-only"), engine.begin() as connection:
        connection.execute(text("DELETE FROM trackers_registry_history"))


def test_a_folder_that_is_not_mounted_is_no_damage(filled: Store) -> None:
    root = Path(filled.artifact_root)
    root.rename(root.with_name("elsewhere"))
    assert any(one.level == "problem" and "there is no file in" in one.told for one in examine(filled.url))
    with pytest.raises(ArtifactError, match="mount the folder"):
        filled.fsck(repair=True)
    assert len(filled.fsck().findings) == 2
    shutil.rmtree(root, ignore_errors=True)
    root.with_name("elsewhere").rename(root)
    assert filled.fsck().findings == ()


@pytest.mark.parametrize("what", LOST_POINTS)
def test_the_summary_of_a_series_that_lost_points_is_kept(filled: Store, what: str) -> None:
    with filled.start_run("three") as run:
        run.log_points("acc", [0.5, 0.9, 0.7])
    before = filled.metrics(run)
    with by_hand(filled) as connection:
        connection.execute(text(LOST_POINTS[what]))
    left = filled.fsck(repair=True).left
    assert left
    assert {one.check for one in left} == {"series"}
    assert all("restore a backup" in one.problem for one in left)
    assert filled.metrics(run) == before


def test_a_summary_that_counts_too_few_points_is_made_again(filled: Store) -> None:
    with by_hand(filled) as connection:
        connection.execute(text('UPDATE trackers_series SET "count" = 1'))
    assert {one.check for one in filled.fsck().findings} == {"series"}
    assert filled.fsck(repair=True).left == ()
    assert filled.fsck().findings == ()


def test_more_series_than_one_query_looks_at_are_checked(filled: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trackers.sql.audit_series._AT_ONCE", 2)
    with filled.start_run("wide") as run:
        run.log_metrics({f"m{i}": float(i) for i in range(7)})
    assert filled.fsck().findings == ()
    with by_hand(filled) as connection:
        connection.execute(text("UPDATE trackers_series SET max = 99 WHERE \"key\" LIKE 'm%'"))
    assert len(filled.fsck().findings) == 7


def test_a_long_series_is_checked_with_its_sealed_points(filled: Store) -> None:
    with filled.start_run("long") as run:
        run.log_points("x", [float(step % 1000) for step in range(2500)])
    assert filled.fsck().findings == ()
    with by_hand(filled) as connection:
        connection.execute(text("UPDATE trackers_series SET max = 5, count = 7 WHERE sealed IS NOT NULL"))
    assert {one.check for one in filled.fsck().findings} == {"sealed series"}
    filled.fsck(repair=True)
    assert filled.fsck().findings == ()
    assert (filled.metrics(run)[0].count, filled.metrics(run)[0].max) == (2500, 999.0)
    with by_hand(filled) as connection:
        connection.execute(text("DELETE FROM trackers_chunks WHERE ordinal = 0"))
    left = filled.fsck(repair=True).left
    assert ["missing" in one.problem for one in left] == [True]


def test_a_long_series_that_lost_its_last_points_keeps_its_summary(filled: Store) -> None:
    with filled.start_run("long") as run:
        run.log_points("x", [float(step % 1000) for step in range(2500)])
        run.flush()
        run.log_metrics({"x": 7.0}, step=2500)
        run.log_metrics({"x": 8.0}, step=2501)
    before = filled.metrics(run)
    with by_hand(filled) as connection:
        assert connection.execute(text("DELETE FROM trackers_points WHERE ordinal = 2501")).rowcount == 1
    (left,) = filled.fsck(repair=True).left
    assert (left.check, "restore a backup" in left.problem) == ("sealed series", True)
    assert filled.metrics(run) == before


def test_what_is_kept_beside_sealed_points_is_checked_by_them(filled: Store) -> None:
    odd = [math.nan, math.inf, -math.inf, 1e-300, 5.0]
    with filled.start_run("long") as run:
        run.log_points("x", [math.sin(step) for step in range(2500)])
        run.log_points("nan", [math.nan] * 1000)
        run.log_points("odd", odd * 300)
    assert filled.fsck().findings == ()
    seen = filled.metric_history(run, "x", max_points=40)
    with by_hand(filled) as connection:
        connection.execute(text("UPDATE trackers_chunks SET max = 7, max_step = 3, sketch = '[]' WHERE ordinal = 1000"))
    found = filled.fsck(repair=True).findings
    assert {(one.check, one.repaired) for one in found} == {("chunks", "it was made again from the points")}
    assert filled.fsck().findings == ()
    assert filled.metric_history(run, "x", max_points=40) == seen
    with by_hand(filled) as connection:
        connection.execute(text("UPDATE trackers_chunks SET points = '[[0,0' WHERE ordinal = 0 AND min IS NULL"))
    left = filled.fsck(repair=True).left
    assert "sealed points of nan of run" in left[0].problem
    assert "cannot be read" in left[0].problem


def test_an_alias_whose_version_is_gone_is_unset_with_a_line_of_history(filled: Store) -> None:
    with by_hand(filled) as connection:
        connection.execute(text("DELETE FROM trackers_model_versions"))
    assert any("aliases" in one.problem for one in filled.fsck().findings)
    filled.fsck(repair=True)
    assert filled.fsck().findings == ()
    assert filled.registry.history("m")[-1].reason == "repaired by fsck"


def test_lines_of_history_that_were_erased_are_missed(filled: Store) -> None:
    with by_hand(filled) as connection:
        if filled.database.dialect != "postgresql":
            for name in TRIGGERS[filled.database.dialect]:
                connection.execute(text(f"DROP TRIGGER {name}"))
        connection.execute(text("DELETE FROM trackers_registry_history"))
    left = filled.fsck(repair=True).left
    assert {one.check for one in left} == {"history"}
    said = " ".join(one.problem for one in left)
    assert "who registered m version 1" in said
    assert "m@production points at version 1, and no line of the history says" in said


def test_what_searches_look_at_is_made_again_from_values_of_every_length(filled: Store) -> None:
    long = "ä\U0001f600\x00" * 200
    with filled.start_run("words", params={"k": long, "n": 3, "none": None}, tags={"t": long}):
        pass
    assert filled.fsck(quick=True).findings == ()
    for table in ("params", "tags"):
        with by_hand(filled) as connection:
            connection.execute(text(f"UPDATE trackers_{table} SET word = NULL"))
    found = {one.problem for one in filled.fsck(quick=True, repair=True).findings if one.repaired}
    assert any("searches by the tag 't' do not find" in one for one in found), found
    assert filled.fsck(quick=True).findings == ()


def path_of(store: Store, data: bytes) -> Path:
    digest, _ = store.artifacts.put_bytes(data)
    path = store.artifacts.path(digest)
    assert path is not None
    path.chmod(0o644)
    return path


def test_a_damaged_file_is_moved_away_and_what_needs_it_is_tagged_until_a_backup_gives_it_back(
    filled: Store, tmp_path: Path
) -> None:
    filled.backup(tmp_path / "backup", link=False)
    path_of(filled, b"weights").write_bytes(b"weightz")
    assert filled.fsck(quick=True).findings == ()  # its length is right
    (found,) = filled.fsck().findings
    assert "damaged" in found.problem
    assert "models:/m/1" in found.problem
    (left,) = filled.fsck(repair=True).left
    assert "; 1 run and 1 version that need it are tagged trackers.damaged" in left.problem
    run = filled.registry.version("m", 1).run_id
    assert run is not None
    assert filled.get_run(run).tags == {"trackers.damaged": "model/w"}
    assert filled.registry.version("m", 1).tags == {"trackers.damaged": "model/w"}
    assert (Path(filled.artifact_root) / "quarantine").is_dir()
    (found,) = filled.fsck().findings
    assert "missing" in found.problem
    mended = filled.fsck(repair=True, source=tmp_path / "backup")
    assert mended.left == ()
    assert filled.fsck().findings == ()
    assert filled.get_run(run).tags == {}
    assert filled.registry.version("m", 1).tags == {}


def test_a_lost_or_cut_file_is_found_without_reading_the_others(filled: Store) -> None:
    path_of(filled, b"an artifact").write_bytes(b"an art")
    (found,) = filled.fsck(quick=True).findings
    assert "a.txt" in found.problem
    digest, _ = filled.artifacts.put_bytes(b"weights")
    assert filled.artifacts.delete(digest)
    assert ["a.txt" in one.problem for one in filled.fsck(quick=True).findings].count(False) == 1


def test_a_folder_in_the_place_of_a_file_is_found_however_one_looks_and_repaired(filled: Store, tmp_path: Path) -> None:
    filled.backup(tmp_path / "backup", link=False)
    path = path_of(filled, b"weights")
    path.unlink()
    path.mkdir()
    assert filled.fsck(quick=True).findings == filled.fsck().findings
    assert ["missing" in one.problem for one in filled.fsck().findings] == [True]
    assert filled.fsck(repair=True, source=tmp_path / "backup").left == ()
    assert filled.fsck().findings == ()


def test_a_wrong_size_in_the_store_is_put_right_after_reading_the_file(filled: Store) -> None:
    with by_hand(filled) as connection:
        connection.execute(text("UPDATE trackers_blobs SET size = 1"))
    assert len(filled.fsck().findings) == 2
    assert filled.fsck(repair=True).left == ()
    assert filled.fsck().findings == ()


def test_a_row_of_a_file_that_is_missing_is_written_again_when_the_file_is_there(filled: Store) -> None:
    with by_hand(filled) as connection:
        connection.execute(text("DELETE FROM trackers_blobs"))
    assert {one.check for one in filled.fsck().findings} == {"references"}
    filled.fsck(repair=True)
    assert filled.fsck().findings == ()


ODD = {
    "a time": ("UPDATE trackers_runs SET created_at = 9000000000000000000 WHERE number = 1", "which is no time"),
    "a number": ("UPDATE trackers_params SET number = NULL, number_kind = 0 WHERE number IS NOT NULL", "without one"),
    "an experiment": (
        "UPDATE trackers_experiments SET name = '../x', live_name = '../x' WHERE kind <> 'study'",
        "with a slash",
    ),
    "a file": ("UPDATE trackers_artifacts SET name = '../../etc/passwd'", "has the part '..'"),
    "a study": ("DELETE FROM trackers_studies", "nothing of one is there"),
    "a state": ("UPDATE trackers_runs SET state = 9 WHERE number = 1", "in state 9"),
    "a manifest": ("UPDATE trackers_models SET manifest = '[]'", "cannot be looked at whole"),
    "a time of a file": ("UPDATE trackers_artifacts SET created_at = -1", "created_at in trackers_artifacts"),
    "a time of a point": (
        "UPDATE trackers_points SET time = 9000000000000000000 WHERE ordinal = 0",
        "which is no time",
    ),
    "a time of an event": ("UPDATE trackers_events SET time = -5", "is -5, which is no time"),
    "a result": ("UPDATE trackers_results SET kind = 9", "kind in trackers_results"),
    "a param's number": ("UPDATE trackers_params SET number_kind = 9", "number_kind in trackers_params"),
    "metrics of a version": ("UPDATE trackers_model_versions SET metrics = '5'", "is not an object: '5'"),
    "directions": ("UPDATE trackers_studies SET directions = '{}'", "is not a list: '{}'"),
    "attempts": ("DELETE FROM trackers_attempts", "and none of its attempts is there"),
    "an alias that is gone": ("DELETE FROM trackers_aliases", "m@production points at nothing, and its history says"),
    "a name": ("UPDATE trackers_runs SET name = 'a\tb'", "holds the character '\\t'"),
    "the name of a metric": (
        "UPDATE trackers_series SET \"key\" = 'a\tb' WHERE \"key\" = 'loss'",
        "holds the character '\\t'",
    ),
}
LITE = {
    "a size": ("UPDATE trackers_blobs SET size = 'garbage'", "size in trackers_blobs", "whole number"),
    "a time": ("UPDATE trackers_runs SET created_at = 'yesterday'", "created_at in trackers_runs", "whole number"),
    "a number": ("UPDATE trackers_points SET value = 'one' WHERE ordinal = 0", "value in trackers_points", "number"),
    "a step": ("UPDATE trackers_points SET step = 1.5 WHERE ordinal = 0", "step in trackers_points", "whole number"),
    "a name": ("UPDATE trackers_runs SET name = x'00'", "name in trackers_runs", "text"),
}


@pytest.mark.parametrize("what", LITE)
def test_a_value_of_another_type_is_named(sqlite_store_url: str, what: str) -> None:
    statement, place, kind = LITE[what]
    with trackers.connect(sqlite_store_url) as store:
        with store.start_run("e", name="first") as run:
            run.log_metrics({"loss": 1.0})
            run.log_text("words", "a.txt")
        store.flush()
        with by_hand(store) as connection:
            assert connection.execute(text(statement)).rowcount
        for quick in (True, False):
            found = store.fsck(quick=quick).findings
            assert any(place in one.problem and f"which is no {kind}" in one.problem for one in found), found
        store.fsck(repair=True)


def test_a_text_that_is_no_utf_8_is_named_and_repaired(sqlite_store_url: str, tmp_path: Path) -> None:
    with trackers.connect(sqlite_store_url) as store:
        with store.start_run("e", name="first", params={"k": "v"}, tags={"t": "v"}):
            pass
        store.flush()
        with by_hand(store) as connection:
            for place in ("runs SET name", "params SET text", "tags SET value", "tags SET name"):
                connection.execute(text(f"UPDATE trackers_{place} = CAST(x'fffe41' AS TEXT)"))
        for reads in (store.search_runs, lambda: store.backup(tmp_path / "backup")):
            with pytest.raises(StoreError, match="is no UTF-8: run `trackers fsck`"):
                reads()
        found = [one.problem for one in store.fsck().findings if one.check == "texts"]
        assert found[0] == "name in trackers_runs (id 1) is '\\xff\\xfeA', which is no UTF-8"
        assert len(found) == 4
        store.fsck(repair=True)
        assert [one.problem.partition(" (")[0] for one in store.fsck(repair=True).findings if one.check == "texts"] == [
            "name in trackers_tags"
        ]
        with by_hand(store) as connection:
            connection.execute(text("DELETE FROM trackers_tags"))
        assert store.search_runs()[0].name == "\ufffd\ufffdA"
        assert store.fsck().findings == ()


@pytest.mark.parametrize("url", ["sqlite_url", "postgresql_url", "mariadb_url"])
def test_a_table_that_is_gone_is_named_and_ends_nothing(
    request: pytest.FixtureRequest, url: str, tmp_path: Path
) -> None:
    with trackers.connect(request.getfixturevalue(url), artifacts=str(tmp_path / "artifacts")) as store:
        store.start_run("e").end()
        cascade = " CASCADE" if store.database.dialect == "postgresql" else ""
        for table in ("artifacts", "points"):
            with by_hand(store) as connection:
                connection.execute(text(f"DROP TABLE trackers_{table}{cascade}"))
        for repair in (False, True):
            found = [one.problem for one in store.fsck(repair=repair).findings]
            missing = [f"the table trackers_{table} is missing: restore a backup" for table in ("artifacts", "points")]
            assert sorted(found) == missing


def test_a_wrong_size_in_the_store_takes_no_file_away_when_it_is_repaired_quickly(filled: Store) -> None:
    with by_hand(filled) as connection:
        connection.execute(text("UPDATE trackers_blobs SET size = 1"))
    assert filled.fsck(quick=True, repair=True).left == ()
    assert filled.fsck().findings == ()


@pytest.mark.parametrize("what", ODD)
def test_values_that_none_of_ours_wrote_are_named_and_end_nothing(filled: Store, what: str) -> None:
    statement, said = ODD[what]
    with by_hand(filled) as connection:
        connection.execute(text(statement))
    found = filled.fsck(quick=True, repair=True)
    assert any(said in one.problem for one in found.findings), found
    if what in ("a time", "a state"):
        with pytest.raises(DamagedError, match="trackers fsck"):
            filled.search_runs(view="all")


def test_a_repair_leaves_the_files_of_a_registered_model(filled: Store) -> None:
    with by_hand(filled) as connection:
        connection.execute(text("DELETE FROM trackers_models"))
    assert filled.fsck(repair=True).left
    filled.gc(grace=timedelta(0), file_grace=timedelta(0))
    assert filled.artifacts.exists(hashlib.sha256(b"weights").hexdigest())


def test_progress_is_told_of_every_file(filled: Store) -> None:
    seen: list[tuple[int, int]] = []
    filled.fsck(progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 2), (2, 2)]
