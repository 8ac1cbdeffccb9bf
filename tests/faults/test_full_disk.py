"""A store that cannot be written any more, in the middle of a sweep or from the start: one sentence, nothing lost."""

from __future__ import annotations

import contextlib
import secrets
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

import trackers
from tests.cluster import cluster
from tests.faults.command import called
from trackers.errors import StoreError
from trackers.states import RunState
from trackers.values import Trial

STUDY = """
import hpo

@hpo.objective(space={"x": hpo.Float(0, 1)}, sampler="random", pruner="none", total_trials=60)
def fill(trial):
    for step in range(30):
        trial.report(trial.params["x"], step=step)
    trial.set_user_attr("ballast", "x" * 20_000)
    return trial.params["x"]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "study.py").write_text(STUDY)
    return tmp_path


def stored(folder: Path) -> dict[int, Trial]:
    with trackers.connect(f"sqlite:///{folder}/hpo.db") as store:
        trials = store.get_trials(store.get_study("fill").id)
    return {t.number: t for t in trials if t.state is RunState.COMPLETE}


SMALL_FILES = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, resource.RLIM_INFINITY))"
"""No file grows beyond a megabyte: what a process on a full disk meets, without a disk of its own."""

BOUND_BY_PERMISSIONS = """
import ctypes, os
drop_from_bounding_set, may_override = 24, 1
if not os.geteuid() and ctypes.CDLL(None).prctl(drop_from_bounding_set, may_override, 0, 0, 0):
    raise SystemExit("root cannot give up CAP_DAC_OVERRIDE here")
"""
"""A process of root's gives up the right to write where permissions forbid it; others do not have it."""


