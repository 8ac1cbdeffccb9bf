"""Where the database keeps what a field of the filter language names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Double,
    FromClause,
    Text,
    and_,
    case,
    cast,
    exists,
    false,
    func,
    literal,
    not_,
    null,
    or_,
    true,
)

from trackers.query import Field
from trackers.sql import tables as t
from trackers.sql.columns import BOOL, FLOAT, NONE, escape

Condition = ColumnElement[bool]

LARGEST = 1.7976931348623157e308
"""What an infinity orders by (see ``trackers.sql.columns``)."""

_RUN_COLUMNS = {
    "state": t.runs.c.state,
    "name": t.runs.c.name,
    "run_id": t.runs.c.uid,
    "user": t.runs.c.user,
    "host": t.runs.c.host,
    "number": t.runs.c.number,
    "created": t.runs.c.created_at,
    "started": t.runs.c.started_at,
    "ended": t.runs.c.ended_at,
}


@dataclass(frozen=True)
class Source:
    """A field's columns.

    *table* holds them, with at most one row a run, found by *match*; None: they are columns of ``runs``. *present*
    tells whether the run has the field. *number* and *text* are what it compares by; a NaN has a NULL number, and
    *is_nan* tells it from text. *kind* is a param's. The parser lets a value stand only beside fields that have what
    it compares with.
    """

    table: FromClause | None
    match: Condition
    present: Condition
    number: Any = None
    text: Any = None
    kind: Any = None
    is_nan: Any = None
    whole: bool = False
    """Whether *number* is an integer column."""


@dataclass(frozen=True)
class Best:
    """Which experiments maximize and which minimize a metric: what ``best(...)`` means there."""

    maximized: tuple[int, ...] = ()
    minimized: tuple[int, ...] = ()


def find_source(field: Field, best: Mapping[str, Best]) -> Source:
    """Return where *field* is kept, with tables of its own alias; *best* has an entry for each ``best(...)``."""
    if field.kind == "metric":
        return _metric(field, best)
    if field.kind == "param":
        return _param(field)
    if field.kind == "tag":
        tags = t.tags.alias()
        match = and_(tags.c.run_id == t.runs.c.id, tags.c.name == escape(field.key))
        return Source(tags, match, tags.c.run_id.is_not(None), text=tags.c.value)
    if field.kind == "dataset":
        return _dataset(field)
    return _launch(field) if field.key in _LAUNCHED else _attribute(field)


def _metric(field: Field, best: Mapping[str, Best]) -> Source:
    series = t.series.alias()
    match = and_(
        series.c.run_id == t.runs.c.id,
        series.c.key == escape(field.key),
        series.c.context == escape(field.context),
    )
    number: ColumnElement[Any] = series.c["last"]
    if field.aggregate in {"min", "max"}:
        number = series.c[field.aggregate]
    elif field.aggregate == "best":
        goals = best[field.key]
        maximized, minimized = (t.runs.c.experiment_id.in_(ids) for ids in (goals.maximized, goals.minimized))
        number = case((maximized, series.c.max), (minimized, series.c.min), else_=null())
        match = and_(match, or_(maximized, minimized))
    present = series.c.run_id.is_not(None)
    return Source(series, match, present, number=number, is_nan=and_(present, number.is_(None)))


def _param(field: Field) -> Source:
    params = t.params.alias()
    return Source(
        params,
        and_(params.c.run_id == t.runs.c.id, params.c.name == escape(field.key)),
        func.coalesce(params.c.kind, NONE) != NONE,
        number=params.c.number,
        text=params.c.text,
        kind=params.c.kind,
        is_nan=and_(func.coalesce(params.c.kind, NONE) == FLOAT, params.c.number.is_(None)),
    )


def _dataset(field: Field) -> Source:
    """Return the data sets of a run: of all sources only this one has several rows a run, and makes no order."""
    inputs, datasets = t.inputs.alias(), t.datasets.alias()
    table = inputs.join(datasets, datasets.c.id == inputs.c.dataset_id)
    column = inputs.c.role if field.key == "role" else datasets.c[field.key]
    match = inputs.c.run_id == t.runs.c.id
    if field.key == "rows":
        return Source(table, match, column.is_not(None), number=column, is_nan=false(), whole=True)
    return Source(table, match, inputs.c.run_id.is_not(None), text=column)


_LAUNCHED = frozenset({"commit", "branch", "dirty", "entry_point", "python"})


def _launch(field: Field) -> Source:
    """Return what is known of how a run's newest attempt was launched."""
    attempts, later, launches = t.attempts.alias(), t.attempts.alias(), t.launches.alias()
    newer = exists(literal(1)).where(
        later.c.run_id == attempts.c.run_id, later.c.number > attempts.c.number, later.c.launch_id.is_not(None)
    )
    match = and_(attempts.c.run_id == t.runs.c.id, not_(newer))
    table: FromClause = attempts.join(launches, launches.c.id == attempts.c.launch_id)
    if field.key in {"commit", "dirty"}:
        codes = t.code_versions.alias()
        table = table.join(codes, codes.c.id == launches.c.code_id)
        if field.key == "dirty":
            dirty = codes.c.dirty
            number = case((dirty, 1.0), (not_(dirty), 0.0), else_=null())
            kind = case((dirty.is_(None), NONE), else_=BOOL)
            return Source(
                table, match, dirty.is_not(None), number=number, text=cast(null(), Text), kind=kind, is_nan=false()
            )
        return Source(table, and_(match, codes.c.commit.is_not(None)), true(), text=codes.c.commit)
    if field.key == "python":
        environments = t.environments.alias()
        table = table.join(environments, environments.c.id == launches.c.environment_id)
        return Source(table, match, true(), text=environments.c.python)
    column = launches.c[field.key]
    return Source(table, and_(match, column.is_not(None)), true(), text=column)


def _attribute(field: Field) -> Source:
    if field.key == "value":
        results = t.results.alias()
        match = and_(results.c.run_id == t.runs.c.id, results.c.objective == 0)
        present = results.c.run_id.is_not(None)
        return Source(results, match, present, number=results.c.value, is_nan=and_(present, results.c.value.is_(None)))
    if field.key == "experiment":
        experiments = t.experiments.alias()
        match = experiments.c.id == t.runs.c.experiment_id
        return Source(experiments, match, experiments.c.id.is_not(None), text=experiments.c.name)
    if field.key == "parent":
        parents = t.runs.alias()
        return Source(parents, parents.c.id == t.runs.c.parent_id, parents.c.id.is_not(None), text=parents.c.uid)
    if field.key == "duration":
        seconds = cast(t.runs.c.ended_at - t.runs.c.started_at, Double) / 1e6
        return Source(None, true(), seconds.is_not(None), number=seconds, is_nan=false())
    column: ColumnElement[Any] = _RUN_COLUMNS[field.key]
    if field.holds == "text":
        return Source(None, true(), column != "", text=column)
    return Source(None, true(), column.is_not(None), number=column, is_nan=false(), whole=True)
