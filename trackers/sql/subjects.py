"""What the policies may ask of a version, read by a constant number of statements."""

from __future__ import annotations

from sqlalchemy import Connection, select

from trackers.policy import Subject
from trackers.sql import tables as t
from trackers.sql.metrics import read_summaries
from trackers.sql.registry import find_model_id, list_versions, read_run_code
from trackers.sql.run_pages import read_runs
from trackers.values import Approval, Figure, to_datetime


class Subjects:
    """The versions of one model, each read once."""

    def __init__(self, connection: Connection, name: str) -> None:
        self._connection, self._name = connection, name
        self._read: dict[int, Subject] = {}

    def read(self, number: int) -> Subject:
        """Return version *number* with everything about it."""
        if number not in self._read:
            self._read[number] = read_subject(self._connection, self._name, number)
        return self._read[number]

    def find(self, alias: str) -> int | None:
        """Return the number of the version that *alias* points at, None where it points at nothing."""
        a = t.aliases.c
        query = select(a.version).where(a.model_id == find_model_id(self._connection, self._name), a.alias == alias)
        found: int | None = self._connection.execute(query).scalar()
        return found


def read_subject(connection: Connection, name: str, number: int) -> Subject:
    """Return a version with its run and what was added since it was made; raises NotFoundError."""
    version = list_versions(connection, name, number)[0]
    run = next(iter(read_runs(connection, [version.run_id])), None) if version.run_id is not None else None
    m = t.models.c
    code = version.lineage.get("code") or (read_run_code(connection, run.id) if run else {})
    return Subject(
        version=version,
        run=run,
        series=tuple(read_summaries(connection, run.id)) if run else (),
        figures=tuple(list_figures(connection, name, number)),
        approvals=tuple(list_approvals(connection, name, number)),
        size=int(connection.execute(select(m.size).where(m.uid == version.model_uid)).scalar() or 0),
        code=code if isinstance(code, dict) else {},
    )


def list_approvals(connection: Connection, name: str, version: int) -> list[Approval]:
    """Return the approvals of a version, in the order in which they were given."""
    a = t.approvals.c
    query = select(a.user, a.host, a.time, a.comment).where(a.model_id == find_model_id(connection, name))
    rows = connection.execute(query.where(a.version == version).order_by(a.time, a.user))
    return [Approval(user, host, to_datetime(time), comment) for user, host, time, comment in rows]  # type: ignore[arg-type]


def list_figures(connection: Connection, name: str, version: int) -> list[Figure]:
    """Return what was measured of a version after it was registered, by name."""
    f = t.model_version_figures.c
    query = select(f.name, f["values"], f.data, f.time, f.actor, f.host)
    query = query.where(f.model_id == find_model_id(connection, name), f.version == version)
    rows = connection.execute(query.order_by(f.name, f.time, f.data))
    return [Figure(n, tuple(v), data, to_datetime(time), actor, host) for n, v, data, time, actor, host in rows]  # type: ignore[arg-type]
