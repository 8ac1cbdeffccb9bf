"""Where the database keeps what a field of the filter language names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Text,
    and_,
    case,
    cast,
    exists,
    false,
    literal,
    not_,
    null,
    or_,
    select,
    true,
)

from trackers.query import Field
from trackers.sql import tables as t
from trackers.sql.columns import BOOL, FLOAT, NONE, escape

Condition = ColumnElement[bool]

LARGEST = 1.7976931348623157e308
"""What an infinity orders by (see ``trackers.sql.columns``)."""

_RUN_COLUMNS = {
    "state": "state",
    "name": "name",
    "run_id": "uid",
    "user": "user",
    "host": "host",
    "number": "number",
    "created": "created_at",
    "started": "started_at",
    "ended": "ended_at",
}


@dataclass(frozen=True)
class Source:
    """A field's rows: those of *table* for which *own* holds, each of the run whose id is in the column *run*.

    There is at most one row a run (but for data sets, which nothing is ordered by). *present* tells whether the row
    holds a value. *number* and *text* are what it compares by; a NaN has a NULL number, and *is_nan* tells it from
    text. *kind* is a param's. Of a long text *text* is the beginning, which indexes hold; *full* is the whole. The
    parser lets a value stand only beside fields that have what it compares with.
    """

    table: FromClause
    run: ColumnElement[int]
    own: Condition
    present: Condition
    number: Any = None
    text: Any = None
    full: Any = None
    kind: Any = None
    is_nan: Any = None
    whole: bool = False
    """Whether *number* is an integer column."""
    unit: int = 1
    """What one stands for in a column of integers."""
    runs: FromClause | None = None
    """The alias of ``runs`` that *table* is, for a field that is a column of it."""
    again: Any = None
    """For a field with *full*: an alias of its table, to look at a whole text while an index is walked."""

    @property
    def always(self) -> bool:
        """Whether every run has the field."""
        return self.runs is not None and self.number is None


@dataclass(frozen=True)
class Best:
    """Which experiments maximize and which minimize a metric: what ``best(...)`` means there."""

    maximized: tuple[int, ...] = ()
    minimized: tuple[int, ...] = ()


def find_source(field: Field, best: Mapping[str, Best], runs: FromClause | None = None) -> Source:
    """Return where *field* is kept, with tables of its own alias; *best* has an entry for each ``best(...)``.

    A field that is a column of ``runs`` is looked for in the alias *runs*, where one is given.
    """
    if field.kind == "metric":
        return _metric(field, best)
    if field.kind == "param":
        return _param(field)
    if field.kind == "tag":
        tags = t.tags.alias()
        own = tags.c.name == escape(field.key)
        return Source(tags, tags.c.run_id, own, true(), text=tags.c.word, full=tags.c.value, again=t.tags.alias())
    if field.kind == "dataset":
        return _dataset(field)
    if field.key in {"value", "experiment", "parent"}:
        return _joined(field)
    if field.key in _LAUNCHED:
        return _launch(field)
    return _attribute(field, t.runs.alias() if runs is None else runs)


def runs_of(experiments: Sequence[int], runs: FromClause | None = None) -> Source:
    """Return the runs of these experiments, as a source whose rows are those runs."""
    runs = t.runs.alias() if runs is None else runs
    return Source(runs, runs.c.id, runs.c.experiment_id.in_(experiments), true(), runs=runs)


def _metric(field: Field, best: Mapping[str, Best]) -> Source:
    series = t.series.alias()
    own = and_(series.c.key == escape(field.key), series.c.context == escape(field.context))
    number: ColumnElement[Any] = series.c["last"]
    if field.aggregate in {"min", "max"}:
        number = series.c[field.aggregate]
    elif field.aggregate == "best":
        goals = best[field.key]
        goes_up, goes_down = (_is_in(series.c.run_id, ids) for ids in (goals.maximized, goals.minimized))
        own = and_(own, or_(goes_up, goes_down))
        if goals.maximized and goals.minimized:
            number = case((goes_up, series.c.max), (goes_down, series.c.min), else_=null())
        else:
            number = series.c.max if goals.maximized else series.c.min
    return Source(series, series.c.run_id, own, true(), number=number, is_nan=number.is_(None))


def _is_in(run: ColumnElement[int], experiments: Sequence[int]) -> Condition:
    """Tell that a run is in one of these experiments: as a value, so that it is looked up and never joined."""
    if not experiments:
        return false()
    runs = t.runs.alias()
    return select(runs.c.experiment_id).where(runs.c.id == run).scalar_subquery().in_(experiments)


def _param(field: Field) -> Source:
    params = t.params.alias()
    return Source(
        params,
        params.c.run_id,
        params.c.name == escape(field.key),
        params.c.kind != NONE,
        number=params.c.number,
        text=params.c.word,
        full=params.c.text,
        kind=params.c.kind,
        is_nan=and_(params.c.kind == FLOAT, params.c.number.is_(None)),
        again=t.params.alias(),
    )


def _dataset(field: Field) -> Source:
    """Return the data sets of a run: of all sources only this one has several rows a run, and makes no order."""
    inputs, datasets = t.inputs.alias(), t.datasets.alias()
    table = datasets.join(inputs, inputs.c.dataset_id == datasets.c.id)
    column = inputs.c.role if field.key == "role" else datasets.c[field.key]
    if field.key == "rows":
        return Source(table, inputs.c.run_id, true(), column.is_not(None), number=column, is_nan=false(), whole=True)
    return Source(table, inputs.c.run_id, true(), true(), text=column)


_LAUNCHED = frozenset({"commit", "branch", "remote", "dirty", "entry_point", "python"})


def _launch(field: Field) -> Source:
    """Return what is known of how a run's newest attempt was launched."""
    attempts, later, launches = t.attempts.alias(), t.attempts.alias(), t.launches.alias()
    newer = exists(literal(1)).where(
        later.c.run_id == attempts.c.run_id, later.c.number > attempts.c.number, later.c.launch_id.is_not(None)
    )
    own, run = not_(newer), attempts.c.run_id
    table: FromClause = launches.join(attempts, launches.c.id == attempts.c.launch_id)
    if field.key in {"commit", "dirty"}:
        codes = t.code_versions.alias()
        table = table.join(codes, codes.c.id == launches.c.code_id)
        if field.key == "dirty":
            dirty = codes.c.dirty
            number = case((dirty, 1.0), (not_(dirty), 0.0), else_=null())
            kind = case((dirty.is_(None), NONE), else_=BOOL)
            text = cast(null(), Text)
            return Source(table, run, own, dirty.is_not(None), number=number, text=text, kind=kind, is_nan=false())
        return Source(table, run, and_(own, codes.c.commit.is_not(None)), true(), text=codes.c.commit)
    if field.key == "python":
        environments = t.environments.alias()
        table = table.join(environments, environments.c.id == launches.c.environment_id)
        return Source(table, run, own, true(), text=environments.c.python)
    column = launches.c[field.key]
    return Source(table, run, and_(own, column.is_not(None)), true(), text=column)


