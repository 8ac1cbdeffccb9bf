"""Series and their points as they are written: open ones as rows, many of them sealed in one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from trackers.sql import tables as t
from trackers.sql.batch import Batch
from trackers.sql.chunks import AT_ONCE, SIZE, Point, read, seal
from trackers.sql.columns import join_number, split_number
from trackers.sql.fold import Fold, summary, visible
from trackers.sql.statements import as_json, insert, json_rows, update

_LAST = ("last", "last_kind", "last_step", "last_attempt", "last_time")
_NEWER = (
    "(excluded.last_attempt > trackers_series.last_attempt OR (excluded.last_attempt = trackers_series.last_attempt "
    "AND excluded.last_step >= trackers_series.last_step))"
)
_SERIES = insert(
    t.series,
    *("id", "run_id", "key", "context", "count", *_LAST, "min", "max", "since_step"),
    conflict="ON CONFLICT (run_id, key, context) DO UPDATE SET "
    # MariaDB assigns from left to right, and what comes later sees it: first what looks at the old newest attempt
    "since_step = CASE WHEN excluded.last_attempt > trackers_series.last_attempt THEN NULL "
    "ELSE trackers_series.since_step END, count = trackers_series.count + excluded.count, "
    + ", ".join(f"{name} = CASE WHEN {_NEWER} THEN excluded.{name} ELSE trackers_series.{name} END" for name in _LAST)
    + ", "
    + ", ".join(
        f"{name} = CASE WHEN trackers_series.{name} IS NULL OR excluded.{name} {sign} trackers_series.{name} "
        f"THEN excluded.{name} ELSE trackers_series.{name} END"
        for name, sign in (("min", "<"), ("max", ">"))
    ),
)
_AGAIN = update(
    t.series,
    "last = {last}, last_kind = {last_kind}, last_step = {last_step}, last_attempt = {last_attempt}, "
    "last_time = {last_time}, min = {min}, max = {max}, since_step = {since_step}, hidden = {hidden}",
    "trackers_series.id = {id}",
    *(*_LAST, "min", "max", "since_step", "hidden", "id"),
)
_POINTS = insert(t.points)
_CHUNKS = insert(t.chunks)
_SEALED = update(t.series, "sealed = {sealed}", "trackers_series.id = {id}", "sealed", "id")
_KNOWN = (
    "SELECT s.run_id, s.key, s.context, s.id, s.count, s.sealed, s.last_attempt, s.since_step FROM trackers_series s"
)
_SEALED_POINTS = "SELECT points, step, time, attempt FROM trackers_chunks WHERE series_id = ? ORDER BY ordinal"
_OPEN = "SELECT step, attempt, time, value, kind FROM trackers_points WHERE series_id = ? ORDER BY ordinal"
_FORGET = "DELETE FROM trackers_points WHERE series_id = ? AND ordinal < ?"

Key = tuple[int, str, str]


def write(batch: Batch, fold: Fold, series_ids: Sequence[int]) -> None:
    """Write the points that *fold* holds, and their series; *series_ids* has one for each that may be new."""
    lines = fold.points
    if fold.finals:
        lines = {**lines, **_unreported(batch, fold)}
    if not lines:
        return
    rows = [
        (series_id, *key, len(points), *summary(points), None)
        for series_id, (key, points) in zip(series_ids, lines.items(), strict=False)
    ]
    batch.run(_SERIES, rows)
    known = _known_series(batch, [key for key in fold.points if key[0] not in fold.runs])
    group = _Group(batch)
    again = []
    for row, (key, points) in zip(rows, lines.items(), strict=True):
        series_id, total, sealed, newest, since = known.get(key) or (row[0], len(points), None, row[8], None)
        group.add(series_id, points, total - len(points), sealed or 0)
        if newest > 0 and _hides(points, newest, since):
            again.append(series_id)
    group.write()
    batch.run(_AGAIN, [group.summary_again(series_id) for series_id in again])


def _unreported(batch: Batch, fold: Fold) -> dict[Key, list[Point]]:
    """Return the final values under whose name their trial has no series: not in this group, and not in the store."""
    new = {key: [point] for key, point in fold.finals.items() if key not in fold.points}
    for key in _known_series(batch, [key for key in new if key[0] not in fold.runs]):
        del new[key]
    return new


def _known_series(batch: Batch, keys: Sequence[Key]) -> dict[Key, tuple[int, int, int | None, int, int | None]]:
    """Return of these series: id, number of points, how many are sealed, the newest attempt and its first step."""
    found: list[Any] = []
    if batch.dialect == "sqlite":
        query = f"{_KNOWN} WHERE s.run_id = ? AND s.key = ? AND s.context = ?"
        for key in keys:
            found += batch.fetch(query, key)
    elif keys and batch.dialect == "mysql":
        c = t.series.c
        given = json_rows((c.run_id, c.key, c.context), ("run_id", "key", "context")).replace("%s", "?")
        same = "s.run_id = v.given_run_id AND s.key = v.given_key AND s.context = v.given_context"
        found = batch.fetch(f"{_KNOWN} JOIN {given} ON {same}", [as_json(keys)])
    elif keys:
        given = "unnest(?::bigint[], ?::text[], ?::text[]) AS v(run_id, key, context)"
        same = "s.run_id = v.run_id AND s.key = v.key AND s.context = v.context"
        found = batch.fetch(f"{_KNOWN} JOIN {given} ON {same}", [list(column) for column in zip(*keys, strict=True)])
    return {(row[0], row[1], row[2]): (row[3], row[4], row[5], row[6], row[7]) for row in found}


def _hides(points: Sequence[tuple[int, int, int, float]], newest: int, since: int | None) -> bool:
    """Tell whether *points*, just added, change which ones of their series are hidden, or are hidden themselves."""
    if since is None:
        return True
    # of three attempts the second hides some of the first's too: where is not known here
    return any(step < since if attempt == newest else newest > 1 or step >= since for step, attempt, _, _ in points)


class _Group:
    """What one group writes below its series."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._lines: list[tuple[Any, ...]] = []
        self._chunks: list[tuple[Any, ...]] = []
        self._sealed: list[tuple[int, int]] = []

    def add(self, series_id: int, points: Sequence[Point], before: int, sealed: int) -> None:
        """Take *points* of a series that had *before* already, the first *sealed* of them in chunks."""
        first = before  # the number of the first point that becomes a row
        if len(points) >= AT_ONCE or before - sealed + len(points) >= SIZE:
            rows = [*self._open(series_id), *points] if before > sealed else points
            chunks, taken = seal(series_id, sealed, rows, AT_ONCE)
            self._chunks += chunks
            self._sealed.append((sealed + taken, series_id))
            if before > sealed:
                self._batch.execute(_FORGET, (series_id, sealed + taken))
            first = max(before, sealed + taken)
        self._lines += [
            (series_id, ordinal, step, attempt, time, *split_number(value))
            for ordinal, (step, attempt, time, value) in enumerate(points[first - before :], start=first)
        ]

    def _open(self, series_id: int) -> list[Point]:
        rows = self._batch.fetch(_OPEN, (series_id,))
        return [(step, attempt, time, join_number(*value)) for step, attempt, time, *value in rows]

    def summary_again(self, series_id: int) -> tuple[Any, ...]:
        """Return what a series keeps of its points where a later attempt hides some: read once an attempt, not a write."""
        sealed = self._batch.fetch(_SEALED_POINTS, (series_id,))
        points = [point for row in sealed for point in read(*row)] + self._open(series_id)
        newest = max(point[1] for point in points)
        since = min(point[0] for point in points if point[1] == newest)
        shown = visible(points)
        return (*summary(shown), since, len(points) - len(shown), series_id)

    def write(self) -> None:
        self._batch.run(_POINTS, self._lines)
        self._batch.run(_CHUNKS, self._chunks)
        self._batch.run(_SEALED, self._sealed)


def seal_series(connection: Connection, series_id: int) -> None:
    """Seal what a series has of open points, as far as they fill chunks (the migration's part)."""
    raw = connection.connection.dbapi_connection
    assert raw is not None  # the connection is open
    batch = Batch(connection.dialect.name, raw)
    group = _Group(batch)
    ((count,),) = batch.fetch("SELECT count(*) FROM trackers_points WHERE series_id = ?", (series_id,))
    group.add(series_id, (), count, 0)  # it seals from SIZE on
    group.write()
