"""The history of a series as it is read: whole, or as few points as a picture needs."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, func, select

from trackers.errors import NotFoundError
from trackers.sql import tables as t
from trackers.sql.chunks import PARTS, SIZE, Point, read, summary_points, thin
from trackers.sql.columns import join_number
from trackers.sql.fold import hidden_from, visible
from trackers.sql.run_names import path_of
from trackers.values import MetricPoint, to_datetime
from trackers.wording import did_you_mean

_WHOLE = 4 * SIZE
"""A series of at most so many points is read whole: that takes less than to look which are needed."""


def read_history(
    connection: Connection, run_id: int, key: str, context: str, max_points: int | None = None
) -> list[MetricPoint]:
    """Read the points of a series by step; raises NotFoundError, which names close keys.

    Where a later attempt began again at a step, what older attempts logged from that step on is left away. With
    *max_points* (4 or more) at most so many are returned: the first, the last, and the extremes of parts between.
    """
    s = t.series.c
    query = select(s.id, s["count"], s.sealed).where(s.run_id == run_id, s.key == key, s.context == context)
    found = connection.execute(query).first()
    if found is None:
        raise _no_metric(connection, run_id, key, context)
    series_id, total, sealed = found
    if max_points is None or total <= max(_WHOLE, max_points):
        chunks = read_chunks(connection, [series_id]).get(series_id, []) if sealed else []
        points = _newest([*chunks, *_open_points(connection, series_id)])
    else:
        points = _few(connection, series_id, max_points / total)
    if max_points is not None and len(points) > max_points:
        points = [points[0], *thin(points[1:-1], (max_points - 2) // 2), points[-1]]
    return [_metric_point(point) for point in points]


def has_series(connection: Connection, run_id: int, key: str, context: str) -> bool:
    """Tell whether a run has a series of exactly this name and context."""
    s = t.series.c
    query = select(s.id).where(s.run_id == run_id, s.key == key, s.context == context)
    return connection.execute(query).first() is not None


def _metric_point(point: Point) -> MetricPoint:
    step, attempt, time, value = point
    moment = to_datetime(time)
    assert moment is not None  # the column is never NULL
    return MetricPoint(step, value, moment, attempt)


def _no_metric(connection: Connection, run_id: int, key: str, context: str) -> NotFoundError:
    s = t.series.c
    rows = connection.execute(select(s.key, s.context).where(s.run_id == run_id))
    known = [f"{name}{{{other}}}" if other else name for name, other in rows]
    shown = f"{key}{{{context}}}" if context else key
    return NotFoundError(f"run {path_of(connection, run_id)} has no metric {shown!r}{did_you_mean(shown, known)}")


def read_chunks(connection: Connection, series_ids: Sequence[int]) -> dict[int, list[Point]]:
    """Read the sealed points of these series, in the order in which they came."""
    c = t.chunks.c
    found: dict[int, list[Point]] = {}
    for start in range(0, len(series_ids), SIZE):
        query = select(c.series_id, c.points, c.step, c.time, c.attempt)
        query = query.where(c.series_id.in_(series_ids[start : start + SIZE])).order_by(c.series_id, c.ordinal)
        for series_id, *row in connection.execute(query):
            found.setdefault(series_id, []).extend(read(*row))
    return found


def read_series(connection: Connection, series_id: int) -> tuple[list[Point], int, bool]:
    """Read every point of a series in the order in which they came, how many of them are sealed, and whether some miss."""
    c, p = t.chunks.c, t.points.c
    rows = connection.execute(select(c.ordinal, c["count"]).where(c.series_id == series_id).order_by(c.ordinal)).all()
    sealed, gap = 0, False
    for ordinal, count in rows:
        gap = gap or ordinal != sealed
        sealed = ordinal + count
    query = select(func.min(p.ordinal), func.max(p.ordinal)).where(p.series_id == series_id)
    first, last = connection.execute(query).one()
    tail = _open_points(connection, series_id)
    gap = gap or (bool(tail) and (first, last) != (sealed, sealed + len(tail) - 1))
    return [*read_chunks(connection, [series_id]).get(series_id, []), *tail], sealed, gap


def _open_points(connection: Connection, series_id: int) -> list[Point]:
    p = t.points.c
    query = select(p.step, p.attempt, p.time, p.value, p.kind).where(p.series_id == series_id).order_by(p.ordinal)
    return [
        (step, attempt, time, join_number(value, kind))
        for step, attempt, time, value, kind in connection.execute(query)
    ]


# --- what counts ------------------------------------------------------------------------------------------------


def _newest(points: Iterable[Point]) -> list[Point]:
    """Return *points* by step, without those that a later attempt hides."""
    return sorted(visible(list(points)), key=_step)  # it keeps the order in which they came, within a step


_step = itemgetter(0)


# --- a few of very many -----------------------------------------------------------------------------------------


_SUMMARIES = (
    'SELECT ordinal, "count", attempt, first_step, last_step, min, min_step, min_time, max, max_step, max_time '
    "FROM trackers_chunks WHERE series_id = ? ORDER BY ordinal"
)
_ORDINAL, _COUNT, _ATTEMPT, _FIRST, _LAST, _MIN = range(6)


def _few(connection: Connection, series_id: int, share: float) -> list[Point]:
    """Return *share* of a long series' points or some more, extremes among them: of each chunk what that needs."""
    c = t.chunks.c
    rows = _summaries(connection, series_id)
    tail = _open_points(connection, series_id)
    firsts: dict[int, int] = {}
    for attempt, step in [*((row[_ATTEMPT], row[_FIRST]) for row in rows), *((point[1], point[0]) for point in tail)]:
        if step < firsts.get(attempt, math.inf):
            firsts[attempt] = step
    ends = hidden_from(firsts)
    seen = rows if len(firsts) == 1 else [row for row in rows if row[_FIRST] < ends[row[_ATTEMPT]]]
    whole, sketched = _needed(seen, ends, share)
    found = _thinned(tail, ends, share)
    for points in _texts(connection, series_id, c.points, whole):
        found += _thinned(points, ends, share)
    for points in _texts(connection, series_id, c.sketch, sketched):
        found += points
    read = whole | sketched
    for row in seen:
        if row[_ORDINAL] not in read:
            found += summary_points(row[_ATTEMPT], row[_MIN:])
    return sorted(found, key=_step)


