"""What somebody with a SQL tool sees: the views, through the databases' own command-line programs."""

from __future__ import annotations

import csv
import io
import math
import os
import platform
import shutil
import subprocess

import pytest
from sqlalchemy import make_url

from trackers.changes import ModelLogged, PointsLogged
from trackers.clock import now_us
from trackers.sql.views import NAMES
from trackers.states import RunState
from trackers.store import Store


def ask(store: Store, statement: str) -> list[list[str]]:
    """Return what the database's own program prints for *statement*: rows of text."""
    url = make_url(store.url)
    program = {"sqlite": "sqlite3", "postgresql": "psql", "mysql": "mariadb"}[store.database.dialect]
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    environment = dict(os.environ)
    if program == "sqlite3":
        command = ["sqlite3", "-readonly", "-csv", str(url.database), statement]
    elif program == "mariadb":
        where = ["-h", str(url.host), "-P", str(url.port or 3306), "-u", str(url.username), "-D", str(url.database)]
        quotes = "--init-command=SET sql_mode = 'ANSI_QUOTES'"
        command = ["mariadb", "--no-defaults", *where, quotes, "--batch", "--skip-column-names", "-e", statement]
    else:
        environment |= {"PGOPTIONS": f"{url.query['options']} -c timezone=UTC"}
        where = ["-h", str(url.host), "-p", str(url.port or 5432), "-U", str(url.username), "-d", str(url.database)]
        command = ["psql", *where, "-X", "-q", "-t", "--csv", "-c", statement]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    if program == "mariadb":
        return [[_as_text(word) for word in line.split("\t")] for line in done.stdout.splitlines()]
    return list(csv.reader(io.StringIO(done.stdout)))


def _as_text(word: str) -> str:
    """Return what MariaDB shows as the others show it: it has no numbers that are not finite."""
    return {"NULL": "", "1.7976931348623157e308": "Infinity", "-1.7976931348623157e308": "-Infinity"}.get(word, word)


def nan(store: Store) -> str:
    """Return what a view shows of NaN."""
    return "" if store.database.dialect == "mysql" else "NaN"


@pytest.fixture
def filled(store: Store) -> Store:
    with store.start_run(
        "fraud", name="first", params={"lr": 0.5, "kernel": "rbf", "deep": True, "bad": math.nan}
    ) as run:
        run.set_tag("team", "risk")
        for step, value in enumerate((0.25, math.nan, math.inf, -math.inf, 0.5)):
            run.log_metric("auc", value, step=step)
        run.log_metrics({"auc": 1.5}, step=7, context={"split": "val"})
    other = store.start_run("fraud", name="second", parent=run.id)
    points = tuple((step, 0, now_us(), step / 8 if step % 2 else math.nan) for step in range(1200))
    other.write([PointsLogged(other.id, "loss", points)])
    other.end(RunState.FAIL)
    return store


def test_runs_have_names_times_and_states(filled: Store) -> None:
    rows = ask(filled, "SELECT name, experiment, state, created FROM trackers_v_runs ORDER BY created")
    assert [row[:3] for row in rows] == [["first", "fraud", "COMPLETE"], ["second", "fraud", "FAIL"]]
    run = next(run for run in filled.search_runs() if run.name == "first")
    assert rows[0][3].replace(" ", "T")[:19] == run.created_at.isoformat()[:19]
    ((parent,),) = ask(filled, "SELECT parent FROM trackers_v_runs WHERE name = 'second'")
    assert parent == run.uid
    ((duration,),) = ask(filled, "SELECT duration FROM trackers_v_runs WHERE name = 'first'")
    assert run.ended_at is not None
    assert run.started_at is not None
    assert float(duration) == pytest.approx((run.ended_at - run.started_at).total_seconds())


def test_numbers_that_are_not_finite_are_seen(filled: Store) -> None:
    wanted = "SELECT step, value FROM trackers_v_points WHERE \"key\" = 'auc' AND context = '' ORDER BY step"
    assert ask(filled, wanted) == [
        ["0", "0.25"],
        ["1", nan(filled)],
        ["2", "Infinity"],
        ["3", "-Infinity"],
        ["4", "0.5"],
    ]
    wanted = "SELECT min, max, last, count FROM trackers_v_metrics WHERE \"key\" = 'auc' AND context = ''"
    assert ask(filled, wanted) == [["-Infinity", "Infinity", "0.5", "5"]]
    wanted = "SELECT name, type, number, text FROM trackers_v_params ORDER BY name"
    found = {row[0]: row[1:] for row in ask(filled, wanted)}
    assert found["bad"] == ["float", nan(filled), ""]
    assert found["kernel"] == ["str", "", "rbf"]
    assert (found["lr"], float(found["deep"][1])) == (["float", "0.5", ""], 1.0)


def test_sealed_points_are_seen_as_the_others(filled: Store) -> None:
    wanted = "SELECT count(*), min(step), max(step), sum(attempt) FROM trackers_v_points WHERE \"key\" = 'loss'"
    assert ask(filled, wanted) == [["1200", "0", "1199", "0"]]
    wanted = "SELECT value FROM trackers_v_points WHERE \"key\" = 'loss' AND step IN (999, 1000) ORDER BY step"
    assert ask(filled, wanted) == [["124.875"], [nan(filled)]]


def test_trials_and_models_are_seen_with_their_numbers_versions_and_aliases(store: Store) -> None:
    from tests.conformance.managed import manage

    manager = manage(store)
    manager.lease.submit(manager.whole()).wait(10)
    trials = store.get_trials(manager.lease.study.id)
    rows = ask(store, "SELECT number, state, value FROM trackers_v_trials ORDER BY number")
    assert [(int(number), state) for number, state, _ in rows] == [(one.number, one.state.name) for one in trials]
    assert ask(store, "SELECT count(*) FROM trackers_v_models") == [["0"]]