def test_a_disk_without_room_stops_the_study_and_resume_finishes_it_exactly(folder: Path) -> None:
    code, output = called(folder, "run", "study.py", "--workers", "0", before=SMALL_FILES)
    assert code in (1, 2), output
    assert "Traceback" not in output
    errors = [line for line in output.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1, output
    assert "the disk of the store" in errors[0]
    assert "hpo resume fill" in output
    before = stored(folder)
    assert 0 < len(before) < 60
    code, output = called(folder, "resume", "fill", "--workers", "0")
    assert code == 0, output
    after = stored(folder)
    assert sorted(after) == list(range(60))
    for number, old in before.items():
        assert (after[number].values, after[number].params) == (old.values, old.params)
        assert after[number].intermediate_values == old.intermediate_values
    assert all([a.outcome for a in t.attempts].count("complete") == 1 for t in after.values())


def test_a_store_that_cannot_be_used_is_told_in_one_sentence(folder: Path) -> None:
    wrong = folder / "wrong.db"
    wrong.write_bytes(b"this is not a database, whatever its name says" * 100)
    newer = folder / "newer.db"
    trackers.connect(f"sqlite:///{newer}").close()
    with sqlite3.connect(newer) as connection:
        connection.execute("UPDATE trackers_alembic_version SET version_num = 'r9999'")
    connection.close()
    content = {path: path.read_bytes() for path in (wrong, newer)}
    for path, sentence in ((wrong, "is not a database"), (newer, "newer")):
        code, output = called(folder, "run", "study.py", "--workers", "0", "--storage", f"sqlite:///{path}")
        assert code == 2, output
        assert sentence in output
        assert "Traceback" not in output
        assert sum(line.startswith("Error: ") for line in output.splitlines()) == 1
        assert path.read_bytes() == content[path], "nothing was changed"


@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_read_only_store_is_told_in_one_sentence(folder: Path, what: str) -> None:
    place = folder / "kept"
    place.mkdir()
    url = f"sqlite:///{place}/hpo.db"
    trackers.connect(url).close()
    if what == "file":
        (place / "hpo.db").chmod(0o400)
    else:
        place.chmod(0o500)
    try:
        code, output = called(
            folder, "run", "study.py", "--workers", "0", "--storage", url, before=BOUND_BY_PERMISSIONS
        )
    finally:
        place.chmod(0o700)
    assert code == 2, output
    assert "Traceback" not in output
    errors = [line for line in output.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1, output
    assert "read-only" in errors[0] or "cannot be opened" in errors[0]


MODELS = """
import contextlib
import os
from pathlib import Path
import hpo

class Ballast:
    def save(self, folder):
        (Path(folder) / "ballast").write_bytes(os.urandom(480_000))

    @classmethod
    def load(cls, folder):
        return cls()

    def predict(self, X):
        return X

@hpo.objective(space={"x": hpo.Float(0, 1)}, sampler="random", pruner="none", total_trials=6, keep_models="all")
def models(trial):
    trial.report(trial.params["x"], step=0)
    trial.set_user_attr("model", trial.log_model(Ballast()))
    trial.set_user_attr("checkpoint", bool(trial.checkpoint(os.urandom(600_000))))
    return trial.params["x"]
"""
Place = Callable[[str], Path]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with cluster(2) as found:
        yield found


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Place]:
    """Mount a disk of its own with these options, or mount it anew with others."""
    place = tmp_path / "disk"
    place.mkdir()

    def mount(options: str) -> Path:
        again = "remount," if place.is_mount() else ""
        command = ["mount", "-t", "tmpfs", "-o", again + options, "tmpfs", str(place)]
        try:
            subprocess.run(command, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("this process may not mount a disk")
        return place

    yield mount
    if place.is_mount():
        subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize("what", ["full", "read-only"])
def test_a_worker_that_cannot_store_files_keeps_the_values_of_its_trials(
    folder: Path, disk: Place, address: str, what: str
) -> None:
    (folder / "study.py").write_text(MODELS)
    place, url = disk("size=2m"), f"sqlite:///{folder}/hpo.db"
    trackers.connect(url, artifacts=str(place / "files")).close()
    if what == "read-only":
        disk("ro")
    code, output = called(folder, "run", "study.py:models", "--workers", "2", "--address", address)
    assert code == 0, output
    assert "Traceback" not in output
    with trackers.connect(url) as store:
        trials = store.get_trials(store.get_study("models").id)
        logs = {t.number: store.trial_log(t.run_id) for t in trials}
    assert [t.state for t in trials] == [RunState.COMPLETE] * 6, [t.error for t in trials]
    assert all(t.value == t.params["x"] for t in trials)
    without = [t for t in trials if not t.user_attrs["model"]]
    assert len(without) == 6 if what == "read-only" else 0 < len(without) < 6
    reason = "Read-only file system" if what == "read-only" else "is full: free some space"
    assert all(t.model is None for t in without)
    assert all(reason in (t.model_error or "") for t in without), [t.model_error for t in without]
    assert all(t.model for t in trials if t not in without)
    unsaved = [t for t in trials if not t.user_attrs["checkpoint"]]
    assert unsaved
    for trial in unsaved:
        assert "no checkpoint of this trial was kept" in logs[trial.number]
        assert reason in logs[trial.number]
    number = without[0].number
    code, shown = called(folder, "show", f"models/{number}")
    assert code == 0
    assert "no model: " in shown


def test_a_store_whose_disk_is_full_under_workers_is_told_and_resumed_exactly(
    folder: Path, disk: Place, address: str
) -> None:
    place = disk("size=1500k")
    url = f"sqlite:///{place}/hpo.db"
    args = ("--workers", "2", "--address", address, "--storage", url)
    code, output = called(folder, "run", "study.py", *args)
    assert code in (1, 2), output
    assert "Traceback" not in output
    errors = [line for line in output.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1, output
    assert "the disk of the store" in errors[0]
    assert "hpo resume fill" in output
    disk("size=32m")
    with trackers.connect(url) as store:
        before = {t.number: t for t in store.get_trials(store.get_study("fill").id) if t.state is RunState.COMPLETE}
    assert len(before) < 60
    code, output = called(folder, "resume", "fill", *args)
    assert code == 0, output
    with trackers.connect(url) as store:
        after = store.get_trials(store.get_study("fill").id)
    assert [(t.number, t.state) for t in after] == [(n, RunState.COMPLETE) for n in range(60)]
    assert all(after[n].values == t.values and after[n].params == t.params for n, t in before.items())
    assert all([a.outcome for a in t.attempts].count("complete") == 1 for t in after)


@pytest.mark.usefixtures("without_code")
def test_a_backup_or_archive_on_a_full_disk_names_the_folder_and_leaves_nothing_that_looks_whole(
    disk: Place, tmp_path: Path
) -> None:
    place = disk("size=1m")
    with trackers.connect(tmp_path / "hpo.db") as store:
        with store.start_run("fraud") as run:
            run.log_text("kept", "kept.txt")
        store.backup(place / "backup")
        big = secrets.token_hex(2**21)
        for kind in ("file", "row"):
            with store.start_run("fraud") as run:
                if kind == "file":
                    run.log_text(big, "big.txt")
                else:
                    run.set_tag("big", big)
            for target in (place / "backup", place / "other"):
                with pytest.raises(StoreError, match=f"the disk of {target} is full: free some space"):
                    store.backup(target)
            assert not (place / "other" / "backup.json").exists()
            with pytest.raises(StoreError, match=f"the disk of {place}/archive is full: free some space"):
                store.archive("fraud", place / "archive", files=True)
            assert not (place / "archive").exists()
            store.delete_run(run)
            store.gc(grace=timedelta(0), file_grace=timedelta(0))
    restored = trackers.restore(place / "backup", tmp_path / "new.db")
    assert (restored.files, restored.problems) == (1, ())


def test_a_store_on_a_full_disk_that_nobody_has_open_says_that_it_is_full(disk: Place) -> None:
    place = disk("size=4m")
    url = f"sqlite:///{place}/hpo.db"
    with trackers.connect(url) as store, store.start_run("e"):
        pass
    with (place / "ballast").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            pass
    with pytest.raises(StoreError, match="is full: free some space"):
        trackers.connect(url)
    (place / "ballast").unlink()
    trackers.connect(url).close()
