"""How a page is found: by the few runs that a condition leaves, or along the order's index.

Three ways, each with a bound on what it looks at:

- *gather*: a condition that few runs satisfy (they are counted, up to ``FEW``) hands over their ids; the other
  conditions are looked up for each, and what is left is sorted.
- *walk*: where every condition has many runs, the order's index is walked for a while (``A_WHILE`` rows), each
  condition looked up for each row. What common conditions let through fills a page soon.
- *sets*: where that did not fill the page, since the order and the conditions disagree, the rest of the index is
  walked with the runs of each condition gathered once.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ARRAY, BigInteger, Connection, Select, column, false, func, literal, select, true, union_all
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.expression import Join, not_

from trackers.query import And, IsNull, Node, Not, Or
from trackers.sql import tables as t
from trackers.sql.filters import FilterCompiler, ids_of
from trackers.sql.lifecycle import hidden
from trackers.sql.ordering import Phase
from trackers.sql.sources import Condition, find_source, runs_of

FEW = 2_000
A_WHILE = 3_000
_MOST_COUNTED = 8
"""Of how many conditions the runs are counted."""
_SET_MEMORY = "128MB"
"""What PostgreSQL may use for a set, in such a search alone: room for a million runs."""


class _CrossJoin(Join):
    """A join whose left side is read first: SQLite takes the order of a CROSS JOIN as it is written."""

    inherit_cache = True


@compiles(_CrossJoin, "sqlite")
def _written_in_order(join: Any, compiler: Any, **options: Any) -> str:
    options.pop("from_linter", None)  # both sides are joined, here
    sides = [compiler.process(side, **{**options, "asfrom": True}) for side in (join.left, join.right)]
    return f"{' CROSS JOIN '.join(sides)} ON {compiler.process(join.onclause, **options)}"


@dataclass(frozen=True)
class Wanted:
    """One of the conditions that all hold: a node of the filter, or the experiments that are looked in."""

    compiler: FilterCompiler
    node: Node | tuple[int, ...]

    def condition(self, phase: Phase, *, sets: bool) -> Condition:
        """Return it as a condition on the rows of *phase*."""
        node = self.node
        if isinstance(node, tuple):
            if phase.runs is not None:
                return runs_of(node, phase.runs).own
            source = runs_of(node)
            return self.compiler.is_among(source, true(), phase.run, sets=sets)
        own = self.of_the_order(phase)
        return self.compiler.condition(node, phase.run, sets=sets, runs=phase.runs) if own is None else own

    def of_the_order(self, phase: Phase) -> Condition | None:
        """Return it as a condition on the order's own column, None where it is about something else."""
        node = self.node
        if phase.source is None or isinstance(node, tuple | And | Or | Not):
            return None
        if node.field != phase.field or (isinstance(node, IsNull) and not node.negated):
            return None
        return self.compiler.row(node, phase.source)

    def ids(self) -> list[Select[int]] | None:
        """Return queries whose ids together hold every run that satisfies it; None where no index finds them."""
        if isinstance(self.node, tuple):
            return [ids_of(runs_of(self.node), true())]
        return _ids(self.compiler, self.node)


def _ids(compiler: FilterCompiler, node: Node) -> list[Select[int]] | None:
    if isinstance(node, Not):
        return None
    if isinstance(node, And):
        return next((found for part in node.nodes if (found := _ids(compiler, part))), None)
    if isinstance(node, Or):
        parts = [_ids(compiler, part) for part in node.nodes]
        return [query for queries in parts if queries for query in queries] if all(parts) else None
    if isinstance(node, IsNull) and not node.negated:
        return None
    source = find_source(node.field, compiler.best)
    return [ids_of(source, compiler.row(node, source))]


def _together(queries: list[Select[int]]) -> Any:
    return union_all(*queries) if len(queries) > 1 else queries[0]


