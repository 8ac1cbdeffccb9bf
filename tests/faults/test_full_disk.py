"""A store that cannot be written any more, in the middle of a sweep or from the start: one sentence, nothing lost."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

import trackers
from tests.faults.command import called
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
