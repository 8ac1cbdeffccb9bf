"""What takes room: rows and files by experiment, by kind, and by run."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection, func, or_, select, text

from trackers.sql import tables as t
from trackers.sql.blobs import REFERRING, is_needed

_WEIGHTS = {"runs": 600, "points": 40, "params": 80, "events": 150, "series": 200, "tags": 80, "attrs": 150}
"""What a row of a table takes, in bytes and roughly, with its indexes: the shares of the database's own size."""


_PREFIX = {"prefix": t.PREFIX, "length": len(t.PREFIX)}


def database_bytes(connection: Connection) -> int:
    """Return the size of the database: of the SQLite file, or of the store's tables on a server."""
    if connection.dialect.name == "sqlite":
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        return int(pages) * int(connection.exec_driver_sql("PRAGMA page_size").scalar_one())
    if connection.dialect.name == "mysql":
        sizes = "SELECT SUM(data_length + index_length) FROM information_schema.tables WHERE table_schema = database()"
        found = connection.execute(text(f"{sizes} AND LEFT(table_name, :length) = :prefix"), _PREFIX)
        return int(found.scalar() or 0)
    total = 0
    for name in t.metadata.tables:
        found = connection.execute(text("SELECT pg_total_relation_size(to_regclass(:name))"), {"name": name})
        total += int(found.scalar() or 0)
    return total


def experiments(connection: Connection) -> dict[int, tuple[str, str, bool]]:
    """Return every experiment and study: id -> (name, kind, whether it was deleted)."""
    return {
        row.id: (row.name, row.kind, row.deleted_at is not None) for row in connection.execute(select(t.experiments))
    }


def row_weights(connection: Connection) -> dict[int, tuple[int, int, float]]:
    """Return of each experiment how many runs and points it has, and what its rows weigh."""
    r, s = t.runs.c, t.series.c
    found: dict[int, tuple[int, int, float]] = {}

    def add(experiment_id: int, runs: int, points: int, weight: float) -> None:
        old = found.get(experiment_id, (0, 0, 0.0))
        found[experiment_id] = (old[0] + runs, old[1] + points, old[2] + weight)

    for experiment_id, count in connection.execute(select(r.experiment_id, func.count()).group_by(r.experiment_id)):
        add(experiment_id, count, 0, count * _WEIGHTS["runs"])
    counted = (
        select(r.experiment_id, func.count(), func.sum(s["count"])).select_from(t.series).join(t.runs, r.id == s.run_id)
    )
    for experiment_id, count, points in connection.execute(counted.group_by(r.experiment_id)):
        add(experiment_id, 0, int(points), count * _WEIGHTS["series"] + int(points) * _WEIGHTS["points"])
    for table in (t.params, t.tags, t.attrs):
        weight = _WEIGHTS[table.name.removeprefix(t.PREFIX)]
        query = select(r.experiment_id, func.count()).select_from(table).join(t.runs, r.id == table.c.run_id)
        query = query.group_by(r.experiment_id)
        for experiment_id, count in connection.execute(query):
            add(experiment_id, 0, 0, count * weight)
    for study_id, count in connection.execute(select(t.events.c.study_id, func.count()).group_by(t.events.c.study_id)):
        add(study_id, 0, 0, count * _WEIGHTS["events"])
    return found


def file_uses(connection: Connection) -> Iterator[tuple[str, int, str, int | None, int | None]]:
    """Yield each use of a file: its digest, size, the kind of the use, and the run and experiment that use it."""
    r, b = t.runs.c, t.blobs.c
    for column in REFERRING:
        table = column.table
        kind = {t.model_files: "models"}.get(table, table.name.removeprefix(t.PREFIX))
        query = select(column, b.size, r.id, r.experiment_id).select_from(table).join(t.blobs, b.digest == column)
        if table is t.model_files:
            m = t.models.c
            query = query.join(t.models, m.uid == table.c.model_uid).join(t.runs, r.id == m.run_id)
            query = query.where(or_(m.deleted_at.is_(None), is_needed()))
        elif "run_id" in table.c:
            query = query.join(t.runs, r.id == table.c.run_id)
        else:
            bare = select(column, b.size).select_from(table).join(t.blobs, b.digest == column)
            for digest, size in connection.execute(bare):
                yield digest, size, kind, None, None
            continue
        for digest, size, run_id, experiment_id in connection.execute(query):
            yield digest, size, kind, run_id, experiment_id


def run_names(connection: Connection, run_ids: list[int]) -> dict[int, tuple[str, str, int | None]]:
    """Return of each of these runs its uid, the name of its experiment, and its number."""
    r, e = t.runs.c, t.experiments.c
    query = select(r.id, r.uid, e.name, r.number).join(t.experiments, e.id == r.experiment_id)
    return {row.id: (row.uid, row.name, row.number) for row in connection.execute(query.where(r.id.in_(run_ids)))}


def run_points(connection: Connection, limit: int) -> dict[int, int]:
    """Return the runs with the most points, and how many those are."""
    s = t.series.c
    points = func.sum(s["count"])
    query = select(s.run_id, points).group_by(s.run_id).order_by(points.desc(), s.run_id).limit(limit)
    return {run_id: int(count) for run_id, count in connection.execute(query)}


def all_files(connection: Connection) -> dict[str, int]:
    """Return every file that the store knows: digest -> size."""
    return {row.digest: row.size for row in connection.execute(select(t.blobs.c.digest, t.blobs.c.size))}
