"""What is kept of a run's metric series, and its files, as they are read."""

from __future__ import annotations

import math

from sqlalchemy import Connection, func, select

from trackers.errors import NotFoundError
from trackers.sql import tables as t
from trackers.sql.columns import join_number
from trackers.sql.run_names import path_of
from trackers.sql.sources import LARGEST
from trackers.values import ArtifactRow, MetricSummary, RunInput, to_datetime
from trackers.wording import did_you_mean


def read_summaries(connection: Connection, run_id: int) -> list[MetricSummary]:
    """Read what is kept of each series of a run, by key and context."""
    c = t.series.c
    visible = c["count"] - func.coalesce(c.hidden, 0)
    columns = (c.key, c.context, visible, c["last"], c.last_kind, c.last_step, c.min, c.max)
    rows = connection.execute(select(*columns).where(c.run_id == run_id).order_by(c.key, c.context))
    return [
        MetricSummary(key, context, count, join_number(last, kind), step, _extreme(low), _extreme(high))
        for key, context, count, last, kind, step, low, high in rows
    ]


def _extreme(number: float | None) -> float:
    """Return an extreme as it was: the largest double stands for an infinity, NULL for nothing but NaN."""
    if number is None:
        return math.nan
    return math.copysign(math.inf, number) if abs(number) >= LARGEST else number


def read_artifacts(connection: Connection, run_id: int) -> list[ArtifactRow]:
    """Read the names and digests of a run's files, by name."""
    a, b = t.artifacts.c, t.blobs.c
    query = select(a.name, a.digest, b.size, a.created_at).join(t.blobs, b.digest == a.digest)
    found = []
    for name, digest, size, created_at in connection.execute(query.where(a.run_id == run_id).order_by(a.name)):
        moment = to_datetime(created_at)
        assert moment is not None  # the column is never NULL
        found.append(ArtifactRow(run_id, name, digest, size, moment))
    return found


def read_inputs(connection: Connection, run_id: int) -> list[RunInput]:
    """Read the data sets of a run, by role and name."""
    i, d = t.inputs.c, t.datasets.c
    query = select(d.name, d.digest, i.role, d.rows, d.schema, d.source).join(t.datasets, d.id == i.dataset_id)
    rows = connection.execute(query.where(i.run_id == run_id).order_by(i.role, d.name, d.id))
    return [RunInput(*row) for row in rows]


def find_artifact(connection: Connection, run_id: int, name: str) -> str:
    """Return the digest of a run's file; raises NotFoundError, which names the close matches."""
    c = t.artifacts.c
    digest: str | None = connection.execute(select(c.digest).where(c.run_id == run_id, c.name == name)).scalar()
    if digest is None:
        names = connection.execute(select(c.name).where(c.run_id == run_id)).scalars().all()
        raise NotFoundError(f"run {path_of(connection, run_id)} has no artifact {name!r}{did_you_mean(name, names)}")
    return digest
