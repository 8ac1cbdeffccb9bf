"""A database is looked at before MLflow or Optuna opens it: they would put their tables into whatever it is."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

import optuna
import pytest
from sqlalchemy import create_engine, inspect

import trackers
from tests.extras import needs
from trackers.errors import InvalidValueError, NotFoundError, StoreError
from trackers.interop.mlflow import export_mlflow, import_mlflow
from trackers.interop.optuna.importing import import_optuna
from trackers.interop.source import knock
from trackers.store import Store

pytestmark = needs("mlflow", reason="pip install 'hpo[mlflow]'")


@pytest.fixture
def foreign(tmp_path: Path) -> str:
    """Return the URL of somebody's database."""
    with sqlite3.connect(tmp_path / "app.db") as connection:
        connection.execute("CREATE TABLE users (name TEXT)")
    connection.close()
    return f"sqlite:///{tmp_path}/app.db"


def tables(url: str) -> list[str]:
    engine = create_engine(url)
    found = inspect(engine).get_table_names()
    engine.dispose()
    return found


def test_a_database_that_is_not_theirs_is_refused_and_stays_as_it_is(store: Store, foreign: str) -> None:
    with pytest.raises(InvalidValueError, match="no database of MLflow: it has the table 'users'"):
        import_mlflow(store, foreign)
    with pytest.raises(InvalidValueError, match="no database of Optuna: it has the table 'users'"):
        import_optuna(store, foreign)
    with pytest.raises(InvalidValueError, match="has the table 'users': MLflow needs a database of its own"):
        export_mlflow(store, foreign)
    assert tables(foreign) == ["users"]


def test_a_store_is_no_source_and_no_target(store: Store) -> None:
    before = tables(store.url)
    for copies in (import_mlflow, import_optuna, export_mlflow):
        with pytest.raises(InvalidValueError, match="is a store of trackers itself"):
            copies(store, store.url)
    assert tables(store.url) == before


def test_a_file_that_is_not_there_is_not_made(store: Store, tmp_path: Path) -> None:
    for copies in (import_mlflow, import_optuna):
        with pytest.raises(NotFoundError, match="there is no file"):
            copies(store, f"sqlite:///{tmp_path}/nowhere.db")
    assert not (tmp_path / "nowhere.db").exists()


@pytest.fixture
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("no_proxy")
def test_a_server_that_does_not_answer_is_told_at_once(store: Store) -> None:
    begun = time.monotonic()
    with pytest.raises(StoreError, match=r"nothing answers at http://127\.0\.0\.1:1"):
        import_mlflow(store, "http://127.0.0.1:1")
    assert time.monotonic() - begun < 60.0


def test_the_folder_of_files_beside_a_database_is_no_source(store: Store, tmp_path: Path) -> None:
    (tmp_path / "mlruns" / "1" / "abc" / "artifacts").mkdir(parents=True)
    with pytest.raises(InvalidValueError, match="holds no experiment of MLflow"):
        import_mlflow(store, str(tmp_path / "mlruns"))


def test_a_port_that_is_none_is_named(store: Store) -> None:
    with pytest.raises(InvalidValueError, match=r"http://127\.0\.0\.1:x is no URL of a server"):
        import_mlflow(store, "http://127.0.0.1:x")


@pytest.mark.usefixtures("no_proxy")
def test_a_server_behind_a_proxy_is_asked_through_it(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "http://127.0.0.1:1"
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:2")
    monkeypatch.setenv("no_proxy", "localhost")
    knock(url, url)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with pytest.raises(StoreError, match="nothing answers"):
        knock(url, url)


def test_a_file_of_optuna_is_one_source_however_it_is_written(
    sqlite_store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    theirs = optuna.create_study(storage="sqlite:///plain.db", study_name="sphere")
    theirs.optimize(lambda trial: trial.suggest_float("x", -1, 1) ** 2, n_trials=2)
    with trackers.connect(sqlite_store_url) as store:
        for source in ("plain.db", "sqlite:///plain.db", f"sqlite:///{tmp_path}/plain.db", str(tmp_path / "plain.db")):
            [copied] = import_optuna(store, source)
            assert (copied.there, copied.differing) == (2, ())
