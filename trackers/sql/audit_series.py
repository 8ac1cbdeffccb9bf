"""What does not hold in the series of metrics: their summaries, their points, what is sealed of them.

A summary is the last that is known of points which are gone: it is made again from the points where all of them are
there, and left as it is where some are missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, case, func, or_, select

from trackers.sql import tables as t
from trackers.sql.chunks import COLUMNS, made_again
from trackers.sql.flaw import Flaw
from trackers.sql.fold import summary, visible
from trackers.sql.history import read_series

_AT_ONCE = 1000
"""So many series are looked at by one query."""

_COPY = "some of its points are missing, and its summary is kept as it is: restore a backup"


def series(connection: Connection) -> Iterator[Flaw]:
    """Check that what a series keeps of its points is what they say: how many, the last, the extremes.

    Some series at a time, and compared here: a database without statistics of its tables joins the two the slowest way.
    """
    s = t.series.c
    kept = (s["last"], s.last_kind, s.last_step, s.last_attempt, s.min, s.max, func.coalesce(s.hidden, 0))
    query = select(s.id, s.run_id, s.key, s.context, s["count"], *kept).order_by(s.id).limit(_AT_ONCE)
    query = query.where(s.sealed.is_(None))  # for the others see sealed_series
    rows: Sequence[Any] = connection.execute(query).all()
    while rows:
        told = _told(connection, rows[0].id, rows[-1].id)
        for row in rows:
            series_id, run_id, key, context, count, *found = tuple(row)
            there, first, highest, *said = told.get(series_id, [0, 0, -1])
            if (count, 0, there - 1) == (there, first, highest) and found == said:
                continue
            gap = there < count or (first, highest) != (0, there - 1)
            problem = _sentence(key, context, run_id, count, there) + (f"; {_COPY}" if gap else "")
            yield Flaw("series", problem, {} if gap else {"series_id": series_id})
        rows = connection.execute(query.where(s.id > rows[-1].id)).all()


def _sentence(key: str, context: str, run_id: int, count: int, there: int) -> str:
    name = f"{key}{{{context}}}" if context else key
    return f"the summary of {name} of run {run_id} does not agree with its points ({count} counted, {there} there)"


def _told(connection: Connection, lowest: int, highest: int) -> dict[int, list[Any]]:
    """Return what the points of these series say: how many, the first and the last ordinal, and what a summary holds."""
    p = t.points.c
    rank = func.row_number().over(
        partition_by=p.series_id, order_by=(p.attempt.desc(), p.step.desc(), p.ordinal.desc())
    )
    # Where a later attempt began again at a step, what older ones logged from that step on is in no extreme.
    later = func.min(p.step).over(partition_by=p.series_id, order_by=p.attempt.desc(), range_=(None, -1))
    ranked = select(t.points, rank.label("rank"), later.label("later"))
    q = ranked.where(p.series_id.between(lowest, highest)).subquery().c
    shown = or_(q.later.is_(None), q.step < q.later)
    last = [func.max(case((q.rank == 1, column))) for column in (q.value, q.kind, q.step, q.attempt)]
    seen = case((shown, q.value))
    hidden = func.sum(case((shown, 0), else_=1))
    numbers = (func.count(), func.min(q.ordinal), func.max(q.ordinal))
    query = select(q.series_id, *numbers, *last, func.min(seen), func.max(seen), hidden).group_by(q.series_id)
    return {series_id: told for series_id, *told in connection.execute(query)}


def sealed_series(connection: Connection) -> Iterator[Flaw]:
    """Check the same of series with sealed points, which have to be read: chunk after chunk, one series at a time."""
    s = t.series.c
    hidden = func.coalesce(s.hidden, 0)
    kept = (s["count"], hidden, s.sealed, s["last"], s.last_kind, s.last_step, s.last_attempt, s.min, s.max)
    query = select(s.id, s.run_id, s.key, s.context, *kept).where(s.sealed.is_not(None))
    for series_id, run_id, key, context, *found in connection.execute(query).all():
        points, sealed, gap = read_series(connection, series_id)
        shown = visible(points)
        last, kind, step, attempt, _, low, high = summary(shown) if shown else (None,) * 7
        gap = gap or len(points) < found[0]
        if gap or found != [len(points), len(points) - len(shown), sealed, last, kind, step, attempt, low, high]:
            problem = _sentence(key, context, run_id, found[0], len(points)) + (f"; {_COPY}" if gap else "")
            yield Flaw("sealed series", problem, {} if gap else {"series_id": series_id})


def chunks(connection: Connection) -> Iterator[Flaw]:
    """Check that what is kept beside sealed points, which pictures are drawn from, is what the points say."""
    c, s = t.chunks.c, t.series.c
    query = select(*(c[name] for name in COLUMNS), s.run_id, s.key).join(t.series, s.id == c.series_id)
    for *row, run_id, key in connection.execution_options(yield_per=100).execute(query):
        whole = made_again(row)
        where = {} if whole is None else {"series_id": row[0], "ordinal": row[1]}
        if whole is None:
            yield Flaw("chunks", f"sealed points of {key} of run {run_id} cannot be read, from the point {row[1]} on")
        elif whole != tuple(row):
            problem = (
                f"what is kept of the sealed points of {key} of run {run_id} from {row[1]} on does not agree with them"
            )
            yield Flaw("chunks", problem, where)
