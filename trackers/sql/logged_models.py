"""Models that runs saved, read back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, or_, select

from trackers.errors import InvalidValueError, NotFoundError
from trackers.sql.columns import join_number
from trackers.sql.tables import model_files, model_versions, models, runs
from trackers.values import LoggedModel, to_datetime

_BATCH = 500


def find_model(connection: Connection, uid: str) -> LoggedModel | None:
    """Return the model with this uid, also one that was replaced or dropped."""
    rows = connection.execute(select(models).where(models.c.uid == uid, models.c.manifest.is_not(None))).all()
    return next(iter(_with_files(connection, rows)), None)


def find_models(connection: Connection, uids: Sequence[str]) -> dict[str, LoggedModel]:
    """Return the models with these uids that are in the store, by uid."""
    found: dict[str, LoggedModel] = {}
    for start in range(0, len(uids), _BATCH):
        query = select(models).where(models.c.uid.in_(uids[start : start + _BATCH]), models.c.manifest.is_not(None))
        found |= {model.uid: model for model in _with_files(connection, connection.execute(query).all())}
    return found


def list_models(
    connection: Connection, run_ids: Sequence[int], *, name: str | None = None, dropped: bool = False
) -> list[LoggedModel]:
    """Return the current models of these runs, by run and name; a constant number of statements for 500 runs.

    A model that was dropped is left out unless *dropped*, or unless a registered version keeps its files.
    """
    found: list[LoggedModel] = []
    for start in range(0, len(run_ids), _BATCH):
        batch = list(run_ids[start : start + _BATCH])
        query = select(models).where(
            models.c.run_id.in_(batch), models.c.replaced_at.is_(None), models.c.manifest.is_not(None)
        )
        if name is not None:
            query = query.where(models.c.name == name)
        if not dropped:
            registered = select(model_versions.c.model_uid).where(model_versions.c.model_uid == models.c.uid).exists()
            query = query.where(or_(models.c.deleted_at.is_(None), registered))
        found += _with_files(connection, connection.execute(query).all())
    return sorted(found, key=lambda model: (model.run_id, model.name))


def only_model(connection: Connection, run_uid: str) -> LoggedModel:
    """Return the one model that a run keeps; raises NotFoundError without one, InvalidValueError where it has more."""
    run_id: int | None = connection.execute(select(runs.c.id).where(runs.c.uid == run_uid)).scalar()
    found = [] if run_id is None else list_models(connection, [run_id])
    if not found:
        why = "is not in this store" if run_id is None else "has no model: it logged none, or it was dropped"
        raise NotFoundError(f"Run {run_uid} {why}: nothing can be registered of it.")
    if len(found) > 1:
        names = [f"runs:/{run_uid}/{model.name}" for model in found]
        raise InvalidValueError(f"Run {run_uid} has {len(found)} models: name one, {' or '.join(names[:5])}.")
    return found[0]


def _with_files(connection: Connection, rows: Sequence[Any]) -> list[LoggedModel]:
    files: dict[str, dict[str, str]] = {row.uid: {} for row in rows}
    for start in range(0, len(rows), _BATCH):
        batch = [row.uid for row in rows[start : start + _BATCH]]
        query = select(model_files).where(model_files.c.model_uid.in_(batch)).order_by(model_files.c.name)
        for entry in connection.execute(query):
            files[entry.model_uid][entry.name] = entry.digest
    return [_to_value(row, files[row.uid]) for row in rows]


def _to_value(row: Any, files: dict[str, str]) -> LoggedModel:
    created_at = to_datetime(row.created_at)
    assert created_at is not None
    has_value = row.value is not None or row.value_kind != 0
    return LoggedModel(
        uid=row.uid,
        run_id=row.run_id,
        name=row.name,
        flavor=row.flavor,
        manifest=row.manifest,
        files=files,
        size=row.size,
        created_at=created_at,
        step=row.step,
        value=join_number(row.value, row.value_kind) if has_value else None,
        deleted_at=to_datetime(row.deleted_at),
        deleted_why=row.deleted_why,
    )
