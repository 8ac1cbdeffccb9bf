"""How a page is found: by the few runs that a condition leaves, or along the order's index.

Four ways, each with a bound on what it looks at:

- *gather*: a condition that few runs satisfy (they are counted, up to ``FEW``) hands over their ids; the other
  conditions are looked up for each, and what is left is sorted.
- *walk*: where every condition has many runs, the order's index is walked for a while (``A_WHILE`` rows, and some more
  where that nearly filled the page), each condition looked up for each row. What common conditions let through fills a
  page soon.
- *meet*: where that did not fill the page, the conditions may each have many runs and hardly any together: those are
  searched for without the order, up to ``MEETING``, and gathered.
- *sets*: where they have many runs together too, the order and the conditions disagree: the rest of the index is
  walked with the runs of each condition gathered once.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ARRAY, BigInteger, Connection, Select, and_, column, func, literal, select, true, union_all
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.expression import Join, not_

from trackers.query import And, IsNull, Like, Node, Not, Or
from trackers.sql import tables as t
from trackers.sql.filters import FilterCompiler, ids_of
from trackers.sql.lifecycle import hidden
from trackers.sql.ordering import Phase
from trackers.sql.sources import Condition, runs_of

FEW = 2_000
MEETING = 2_000
A_WHILE = 3_000
LONGER = 9_000
_NEARLY = 4
"""Which part of a page a walk has to find to be worth going on with: a quarter."""
_WITHOUT_INDEX = {
    "mysql": frozenset({"duration", "host", "number", "user"}),
    "postgresql": frozenset({"number"}),
    "sqlite": frozenset({"number"}),
}
_MOST_GROUPS = 3
"""How many values of a first key are looked through by the second key's index."""
_MOST_COUNTED = 8
"""Of how many conditions the runs are counted."""
_SET_MEMORY = "128MB"
"""What PostgreSQL may use for a set, in such a search alone: room for a million runs."""


_LOOK_UP = "set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true)"


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

    @property
    def is_found_exactly(self) -> bool:
        """Whether ``ids`` finds no run that does not satisfy it."""
        return isinstance(self.node, tuple) or not _holds_and(self.node)

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
    return compiler.ids(node)


def _reads_all(node: Node | tuple[int, ...], dialect: str) -> bool:
    """Tell whether every run is looked at for what *node* holds of: a pattern without a beginning, what has no index."""
    if isinstance(node, And | Or):
        return any(_reads_all(part, dialect) for part in node.nodes)
    if isinstance(node, tuple | Not):
        return False
    if node.field.kind == "attribute" and node.field.key in _WITHOUT_INDEX[dialect]:
        return True
    return isinstance(node, Like) and (node.negated or node.ignore_case or node.pattern[:1] in {"%", "_"})


def _holds_and(node: Node) -> bool:
    """Tell whether only a part of *node* finds its runs."""
    return isinstance(node, And) or (isinstance(node, Or) and any(map(_holds_and, node.nodes)))