def _joined(field: Field) -> Source:
    if field.key == "value":
        results = t.results.alias()
        value, own = results.c.value, results.c.objective == 0
        return Source(results, results.c.run_id, own, true(), number=value, is_nan=value.is_(None))
    runs = t.runs.alias()
    if field.key == "experiment":
        experiments = t.experiments.alias()
        table = experiments.join(runs, runs.c.experiment_id == experiments.c.id)
        return Source(table, runs.c.id, true(), true(), text=experiments.c.name)
    parents = t.runs.alias()
    table = parents.join(runs, runs.c.parent_id == parents.c.id)
    return Source(table, runs.c.id, true(), true(), text=parents.c.uid)


def _attribute(field: Field, runs: FromClause) -> Source:
    if field.key == "duration":
        spent = runs.c.ended_at - runs.c.started_at
        present = spent.is_not(None)
        return Source(
            runs, runs.c.id, true(), present, number=spent, is_nan=false(), whole=True, unit=1_000_000, runs=runs
        )
    column: ColumnElement[Any] = runs.c[_RUN_COLUMNS[field.key]]
    if field.holds == "text":
        return Source(runs, runs.c.id, true(), column != "", text=column, runs=runs)
    present = column.is_not(None)
    return Source(runs, runs.c.id, true(), present, number=column, is_nan=false(), whole=True, runs=runs)
