"""Search: a filter and an order in, a page of runs out; ``trackers.sql.plan`` says which way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from trackers.errors import FilterError, InvalidValueError
from trackers.page import RunPage
from trackers.query import And, Field, Node, OrderKey, fields_of
from trackers.sql import tables as t
from trackers.sql.experiments import find_experiments
from trackers.sql.filters import FilterCompiler
from trackers.sql.lifecycle import living
from trackers.sql.ordering import order_phases, read_token, search_mark, write_token
from trackers.sql.plan import Finder, Wanted
from trackers.sql.run_pages import read_runs
from trackers.sql.sources import Best

LARGEST_PAGE = 100_000
_NEWEST_FIRST = OrderKey(Field("attribute", "created"), descending=True)


@dataclass(frozen=True)
class Search:
    """What is looked for: a filter's tree (None: every run), the names of experiments (None: all), an order, a view."""

    filter: Node | None
    experiments: tuple[str | int, ...] | None
    order: tuple[OrderKey, ...]
    view: str = "active"

    @property
    def mark(self) -> str:
        parts = () if self.view == "active" else (self.view,)
        return search_mark(str(self.filter), self.experiments, (*map(str, self.order), *parts))


def search_runs(connection: Connection, search: Search, limit: int, token: str | None) -> RunPage:
    """Return one page: at most *limit* runs, from where *token* says on.

    What is archived or deleted is left away unless the view says otherwise. Raises NotFoundError for an unknown
    experiment, FilterError for a ``best(...)`` that no study defines, InvalidValueError for a token of another search.
    """
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= LARGEST_PAGE:
        raise InvalidValueError(f"limit must be a number from 1 to {LARGEST_PAGE:,}, not {limit!r}")
    hidden = search.view in {"deleted", "all"}
    scope = None if search.experiments is None else find_experiments(connection, search.experiments, deleted=hidden)
    keys = search.order or (_NEWEST_FIRST,)
    best = find_best(connection, best_keys(search.filter, keys), scope)
    if search.view == "active" and scope is not None:
        scope = living(connection, scope)
        if not scope:
            return RunPage([])
    compiler = FilterCompiler(connection.dialect.name, best)
    phases = order_phases(keys, best)
    phase, values = (0, None) if token is None else read_token(token, search.mark, phases)
    wanted = _wanted(compiler, search.filter, scope)
    finder = Finder(connection, compiler, wanted, scoped=scope is not None, view=search.view)
    found: list[tuple[int, Any]] = []
    for index in range(phase, len(phases)):
        rows = finder.read(phases[index], values if index == phase else None, limit + 1 - len(found))
        found += [(index, row) for row in rows]
        if len(found) > limit:
            break
    runs = read_runs(connection, [row[0] for _, row in found[:limit]])
    if len(found) <= limit:
        return RunPage(runs)
    index, row = found[limit - 1]
    return RunPage(runs, write_token(search.mark, index, row[1:]))


def _wanted(compiler: FilterCompiler, node: Node | None, scope: list[int] | None) -> list[Wanted]:
    """Return the conditions that all hold."""
    nodes = [] if node is None else _flat(node)
    wanted = [Wanted(compiler, one) for one in nodes]
    return wanted if scope is None else [Wanted(compiler, tuple(scope)), *wanted]


def _flat(node: Node) -> list[Node]:
    return [one for part in node.nodes for one in _flat(part)] if isinstance(node, And) else [node]


# --- best(...) --------------------------------------------------------------------------------------------------


def best_keys(node: Node | None, order: Sequence[OrderKey] = ()) -> set[str]:
    """Return the metrics whose ``best(...)`` is asked for."""
    fields = [*fields_of(node), *(key.field for key in order)]
    return {field.key for field in fields if field.aggregate == "best"}


def find_best(connection: Connection, keys: set[str], scope: list[int] | None) -> dict[str, Best]:
    """Return, for each key, the studies that maximize and that minimize it; raises FilterError where none does."""
    if not keys:
        return {}
    s = t.studies.c
    query = select(s.id, s.metric_names, s.directions)
    if scope is not None:
        query = query.where(s.id.in_(scope))
    goals: dict[str, dict[str, list[int]]] = {key: {"maximize": [], "minimize": []} for key in keys}
    for study_id, names, directions in connection.execute(query):
        for name, direction in zip(names, directions, strict=True):
            if name in goals:
                goals[name][direction].append(study_id)
    for key, found in goals.items():
        if not any(found.values()):
            raise FilterError(
                f"no study here has {key!r} as its objective, so nobody knows what the best is: "
                f"write min(metrics.{key}) or max(metrics.{key})"
            )
    return {key: Best(tuple(found["maximize"]), tuple(found["minimize"])) for key, found in goals.items()}
