"""Code, environment and data of runs and trials: kept once, found by search, restored."""

from __future__ import annotations

import subprocess
import sys
import types
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import delete, func, select, update

import hpo
import trackers
from tests.conformance.managed import manage
from tests.conformance.test_check import by_hand
from tests.git import git, make_repository
from trackers import capture
from trackers.capture import process
from trackers.capture.checkout import restore
from trackers.capture.state import CodeState
from trackers.difference import compare_runs
from trackers.errors import DigestError, FilterError, InvalidValueError, NotFoundError
from trackers.sql import tables as t
from trackers.store import Store

LATE = """
import sys
import trackers

with trackers.connect(sys.argv[1]) as store:
    early = store.start_run("e")
    early.end()
    with store.start_run("e") as late:
        import late_helper
    print(early.uid, late.uid)
"""


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Be in a repository with a change that is not committed."""
    folder = make_repository(tmp_path / "repo")
    (folder / "study.py").write_text("x = 2\n")
    monkeypatch.chdir(folder)
    monkeypatch.setattr(process, "SECONDS", 60.0)  # a busy machine
    return folder


def count(store: Store, table: Any) -> int:
    with store.database.reading() as connection:
        return int(connection.execute(select(func.count()).select_from(table)).scalar_one())


def found(store: Store, filter: str, **options: Any) -> set[str]:
    return {run.name for run in store.search_runs(filter, **options)}


def test_a_run_knows_its_code_its_environment_and_its_call(store: Store, repository: Path) -> None:
    with store.start_run("e") as run:
        pass
    launch = store.launch(run)
    assert launch is not None
    assert launch.code is not None
    assert launch.environment is not None
    assert launch.code.commit == git(repository, "rev-parse", "HEAD")
    assert launch.code.version.startswith(f"{launch.code.commit[:8]}+")
    assert (launch.branch, launch.code.dirty) == ("main", True)
    assert launch.code.content["author"] == "ann@example.org <ann@example.org>"
    assert launch.remote == "https://example.org/team/repo.git"
    assert launch.environment["python"] == ".".join(map(str, sys.version_info[:3]))
    assert launch.entry_point == capture.launch().entry_point
    assert "+x = 2" in store.code_diff(launch.code)


def test_a_run_knows_the_remote_of_its_own_day(store: Store, repository: Path) -> None:
    with store.start_run("e", name="before") as before:
        pass
    git(repository, "remote", "set-url", "origin", "https://ann:s3cr3t@example.org/moved/repo.git")
    store.launch_from(process.capture_caller(beside=store.own_files))
    with store.start_run("e", name="after") as after:
        pass
    launches = [store.launch(run) for run in (before, after)]
    assert [launch and launch.remote for launch in launches] == [
        "https://example.org/team/repo.git",
        "https://example.org/moved/repo.git",
    ]
    assert found(store, "attributes.remote like '%/moved/%'") == {"after"}
    assert found(store, "remote = 'https://example.org/team/repo.git'") == {"before"}
    changed = compare_runs(store, before, after).call["remote"]
    assert changed == tuple(launch and launch.remote for launch in launches)
    assert count(store, t.code_versions) == 1


def test_a_program_that_logs_for_another_is_kept_without_code_outside_a_repository(
    store: Store, store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store.launch_from(process.capture_caller(beside=store.own_files))
    with store.start_run("e", name="told") as run:
        pass
    launch = store.launch(run)
    assert launch is not None
    assert (launch.code, launch.branch, launch.entry_point) == (None, None, capture.launch().entry_point)
    assert launch.environment is not None
    assert found(store, "attributes.commit is null and attributes.python like '3.%'") == {"told"}
    assert found(store, "attributes.dirty = false") == set()
    assert store.fsck().findings == ()
    pytest.importorskip("pyarrow")
    store.archive("e", tmp_path / "kept")
    with trackers.connect(f"sqlite:///{tmp_path}/other.db") as other:
        assert other.import_archive(tmp_path / "kept").equal
        again = other.launch(run.uid)
        assert again is not None
        assert (again.code, again.entry_point) == (None, launch.entry_point)


def test_fsck_forgets_an_environment_that_was_lost_and_keeps_the_code(store: Store, repository: Path) -> None:
    with store.start_run("e") as run:
        pass
    with by_hand(store) as connection:
        connection.execute(delete(t.environments))
    assert {one.check for one in store.fsck().findings} == {"references"}
    store.fsck(repair=True)
    assert store.fsck().findings == ()
    launch = store.launch(run)
    assert launch is not None
    assert launch.environment is None
    assert launch.code is not None
    assert "+x = 2" in store.code_diff(launch.code)


def test_runs_of_one_state_share_it_and_another_state_is_another(store: Store, repository: Path) -> None:
    for _ in range(50):
        store.start_run("e").end()
    assert (count(store, t.launches), count(store, t.code_versions), count(store, t.environments)) == (1, 1, 1)
    first = capture.launch()
    other = replace(first, code=replace(first.code, diff=b""), arguments=("--lr", "0.1"))
    assert store.keep_launch(other) != store.keep_launch(first) == store.keep_launch(first)
    assert store.keep_launch(replace(first, arguments=("--lr", "0.2"))) != store.keep_launch(other)
    assert (count(store, t.launches), count(store, t.code_versions), count(store, t.environments)) == (3, 2, 1)


def test_a_run_whose_change_was_left_out_is_no_clean_one_whichever_was_first(
    store: Store, repository: Path, tmp_path: Path
) -> None:
    for content, name in (("x = 1\n", "clean"), ("0,1\n" * (2 << 20), "changed"), ("x = 1\n", "clean again")):
        (repository / "study.py").write_text(content)
        process._launch.cache_clear()
        store.start_run("e", name=name).end()
    clean, changed, again = sorted(store.search_runs(), key=lambda run: run.started_at)
    assert found(store, "attributes.dirty = true") == {"changed"}
    codes = [launch.code for launch in map(store.launch, (clean, changed, again)) if launch is not None]
    assert [code.dirty for code in codes if code is not None] == [False, True, False]
    assert codes[0] == codes[2] != codes[1]
    told = compare_runs(store, clean, changed, repo=repository).code
    assert told is not None
    assert told.notes == ("study.py is left out of the second one: its changes are too large",)
    assert codes[1] is not None
    assert restore(codes[1].content, None, tmp_path / "again", repository).missing == (
        "study.py: its changes are too large",
    )


def test_many_threads_and_stores_keep_one_row(store: Store, store_url: str, repository: Path) -> None:
    captured = capture.launch()
    with trackers.connect(store_url) as second, ThreadPoolExecutor(8) as pool:
        ids = set(pool.map(lambda n: (store, second)[n % 2].keep_launch(captured), range(40)))
    assert len(ids) == 1
    assert count(store, t.launches) == 1


def test_a_code_version_keeps_its_file_and_a_damaged_one_is_seen(
    store: Store, repository: Path, tmp_path: Path
) -> None:
    launch = store.get_launch(store.keep_launch(capture.launch()))
    assert launch is not None
    assert launch.code is not None
    assert launch.code.bundle is not None
    assert store.drop_unreferenced([launch.code.bundle], grace=0.0) == set()
    assert store.read_bundle(launch.code) == capture.launch().code.bundle()
    (path,) = (tmp_path / "artifacts").rglob(f"*{launch.code.bundle[4:]}")
    path.chmod(0o600)
    path.write_bytes(b"other")
    with pytest.raises(DigestError):
        store.read_bundle(launch.code)


def test_the_runs_of_a_code_version_whose_file_is_lost_are_named_and_tagged(store: Store, repository: Path) -> None:
    first, second = store.start_run("e"), store.start_run("e")
    for run in (first, second):
        run.end()
    launch = store.launch(first)
    assert launch is not None
    assert launch.code is not None
    assert launch.code.bundle is not None
    assert store.artifacts.delete(launch.code.bundle)
    (told,) = store.fsck().findings
    version = launch.code.version
    assert f"needed by run {first.uid}: its code {version}; run {second.uid}: its code {version}" in told.problem
    store.fsck(repair=True)
    assert [store.get_run(run).tags for run in (first, second)] == [{"trackers.damaged": "code"}] * 2


def test_a_lost_file_is_needed_by_a_pin_where_there_is_one_and_by_code_that_no_run_ran(
    store: Store, repository: Path
) -> None:
    launch = store.get_launch(store.keep_launch(capture.launch()))
    assert launch is not None
    assert launch.code is not None
    assert launch.code.bundle is not None
    assert store.artifacts.delete(launch.code.bundle)
    assert [f"needed by the code {launch.code.version}" in one.problem for one in store.fsck().findings] == [True]
    store.pin(launch.code.bundle, "kept")
    assert [one.problem.endswith("; a pin") for one in store.fsck(repair=True).findings] == [True]


def test_where_files_cannot_be_stored_or_code_not_read_the_run_goes_on(
    store: Store, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "artifacts").write_text("a file where the folder should be")
    with store.start_run("e", name="no room") as run:
        pass
    launch = store.launch(run)
    assert launch is not None
    assert launch.code is not None
    assert launch.code.bundle is None
    assert "could not be stored" in launch.code.content["notes"][-1]

    def fail(*args: object, **options: object) -> None:
        raise OSError("no disk")

    monkeypatch.setattr("trackers.capture.process.launch", fail)
    with store.start_run("e", name="no code") as run:
        pass
    assert store.launch(run) is None


def test_cells_that_run_until_the_end_of_a_run_are_its_code(
    store: Store, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell = types.SimpleNamespace(user_ns={"In": ["", "run = trackers.start_run()"]})
    ipython = types.ModuleType("IPython")
    ipython.get_ipython = lambda: shell  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    run = store.start_run("e", name="notebook")
    shell.user_ns["In"] += ["fit(model)", "run.end()"]
    run.end()
    launch = store.launch(run)
    assert launch is not None
    assert launch.code is not None
    restore(launch.code.content, store.read_bundle(launch.code), repository.parent / "again", repository)
    assert "# In [2]:\nfit(model)\n" in (repository.parent / "again" / "cells.py").read_text()


def test_what_a_run_imports_late_outside_a_repository_is_its_code(store: Store, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(LATE)
    (tmp_path / "late_helper.py").write_text("x = 1\n")
    command = [sys.executable, "train.py", store.url]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    early, late = (store.launch(uid) for uid in done.stdout.split())
    assert early is not None
    assert late is not None
    assert early.code is not None
    assert late.code is not None
    assert set(early.code.content["files"]) == {"train.py"}
    assert set(late.code.content["files"]) == {"train.py", "late_helper.py"}


def test_a_resumed_run_knows_the_code_of_its_last_attempt(store: Store, repository: Path) -> None:
    run = store.start_run("e", name="r")
    run.flush()
    git(repository, "commit", "-qam", "second")
    capture.process._launch.cache_clear()
    store.resume_run(run).end()
    launch = store.launch(run)
    assert launch is not None
    assert launch.code is not None
    assert launch.code.commit == git(repository, "rev-parse", "HEAD")
    assert found(store, f"attributes.commit = '{launch.code.commit}'") == {"r"}
    assert found(store, "attributes.dirty = true") == set()


def test_code_and_environment_are_searched(store: Store, repository: Path) -> None:
    commit = git(repository, "rev-parse", "HEAD")
    with store.start_run("e", name="a"):
        pass
    trial = manage(store, "s")
    trial.lease.submit(trial.whole()).wait(10)
    python = sys.version.split()[0]
    for asked in (
        f"attributes.commit = '{commit}'",
        f"commit like '{commit[:8]}%'",
        "branch = 'main'",
        "dirty = true",
        "dirty != false",
        f"attributes.python = '{python}'",
        "attributes.python like '3.%'",
        f"attributes.entry_point = '{capture.launch().entry_point}' and commit is not null",
    ):
        assert found(store, asked) == {"a"}, asked
    for asked in ("branch = 'other'", "dirty = false", f"commit != '{commit}'", "python in ('2.7')"):
        assert found(store, asked) == set(), asked
    without = {run.path for run in store.search_runs("commit is null", order_by="attributes.commit")}
    assert without == {"s/0"}
    assert next(run.name for run in store.search_runs(order_by="attributes.commit, attributes.dirty desc")) == "a"


def test_trials_know_the_code_that_they_ran(store: Store, repository: Path, store_url: str) -> None:
    study = hpo.create_study(study_name="s", storage=store, space={"x": hpo.Float(0, 1)})
    study.optimize(lambda trial: trial.params["x"], n_trials=2)
    launches = [store.launch(trial) for trial in study.trials]
    assert launches[0] == launches[1]
    assert launches[0] is not None
    assert launches[0].code is not None
    assert launches[0].code.commit == git(repository, "rev-parse", "HEAD")
    assert study.trials[0].attempts[0].code == launches[0].code.version
    assert study.trials[0].attempts[0].launch == launches[0].id
    code = study.row.code
    assert code is not None
    assert (code["commit"], code["branch"], code["version"]) == (
        launches[0].code.commit,
        "main",
        launches[0].code.version,
    )
    assert len(list(store.search_runs("attributes.branch = 'main' and dirty = true"))) == 2


def test_trials_of_optuna_know_their_code_too(store: Store, repository: Path) -> None:
    import optuna

    from trackers.interop.optuna import OptunaStorage

    study = optuna.create_study(storage=OptunaStorage(store), study_name="s")
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    commit = git(repository, "rev-parse", "HEAD")
    assert len(list(store.search_runs(f"attributes.commit = '{commit}' and branch = 'main'"))) == 2


@pytest.mark.usefixtures("cluster")
def test_trials_on_ray_know_what_ray_was_asked_for(tmp_path: Path, repository: Path) -> None:
    with trackers.connect(tmp_path / "ray.db", artifacts=str(tmp_path / "files")) as store:
        study = hpo.create_study(study_name="s", storage=store, space={"x": hpo.Float(0, 1)})
        study.optimize(square, n_trials=2, workers=1, cpus_per_trial=0.5)
        launch = store.launch("s/1")
        assert launch is not None
        assert launch.environment is not None
        assert launch.environment["ray"] == {"version": version("ray"), "cpus": 0.5, "gpus": 0}
        assert launch.code is not None
        assert launch.code.commit == git(repository, "rev-parse", "HEAD")


def square(trial: Any) -> float:
    return float(trial.params["x"]) ** 2


# --- data ---------------------------------------------------------------------------------------------------------


def test_data_sets_are_found_by_their_runs_and_runs_by_their_data(store: Store, tmp_path: Path) -> None:
    data = np.arange(12.0).reshape(4, 3)
    (tmp_path / "test.csv").write_text("a,b\n1,2\n")
    with store.start_run("e", name="first") as first:
        first.log_input(data, "digits", role="train", source="https://ann:pw@example.org/digits")
        first.log_input(tmp_path / "test.csv", role="test")
    with store.start_run("e", name="second") as second:
        second.log_input(np.asfortranarray(data), "renamed", role="validate")
    with store.start_run("e", name="third") as third:
        third.log_input(data.astype("float32"), "digits")
    digest = capture.data_digest(data).digest
    listed = store.datasets()
    assert sorted((d.name, d.rows or 0, d.runs) for d in listed) == [
        ("digits", 4, 1), ("digits", 4, 1), ("renamed", 4, 1), ("test.csv", 0, 1),
    ]  # fmt: skip
    assert {d.name for d in store.datasets(digest[:12])} == {"digits", "renamed"}
    (file,) = store.datasets("test.csv")
    assert (file.source, file.schema) == (str(tmp_path / "test.csv"), {"kind": "file", "size": 8})
    assert {d.source for d in store.datasets("digits")} == {"https://***@example.org/digits", ""}
    assert [run.name for run in store.runs_with_data(digest)] == ["second", "first"]
    assert [run.name for run in store.runs_with_data(digest[:8], limit=1)] == ["second"]
    with pytest.raises(NotFoundError, match="did you mean 'digits'"):
        store.datasets("digts")
    with pytest.raises(InvalidValueError, match="no digest"):
        store.runs_with_data("xyz")


def test_the_filter_asks_for_data(store: Store) -> None:
    data = np.arange(5)
    with store.start_run("e", name="both") as run:
        run.log_input(data, "digits", role="train")
        run.log_input(data[:2], "small", role="test")
    with store.start_run("e", name="one") as run:
        run.log_input(data, "other", role="test")
    store.start_run("e", name="none").end()
    digest = capture.data_digest(data).digest
    cases = {
        "datasets.name = 'digits'": {"both"},
        f"datasets.digest = '{digest}'": {"both", "one"},
        f"datasets.digest like '{digest[:10]}%'": {"both", "one"},
        "dataset.role = 'test'": {"both", "one"},
        "datasets.context = 'train'": {"both"},
        "datasets.name = 'digits' and datasets.name = 'small'": {"both"},
        "datasets.rows >= 5": {"both", "one"},
        "datasets.rows between 1 and 3": {"both"},
        "datasets.name in ('small', 'other')": {"both", "one"},
        "datasets.name is null": {"none"},
        "not datasets.name = 'digits'": {"one", "none"},
        "datasets.name != 'digits'": {"both", "one"},
        "datasets.source = ''": {"both", "one"},
    }
    for asked, expected in cases.items():
        assert found(store, asked) == expected, asked
    with pytest.raises(FilterError, match="data sets have no 'nam'; did you mean name"):
        store.search_runs("datasets.nam = 'x'")
    with pytest.raises(FilterError, match="several data sets"):
        store.search_runs(order_by="datasets.name")


def test_a_trial_logs_its_data_as_a_run_does(store: Store, tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("a\n1\n")

    def objective(trial: hpo.Trial) -> float:
        trial.log_input(tmp_path / "train.csv")
        trial.log_input([1, 2, 3], "labels", role="target", source="by hand")
        return 1.0

    study = hpo.create_study(study_name="s", storage=store, space={"x": hpo.Float(0, 1)})
    study.optimize(objective, n_trials=1)
    inputs = {i.name: i for i in store.inputs("s/0")}
    assert (inputs["train.csv"].source, inputs["train.csv"].role) == (str(tmp_path / "train.csv"), "train")
    assert (inputs["labels"].source, inputs["labels"].rows) == ("by hand", 3)
    assert len(list(store.search_runs("datasets.name = 'labels'"))) == 1


def test_a_state_without_anything_is_a_state(store: Store) -> None:
    captured = replace(capture.launch(), code=CodeState(notes=("nothing was found",)))
    launch = store.get_launch(store.keep_launch(captured))
    assert launch is not None
    assert launch.code is not None
    assert (launch.code.commit, launch.code.bundle, launch.code.dirty) == (None, None, None)


@pytest.mark.parametrize("table", ["code_versions", "environments"])
def test_fsck_finds_a_record_that_was_changed_since(store: Store, repository: Path, table: str) -> None:
    with store.start_run("e"):
        pass
    assert store.fsck().findings == ()
    kept = t.metadata.tables[f"trackers_{table}"]
    with by_hand(store) as connection:
        content = connection.execute(select(kept.c.content)).scalar_one()
        connection.execute(update(kept).values(content={**content, "commit": "0" * 40}))
    (found,) = store.fsck(repair=True).left
    assert (found.check, "was changed after it was recorded" in found.problem) == ("records", True)
