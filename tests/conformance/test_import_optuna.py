"""Studies of Optuna's own storages, copied: everything is there, once, however often."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest
from click.testing import CliRunner

import trackers
from trackers.cli.app import trackers as command
from trackers.errors import AlreadyExistsError, InvalidValueError, NotFoundError
from trackers.interop.optuna.importing import import_optuna
from trackers.store import Store


@pytest.fixture(params=["rdb", "journal"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, optuna.Study]]:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    path = tmp_path / f"old.{request.param}"
    if request.param == "rdb":
        storage: optuna.storages.BaseStorage = optuna.storages.RDBStorage(f"sqlite:///{path}")
    else:
        storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(path)))
    study = optuna.create_study(study_name="old", storage=storage, sampler=optuna.samplers.RandomSampler(seed=0))
    study.set_user_attr("team", "ünïcode")

    def objective(trial: optuna.Trial) -> float:
        x = trial.suggest_float("x", -1, 1 + trial.number)
        trial.suggest_categorical("c", ["a", None, 1.5])
        trial.report(math.nan if trial.number == 1 else x, 0)
        trial.report(x, 3)
        trial.set_user_attr("note", [1, "b"])
        if trial.number == 2:
            raise optuna.TrialPruned
        if trial.number == 3:
            raise ValueError("it broke")
        return x

    study.optimize(objective, n_trials=5, catch=ValueError)
    study.enqueue_trial({"x": 0.5})
    yield str(path), study
    if isinstance(storage, optuna.storages.RDBStorage):
        storage.engine.dispose()


def test_everything_is_there_and_a_second_import_adds_nothing(source: tuple[str, optuna.Study], store: Store) -> None:
    path, old = source
    first = import_optuna(store, path)
    assert [(one.name, one.there, one.added, one.differing) for one in first] == [("old", 6, 6, ())]
    again = import_optuna(store, path)
    assert [(one.there, one.added, one.finished, one.differing) for one in again] == [(6, 0, 0, ())]
    trials = store.get_trials(store.get_study("old").id)
    for ours, theirs in zip(trials, old.trials, strict=True):
        assert (ours.number, ours.state) == (theirs.number, theirs.state)
        assert ours.params == theirs.params
        assert ours.distributions == theirs.distributions
        assert repr(ours.intermediate_values) == repr(theirs.intermediate_values)
    assert store.get_study("old").user_attrs["team"] == "ünïcode"


def test_what_came_later_is_added_and_what_was_open_is_ended(source: tuple[str, optuna.Study], store: Store) -> None:
    path, old = source
    import_optuna(store, path)
    old.optimize(lambda trial: trial.suggest_float("x", -1, 9), n_trials=2)
    result = import_optuna(store, path)[0]
    assert (result.there, result.added, result.finished, result.differing) == (7, 1, 1, ())
    assert store.get_trials(store.get_study("old").id)[5].params == {"x": 0.5}


def test_a_study_of_the_same_name_is_not_written_into(source: tuple[str, optuna.Study], store: Store) -> None:
    store.create_study("old", directions=["minimize"], metric_names=["loss"])
    with pytest.raises(AlreadyExistsError, match="was not imported from"):
        import_optuna(store, source[0])
    assert store.count_trials(store.get_study("old").id) == {}


def test_what_is_no_storage_is_named(store: Store, tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("notes")
    with pytest.raises(InvalidValueError, match="neither a SQLite file nor a journal"):
        import_optuna(store, str(text))
    with pytest.raises(NotFoundError, match="No such file"):
        import_optuna(store, str(tmp_path / "none.db"))
    with pytest.raises(InvalidValueError, match="no URL"):
        import_optuna(store, "nonsense://u:secret@host/db")


def test_the_terminal_says_what_was_added(source: tuple[str, optuna.Study], tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'hpo.db'}"
    said = CliRunner().invoke(command, ["import", "optuna", source[0], "--storage", url, "--json"])
    expected = {
        "study": "old",
        "source_name": "old",
        "trials": 6,
        "added": 6,
        "finished": 0,
        "differing": [],
        "renamed": [],
    }
    assert json.loads(said.output) == [expected]
    said = CliRunner().invoke(command, ["import", "optuna", source[0], "--storage", url])
    assert said.output.split()[-5:] == ["old", "6", "0", "0", "equal"]
    said = CliRunner().invoke(command, ["import", "optuna", source[0], "--storage", url, "--study", "nope"])
    assert isinstance(said.exception, NotFoundError)
    with trackers.connect(url) as store:
        assert len(store.search_runs("attributes.state = 'COMPLETE'", experiments="old")) == 3


def test_a_study_whose_name_is_refused_here_gets_one_like_it(store: Store, tmp_path: Path) -> None:
    source = f"sqlite:///{tmp_path}/theirs.db"
    for name in ("multi/obj ", "plain", "multi/obj"):
        made = optuna.create_study(study_name=name, storage=source)
        made.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    first = import_optuna(store, source)
    names = {one.theirs: one.name for one in first}
    assert names["plain"] == "plain"
    assert len(set(names.values())) == 3
    assert all("/" not in name for name in names.values())
    assert [one.there for one in first] == [2, 2, 2]
    again = import_optuna(store, source)
    assert [(one.name, one.added) for one in again] == [(one.name, 0) for one in first]


def test_attributes_whose_names_are_refused_here_get_others(store: Store, tmp_path: Path) -> None:
    odd = ("k" * 400, "two\nlines", "plain")
    storage = optuna.storages.RDBStorage(f"sqlite:///{tmp_path}/odd.db")
    study = optuna.create_study(study_name="odd keys", storage=storage)
    trial = optuna.trial.create_trial(value=1.0, user_attrs={key: key[:3] for key in odd})
    study.add_trial(trial)
    study.set_user_attr(odd[1], 1)
    for added in (1, 0):
        (found,) = import_optuna(store, f"sqlite:///{tmp_path}/odd.db")
        assert (found.added, found.differing, found.renamed) == (added, (), tuple(sorted(odd[:2])))
    (kept,) = store.get_trials(store.get_study("odd keys").id)
    assert sorted(kept.user_attrs.values()) == ["kkk", "pla", "two"]
    assert kept.user_attrs["plain"] == "pla"
