"""The exceptions of ``retry_on``: found by name from the objective's file, or refused with one sentence."""

from __future__ import annotations

import functools
import json
import sqlite3
from typing import Any

import pytest

from hpo.errors import SettingsError
from hpo.exception import exception_names

NOT_ONE = 3


class Flaky(ConnectionError):
    class Inner(Exception):
        pass


def objective(trial: Any) -> float:
    return 1.0


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("OSError", "builtins.OSError"),
        ("IOError", "builtins.OSError"),
        ("builtins.ValueError", "builtins.ValueError"),
        ("Flaky", f"{__name__}.Flaky"),
        ("Flaky.Inner", f"{__name__}.Flaky.Inner"),
        ("sqlite3.OperationalError", "sqlite3.OperationalError"),
        ("json.JSONDecodeError", "json.decoder.JSONDecodeError"),
        ("concurrent.futures.BrokenExecutor", "concurrent.futures._base.BrokenExecutor"),
        ("pytest.RaisesExc", None),
    ],
)
def test_a_name_is_found_where_the_objective_stands_or_imported(given: str, found: str | None) -> None:
    if found is None:
        with pytest.raises(SettingsError, match="must name exceptions"):
            exception_names([given], objective)
        return
    assert exception_names([given], objective) == (found,)
    assert exception_names(given, functools.partial(objective)) == (found,)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("Zebra", "and there is no such exception: name a builtin one, one of the objective's file (it has Flaky"),
        ("ConectionError", "and there is no such exception; did you mean ConnectionError?"),
        ("Flakey", "and there is no such exception; did you mean Flaky?"),
        ("sqlite3.OperationalErr", "did you mean sqlite3.OperationalError?"),
        ("nowhere.to.be.Found", "and there is no such exception: name a builtin one"),
        ("hpo..Error", "and there is no such exception"),
        (".", "and there is no such exception"),
        ("NOT_ONE", "must name exceptions, and NOT_ONE is none."),
        ("json", "must name exceptions, and json is none."),
        ("KeyboardInterrupt", "must name exceptions, and KeyboardInterrupt is none."),
    ],
)
def test_what_is_no_exception_is_refused_with_one_sentence(given: str, sentence: str) -> None:
    with pytest.raises(SettingsError) as caught:
        exception_names([given], objective)
    assert sentence in str(caught.value)
    assert str(caught.value).count("\n") == 0


def test_a_type_needs_no_place_where_it_is_found() -> None:
    class Local(Exception):
        pass

    (name,) = exception_names([Local], objective)
    assert name == f"{__name__}.{Local.__qualname__}"
    assert exception_names([name], objective) == (name,), "as a decorator records it"
    assert exception_names([sqlite3.Error, json.JSONDecodeError], objective)[0] == "sqlite3.Error"
    with pytest.raises(SettingsError, match="KeyboardInterrupt is none"):
        exception_names([KeyboardInterrupt], objective)