def test_tags_files_data_and_code_of_runs_are_seen(store: Store) -> None:
    with store.start_run("fraud", tags={"team": "risk"}) as run:
        run.log_text("words", "notes/a.txt")
        run.log_input(b"abc", "may", role="test")
    gone = store.start_run("fraud", tags={"team": "gone"})
    gone.end()
    store.delete_run(gone.id)
    assert ask(store, "SELECT run_id, experiment, name, value FROM trackers_v_tags") == [
        [run.uid, "fraud", "team", "risk"]
    ]
    (artifact,) = store.list_artifacts(run.id)
    assert ask(store, "SELECT run_id, name, size, digest FROM trackers_v_artifacts") == [
        [run.uid, "notes/a.txt", "5", artifact.digest]
    ]
    (data,) = store.inputs(run.id)
    assert ask(store, "SELECT run_id, name, role, digest FROM trackers_v_inputs") == [
        [run.uid, "may", "test", data.digest]
    ]
    launch = store.launch(run.id)
    assert launch is not None
    assert launch.code is not None
    ((uid, version, commit, python),) = ask(store, "SELECT run_id, version, commit_hash, python FROM trackers_v_code")
    assert (uid, version, commit) == (run.uid, launch.code.version, launch.code.commit or "")
    assert python == platform.python_version()


def test_metrics_tags_and_history_of_versions_are_seen(store: Store) -> None:
    with store.start_run("fraud") as run:
        run.log_metrics({"auc": 0.5, "größe \\": math.nan, 'a":NaN,"b': math.inf, "loss": -math.inf})
        run.log_metrics({"auc": 0.25}, context={"split": "val"})
        run.write([ModelLogged(run.id, now_us(), store.new_uid(), manifest={"flavor": "sklearn"})])
    model = store.get_logged_model(run.id)
    assert model is not None
    registry = store.registry
    registry.register("m", model, tags={"team": "risk"}, reason="the first")
    registry.record("m", 1, {"auc": [0.25, 0.75], "gain": [1.0, math.inf], "odd": [math.inf, -math.inf]}, data="0" * 64)
    wanted = "SELECT name, value FROM trackers_v_version_metrics WHERE model = 'm' AND origin = 'registered'"
    found = dict(ask(store, wanted))
    if store.database.dialect == "mysql":
        found = {name.replace("\\\\", "\\"): value for name, value in found.items()}  # as its program shows them
    assert found == {
        "auc": "0.5",
        "größe \\": nan(store),
        'a":NaN,"b': "Infinity",
        "loss": "-Infinity",
        "auc{split=val}": "0.25",
    }
    wanted = "SELECT version, name, value, repeats, data FROM trackers_v_version_metrics WHERE origin = 'measured'"
    assert ask(store, f"{wanted} ORDER BY name") == [
        ["1", "auc", "0.5", "2", "0" * 64],
        ["1", "gain", "Infinity", "2", "0" * 64],
        ["1", "odd", nan(store), "2", "0" * 64],
    ]
    assert ask(store, "SELECT model, version, name, value FROM trackers_v_version_tags") == [["m", "1", "team", "risk"]]
    wanted = "SELECT model, action, new_version, reason FROM trackers_v_registry_history ORDER BY line"
    assert ask(store, wanted) == [
        ["m", "create", "", "the first"],
        ["m", "register", "1", "the first"],
        ["m", "measure", "1", ""],
    ]
    when = registry.history("m")[0].time
    ((time, actor),) = ask(store, "SELECT time, actor FROM trackers_v_registry_history WHERE action = 'create'")
    assert (time.replace(" ", "T")[:19], actor) == (when.isoformat()[:19], registry.history("m")[0].actor)


@pytest.mark.parametrize(
    ("values", "mean"),
    [
        ([1e308, 1.5e308], 1.25e308),
        ([-1e200, -3e200, 1.0], -4e200 / 3),
        ([1e308, -1e308, 0.5, 1.5], 0.5),
        ([5e-324], 5e-324),
        ([5e-324, 0.0], 0.0),
        ([0.1, 0.2, 0.4], (0.1 + 0.2 + 0.4) / 3),
    ],
)
def test_the_mean_of_huge_and_of_tiny_figures_is_theirs_on_every_database(
    store: Store, values: list[float], mean: float
) -> None:
    with store.start_run("r") as run:
        run.write([ModelLogged(run.id, now_us(), store.new_uid(), manifest={"flavor": "sklearn"})])
    model = store.get_logged_model(run.id)
    assert model is not None
    store.registry.register("m", model)
    store.registry.record("m", 1, {"loss": values})
    ((shown,),) = ask(store, "SELECT value FROM trackers_v_version_metrics WHERE origin = 'measured'")
    assert float(shown) == pytest.approx(mean, rel=1e-14, abs=0)
    assert store.registry.figures("m", 1)[0].value == pytest.approx(mean, rel=1e-14, abs=0)


@pytest.mark.parametrize("name", NAMES)
def test_every_view_is_documented_with_its_columns(store: Store, name: str) -> None:
    from pathlib import Path

    from sqlalchemy import inspect

    page = (Path(__file__).parents[2] / "docs" / "reference" / "sql.md").read_text(encoding="utf-8")
    section = page.partition(f"## trackers_v_{name}\n")[2].partition("\n## ")[0]
    with store.database.reading() as connection:
        columns = [column["name"] for column in inspect(connection).get_columns(f"trackers_v_{name}")]
    assert columns
    assert [column for column in columns if f"`{column}`" not in section] == []
