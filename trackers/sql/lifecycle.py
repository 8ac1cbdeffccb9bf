"""Renamed, archived, deleted in two steps, restored: what becomes of runs and experiments besides their states.

Deleting marks a row with the time; whoever cleans up removes it when its grace is over. What goes with it (the children
of a run) has the same time, and comes back with it.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, func, not_, or_, select, update

from trackers.clock import now_us
from trackers.errors import AlreadyExistsError, InvalidValueError, NotFoundError, StateError
from trackers.sql import tables as t
from trackers.sql.garbage import removed_name
from trackers.sql.sources import Condition
from trackers.values import to_datetime
from trackers.wording import counted, did_you_mean

GRACE_DAYS = 30.0
"""How long what was deleted can be restored, unless somebody says otherwise."""

_CHUNK = 500
_SHOWN = 5
VIEWS = ("active", "archived", "deleted", "all")


@dataclass(frozen=True, slots=True)
class Expired:
    """What was deleted and is past its grace: *kind* is ``"run"`` or ``"experiment"``."""

    kind: str
    id: int
    uid: str
    name: str
    deleted_at: datetime


def check_view(view: str) -> str:
    """Return *view*; raises InvalidValueError unless it is one."""
    if view not in VIEWS:
        raise InvalidValueError(f"a view is one of {', '.join(VIEWS)}, not {view!r}")
    return view


def living(connection: Connection, experiments: Sequence[int]) -> list[int]:
    """Return those of *experiments* that are neither archived nor deleted."""
    e = t.experiments.c
    query = select(e.id).where(e.id.in_(experiments), e.deleted_at.is_(None), e.archived_at.is_(None))
    return list(connection.execute(query).scalars())


def hidden(view: str, run: ColumnElement[int]) -> Condition:
    """Tell that *run* is what a *view* of the archived or the deleted shows; an experiment's mark is its runs' too."""
    other, e = t.runs.alias(), t.experiments.c

    def marked(own: ColumnElement[Any], of_experiment: ColumnElement[Any]) -> Condition:
        return or_(own.is_not(None), other.c.experiment_id.in_(select(e.id).where(of_experiment.is_not(None))))

    deleted, archived = marked(other.c.deleted_at, e.deleted_at), marked(other.c.archived_at, e.archived_at)
    return run.in_(select(other.c.id).where(deleted if view == "deleted" else and_(archived, not_(deleted))))


def experiments_in_view(view: str) -> list[Condition]:
    """Return the conditions on ``experiments`` that *view* stands for."""
    e = t.experiments.c
    if view == "active":
        return [e.deleted_at.is_(None), e.archived_at.is_(None)]
    if view == "archived":
        return [e.deleted_at.is_(None), e.archived_at.is_not(None)]
    return [e.deleted_at.is_not(None)] if view == "deleted" else []


# --- runs -------------------------------------------------------------------------------------------------------


def rename_run(connection: Connection, run_id: int, name: str) -> None:
    """Give a run another name, which need not be unique."""
    _changed(connection, update(t.runs).where(t.runs.c.id == run_id).values(name=name), f"run {run_id}")


def archive_run(connection: Connection, run_id: int, archived: bool) -> None:
    """Hide a run from what is listed by default, or show it again; a second call changes nothing."""
    c = t.runs.c
    value = func.coalesce(c.archived_at, now_us()) if archived else None
    _changed(connection, update(t.runs).where(c.id == run_id).values(archived_at=value), f"run {run_id}")


def _mark_family(connection: Connection, run_id: int, where: Condition, deleted_at: int | None) -> int:
    """Set the mark of a run and of all that are below it, where they satisfy *where*; return how many that were."""
    c = t.runs.c
    family = select(c.id).where(c.id == run_id).cte("family", recursive=True)
    family = family.union_all(select(c.id).join(family, c.parent_id == family.c.id))
    ids = connection.execute(select(c.id).join(family, family.c.id == c.id).where(where)).scalars().all()
    for start in range(0, len(ids), _CHUNK):
        part = c.id.in_(ids[start : start + _CHUNK])
        connection.execute(update(t.runs).where(part).values(deleted_at=deleted_at))
    return len(ids)


def delete_run(connection: Connection, run_id: int) -> int:
    """Mark a run and its children as deleted and return how many that were; 0: they were before.

    Raises StateError for a trial: numbers stay dense, so it is archived, and goes with its study.
    """
    c = t.runs.c
    row = connection.execute(select(c.number, c.uid).where(c.id == run_id)).one()
    if row.number is not None:
        raise StateError(f"run {row.uid} is a trial: archive it, or delete its study")
    return _mark_family(connection, run_id, and_(c.deleted_at.is_(None), c.number.is_(None)), now_us())


def restore_run(connection: Connection, run_id: int) -> int:
    """Take back the deletion of a run and of the children that went with it; return how many came back.

    Raises StateError where it was not deleted, or its experiment or parent still is.
    """
    c, e = t.runs.c, t.experiments.c
    row = connection.execute(
        select(c.uid, c.deleted_at, c.parent_id, e.name, e.deleted_at.label("with"), c.archived_at)
        .join(t.experiments, e.id == c.experiment_id)
        .where(c.id == run_id)
    ).one()
    if row[4] is not None:
        raise StateError(f"run {row.uid} went with its experiment {row.name!r}: restore that first")
    if row.deleted_at is None:
        raise StateError(f"run {row.uid} was not deleted{_but_archived(row.archived_at, row.uid[:16])}")
    parent = connection.execute(select(c.uid).where(c.id == row.parent_id, c.deleted_at.is_not(None))).scalar()
    if parent is not None:
        raise StateError(f"run {row.uid} belongs to run {parent}, which was deleted too: restore that one")
    return _mark_family(connection, run_id, c.deleted_at == row.deleted_at, None)


def _but_archived(archived_at: int | None, name: str) -> str:
    return "" if archived_at is None else f", but archived: `trackers archive {name} --undo` shows it again"


# --- experiments ------------------------------------------------------------------------------------------------


def find_any_experiment(connection: Connection, ref: str | int) -> int:
    """Return the id of an experiment or study, deleted or not; of several deleted of one name the newest."""
    e = t.experiments.c
    where = e.id == ref if isinstance(ref, int) else or_(e.live_name == ref, e.name == ref, e.uid == ref)
    query = select(e.id).where(where).order_by(e.deleted_at.is_(None), e.deleted_at.desc(), e.id.desc())
    found = connection.execute(query).scalars().first()
    if found is None:
        if isinstance(ref, str):
            _refuse_removed(connection, ref)
        raise NotFoundError(f"there is no experiment {ref!r} in this store{_what_there_is(connection, str(ref))}")
    return int(found)


def _what_there_is(connection: Connection, ref: str) -> str:
    """Return the end of a sentence that names what was deleted, or what is close to *ref* though it was not."""
    e = t.experiments.c
    rows = connection.execute(select(e.name, e.deleted_at)).all()
    deleted = {row.name for row in rows if row.deleted_at is not None}
    close = did_you_mean(ref, sorted({row.name for row in rows}))
    if not deleted or close.startswith("; did you mean"):
        return close if deleted else ": nothing was deleted"
    listed = ", ".join(sorted(deleted)[:_SHOWN]) + (", ..." if len(deleted) > _SHOWN else "")
    return f": deleted are {listed}"


def _refuse_removed(connection: Connection, name: str) -> None:
    """Raise StateError where *name* was a study of which only what versions need is left."""
    e, r = t.experiments.c, t.runs.c
    kept = removed_name(name)
    query = select(e.id).where(e.name == kept, e.kind == "experiment").order_by(e.id.desc())
    found = connection.execute(query).scalars().first()
    if found is None:
        return
    uids = list(connection.execute(select(r.uid).where(r.experiment_id == found).order_by(r.id)).scalars())
    listed = ", ".join(uids[:_SHOWN]) + (", ..." if len(uids) > _SHOWN else "")
    raise StateError(
        f"the study {name!r} was removed when its grace was over, and cannot be restored: what versions or pins need is "
        f"left, {counted(len(uids), 'run')} of it, by uid: {listed}. `trackers restore {shlex.quote(kept)}` shows them again"
    )


def rename_experiment(connection: Connection, experiment_id: int, name: str) -> None:
    """Give an experiment or study another name; raises AlreadyExistsError where that is taken."""
    e = t.experiments.c
    _check_free(connection, experiment_id, name, "choose another name")
    renamed = update(t.experiments).where(e.id == experiment_id, e.deleted_at.is_(None))
    _changed(connection, renamed.values(name=name, live_name=name), f"experiment {experiment_id}")


def _check_free(connection: Connection, experiment_id: int, name: str, hint: str) -> None:
    e = t.experiments.c
    taken = connection.execute(select(e.kind).where(e.live_name == name, e.id != experiment_id)).scalar()
    if taken is not None:
        raise AlreadyExistsError(f"there is another {taken} named {name!r}: {hint}")


def archive_experiment(connection: Connection, experiment_id: int, archived: bool) -> None:
    """Hide an experiment and its runs from what is listed by default, or show them again."""
    e = t.experiments.c
    value = func.coalesce(e.archived_at, now_us()) if archived else None
    change = update(t.experiments).where(e.id == experiment_id, e.deleted_at.is_(None)).values(archived_at=value)
    _changed(connection, change, f"experiment {experiment_id}")


def delete_experiment(connection: Connection, experiment_id: int) -> None:
    """Mark an experiment as deleted, with its runs, and free its name."""
    e = t.experiments.c
    change = update(t.experiments).where(e.id == experiment_id, e.deleted_at.is_(None))
    _changed(connection, change.values(deleted_at=now_us(), live_name=None), f"experiment {experiment_id}")


def restore_experiment(connection: Connection, experiment_id: int, name: str | None) -> None:
    """Take back the deletion of an experiment or study, under its old name or *name*.

    Raises AlreadyExistsError where the name is taken by now, and StateError where it was not deleted.
    """
    e = t.experiments.c
    query = select(e.name, e.kind, e.deleted_at, e.archived_at).where(e.id == experiment_id)
    row = connection.execute(query).one()
    if row.deleted_at is None:
        hidden = _but_archived(row.archived_at, shlex.quote(row.name))
        raise StateError(f"the {row.kind} {row.name!r} was not deleted{hidden}")
    name = row.name if name is None else name
    _check_free(connection, experiment_id, name, "restore this one under another name (--as NAME)")
    change = update(t.experiments).where(e.id == experiment_id, e.deleted_at.is_not(None))
    connection.execute(change.values(deleted_at=None, name=name, live_name=name))


# --- what may go for good ---------------------------------------------------------------------------------------


def list_expired(connection: Connection, grace_days: float) -> list[Expired]:
    """Return what was deleted more than *grace_days* ago, experiments first; a run that goes with one is not named."""
    if not grace_days >= 0:
        raise InvalidValueError(f"a grace period is a number of days from 0 up, not {grace_days!r}")
    before = now_us() - int(grace_days * 86_400e6)
    r, e = t.runs.c, t.experiments.c
    gone = select(e.id, e.uid, e.name, e.deleted_at).where(e.deleted_at <= before).order_by(e.deleted_at, e.id)
    with_it = r.experiment_id.in_(select(e.id).where(e.deleted_at <= before))
    runs = select(r.id, r.uid, r.name, r.deleted_at).where(and_(r.deleted_at <= before, ~with_it))
    found = []
    for kind, query in (("experiment", gone), ("run", runs.order_by(r.deleted_at, r.id))):
        for row in connection.execute(query):
            moment = to_datetime(row.deleted_at)
            assert moment is not None  # the query asked for it
            found.append(Expired(kind, row.id, row.uid, row.name, moment))
    return found


def _changed(connection: Connection, statement: object, what: str) -> None:
    if connection.execute(statement).rowcount != 1:  # type: ignore[call-overload]  # an update
        raise NotFoundError(f"there is no {what} in this store, or it was deleted")
