"""Experiments: made, found, listed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, insert, select

from trackers.clock import now_us
from trackers.errors import AlreadyExistsError, NotFoundError
from trackers.names import clean_name, clean_title
from trackers.sql import statements
from trackers.sql import tables as t
from trackers.sql.columns import escape
from trackers.sql.ids import new_uid, take_block
from trackers.sql.studies import refuse_deleted
from trackers.values import Experiment, to_datetime
from trackers.wording import did_you_mean

_INSERT = statements.insert(
    t.experiments,
    *("id", "uid", "name", "live_name", "kind", "description", "created_at"),
    conflict="ON CONFLICT (live_name) DO NOTHING",
)


def check_experiment(name: str) -> str:
    """Return the clean name of an experiment; raises InvalidValueError."""
    return clean_title(name, "experiment")


def make_experiment(connection: Connection, name: str, description: str = "") -> tuple[int, bool]:
    """Return the id of the living experiment or study *name*, and whether it was made just now."""
    query = select(t.experiments.c.id).where(t.experiments.c.live_name == name)
    found = connection.execute(query).scalar()
    if found is not None:
        return int(found), False
    new_id = take_block(connection, "ids", 1)[0]
    # two processes may make the same one at once: the second finds the first one's row
    row = (new_id, new_uid(), name, name, "experiment", escape(description), now_us())
    cursor = connection.connection.cursor()
    try:
        _INSERT.run(connection.dialect.name, cursor, [row])
    finally:
        cursor.close()
    found = int(connection.execute(query).scalar_one())
    return found, found == new_id


def create_experiment(connection: Connection, name: str, description: str, tags: Mapping[str, str]) -> int:
    """Write a new experiment and return its id; raises AlreadyExistsError."""
    experiment_id, made = make_experiment(connection, name, description)
    if not made:
        raise AlreadyExistsError(f"there is an experiment or study named {name!r} already: choose another name")
    rows = [{"experiment_id": experiment_id, "name": clean_name(k, "tag"), "value": str(v)} for k, v in tags.items()]
    if rows:
        connection.execute(insert(t.experiment_tags), rows)
    return experiment_id


def find_experiments(connection: Connection, refs: Sequence[str | int], *, deleted: bool = False) -> list[int]:
    """Return the ids of living experiments, by name or id; raises NotFoundError with the close matches.

    With *deleted* a name means those that were deleted, too.
    """
    e = t.experiments.c
    found: list[int] = []
    for ref in refs:
        if deleted:
            every = connection.execute(select(e.id).where(e.id == ref if isinstance(ref, int) else e.name == ref))
            found += (ids := [int(one) for one in every.scalars()])
            if ids:
                continue
        column = e.id if isinstance(ref, int) else e.live_name
        known = connection.execute(select(e.id).where(column == ref, e.deleted_at.is_(None))).scalar()
        if known is None:
            if isinstance(ref, str):
                refuse_deleted(connection, "experiment", ref)
            names = connection.execute(select(e.name).where(e.deleted_at.is_(None))).scalars().all()
            raise NotFoundError(f"there is no experiment {ref!r} in this store{did_you_mean(str(ref), names)}")
        found.append(int(known))
    return found


def read_experiments(
    connection: Connection, experiment_id: int | None = None, where: Sequence[ColumnElement[bool]] = ()
) -> list[Experiment]:
    """Read one experiment, or every one that satisfies *where*, newest first."""
    e, g = t.experiments.c, t.experiment_tags.c
    query = select(e.id, e.uid, e.name, e.kind, e.created_at, e.description, e.deleted_at, e.archived_at)
    query = query.order_by(e.created_at.desc(), e.id.desc())
    tagged = select(g.experiment_id, g.name, g.value)
    if experiment_id is not None:
        query, tagged = query.where(e.id == experiment_id), tagged.where(g.experiment_id == experiment_id)
    else:
        query = query.where(*where)
    tags: dict[int, dict[str, str]] = {}
    for key, name, value in connection.execute(tagged):
        tags.setdefault(key, {})[name] = value
    return [_experiment(row, tags.get(row.id, {})) for row in connection.execute(query)]


def _experiment(row: Any, tags: Mapping[str, str]) -> Experiment:
    created_at = to_datetime(row.created_at)
    assert created_at is not None  # the column is never NULL
    return Experiment(
        id=row.id,
        uid=row.uid,
        name=row.name,
        kind=row.kind,
        created_at=created_at,
        description=row.description,
        tags=tags,
        deleted_at=to_datetime(row.deleted_at),
        archived=row.archived_at is not None,
    )
