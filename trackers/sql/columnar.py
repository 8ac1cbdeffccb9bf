"""The runs of an experiment as columns, a batch at a time: what an archive holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Select, Text, select, type_coerce

from trackers.page import whole
from trackers.sql import tables as t
from trackers.sql.columns import join_number, join_param, to_json
from trackers.sql.history import read_chunks
from trackers.states import RunState
from trackers.values import to_datetime

_BATCH = 20_000
Row = Mapping[str, Any]


def read(connection: Connection, name: str, experiment_id: int) -> Iterator[list[Row]]:
    """Yield the rows of the archive's table *name* (see `TABLES`), a batch at a time."""
    if name == "metrics":
        yield from _sealed(connection, experiment_id)
    query, to_row = TABLES[name]
    streamed = connection.execution_options(yield_per=_BATCH)
    for part in streamed.execute(query(experiment_id)).partitions():
        yield [to_row(row) for row in part]


def _runs(experiment_id: int) -> Select[Any]:
    return select(t.runs).where(t.runs.c.experiment_id == experiment_id).order_by(t.runs.c.id)


def _run(row: Any) -> Row:
    times = {name: to_datetime(getattr(row, name)) for name in ("created_at", "started_at", "ended_at", "archived_at")}
    names = ("id", "uid", "number", "parent_id", "name", "user", "host")
    return {**{name: getattr(row, name) for name in names}, "state": RunState(row.state).name, **times}


def _of_runs(columns: Sequence[Any], table: Any, experiment_id: int, *order: Any) -> Select[Any]:
    query = select(*columns).select_from(table).join(t.runs, t.runs.c.id == table.c.run_id)
    return query.where(t.runs.c.experiment_id == experiment_id).order_by(*order)


def _params(experiment_id: int) -> Select[Any]:
    c = t.params.c
    columns = (c.run_id, c.name, c.kind, c.number, c.number_kind, type_coerce(c.text, Text).label("raw"))
    return _of_runs(columns, t.params, experiment_id, c.run_id, c.position, c.name)


def _param(row: Any) -> Row:
    value = join_param(row.kind, row.number, row.number_kind, row.raw)
    number = join_number(row.number, row.number_kind) if isinstance(value, int | float) else None
    text = value if isinstance(value, str) else to_json(value)
    return {
        "run_id": row.run_id,
        "name": row.name,
        "type": type(value).__name__,
        "number": number,
        "value": whole(text),
    }


def _metrics(experiment_id: int) -> Select[Any]:
    s, p = t.series.c, t.points.c
    query = select(s.run_id, s.key, s.context, p.step, p.attempt, p.time, p.value, p.kind)
    query = query.select_from(t.points).join(t.series, s.id == p.series_id).join(t.runs, t.runs.c.id == s.run_id)
    return query.where(t.runs.c.experiment_id == experiment_id).order_by(s.run_id, s.id, p.ordinal)


def _metric(row: Any) -> Row:
    names = ("run_id", "key", "context", "step", "attempt")
    value = {"time": to_datetime(row.time), "value": join_number(row.value, row.kind)}
    return {**{name: getattr(row, name) for name in names}, **value}


def _sealed(connection: Connection, experiment_id: int) -> Iterator[list[Row]]:
    """Yield the points that lie in chunks, a series at a time."""
    s, r = t.series.c, t.runs.c
    query = select(s.id, s.run_id, s.key, s.context).join(t.runs, r.id == s.run_id)
    query = query.where(r.experiment_id == experiment_id, s.sealed.is_not(None)).order_by(s.run_id, s.id)
    for series_id, run_id, key, context in connection.execute(query).all():
        about = {"run_id": run_id, "key": key, "context": context}
        yield [
            {**about, "step": step, "attempt": attempt, "time": to_datetime(time), "value": value}
            for step, attempt, time, value in read_chunks(connection, [series_id])[series_id]
        ]


def _results(experiment_id: int) -> Select[Any]:
    c = t.results.c
    return _of_runs(list(c), t.results, experiment_id, c.run_id, c.objective)


def _result(row: Any) -> Row:
    return {"run_id": row.run_id, "objective": row.objective, "value": join_number(row.value, row.kind)}


def _tags(experiment_id: int) -> Select[Any]:
    c = t.tags.c
    return _of_runs((c.run_id, c.name, c.value), t.tags, experiment_id, c.run_id, c.name)


def _tag(row: Any) -> Row:
    return {"run_id": row.run_id, "name": row.name, "value": whole(row.value)}


def _artifacts(experiment_id: int) -> Select[Any]:
    c, b = t.artifacts.c, t.blobs.c
    query = _of_runs((c.run_id, c.name, c.digest, b.size, c.created_at), t.artifacts, experiment_id, c.run_id, c.name)
    return query.join(t.blobs, b.digest == c.digest)


def _artifact(row: Any) -> Row:
    names = ("run_id", "name", "digest", "size")
    return {**{name: getattr(row, name) for name in names}, "created_at": to_datetime(row.created_at)}


def _model_files(experiment_id: int) -> Select[Any]:
    m, f, b = t.models.c, t.model_files.c, t.blobs.c
    columns = (m.run_id, m.name.label("model"), m.flavor, f.name, f.digest, b.size, m.created_at)
    query = _of_runs(columns, t.models, experiment_id, m.run_id, m.name, f.name)
    return (
        query.join(t.model_files, f.model_uid == m.uid)
        .join(t.blobs, b.digest == f.digest)
        .where(m.deleted_at.is_(None))
    )


def _model_file(row: Any) -> Row:
    names = ("run_id", "model", "flavor", "name", "digest", "size")
    return {**{name: getattr(row, name) for name in names}, "created_at": to_datetime(row.created_at)}


TABLES: dict[str, tuple[Any, Any]] = {
    "runs": (_runs, _run),
    "params": (_params, _param),
    "metrics": (_metrics, _metric),
    "results": (_results, _result),
    "tags": (_tags, _tag),
    "artifacts": (_artifacts, _artifact),
    "model_files": (_model_files, _model_file),
}
"""The tables of an archive."""