_GONE = select(t.experiments.c.id).where(
    t.experiments.c.deleted_at.is_not(None) | t.experiments.c.archived_at.is_not(None)
)
"""The ids of the experiments whose runs are hidden."""


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
        self._countable = [
            (place, queries) for place, one in enumerate(self._wanted[:_MOST_COUNTED]) if (queries := one.ids())
        ]
        self._few: list[int] | None = None
        self._meet_many = False
        self._proven: set[int] = set()
        """The places of the conditions that hold of all the few."""
        self._count()

    def read(self, phase: Phase, values: Sequence[Any] | None, limit: int) -> list[Any]:
        """Return at most *limit* rows of *phase*, those after the one with *values*: the id, then what orders it."""
        if self._few == []:
            return []
        if self._few is not None:
            return self._rows(self._query(phase, values, sets=False, few=True), limit)
        found, start = self._by_groups(phase, values, limit)
        if len(found) == limit:
            return found
        # MariaDB would sort all rows by all keys, though an index has them in the order of the first
        bounded = phase.leading > 0 and self._dialect == "mysql"
        if not self._wanted and not (bounded and phase.joins):
            return found + self._rows(self._query(phase, start, sets=False), limit - len(found))
        if not phase.joins or bounded:
            walked, start = self._walk(phase, start, limit - len(found))
            found += walked
            if start is None or len(found) == limit:
                return found
        if self._dialect == "postgresql":
            self._connection.exec_driver_sql(f"SELECT set_config('work_mem', '{_SET_MEMORY}', true)")
        if self._meet():
            return found + self._rows(self._query(phase, start, sets=False, few=True), limit - len(found))
        return found + self._rows(self._query(phase, start, sets=True), limit - len(found))

    def _rows(self, query: Select[Any], limit: int) -> list[Any]:
        return list(self._connection.execute(query.limit(limit)))

    def _walk(
        self, phase: Phase, values: Sequence[Any] | None, limit: int, *also: Condition
    ) -> tuple[list[Any], Sequence[Any] | None]:
        """Walk the index for a while: return what was found, and where to go on (None where nothing is left)."""
        found: list[Any] = []
        start = values
        for rows in (A_WHILE, LONGER):
            boundary = self._boundary(phase, start, rows)
            query = self._query(phase, start, sets=False).where(*also)
            if boundary is not None:
                query = query.where(*self._until(phase, boundary))
            found += self._rows(query, limit - len(found))
            start = boundary
            if boundary is None or len(found) == limit or len(found) * _NEARLY < limit:
                break
        return found, start

    def _by_groups(
        self, phase: Phase, values: Sequence[Any] | None, limit: int
    ) -> tuple[list[Any], Sequence[Any] | None]:
        """Read an order whose first key has a value that very many runs have: those by an index of the second key.

        Return what was found and where to go on: as far as such values come first and a walk finds their runs soon.
        """
        found: list[Any] = []
        start = values
        for _ in range(_MOST_GROUPS if phase.group else 0):
            following = self._boundary(phase, start, 0)
            if following is None or not self._is_large(phase, following[0]):
                break
            inside = start if start is not None and len(start) > 1 and start[0] == following[0] else None
            rows = self._of_group(phase, following[0], inside, limit - len(found))
            if rows is None:
                break
            found += rows
            start = following
            if len(found) == limit:
                break
        return found, start

    def _is_large(self, phase: Phase, value: Any) -> bool:
        same = select(literal(1)).select_from(phase.table).where(phase.where, phase.columns[0].column == value)
        return self._connection.execute(same.offset(A_WHILE).limit(1)).first() is not None

    def _of_group(self, phase: Phase, value: Any, values: Sequence[Any] | None, limit: int) -> list[Any] | None:
        """Return at most *limit* rows of those with *value*, after that with *values*; None where they are not soon found."""
        group = phase.group
        assert group is not None
        at = (0, None) if values is None else group.inside(values)
        if at is None:
            return None
        found: list[Any] = []
        for place in range(at[0], len(group.phases)):
            part = group.phases[place]
            of_group = self._compiler.is_among(
                group.source, and_(group.holds, group.column == value), part.run, sets=False
            )
            rows, after = self._walk(part, at[1] if place == at[0] else None, limit - len(found), of_group)
            found += [(row[0], *group.outside(place, value, row[1:])) for row in rows]
            if len(found) == limit:
                return found
            if after is not None:
                return None
        return found

    # --- which way ---------------------------------------------------------------------------------------------

    def _count(self) -> None:
        """Look whether a condition leaves few runs, and take those of the rarest; and how many runs are hidden.

        Conditions that are looked for in a whole index are so last, and only where no other has few.
        """
        whole = [one for one in self._countable if _reads_all(self._wanted[one[0]].node, self._dialect)]
        counted = [one for one in self._countable if one not in whole]
        asked = [self._listed(_together(queries).limit(FEW + 1)) for _, queries in counted]
        hidden = self._hidden() if self._view == "active" else None
        self._hides = FEW + 1
        if hidden is not None:
            asked.append(select(func.count()).select_from(hidden.limit(max(FEW, 0) + 1).subquery()))
        query = select(*(one.scalar_subquery().label(f"n{at}") for at, one in enumerate(asked)))
        found = list(self._connection.execute(query).one()) if asked else []
        if hidden is not None:
            self._hides = found.pop()
        listed = [json.loads(ids) if isinstance(ids, str) else ids or [] for ids in found]
        at = min(range(len(listed)), key=lambda one: len(listed[one]), default=0)
        if listed and len(listed[at]) <= FEW:
            self._take(listed[at], {counted[at][0]})
            return
        for place, queries in whole:
            ids = self._connection.execute(_together(queries).limit(FEW + 1)).scalars().all()
            if len(ids) <= FEW:
                self._take(ids, {place})
                return

    def _listed(self, ids: Select[int]) -> Select[Any]:
        """Return the query for the ids that *ids* finds as one value: as good as their number, and not asked for twice."""
        run = ids.subquery().c[0]
        name = {"postgresql": "array_agg", "sqlite": "json_group_array"}.get(self._dialect, "json_arrayagg")
        return select(getattr(func, name)(run))

    def _take(self, ids: Sequence[int], places: set[int]) -> None:
        self._few = sorted(set(ids))
        if self._few and self._dialect == "postgresql":
            # of the few each is looked up: to hash or to merge what they are joined with would read all of it
            self._connection.exec_driver_sql(f"SELECT {_LOOK_UP}")
        self._proven = {place for place in places if self._wanted[place].is_found_exactly}

    def _meet(self) -> bool:
        """Look whether the conditions leave few runs together, and take those."""
        if self._meet_many or len(self._countable) < 2:
            return False
        (place, queries), *others = self._countable
        driven = _together(queries).subquery()
        run = driven.c[0]
        query = (
            select(run).where(*(self._compiler.is_in(run, _together(other)) for _, other in others)).limit(MEETING + 1)
        )
        found = self._connection.execute(query).scalars().all()
        if len(found) > MEETING:
            self._meet_many = True
            return False
        self._take(found, {place, *(place for place, _ in others)})
        return True

    def _boundary(self, phase: Phase, values: Sequence[Any] | None, rows: int) -> tuple[Any, ...] | None:
        """Return where a walk of so many *rows* along the index is to stop; None where it ends before that.

        Where the index orders by the first columns alone, those with the same values of them are walked together.
        """
        leading = phase.columns[: phase.leading]
        columns = [column.column for column in leading]
        query = select(*columns).select_from(phase.table).where(phase.where)
        query = query.where(*(own for one in self._wanted if (own := one.of_the_order(phase)) is not None))
        if values is not None and len(values) <= len(leading):
            query = query.where(*self._after(phase, values))
        elif values is not None:
            query = query.where(leading[0].not_before(values[0]))
        query = query.order_by(*(column.sorted for column in leading)).offset(rows).limit(1)
        row = self._connection.execute(query).first()
        return None if row is None else tuple(row)

    def _after(self, phase: Phase, values: Sequence[Any]) -> list[Condition]:
        # MariaDB makes no range of an index of a comparison of rows: one of the first column is that
        ranges = [phase.columns[0].not_before(values[0])] if self._dialect == "mysql" else []
        return [*ranges, phase.after(values)]

    def _until(self, phase: Phase, values: Sequence[Any]) -> list[Condition]:
        ranges = [phase.columns[0].not_after(values[0])] if self._dialect == "mysql" else []
        return [*ranges, phase.until(values)]

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
        known = self._proven if few else ()
        conditions = [one.condition(phase, sets=sets) for place, one in enumerate(self._wanted) if place not in known]
        query = query.where(self._living(phase), *conditions)
        if phase.absent is not None:
            missing, has = phase.absent
            query = query.where(not_(self._compiler.is_among(missing, has, phase.run, sets=sets)))
        if values is not None:
            query = query.where(*self._after(phase, values))
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

    def _hidden(self) -> Select[int]:
        """Return the query for the ids of the runs that are archived or deleted, alone or with their experiment."""
        r = t.runs.alias().c
        queries = [select(r.id).where(r.archived_at.is_not(None) | r.deleted_at.is_not(None))]
        if not self._scoped:
            queries.append(select(r.id).where(r.experiment_id.in_(_GONE)))
        found: Select[int] = _together(queries)
        return found

    def _living(self, phase: Phase) -> Condition:
        """Tell that a run is in the view: neither archived nor deleted, and its experiment neither, unless asked for."""
        if self._view != "active":
            return true() if self._view == "all" else hidden(self._view, phase.run)
        if self._hides == 0:
            return true()
        runs = phase.runs
        if runs is not None:
            living = runs.c.archived_at.is_(None) & runs.c.deleted_at.is_(None)
            return living if self._scoped else living & runs.c.experiment_id.not_in(_GONE)
        if self._hides <= FEW:
            return not_(self._compiler.is_in(phase.run, self._hidden()))
        other = t.runs.alias()
        marked = other.c.archived_at.is_not(None) | other.c.deleted_at.is_not(None)
        if not self._scoped:
            marked = marked | other.c.experiment_id.in_(_GONE)
        return not_(self._compiler.exists(select(literal(1)).where(other.c.id == phase.run, marked)))
