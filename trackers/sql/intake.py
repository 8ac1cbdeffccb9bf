"""What another tracker recorded, written as it was there: runs that started in the past, versions with their numbers."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from trackers.changes import PastRun
from trackers.errors import AlreadyExistsError, ConflictError
from trackers.sql import statements
from trackers.sql import tables as t
from trackers.sql.chunks import Point, read
from trackers.sql.columns import escape, join_number
from trackers.sql.experiments import make_experiment
from trackers.sql.fold import visible
from trackers.sql.registry import NewVersion, add_version, hold_model, insert_model
from trackers.sql.registry_history import Actor, write_line
from trackers.states import RunState

_CHUNK = 500
_FETCH = 10_000
_RUNS = statements.insert(
    t.runs,
    *("id", "uid", "experiment_id", "name", "state", "user", "host", "created_at"),
    conflict="ON CONFLICT (uid) DO NOTHING",
)


@dataclass(frozen=True, slots=True)
class Found:
    """A run that is there: its id, and the record of where it was imported from (None: it was not)."""

    run_id: int
    origin: Any


def keep_experiment(
    connection: Connection, name: str, description: str, tags: Mapping[str, str], created_at: int
) -> int:
    """Return the id of the experiment *name*, made where it is new, with this description and these tags.

    Raises AlreadyExistsError where a study has that name.
    """
    experiment_id, made = make_experiment(connection, name, description)
    e, g = t.experiments.c, t.experiment_tags.c
    kind = connection.execute(select(e.kind).where(e.id == experiment_id)).scalar_one()
    if kind != "experiment":
        raise AlreadyExistsError(f"{name!r} is a study in this store: an experiment cannot have its name too")
    changed: dict[str, Any] = {"created_at": created_at} if made else {}
    if description:
        changed["description"] = description
    if changed:
        connection.execute(update(t.experiments).where(e.id == experiment_id).values(**changed))
    for key, value in tags.items():
        connection.execute(delete(t.experiment_tags).where(g.experiment_id == experiment_id, g.name == key))
        connection.execute(insert(t.experiment_tags).values(experiment_id=experiment_id, name=key, value=value))
    return experiment_id


def find_runs(connection: Connection, uids: Sequence[str], origin: str) -> dict[str, Found]:
    """Return those of the runs *uids* that are there, with their system attribute *origin*."""
    r, a = t.runs.c, t.attrs.c
    about = (a.run_id == r.id) & (a.scope == "system") & (a.name == origin)
    query = select(r.uid, r.id, a.value).select_from(t.runs.outerjoin(t.attrs, about))
    found = {}
    for start in range(0, len(uids), _CHUNK):
        for uid, run_id, value in connection.execute(query.where(r.uid.in_(uids[start : start + _CHUNK]))):
            found[uid] = Found(run_id, value)
    return found


def insert_runs(connection: Connection, runs: Sequence[PastRun]) -> None:
    """Write runs that are new; one whose uid is there already is left as it is."""
    rows = [
        (run.run_id, run.uid, run.experiment_id, run.name, int(RunState.WAITING), escape(run.user), "", run.created_at)
        for run in runs
    ]
    cursor = connection.connection.cursor()
    try:
        _RUNS.run(connection.dialect.name, cursor, rows)
    finally:
        cursor.close()


def nest_runs(connection: Connection, parents: Mapping[int, int]) -> None:
    """Say whose children these runs are: child -> parent."""
    for child, parent in parents.items():
        connection.execute(update(t.runs).where(t.runs.c.id == child).values(parent_id=parent))


def follow_run(connection: Connection, run_id: int, old: RunState, **columns: Any) -> None:
    """Write these columns of an imported run that is *old* here.

    MLflow lets a run that has ended go on and end otherwise. The copy has to follow, which no move of ours could.
    Raises ConflictError where the run is in another state by now.
    """
    r = t.runs.c
    if connection.execute(update(t.runs).where(r.id == run_id, r.state == int(old)).values(**columns)).rowcount != 1:
        raise ConflictError(f"run {run_id} was changed by somebody else during the import: import again")


def iterate_points(connection: Connection, run_ids: Sequence[int]) -> Iterator[tuple[int, str, str, int, int, float]]:
    """Yield every point of these runs that counts, series by series: run, key, context, step, time and value."""
    # Two results are read side by side, which a connection to MariaDB cannot stream: there they are fetched whole.
    several = connection.dialect.name != "mysql"
    streaming = connection.execution_options(yield_per=_FETCH) if several else connection
    for start in range(0, len(run_ids), _CHUNK):
        part = run_ids[start : start + _CHUNK]
        resumed = _resumed(connection, part)
        found = heapq.merge(_sealed_points(streaming, part), _open_points(streaming, part), key=lambda one: one[0])
        for (run_id, series_id), ones in groupby(found, key=lambda one: one[0][:2]):
            if series_id in resumed:  # a later attempt hides points: those have to be known together
                whole = list(ones)
                counting = iter(visible([point for *_, point in whole]))
                _, key, context, _ = whole[0]
                yield from ((run_id, key, context, step, time, value) for step, _, time, value in counting)
            else:
                for _, key, context, (step, _, time, value) in ones:
                    yield run_id, key, context, step, time, value


def every_point(
    connection: Connection, run_ids: Sequence[int]
) -> Iterator[tuple[int, str, str, tuple[int, int, int, float]]]:
    """Yield every point of these runs, those too that a later attempt hides: run, key, context and the point."""
    for start in range(0, len(run_ids), _CHUNK):
        part = run_ids[start : start + _CHUNK]
        for found in (_sealed_points(connection, part), _open_points(connection, part)):
            yield from ((run_id, key, context, point) for (run_id, _, _), key, context, point in found)


def _resumed(connection: Connection, run_ids: Sequence[int]) -> set[int]:
    """Return the series of these runs that more than one attempt may have written."""
    s = t.series.c
    query = select(s.id).where(s.run_id.in_(run_ids), s.last_attempt > 0)
    return set(connection.execute(query).scalars())


_Found = tuple[tuple[int, int, int], str, str, Point]
"""A point, behind what brings those of one series together: its run, its series, and whether it is still a row."""


def _sealed_points(connection: Connection, run_ids: Sequence[int]) -> Iterator[_Found]:
    s, c = t.series.c, t.chunks.c
    query = select(s.run_id, s.id, s.key, s.context, c.points, c.step, c.time, c.attempt)
    query = query.join(t.chunks, c.series_id == s.id).where(s.run_id.in_(run_ids)).order_by(s.run_id, s.id, c.ordinal)
    for run_id, series_id, key, context, *chunk in connection.execute(query):
        for point in read(*chunk):
            yield (run_id, series_id, 0), key, context, point


def _open_points(connection: Connection, run_ids: Sequence[int]) -> Iterator[_Found]:
    s, p = t.series.c, t.points.c
    query = select(s.run_id, s.id, s.key, s.context, p.step, p.attempt, p.time, p.value, p.kind)
    query = query.join(t.points, p.series_id == s.id).where(s.run_id.in_(run_ids)).order_by(s.run_id, s.id, p.ordinal)
    for run_id, series_id, key, context, step, attempt, time, *value in connection.execute(query):
        yield (run_id, series_id, 1), key, context, (step, attempt, time, join_number(*value))


def register(
    connection: Connection, name: str, number: int, new: NewVersion, actor: Actor, created_at: int, created_by: str
) -> bool:
    """Write version *number* of *name*, which is made when it is new; tell whether it was not there.

    Its line of history says that it was imported. Raises ConflictError where another model is that version, ModelError
    where the model's files are not kept.
    """
    insert_model(connection, name, "", actor)
    model_id = hold_model(connection, name)
    v = t.model_versions.c
    query = select(v.model_uid).where(v.model_id == model_id, v.version == number)
    known = connection.execute(query).scalar()
    if known is not None:
        if known != new.model_uid:
            raise ConflictError(f"version {number} of {name!r} is another model here")
        return False
    metrics = add_version(connection, model_id, number, new, created_at, created_by)
    details = {"model": new.model_uid, "metrics": metrics, **new.lineage}
    write_line(connection, actor, name, "import", new_version=number, details=details)
    return True
