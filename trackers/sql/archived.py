"""Every row of an experiment as it is stored: what an archive keeps so that it can be read back, and how it is.

Values are those in the columns (see ``trackers.sql.dump``). Points are not among them: the archive's metrics have them
all, in the order in which they came, and the writer makes the series of them again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Float,
    Integer,
    Select,
    Table,
    func,
    or_,
    select,
    type_coerce,
    update,
)
from sqlalchemy.types import TypeDecorator

from trackers.sql import statements
from trackers.sql import tables as t
from trackers.sql.dump import insert_rows
from trackers.sql.ids import take_block

_BATCH = 5_000
_CHUNK = 500
Row = dict[str, Any]

OF_RUNS: dict[str, Table] = {
    "runs": t.runs,
    "attempts": t.attempts,
    "params": t.params,
    "results": t.results,
    "tags": t.tags,
    "attrs": t.attrs,
    "errors": t.errors,
    "logs": t.logs,
    "inputs": t.inputs,
    "artifacts": t.artifacts,
    "checkpoints": t.checkpoints,
    "models": t.models,
    "model_files": t.model_files,
}
"""What runs have, in the order in which it is written. Rows of ``model_files`` have their ``run_id`` too."""

OF_STUDIES: dict[str, Table] = {
    "study_documents": t.study_documents,
    "study_attrs": t.study_attrs,
    "distributions": t.distributions,
    "events": t.events,
}

TABLES: dict[str, Table] = {
    "experiments": t.experiments,
    "experiment_tags": t.experiment_tags,
    "studies": t.studies,
    **OF_STUDIES,
    "launches": t.launches,
    "code_versions": t.code_versions,
    "environments": t.environments,
    "datasets": t.datasets,
    "blobs": t.blobs,
    **OF_RUNS,
}
"""What an archive keeps, by the name of its file. Commands, pins and the registry are of the store, not of it."""

_BLOBS = statements.insert(t.blobs, "digest", "size", "created_at", conflict="ON CONFLICT (digest) DO NOTHING")


def columns_of(name: str) -> dict[str, str]:
    """Return the columns of a table of `TABLES`: name -> ``"int64"``, ``"float64"``, ``"bool"`` or ``"string"``."""
    own = {column.name: _kind(column) for column in TABLES[name].columns}
    return {"run_id": "int64", **own} if name == "model_files" else own


def _kind(column: Column[Any]) -> str:
    kind = column.type.impl_instance if isinstance(column.type, TypeDecorator) else column.type
    if isinstance(kind, Boolean):
        return "bool"
    return "int64" if isinstance(kind, Integer) else "float64" if isinstance(kind, Float) else "string"


# --- reading -------------------------------------------------------------------------------------------------------


def read(connection: Connection, name: str, experiment_id: int) -> Iterator[list[Row]]:
    """Yield the rows of a table that belong to an experiment, a batch at a time, those of a run together."""
    table = TABLES[name]
    query = _of_runs(name) if name in OF_RUNS else _plain(table).order_by(*table.primary_key)
    streamed = connection.execution_options(yield_per=_BATCH)
    for part in streamed.execute(query.where(_belongs(name, experiment_id))).mappings().partitions():
        yield [_row(row) for row in part]


def read_of_runs(connection: Connection, name: str, run_ids: Sequence[int]) -> list[Row]:
    """Return the rows of a table of `OF_RUNS` that these runs have."""
    owner = _owner(name)
    found: list[Row] = []
    for start in range(0, len(run_ids), _CHUNK):
        query = _of_runs(name).where(owner.in_(run_ids[start : start + _CHUNK]))
        found += [_row(row) for row in connection.execute(query).mappings()]
    return found


def outer_parents(connection: Connection, experiment_id: int) -> dict[int, str]:
    """Return the uids of parents that are in other experiments: id of the parent -> uid."""
    child, parent = t.runs.alias("child"), t.runs.alias("parent")
    query = select(parent.c.id, parent.c.uid).join(child, child.c.parent_id == parent.c.id)
    query = query.where(child.c.experiment_id == experiment_id, parent.c.experiment_id != experiment_id)
    return {row.id: row.uid for row in connection.execute(query)}


def _plain(table: Table, *more: Any) -> Select[Any]:
    return select(*more, *(_raw(column) for column in table.columns))


def _raw(column: Column[Any]) -> Any:
    if not isinstance(column.type, TypeDecorator):
        return column
    return type_coerce(column, column.type.impl_instance).label(column.name)


def _row(row: Mapping[Any, Any]) -> Row:
    # names of files come as bytes from MariaDB
    return {str(key): value.decode() if isinstance(value, bytes) else value for key, value in row.items()}


def _owner(name: str) -> Column[Any]:
    table = t.models if name == "model_files" else OF_RUNS[name]
    return table.c.id if name == "runs" else table.c.run_id


def _of_runs(name: str) -> Select[Any]:
    table = OF_RUNS[name]
    if name == "model_files":
        query = _plain(table, t.models.c.run_id).join(t.models, t.models.c.uid == table.c.model_uid)
    else:
        query = _plain(table)
    return query.order_by(_owner(name), *table.primary_key)


def _belongs(name: str, experiment_id: int) -> ColumnElement[bool]:
    """Return the condition that a row belongs to an experiment."""
    runs = select(t.runs.c.id).where(t.runs.c.experiment_id == experiment_id)
    table = TABLES[name]
    if name in OF_RUNS:
        return t.runs.c.experiment_id == experiment_id if name == "runs" else _owner(name).in_(runs)
    if name in ("experiments", "studies"):
        return table.c.id == experiment_id
    if name == "experiment_tags":
        return table.c.experiment_id == experiment_id
    if name in OF_STUDIES:
        return table.c.study_id == experiment_id
    if name == "datasets":
        return table.c.id.in_(select(t.inputs.c.dataset_id).where(t.inputs.c.run_id.in_(runs)))
    launched = or_(
        t.launches.c.id.in_(select(t.attempts.c.launch_id).where(t.attempts.c.run_id.in_(runs))),
        t.launches.c.id.in_(select(t.studies.c.launch_id).where(t.studies.c.id == experiment_id)),
    )
    codes, environments = (select(t.launches.c[key]).where(launched) for key in ("code_id", "environment_id"))
    if name != "blobs":
        kept = {"launches": launched, "environments": t.environments.c.id.in_(environments)}
        return kept.get(name, t.code_versions.c.id.in_(codes))
    models = select(t.models.c.uid).where(t.models.c.run_id.in_(runs), t.models.c.deleted_at.is_(None))
    return or_(
        table.c.digest.in_(select(t.artifacts.c.digest).where(t.artifacts.c.run_id.in_(runs))),
        table.c.digest.in_(select(t.checkpoints.c.digest).where(t.checkpoints.c.run_id.in_(runs))),
        table.c.digest.in_(select(t.model_files.c.digest).where(t.model_files.c.model_uid.in_(models))),
        table.c.digest.in_(select(t.code_versions.c.bundle).where(t.code_versions.c.id.in_(codes))),
        table.c.digest.in_(select(t.code_versions.c.commits).where(t.code_versions.c.id.in_(codes))),
    )


# --- writing -------------------------------------------------------------------------------------------------------


def keep_blobs(connection: Connection, sizes: Mapping[str, int], now: int) -> None:
    """Note files that lie in the artifact store: digest -> size."""
    cursor = connection.connection.cursor()
    try:
        _BLOBS.run(connection.dialect.name, cursor, [(digest, size, now) for digest, size in sizes.items()])
    finally:
        cursor.close()


def keep_by(connection: Connection, name: str, rows: Iterable[Row], *keys: str) -> dict[int, int]:
    """Write those rows that are not there yet by their *keys*, with ids of this store; return id there -> id here."""
    table, ids = TABLES[name], {}
    counter = "series" if name == "datasets" else "ids"
    for row in rows:
        query = select(table.c.id).where(*(table.c[key] == row[key] for key in keys))
        found = connection.execute(query).scalar()
        if found is None:
            found = take_block(connection, counter, 1)[0]
            put(connection, name, [{**row, "id": found}])
        ids[row["id"]] = int(found)
    return ids


def put(connection: Connection, name: str, rows: Sequence[Row]) -> None:
    """Write rows that are not there."""
    if not rows:
        return
    columns = [column.name for column in TABLES[name].columns]
    insert_rows(connection, TABLES[name], columns, [[row[column] for column in columns] for row in rows])


def find_experiment(connection: Connection, uid: str, name: str) -> Any | None:
    """Return the row of the experiment with this uid, else of the living one with this name; None: there is neither."""
    e = t.experiments.c
    query = select(e.id, e.uid, e.kind, e.deleted_at)
    found = connection.execute(query.where(e.uid == uid)).first()
    return found or connection.execute(query.where(e.live_name == name)).first()


def last_event(connection: Connection, study_id: int) -> int | None:
    """Return the number of a study's last event, -1 where it has none; None where there is no such study."""
    if connection.execute(select(t.studies.c.id).where(t.studies.c.id == study_id)).first() is None:
        return None
    found = connection.execute(select(func.max(t.events.c.seq)).where(t.events.c.study_id == study_id)).scalar()
    return -1 if found is None else int(found)


