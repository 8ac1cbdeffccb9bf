"""Runs read by the page: a constant number of statements, each built once, whatever the page holds.

The ids of a page go along as one value. A list of a hundred values is a statement of its own each time: it is put
together, taken apart by the driver and planned by the server again, which took as long as reading the rows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import ARRAY, BigInteger, ColumnElement, Connection, Select, Text, any_, bindparam, func, select
from sqlalchemy import type_coerce as as_type

from trackers.errors import DamagedError
from trackers.sql import tables as t
from trackers.sql.columns import join_number, join_param
from trackers.states import RunState
from trackers.values import ParamValue, Run, to_datetime

_CHUNK = 500


class _Statements(NamedTuple):
    runs: Select[Any]
    params: Select[Any]
    metrics: Select[Any]
    tags: Select[Any]
    values: Select[Any]
    errors: Select[Any]


def read_runs(connection: Connection, run_ids: Sequence[int]) -> list[Run]:
    """Read runs in the order of their ids' list, by a constant number of statements for each 500."""
    found: dict[int, Run] = {}
    for start in range(0, len(run_ids), _CHUNK):
        found.update(_read_chunk(connection, list(run_ids[start : start + _CHUNK])))
    return [found[run_id] for run_id in run_ids if run_id in found]


def _read_chunk(connection: Connection, run_ids: list[int]) -> dict[int, Run]:
    statements = _statements(connection.dialect.name)
    given = {"ids": json.dumps(run_ids) if connection.dialect.name == "sqlite" else run_ids}

    def gather(query: Select[Any]) -> dict[int, list[Any]]:
        grouped: dict[int, list[Any]] = {}
        for run_id, *values in connection.execute(query, given).all():
            grouped.setdefault(run_id, []).append(values)
        return grouped

    params, metrics = gather(statements.params), gather(statements.metrics)
    tags, values, errors = gather(statements.tags), gather(statements.values), gather(statements.errors)
    return {
        row.id: _run(
            row,
            {name: join_param(*columns) for name, *columns in params.get(row.id, ())},
            {
                f"{key}{{{context}}}" if context else key: join_number(*columns)
                for key, context, *columns in metrics.get(row.id, ())
            },
            dict(tags.get(row.id, ())),
            tuple(join_number(*columns) for columns in values[row.id]) if row.id in values else None,
            errors[row.id][0][0] if row.id in errors else None,
        )
        for row in connection.execute(statements.runs, given)
    }


@cache
def _statements(dialect: str) -> _Statements:
    """Return the statements of one kind of database; the ids of the runs are their value ``ids``."""
    r, e, p, s, g, v, x = (
        table.c for table in (t.runs, t.experiments, t.params, t.series, t.tags, t.results, t.errors)
    )
    raw = as_type(p.text, Text)  # text as it is stored: ``join_param`` turns it back
    parents = t.runs.alias()
    run = select(
        t.runs, e.name.label("experiment"), e.deleted_at.label("with_experiment"), parents.c.uid.label("parent")
    ).select_from(t.runs)
    params = select(p.run_id, p.name, p.kind, p.number, p.number_kind, raw)
    metrics = select(s.run_id, s.key, s.context, s["last"], s.last_kind)
    return _Statements(
        run.join(t.experiments, e.id == r.experiment_id)
        .outerjoin(parents, parents.c.id == r.parent_id)
        .where(_among(r.id, dialect)),
        params.where(_among(p.run_id, dialect)).order_by(p.run_id, p.position),
        metrics.where(_among(s.run_id, dialect)).order_by(s.run_id, s.key, s.context),
        select(g.run_id, g.name, g.value).where(_among(g.run_id, dialect)).order_by(g.run_id, g.name),
        select(v.run_id, v.value, v.kind).where(_among(v.run_id, dialect)).order_by(v.run_id, v.objective),
        select(x.run_id, x.message).where(_among(x.run_id, dialect)),
    )


def _among(column: ColumnElement[int], dialect: str) -> ColumnElement[bool]:
    """Return the condition that *column* is one of the value ``ids``: a list, on SQLite as JSON."""
    if dialect == "postgresql":
        return column == any_(bindparam("ids", type_=ARRAY(BigInteger)))
    if dialect == "sqlite":
        return column.in_(select(func.json_each(bindparam("ids")).table_valued("value").c.value))
    return column.in_(bindparam("ids", expanding=True))  # MariaDB joins a table of JSON before it looks rows up


def _run(
    row: Any,
    params: Mapping[str, ParamValue],
    metrics: Mapping[str, float],
    tags: Mapping[str, str],
    values: tuple[float, ...] | None,
    error: str | None,
) -> Run:
    try:
        state = RunState(row.state)
        created_at, started_at = to_datetime(row.created_at), to_datetime(row.started_at)
        ended_at, deleted_at = to_datetime(row.ended_at), to_datetime(row.deleted_at)
    except (ValueError, TypeError, OverflowError) as exc:
        raise DamagedError(
            f"run {row.uid} has a value that none of ours wrote ({exc}): `trackers fsck` names it; restore a backup"
        ) from exc
    assert created_at is not None  # the column is never NULL
    return Run(
        id=row.id,
        uid=row.uid,
        experiment_id=row.experiment_id,
        experiment=row.experiment,
        number=row.number,
        name=row.name,
        state=state,
        created_at=created_at,
        started_at=started_at,
        ended_at=ended_at,
        parent_id=row.parent_id,
        parent=row.parent or "",
        user=row.user,
        host=row.host,
        params=params,
        metrics=metrics,
        tags=tags,
        values=values,
        error=error,
        archived=row.archived_at is not None,
        deleted_at=deleted_at,
        experiment_deleted_at=to_datetime(row.with_experiment),
    )
