"""Where no PostgreSQL server runs, the tests start one; where there is none to start, they say why they skip."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from tests import postgresql


def test_a_cluster_of_the_tests_own_answers_and_is_gone_afterwards() -> None:
    programs = postgresql.find_programs()
    if programs is None:
        pytest.skip("PostgreSQL's programs are not on this machine")
    with postgresql.cluster(programs) as url:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE DATABASE one")
            folder = connection.execute("SHOW data_directory").fetchone()
        assert postgresql.answers(url)
    assert not postgresql.answers(url)
    assert folder is not None
    assert not Path(folder[0]).exists()


def test_a_server_that_is_named_and_does_not_answer_is_not_replaced_by_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(postgresql.GIVEN, "postgresql://postgres@127.0.0.1:1/test")
    with pytest.raises(postgresql.NoServerError, match="which HPO_TEST_POSTGRESQL names"), postgresql.server():
        pass


def test_without_server_and_programs_the_reason_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(postgresql.GIVEN, raising=False)
    monkeypatch.setattr(postgresql, "answers", lambda url: False)
    monkeypatch.setattr(postgresql, "find_programs", lambda: None)
    with pytest.raises(postgresql.NoServerError, match="its programs are not here"), postgresql.server():
        pass