def _summaries(connection: Connection, series_id: int) -> list[Sequence[Any]]:
    """Return what is kept beside the points of each chunk, by the driver itself: there are thousands of them."""
    raw = connection.connection.dbapi_connection
    assert raw is not None  # the connection is open
    dialect = connection.dialect.name
    cursor = raw.cursor(binary=True) if dialect == "postgresql" else raw.cursor()
    try:
        cursor.execute(_SUMMARIES if dialect == "sqlite" else _SUMMARIES.replace("?", "%s"), (series_id,))
        return list(cursor.fetchall())
    finally:
        cursor.close()


def _needed(seen: Sequence[Any], ends: Mapping[int, float], share: float) -> tuple[set[int], set[int]]:
    """Return of which chunks every point is needed, and of which the sketch; of the others the summary does."""
    whole, sketched = set(), set()
    if seen:  # the first and the last point of all are in one of these
        whole = {min(seen, key=itemgetter(_FIRST))[_ORDINAL], max(seen, key=itemgetter(_LAST))[_ORDINAL]}
    for ordinal, count, attempt, _, last, low, *_ in seen:
        wanted = share * count
        if wanted > 2 * PARTS or last >= ends[attempt]:
            whole.add(ordinal)
        elif wanted > 2 or low is None:
            sketched.add(ordinal)
    return whole, sketched - whole


def _texts(connection: Connection, series_id: int, column: Any, ordinals: Collection[int]) -> Iterator[list[Point]]:
    c = t.chunks.c
    listed = sorted(ordinals)
    for start in range(0, len(listed), SIZE):
        query = select(column, c.step, c.time, c.attempt).where(c.series_id == series_id)
        for row in connection.execute(query.where(c.ordinal.in_(listed[start : start + SIZE]))):
            yield read(*row)


def _thinned(points: Iterable[Point], ends: Mapping[int, float], share: float) -> list[Point]:
    """Return the ends and the extremes of those of *points* that count, about twice as many as *share* of them."""
    shown = sorted((point for point in points if point[0] < ends[point[1]]), key=_step)
    parts = math.ceil(share * len(shown))
    return shown if len(shown) <= 2 * parts + 2 else [shown[0], *thin(shown[1:-1], parts), shown[-1]]
