"""What a run is called where it is spoken of: its path, as ``Run.path`` has it, and not its id in this database."""

from __future__ import annotations

from sqlalchemy import Connection, select

from trackers.sql import tables as t
from trackers.sql.batch import Batch

_NAMED = """SELECT r.uid, r.number, e.name, e.deleted_at FROM trackers_runs r
JOIN trackers_experiments e ON e.id = r.experiment_id WHERE r.id = ?"""


def path_of(connection: Connection, run_id: int) -> str:
    """Return the path of a run; its id where there is no such run."""
    r, e = t.runs.c, t.experiments.c
    query = select(r.uid, r.number, e.name, e.deleted_at).join(t.experiments, e.id == r.experiment_id)
    found = connection.execute(query.where(r.id == run_id)).first()
    return str(run_id) if found is None else _path(*found)


def path_in(batch: Batch, run_id: int) -> str:
    """Return the same in the middle of a *batch*, of which something was refused."""
    found = batch.fetch(_NAMED, (run_id,))
    return _path(*found[0]) if found else str(run_id)


def _path(uid: str, number: int | None, experiment: str, deleted_at: int | None) -> str:
    return uid if number is None or deleted_at is not None else f"{experiment}/{number}"
