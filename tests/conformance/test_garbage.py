"""Garbage: what nobody can reach goes, in two steps; what somebody can reach never does."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select, update

import trackers
from tests.conformance.managed import manage
from trackers.artifacts import ArtifactStore
from trackers.capture.process import content_digest
from trackers.capture.state import state_digest
from trackers.changes import ArtifactsLogged, ModelLogged
from trackers.clock import now_us
from trackers.errors import NotFoundError, StateError
from trackers.sql import tables as t
from trackers.sql.launches import NewLaunch, keep
from trackers.store import Store

pytestmark = pytest.mark.usefixtures("without_code")

NOW = timedelta(0)
LONG_AGO = 40 * 86_400 * 1_000_000


def log_run(store: Store, experiment: str, **files: bytes) -> int:
    with store.start_run(experiment) as run:
        run.log_metrics({"loss": 0.5}, step=0)
        for name, data in files.items():
            path = Path(store.artifact_root).parent / name
            path.write_bytes(data)
            run.log_artifact(path, name)
    return run.id


def delete_run(store: Store, run_id: int, ago: int = LONG_AGO) -> None:
    mine = update(t.runs).where(t.runs.c.id == run_id).values(deleted_at=now_us() - ago)
    store.writer.call(lambda connection: connection.execute(mine))


def delete_experiment(store: Store, name: str, ago: int = LONG_AGO) -> None:
    e = t.experiments
    mine = update(e).where(e.c.live_name == name).values(deleted_at=now_us() - ago, live_name=None)
    store.writer.call(lambda connection: connection.execute(mine))


def digests(store: Store) -> set[str]:
    return set(store.artifacts.digests())


def count(store: Store, table: object) -> int:
    with store.database.reading() as connection:
        return int(connection.execute(select(func.count()).select_from(table)).scalar_one())  # type: ignore[arg-type]


def sweep(store: Store, **options: timedelta) -> object:
    return store.gc(**{"file_grace": NOW, **options})  # type: ignore[arg-type]


def test_a_run_that_was_deleted_long_ago_loses_its_rows_and_the_files_that_only_it_had(store: Store) -> None:
    stays = log_run(store, "kept", shared=b"both have it", own=b"mine")
    goes = log_run(store, "gone", shared=b"both have it", other=b"only the deleted one")
    delete_run(store, goes)
    assert len(digests(store)) == 3
    sweep(store)
    with pytest.raises(NotFoundError):
        store.get_run(goes)
    assert {one.name for one in store.list_artifacts(stays)} == {"shared", "own"}
    assert store.read_artifact(stays, "shared") == b"both have it"
    assert len(digests(store)) == 2
    assert count(store, t.blobs) == 2
    assert count(store, t.series) == 1
    assert count(store, t.garbage) == 0


def test_what_was_deleted_within_the_grace_stays_whole(store: Store) -> None:
    run = log_run(store, "gone", file=b"bytes")
    delete_run(store, run, ago=20 * 86_400 * 1_000_000)
    sweep(store)
    assert store.read_artifact(run, "file") == b"bytes"
    sweep(store, grace=timedelta(days=7))
    assert digests(store) == set()


def test_an_experiment_goes_with_its_runs_and_a_study_with_its_trials(store: Store) -> None:
    log_run(store, "old", file=b"bytes")
    manager = manage(store)
    manager.lease.submit(manager.whole()).wait(10)
    manager.lease.release("stopped", "")
    name = manager.lease.study.name
    delete_experiment(store, "old")
    delete_experiment(store, name)
    told = store.gc(dry_run=True)
    assert {line.name: (line.runs, line.whole) for line in told.experiments} == {"old": (1, True), name: (1, True)}
    assert count(store, t.runs) == 2
    done = store.gc(file_grace=NOW)
    assert [line.name for line in done.experiments] == [line.name for line in told.experiments]
    for table in (t.experiments, t.studies, t.runs, t.events, t.points, t.artifacts, t.models):
        assert count(store, table) == 0, table.name


def test_a_file_is_deleted_only_by_a_call_that_finds_it_unreachable_a_grace_after_the_first(store: Store) -> None:
    run = log_run(store, "gone", file=b"bytes")
    delete_run(store, run)
    first = store.gc(file_grace=timedelta(hours=2))
    assert (first.files, first.waiting, first.waiting_bytes) == (0, 1, 5)
    assert first.next_at is not None
    again = store.gc(file_grace=timedelta(hours=2))
    assert (again.files, again.next_at) == (0, first.next_at)
    age_marks(store, hours=3)
    age_files(store, hours=3)
    last = store.gc(file_grace=timedelta(hours=2))
    assert (last.files, last.bytes, last.waiting) == (1, 5, 0)
    assert digests(store) == set()


def age_marks(store: Store, hours: float) -> None:
    older = update(t.garbage).values(marked_at=t.garbage.c.marked_at - int(hours * 3600e6))
    store.writer.call(lambda connection: connection.execute(older))


def age_files(store: Store, hours: float) -> None:
    past = time.time() - hours * 3600
    for path in Path(store.artifact_root).rglob("*"):
        if path.is_file():
            os.utime(path, (past, past))


def test_a_marked_file_that_somebody_refers_to_again_is_forgotten(store: Store) -> None:
    delete_run(store, log_run(store, "gone", file=b"bytes"))
    store.gc(file_grace=timedelta(hours=2))
    run = log_run(store, "new", file=b"bytes")
    age_marks(store, hours=3)
    age_files(store, hours=3)
    assert store.gc(file_grace=timedelta(hours=2)).files == 0
    assert store.read_artifact(run, "file") == b"bytes"
    assert count(store, t.garbage) == 0


def test_a_file_that_a_writer_stored_again_but_has_not_committed_yet_is_left_alone(store: Store) -> None:
    delete_run(store, log_run(store, "gone", file=b"bytes"))
    store.gc(file_grace=timedelta(hours=2))
    age_marks(store, hours=3)
    age_files(store, hours=3)
    digest, _ = store.artifacts.put_bytes(b"bytes")
    assert store.gc(file_grace=timedelta(hours=2)).files == 0
    assert store.artifacts.read(digest) == b"bytes"


def test_a_file_whose_writer_was_killed_before_its_commit_goes_too(store: Store) -> None:
    store.artifacts.put_bytes(b"nobody knows me")
    half = Path(store.artifact_root) / "incoming" / ("0" * 32)
    half.write_bytes(b"half")
    age_files(store, hours=30)
    told = store.gc(dry_run=True)
    assert (told.waiting, told.leftovers, told.leftover_bytes) == (1, 1, 4)
    assert half.exists()
    assert store.gc().leftovers == 1
    assert not half.exists()
    age_marks(store, hours=30)
    assert store.gc().files == 1
    assert digests(store) == set()


def test_a_file_that_a_killed_gc_had_moved_aside_is_put_back(store: Store) -> None:
    run = log_run(store, "kept", file=b"bytes")
    digest = store.list_artifacts(run)[0].digest
    root = Path(store.artifact_root)
    (root / digest[:2] / digest).rename(root / "incoming" / f"{digest}.{'0' * 32}.deleted")
    store.gc(file_grace=NOW)
    assert store.read_artifact(run, "file") == b"bytes"


def register_model(store: Store, experiment: str) -> tuple[int, str]:
    from sklearn.linear_model import LinearRegression

    with store.start_run(experiment) as run:
        run.log_metrics({"loss": 0.25}, step=1)
        run.log_model(LinearRegression().fit([[0.0], [1.0]], [0.0, 2.0]), input_example=[[1.0]])
    registered = store.get_logged_model(run.id)
    assert registered is not None
    store.registry.register("doubler", registered)
    store.registry.promote("doubler", 1, to="production")
    return run.id, registered.uid


def test_an_alias_still_loads_when_the_run_and_the_model_behind_it_were_deleted(store: Store) -> None:
    run, uid = register_model(store, "gone")
    log_run(store, "gone", file=b"not needed by the version")
    delete_run(store, run)
    delete_experiment(store, "gone")
    dropped = update(t.models).where(t.models.c.uid == uid).values(deleted_at=now_us() - LONG_AGO)
    store.writer.call(lambda connection: connection.execute(dropped))
    for _ in range(2):
        sweep(store)
    model = store.load_model("models:/doubler@production")
    assert model.predict([[4.0]]) == pytest.approx([8.0])
    assert store.registry.version("doubler", 1).run_id == run
    assert count(store, t.runs) == 1
    assert len(digests(store)) == count(store, t.blobs)


def test_of_a_deleted_study_the_trial_stays_that_a_version_came_from(store: Store) -> None:
    manager = manage(store)
    first, second = manager.whole(), manager.whole()
    run_id = first[0].run_id  # type: ignore[union-attr]
    digest, size = store.artifacts.put_bytes(b"weights")
    other, other_size = store.artifacts.put_bytes(b"a plot")
    manifest = {"format": 1, "flavor": "python", "files": {}}
    first.insert(4, ModelLogged(run_id, now_us(), manifest=manifest, files={"w": (digest, size)}))
    first.insert(4, ArtifactsLogged(run_id, now_us(), {"plot": (other, other_size)}))
    manager.lease.submit([*first, *second]).wait(10)
    manager.lease.release("stopped", "")
    store.registry.register("m", store.list_logged_models([run_id])[0])
    delete_experiment(store, manager.lease.study.name)
    told = store.gc(dry_run=True).experiments[0]
    assert (told.runs, told.kept, told.whole, told.files, told.bytes) == (1, 1, False, 1, 6)
    sweep(store)
    assert (count(store, t.runs), count(store, t.studies), count(store, t.results)) == (1, 0, 1)
    assert digests(store) == {digest}


def keep_for_a_version(store: Store) -> tuple[str, str]:
    """Make study ``s`` of two trials, register the model of trial 0 as ``m``, delete the study; return its name and the uid."""
    manager = manage(store)
    first, second = manager.whole(), manager.whole()
    run_id = first[0].run_id  # type: ignore[union-attr]
    weights = store.artifacts.put_bytes(b"weights")
    first.insert(
        4, ModelLogged(run_id, now_us(), manifest={"format": 1, "flavor": "python", "files": {}}, files={"w": weights})
    )
    manager.lease.submit([*first, *second]).wait(10)
    manager.lease.release("stopped", "")
    name = manager.lease.study.name
    store.registry.register("m", store.list_logged_models([run_id])[0], source=f"{name}/0")
    delete_experiment(store, name)
    return name, store.get_run(run_id).uid


def test_lineage_and_models_name_a_trial_of_a_deleted_study_by_its_uid_since_the_name_may_be_used_again(
    store: Store,
) -> None:
    name, uid = keep_for_a_version(store)
    manage(store)  # another study of the same name
    assert store.get_study(name).counts == {}
    assert store.registry.version("m", 1).source == f"{uid} (deleted)"
    labels = [node.label for node in store.registry.lineage("m/1").nodes if node.kind == "run"]
    assert labels == [f"{uid} (deleted)"]
    assert store.get_run(uid).path == uid


def test_a_study_of_which_gc_kept_a_run_is_not_restored_as_a_study_and_its_name_is_free(store: Store) -> None:
    name, uid = keep_for_a_version(store)
    sweep(store)
    with pytest.raises(StateError, match=rf"cannot be restored.*1 run of it, by uid: {uid}.*{name} \(removed\)"):
        store.restore_experiment(name)
    sweep(store)  # again: nothing more is taken, nothing renamed twice
    manage(store)
    assert store.get_study(name).status == "running"
    store.restore_experiment(f"{name} (removed)")
    left = store.get_experiment(f"{name} (removed)")
    assert (left.kind, left.deleted_at) == ("experiment", None)
    run = store.get_run(uid)
    assert (run.number, run.path, run.experiment) == (None, uid, f"{name} (removed)")
    assert run.values is not None
    assert [one.uid for one in store.search_runs("", experiments=[left.name])] == [uid]
    assert store.registry.version("m", 1).source == uid
    sweep(store)
    assert len(digests(store)) == 1, "the files of the version's model"
    assert store.fsck().findings == ()


def test_pins_keep_what_was_deleted_until_they_are_taken_away(store: Store) -> None:
    pinned = log_run(store, "gone", file=b"pinned")
    digest, _ = store.artifacts.put_bytes(b"a file")
    other = log_run(store, "gone", lone=b"a file")
    uid = store.get_run(pinned).uid
    delete_run(store, pinned)
    store.pin(uid, "the paper cites it")
    found = store.pin(digest, "in use")
    delete_run(store, other)
    assert (found.kind, found.reason) == ("file", "in use")
    sweep(store)
    assert store.read_artifact(pinned, "file") == b"pinned"
    assert store.artifacts.read(digest) == b"a file"
    assert [one.kind for one in store.list_pins()] == ["run", "file"]
    store.unpin(uid)
    store.unpin(digest)
    sweep(store)
    assert digests(store) == set()
    with pytest.raises(NotFoundError, match="no file"):
        store.unpin(digest)


def test_a_child_that_lives_outlives_its_parent(store: Store) -> None:
    with store.start_run("family") as parent, store.start_run(parent=parent) as child:
        child.log_metrics({"loss": 1.0})
    delete_run(store, parent.id)
    sweep(store)
    assert store.get_run(child.id).parent_id is None


def test_where_another_store_keeps_its_files_in_the_same_root_no_file_is_touched(store: Store, tmp_path: Path) -> None:
    delete_run(store, log_run(store, "gone", file=b"bytes"))
    with trackers.connect(f"sqlite:///{tmp_path / 'other.db'}", artifacts=store.artifact_root) as other:
        log_run(other, "mine", theirs=b"of the other")
    half = Path(store.artifact_root) / "incoming" / ("f" * 32)
    half.write_bytes(b"half")
    age_files(store, hours=50)
    for options in ({"dry_run": True}, {}):
        done = store.gc(file_grace=NOW, **options)  # type: ignore[arg-type]
        assert (done.files, done.leftovers, len(done.shared_with)) == (0, 0, 1)
    assert len(digests(store)) == 2
    assert half.exists()
    assert isinstance(store.artifacts, ArtifactStore)


def test_code_stays_as_long_as_a_run_that_ran_it_and_goes_with_the_last(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest, size = store.artifacts.put_bytes(b"a bundle of changes")
    code, environment = state_digest({}), content_digest({"python": "3.11"})
    new = NewLaunch("1" * 64, code, "v", {}, digest, size, environment, {"python": "3.11"}, None, "train.py", ())
    launch = store.writer.call(lambda connection: keep(connection, new))
    monkeypatch.setattr(Store, "own_launch", lambda self: launch)
    first, second = log_run(store, "a"), log_run(store, "b")
    delete_run(store, first)
    for table in (t.launches, t.code_versions, t.environments):
        older = update(table).values(created_at=now_us() - LONG_AGO)
        store.writer.call(lambda connection, older=older: connection.execute(older))
    sweep(store)
    assert digests(store) == {digest}
    assert store.fsck().findings == ()
    delete_run(store, second)
    sweep(store)
    assert digests(store) == set()
    assert [count(store, table) for table in (t.launches, t.code_versions, t.environments)] == [0, 0, 0]


def test_a_dry_run_foresees_what_goes_with_the_runs(store: Store) -> None:
    log_run(store, "kept", shared=b"both have it", own=b"mine")
    for name in ("first", "second"):
        log_run(store, name, shared=b"both have it", mine=name.encode() * 100, theirs=b"of both that go")
        delete_experiment(store, name)
    waits = store.gc(dry_run=True)
    assert (waits.files, waits.waiting) == (0, 3)
    told = store.gc(dry_run=True, file_grace=NOW)
    done = store.gc(file_grace=NOW)
    assert (told.files, told.bytes) == (done.files, done.bytes) == (3, waits.waiting_bytes)
    assert (told.waiting, done.waiting) == (0, 0)


def test_a_run_that_has_not_ended_is_not_taken_from_under_its_process(store: Store) -> None:
    with store.start_run("live") as run:
        run.log_metrics({"loss": 0.5}, step=0)
        store.flush()
        delete_run(store, run.id, ago=0)
        delete_experiment(store, "live", ago=0)
        for _ in range(2):
            store.gc(grace=NOW, file_grace=NOW)
        assert store.get_run(run.uid).uid == run.uid
        store.restore_experiment("live")
        store.restore_run(run)
        run.log_metrics({"loss": 0.25}, step=1)
    assert [point.value for point in store.metric_history(run.uid, "loss")] == [0.5, 0.25]


def test_many_gc_at_once_do_not_stand_in_each_others_way(store: Store) -> None:
    for index in range(6):
        delete_run(store, log_run(store, "gone", one=bytes([index]) * 50, two=bytes([index]) * 60))

    def collect() -> None:
        with trackers.connect(store.url) as mine:
            for _ in range(3):
                mine.gc(grace=NOW, file_grace=NOW)

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(collect) for _ in range(4)]:
            done.result()
    assert digests(store) == set()


def test_a_deleted_run_that_never_ended_is_told_with_the_date_until_which_it_stays(store: Store) -> None:
    running = store.start_run("crashed")
    running.flush()
    with store.start_run("crashed") as ended:
        pass
    day = 86_400 * 1_000_000
    for run in (running, ended):
        delete_run(store, run.id, ago=day)
    for dry_run in (True, False):
        done = store.gc(grace=NOW, file_grace=NOW, dry_run=dry_run)
        assert done.never_ended == 1
        left = done.never_ended_until - datetime.now(UTC)
        assert timedelta(days=28, hours=23) < left < timedelta(days=29)
        assert [line.runs for line in done.experiments] == [1]
    assert store.gc(grace=NOW, file_grace=NOW).experiments == ()
    delete_experiment(store, "crashed", ago=day)
    assert store.gc(grace=NOW, file_grace=NOW).never_ended == 1
    assert store.gc(grace=timedelta(days=3), file_grace=NOW).never_ended == 0, "that one is kept by the grace"
    store.pin(running)
    assert store.gc(grace=NOW, file_grace=NOW).never_ended == 0, "that one is kept by its pin"
    assert store.get_run(running).id == running.id
