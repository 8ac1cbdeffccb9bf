"""No search of the standard set reads or sorts a whole table, however many runs there are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import event

import trackers
from benchmarks.many_runs import SCOPES, SEARCHES, fill
from trackers.store import Store

RUNS = 12_000
"""Enough for both planners to prefer an index; plans, not times, are what is looked at here."""

SMALL = {"trackers_experiments", "trackers_studies", "trackers_datasets", "trackers_errors", "trackers_inputs"}
SMALL |= {"trackers_code_versions", "trackers_environments"}
WHOLE = {"order by a tag and a metric", "is null, of what nearly all have"}
WHOLE |= {"branch", "entry point, like 'x%'", "dirty, and python"}
"""Searches that no index serves from end to end: see docs/reference/filters.md."""


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def many(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    folder = tmp_path_factory.mktemp("many")
    if request.param == "sqlite":
        url = f"sqlite:///{folder / 'many.db'}"
    else:
        server: str = request.getfixturevalue("postgresql_database")
        url = f"postgresql+psycopg://{server.partition('://')[2]}?options=-csearch_path%3Dmany_runs"
        _in_database(server, "CREATE SCHEMA many_runs")
    with trackers.connect(url, artifacts=str(folder / "artifacts")) as store:
        fill(store, RUNS)
        yield store
    if request.param == "postgresql":
        _in_database(server, "DROP SCHEMA many_runs CASCADE")


def _in_database(server: str, statement: str) -> None:
    import psycopg

    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("SET client_min_messages = warning")
        connection.execute(statement)


class Statements:
    """What a search asks the database, and how the database goes about it."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.seen: list[tuple[str, Any]] = []
        event.listen(store.database._reader, "before_cursor_execute", self._see)

    def _see(self, *args: Any) -> None:
        self.seen.append((args[2], args[3]))

    def plans(self, name: str, token: str | None = None) -> tuple[list[list[str]], str | None]:
        wanted, order = SEARCHES[name]
        with self.store.database.reading() as connection:
            family = "SELECT p.uid FROM trackers_runs r JOIN trackers_runs p ON p.id = r.parent_id LIMIT 1"
            parent = connection.exec_driver_sql(family).scalar_one()
        self.seen.clear()
        page = self.store.search_runs(
            wanted.format(parent=parent), order_by=order or None, experiments=SCOPES.get(name), page_token=token
        )
        # the others read the page
        asked = [one for one in self.seen if any(word in one[0] for word in ("LIMIT", "count(", "set_config("))]
        word = "EXPLAIN QUERY PLAN" if self.store.database.dialect == "sqlite" else "EXPLAIN"
        found = []
        with self.store.database.reading() as connection:
            for statement, values in asked:
                if "set_config(" in statement:  # what holds for the statements after it
                    connection.exec_driver_sql(statement)
                    continue
                found.append([str(row[-1]) for row in connection.exec_driver_sql(f"{word} {statement}", values)])
        return found, page.next_token


def faults(plan: list[str], sqlite: bool) -> list[str]:
    """Return the lines of a plan that read a whole table, or sort what no limit bounds."""
    if not sqlite:
        return [line for line in plan if "Seq Scan on" in line and not _is_small(line)]
    gathered = any("VIRTUAL TABLE" in line for line in plan)
    sorts = [line for line in plan if line == "USE TEMP B-TREE FOR ORDER BY" and not gathered]
    scans = [line for line in plan if line.startswith("SCAN trackers_") and not _is_small(line)]
    scans = [line for line in scans if "_hidden" not in line]
    # the order itself may be walked, up to the limit: but nothing else, and not to be sorted
    return sorts + (scans if sorts else scans[1:])


def _is_small(line: str) -> bool:
    return bool(SMALL & set(re.findall(r"trackers_[a-z]+", line)))


@pytest.mark.parametrize("name", [name for name in SEARCHES if name not in WHOLE])
def test_the_standard_searches_walk_indexes_on_their_first_and_their_later_pages(many: Store, name: str) -> None:
    statements = Statements(many)
    plans, token = statements.plans(name)
    if token is not None:
        plans += statements.plans(name, token)[0]
    found = [(fault, plan) for plan in plans for fault in faults(plan, many.database.dialect == "sqlite")]
    assert not found, found[0]