def tag_names(connection: Connection, experiment_id: int) -> set[str]:
    """Return the names of the tags that an experiment has."""
    g = t.experiment_tags.c
    return set(connection.execute(select(g.name).where(g.experiment_id == experiment_id)).scalars())


def numbers_taken(connection: Connection, experiment_id: int, numbers: Sequence[int]) -> set[int]:
    """Return those of *numbers* that trials of this study have."""
    r = t.runs.c
    return set(
        connection.execute(select(r.number).where(r.experiment_id == experiment_id, r.number.in_(numbers))).scalars()
    )


def models_there(connection: Connection, uids: Sequence[str]) -> set[str]:
    """Return those of the models *uids* that are here."""
    return set(connection.execute(select(t.models.c.uid).where(t.models.c.uid.in_(uids))).scalars())


def nest(connection: Connection, parents: Mapping[int, int]) -> None:
    """Say whose children these runs are, child -> parent, where it is not said yet."""
    r = t.runs.c
    for child, parent in parents.items():
        connection.execute(update(t.runs).where(r.id == child, r.parent_id.is_(None)).values(parent_id=parent))


def series_counts(connection: Connection, run_ids: Sequence[int]) -> dict[tuple[int, str, str], int]:
    """Return how many points each series of these runs has: run, key and context -> count."""
    s, counts = t.series.c, {}
    for start in range(0, len(run_ids), _CHUNK):
        query = select(s.run_id, s.key, s.context, s["count"].label("points"))
        for row in connection.execute(query.where(s.run_id.in_(run_ids[start : start + _CHUNK]))):
            counts[row.run_id, row.key, row.context] = row.points
    return counts
