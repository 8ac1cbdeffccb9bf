"""Points of a series, a thousand to a row: ``[[step, time, value], ...]`` as JSON that every database can read.

A series' newest points are rows of ``points``. The writer seals them in a chunk when there are ``SIZE`` of one attempt,
or when ``AT_ONCE`` arrive together: a row costs a database dozens of bytes, however small its point. A chunk keeps
beside its points what a picture of it needs: its extremes, and a sketch of the extremes of its parts. See
docs/design/0014-points.md.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from trackers.sql.columns import split_number

SIZE = 1000
AT_ONCE = 100
"""So many points that arrive together never become rows: they are a chunk, if a small one."""
PARTS = 16
"""How many parts of a full chunk its sketch has two points of: the smallest and the largest."""

Point = tuple[int, int, int, float]
"""Step, attempt, time and value, as ``changes.PointsLogged`` has them."""

_WORDS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
"""How a value is written that is no number of JSON: as PostgreSQL reads it."""


def seal(
    series_id: int, ordinal: int, points: Sequence[Point], smallest: int = SIZE
) -> tuple[list[tuple[Any, ...]], int]:
    """Return the rows of ``chunks`` that take from *points*, and how many points those take.

    *points* are the open ones of a series, the first of them its point number *ordinal*. A chunk is full, or is the
    last of its attempt, or the last of *points* with *smallest* of them or more.
    """
    rows, start = [], 0
    while start < len(points):
        end = start + 1
        attempt = points[start][1]
        while end < len(points) and end - start < SIZE and points[end][1] == attempt:
            end += 1
        if end - start < smallest and end == len(points):
            break
        rows.append(_row(series_id, ordinal + start, points[start:end]))
        start = end
    return rows, start


def _row(series_id: int, ordinal: int, points: Sequence[Point]) -> tuple[Any, ...]:
    step, attempt, time, _ = points[0]
    steps = [point[0] for point in points]
    low, high = extremes(points)
    return (
        *(series_id, ordinal, len(points), attempt, step, time, min(steps), max(steps)),
        *_summary(low),
        *_summary(high),
        write(_sketch(points), step, time),
        write(points, step, time),
    )


COLUMNS = (
    *("series_id", "ordinal", "count", "attempt", "step", "time", "first_step", "last_step"),
    *("min", "min_step", "min_time", "max", "max_step", "max_time", "sketch", "points"),
)
"""Those of a row of ``chunks``, in the order of ``seal``."""


def made_again(row: Sequence[Any]) -> tuple[Any, ...] | None:
    """Return a row of ``chunks`` as it should be by its points; None where they cannot be read, or are not as many."""
    series_id, ordinal, count, attempt, step, time, *_, text = row
    try:
        points = read(text, step, time, attempt)
    except (ValueError, TypeError, KeyError):
        return None
    return _row(series_id, ordinal, points) if points and len(points) == count else None


def _summary(point: Point | None) -> tuple[Any, ...]:
    return (None, None, None) if point is None else (split_number(point[3])[0], point[0], point[2])


def extremes(points: Iterable[Point]) -> tuple[Point | None, Point | None]:
    """Return the points with the smallest and the largest value; None where all are NaN."""
    low = high = None
    for point in points:
        value = point[3]
        if value == value:
            if low is None or value < low[3]:
                low = point
            if high is None or value > high[3]:
                high = point
    return low, high


def _sketch(points: Sequence[Point]) -> list[Point]:
    return list(thin(points, max(1, PARTS * len(points) // SIZE)))


def thin(points: Sequence[Point], parts: int) -> Iterator[Point]:
    """Yield the extremes of each of *parts* parts of *points*, in their order; of one that is all NaN its first."""
    for part in range(parts):
        piece = points[part * len(points) // parts : (part + 1) * len(points) // parts]
        low, high = extremes(piece)
        if low is None or high is None:
            yield from piece[:1]
        elif low is high:
            yield low
        else:
            yield from sorted((low, high), key=piece.index)


# --- the text ---------------------------------------------------------------------------------------------------


def write(points: Iterable[Point], step: int, time: int) -> str:
    """Write *points* with steps and times as distances from *step* and *time*."""
    return "[" + ",".join(f"[{at - step},{moment - time},{_number(value)}]" for at, _, moment, value in points) + "]"


def _number(value: float) -> str:
    if value == value and abs(value) != math.inf:
        return repr(value)
    return '"NaN"' if value != value else '"Infinity"' if value > 0 else '"-Infinity"'


def read(text: str, step: int, time: int, attempt: int) -> list[Point]:
    """Return what ``write`` wrote: equal to the last bit."""
    return [
        (step + at, attempt, time + moment, _WORDS[value] if isinstance(value, str) else float(value))
        for at, moment, value in json.loads(text)
    ]


def summary_points(attempt: int, columns: Sequence[Any]) -> list[Point]:
    """Return the points that the columns min, min_step, min_time, max, max_step and max_time of a chunk hold."""
    low, low_step, low_time, high, high_step, high_time = columns
    if low is None:  # every point is NaN
        return []
    if not -_LARGEST < low <= high < _LARGEST:
        low, high = (math.copysign(math.inf, value) if abs(value) >= _LARGEST else value for value in (low, high))
    first, second = (low_step, attempt, low_time, low), (high_step, attempt, high_time, high)
    return [first] if first == second else [first, second]


_LARGEST = 1.7976931348623157e308
