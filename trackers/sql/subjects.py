"""What the policies may ask of a version, read by a constant number of statements."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, select

from trackers.comparison import Side
from trackers.errors import NotFoundError
from trackers.policy import Subject
from trackers.sql import tables as t
from trackers.sql.launches import last_launch, read_launch
from trackers.sql.logged_models import find_model
from trackers.sql.metrics import read_summaries
from trackers.sql.registry import find_model_id, list_versions, read_run_code
from trackers.sql.registry_history import list_lines
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

    def find_former(self, alias: str) -> int | None:
        """Return the version at which *alias* pointed last, of those that are still registered; None without one."""
        v = t.model_versions.c
        query = select(v.version).where(v.model_id == find_model_id(self._connection, self._name))
        there = set(self._connection.execute(query).scalars())
        lines = list_lines(self._connection, self._name, alias)
        passed = (number for line in reversed(lines) for number in (line.new_version, line.old_version))
        return next((number for number in passed if number in there), None)


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
        parent=_parent(connection, run.parent_id) if run else None,
        launch=_launch(connection, run.id) if run else {},
        goals=_goals(connection, run.experiment_id) if run else {},
    )


def _parent(connection: Connection, parent_id: int | None) -> str | None:
    r = t.runs.c
    found: str | None = connection.execute(select(r.uid).where(r.id == parent_id)).scalar() if parent_id else None
    return found


def _launch(connection: Connection, run_id: int) -> dict[str, Any]:
    """Return what a search knows of how the newest attempt of a run was launched."""
    n, c, e = t.launches.c, t.code_versions.c, t.environments.c
    query = select(c.commit, c.dirty, n.branch, n.remote, n.entry_point, e.python).select_from(t.launches)
    query = query.outerjoin(t.code_versions, c.id == n.code_id).outerjoin(t.environments, e.id == n.environment_id)
    row = connection.execute(query.where(n.id == last_launch(connection, run_id))).first()
    return {} if row is None else row._asdict()


def _goals(connection: Connection, experiment_id: int) -> dict[str, str]:
    """Return the direction of each objective of a study, nothing of an experiment that is none."""
    s = t.studies.c
    row = connection.execute(select(s.metric_names, s.directions).where(s.id == experiment_id)).first()
    return {} if row is None else dict(zip(*row, strict=True))


def read_side(connection: Connection, name: str, number: int) -> Side:
    """Return what a comparison shows of a version; raises NotFoundError."""
    subject = read_subject(connection, name, number)
    model = find_model(connection, subject.version.model_uid)
    if model is None:
        raise NotFoundError(f"The model of {name} version {number} is not in the store any more.")
    launch = read_launch(connection, last_launch(connection, subject.run.id)) if subject.run else None
    return Side(subject, model.manifest, launch)


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