class Finder:
    """Finds the ids of one page's runs, phase by phase, those of one *view*; *scoped*: in experiments that live."""

    def __init__(
        self,
        connection: Connection,
        compiler: FilterCompiler,
        wanted: Sequence[Wanted],
        *,
        scoped: bool,
        view: str = "active",
    ) -> None:
        self._connection = connection
        self._compiler = compiler
        self._dialect = connection.dialect.name
        self._wanted = list(wanted)
        self._scoped = scoped
        self._view = view
        self._few = self._find_few()
        self._counts: dict[int, int] | None = None

    def read(self, phase: Phase, values: Sequence[Any] | None, limit: int) -> list[Any]:
        """Return at most *limit* rows of *phase*, those after the one with *values*: the id, then what orders it."""
        if self._few == []:
            return []
        if self._few is not None:
            return self._rows(self._query(phase, values, sets=False, few=True), limit)
        if not self._wanted:
            return self._rows(self._query(phase, values, sets=False), limit)
        found, start = [], values
        if not phase.joins:
            boundary = self._boundary(phase, values)
            query = self._query(phase, values, sets=False)
            found = self._rows(query if boundary is None else query.where(phase.until(boundary)), limit)
            if boundary is None or len(found) == limit:
                return found
            start = boundary
        if self._dialect == "postgresql":
            self._connection.exec_driver_sql(f"SELECT set_config('work_mem', '{_SET_MEMORY}', true)")
        return found + self._rows(self._query(phase, start, sets=True), limit - len(found))

    def _rows(self, query: Select[Any], limit: int) -> list[Any]:
        return list(self._connection.execute(query.limit(limit)))

    # --- which way ---------------------------------------------------------------------------------------------

    def _find_few(self) -> list[int] | None:
        """Return the ids of the runs that the rarest condition leaves; None where each leaves many."""
        fewest: list[int] | None = None
        for _, queries in self._countable():
            most = FEW if fewest is None else len(fewest)
            found = list(self._connection.execute(_together(queries).limit(most + 1)).scalars())
            if len(found) <= most:
                fewest = found
            if fewest == []:
                break
        return None if fewest is None else sorted(set(fewest))

    def _countable(self) -> Iterator[tuple[int, list[Select[int]]]]:
        for place, one in enumerate(self._wanted[:_MOST_COUNTED]):
            if queries := one.ids():
                yield place, queries

    def _rarest(self) -> tuple[int, int]:
        """Return the place of the condition with the fewest runs, and how many; (-1, 0) where none can be counted."""
        if self._counts is None:
            self._counts = {
                place: self._connection.execute(
                    select(func.count()).select_from(_together(queries).subquery())
                ).scalar_one()
                for place, queries in self._countable()
            }
        return min(((place, count) for place, count in self._counts.items()), key=lambda one: one[1], default=(-1, 0))

    def _boundary(self, phase: Phase, values: Sequence[Any] | None) -> tuple[Any, ...] | None:
        """Return where the walk along the index is to stop for a while; None where it ends before that."""
        columns = [column.column for column in phase.columns]
        query = select(*columns).select_from(phase.table).where(phase.where)
        query = query.where(*(own for one in self._wanted if (own := one.of_the_order(phase)) is not None))
        if values is not None:
            query = query.where(phase.after(values))
        query = query.order_by(*(column.sorted for column in phase.columns)).offset(A_WHILE).limit(1)
        row = self._connection.execute(query).first()
        return None if row is None else tuple(row)

    # --- the statements ----------------------------------------------------------------------------------------

    def _query(self, phase: Phase, values: Sequence[Any] | None, *, sets: bool, few: bool = False) -> Select[Any]:
        listed = self._few if few and self._dialect == "mysql" else None
        source: Any = self._gathered(phase) if few and listed is None else phase.table
        for table, match in phase.joins:
            source = source.outerjoin(table, match)
        columns = [column.column.label(f"sort_{index}") for index, column in enumerate(phase.columns)]
        query: Select[Any] = select(phase.run.label("id"), *columns).select_from(source).where(phase.where)
        if listed is not None:
            query = query.where(phase.run.in_(listed))
        query = query.where(self._living(phase, sets), *self._conditions(phase, sets))
        if phase.absent is not None:
            missing, has = phase.absent
            query = query.where(not_(self._compiler.is_among(missing, has, phase.run, sets=sets)))
        if values is not None:
            query = query.where(phase.after(values))
        return query.order_by(*(column.sorted for column in phase.columns))

    def _gathered(self, phase: Phase) -> Any:
        """Return the rows of *phase* of the few runs that the rarest condition leaves."""
        ids: Any
        if self._dialect == "sqlite":
            ids = func.json_each(json.dumps(self._few)).table_valued(column("value", BigInteger))
        else:
            array = literal(self._few, ARRAY(BigInteger))
            ids = func.unnest(array).table_valued(column("value", BigInteger)).render_derived()
        table = phase.table
        if isinstance(table, Join) and isinstance(table.left, Join):
            return ids.join(table, phase.run == ids.c.value)
        if isinstance(table, Join):
            assert table.onclause is not None  # joins of sources say on what
            return _CrossJoin(_CrossJoin(ids, table.right, phase.run == ids.c.value), table.left, table.onclause)
        return _CrossJoin(ids, table, phase.run == ids.c.value)

    def _conditions(self, phase: Phase, sets: bool) -> list[Condition]:
        """Return every condition; the rarest one alone becomes a set where it leaves few to look the others up for."""
        if not sets:
            return [one.condition(phase, sets=False) for one in self._wanted]
        rarest, count = self._rarest()
        cheap = rarest >= 0 and count <= 2 * FEW
        return [one.condition(phase, sets=not cheap or place == rarest) for place, one in enumerate(self._wanted)]

    def _living(self, phase: Phase, sets: bool) -> Condition:
        """Tell that a run is in the view: neither archived nor deleted, and its experiment neither, unless asked for."""
        if self._view != "active":
            return true() if self._view == "all" else hidden(self._view, phase.run)
        e = t.experiments.c
        gone = select(e.id).where(e.deleted_at.is_not(None) | e.archived_at.is_not(None))
        runs = phase.runs
        if runs is not None:
            living = runs.c.archived_at.is_(None) & runs.c.deleted_at.is_(None)
            return living if self._scoped else living & runs.c.experiment_id.not_in(gone)
        other = t.runs.alias()
        marked = other.c.archived_at.is_not(None) | other.c.deleted_at.is_not(None)
        if self._dialect == "sqlite" or sets:
            queries = [select(other.c.id).where(marked)]
            if not self._scoped:
                queries.append(select(other.c.id).where(other.c.experiment_id.in_(gone)))
            return not_(func.coalesce((phase.run + 0).in_(_together(queries)), false()))
        if not self._scoped:
            marked = marked | other.c.experiment_id.in_(gone)
        return not_(self._compiler.exists(select(literal(1)).where(other.c.id == phase.run, marked)))
