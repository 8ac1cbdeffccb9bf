"""Studies: made, found, listed, deleted."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, update

from trackers.clock import now_us
from trackers.errors import AlreadyExistsError, InvalidValueError, NotFoundError, StudyBusyError
from trackers.names import clean_metric, clean_name, clean_title
from trackers.sql import launches
from trackers.sql import tables as t
from trackers.sql.failures import is_integrity
from trackers.sql.ids import new_uid
from trackers.states import RunState
from trackers.values import Launch, Owner, StudyRow, to_datetime
from trackers.wording import did_you_mean

_DIRECTIONS = ("minimize", "maximize")


def check_study(
    name: str,
    directions: Sequence[str],
    metric_names: Sequence[str],
    seed: int,
    total: int | None,
    mode: str = "managed",
) -> str:
    """Check what a study is made of and return its clean name; raises InvalidValueError."""
    if mode not in {"managed", "shared"}:
        raise InvalidValueError(f"a study is 'managed' or 'shared', not {mode!r}")
    if name or mode == "managed":
        name = clean_title(name, "study")  # Optuna's own storages take the empty name, so a shared study may have it
    if not directions or any(direction not in _DIRECTIONS for direction in directions):
        raise InvalidValueError(f"directions are 'minimize' or 'maximize', one per objective, not {list(directions)!r}")
    if len(metric_names) != len(directions) or len(set(metric_names)) != len(metric_names):
        raise InvalidValueError(
            f"{len(directions)} objectives need as many different metric names, not {list(metric_names)!r}"
        )
    for metric in metric_names:
        clean_metric(metric)
    if not -(2**63) <= seed < 2**63:
        raise InvalidValueError(f"a seed has 64 bits: {seed} is out of range")
    if total is not None and total < 1:
        raise InvalidValueError(f"total_trials must be 1 or more, not {total}")
    return name


def create_study(
    connection: Connection,
    study_id: int,
    name: str,
    *,
    directions: Sequence[str],
    metric_names: Sequence[str],
    space: Mapping[str, Any] | None,
    settings: Mapping[str, Any] | None,
    seed: int,
    total_trials: int | None,
    description: str,
    tags: Mapping[str, str] | None,
    user_attrs: Mapping[str, Any] | None,
    code: Mapping[str, Any] | None = None,
    mode: str = "managed",
) -> None:
    """Write a new study; raises AlreadyExistsError when a living experiment or study has the name.

    Long, since a study has many columns, each named where it is given and where it is written.
    """
    taken = connection.execute(select(t.experiments.c.kind).where(t.experiments.c.live_name == name)).scalar()
    if taken is not None:
        instead = "load it, or choose another name" if taken == "study" else "choose another name"
        raise AlreadyExistsError(f"there is {_article(taken)} named {name!r} already: {instead}")
    values = {"id": study_id, "uid": new_uid(), "name": name, "live_name": name, "kind": "study"}
    try:
        connection.execute(insert(t.experiments).values(**values, description=description, created_at=now_us()))
    except Exception as exc:
        if is_integrity(exc):  # made by another process since it was looked up
            raise AlreadyExistsError(
                f"there is a study named {name!r} already: load it, or choose another name"
            ) from exc
        raise
    connection.execute(
        insert(t.studies).values(
            id=study_id,
            mode=mode,
            directions=list(directions),
            metric_names=list(metric_names),
            seed=seed,
            total_trials=total_trials,
            status="new",
            reason="",
            last_seq=0,
            epoch=0,
            renewals=0,
        )
    )
    documents = [
        {"study_id": study_id, "name": key, "content": content}
        for key, content in (("space", space), ("settings", settings), ("code", code))
        if content is not None
    ]
    if documents:
        connection.execute(insert(t.study_documents), documents)
    if tags:
        rows = [{"experiment_id": study_id, "name": clean_name(k, "tag"), "value": str(v)} for k, v in tags.items()]
        connection.execute(insert(t.experiment_tags), rows)
    if user_attrs:
        set_attrs(connection, study_id, "user", user_attrs)


def set_attrs(connection: Connection, study_id: int, scope: str, attrs: Mapping[str, Any]) -> None:
    """Write attributes of a study over those of the same names."""
    c = t.study_attrs.c
    names = [clean_name(name, "attribute") for name in attrs]
    connection.execute(delete(t.study_attrs).where(c.study_id == study_id, c.scope == scope, c.name.in_(names)))
    rows = [
        {"study_id": study_id, "scope": scope, "name": name, "value": value}
        for name, value in zip(names, attrs.values(), strict=True)
    ]
    if rows:
        connection.execute(insert(t.study_attrs), rows)


def _article(kind: str) -> str:
    return "a study" if kind == "study" else "an experiment"


def find_study(connection: Connection, ref: str | int) -> int:
    """Return the id of the living study *ref*, a name or an id.

    Raises NotFoundError with the close matches, or that it is an experiment.
    """
    e = t.experiments.c
    query = select(e.id).join(t.studies).where(e.deleted_at.is_(None))
    if isinstance(ref, int):
        found = connection.execute(query.where(e.id == ref)).scalar()
    else:
        found = connection.execute(query.where(e.live_name == ref)).scalar()
    if found is not None:
        return int(found)
    if isinstance(ref, str):
        refuse_deleted(connection, "study", ref)
        if connection.execute(select(e.id).where(e.live_name == ref)).scalar() is not None:
            listed = f"`trackers runs {shlex.quote(ref)}` lists"
            raise NotFoundError(f"{ref!r} is an experiment and no study: its runs go by their uids, which {listed}")
    names = connection.execute(select(e.name).join(t.studies).where(e.deleted_at.is_(None))).scalars().all()
    raise NotFoundError(f"there is no study {ref!r} in this store{did_you_mean(str(ref), names)}")


def refuse_deleted(connection: Connection, kind: str, name: str) -> None:
    """Raise NotFoundError where *name* is that of an experiment or study with runs which was deleted and can be restored."""
    e, r = t.experiments.c, t.runs.c
    query = select(e.id).where(e.name == name, e.deleted_at.is_not(None))
    query = query.where(select(r.id).where(r.experiment_id == e.id).exists())  # else: refused before it began
    query = query.where(e.kind == "study") if kind == "study" else query
    if connection.execute(query.limit(1)).scalar() is not None:
        raise NotFoundError(
            f"there is no {kind} {name!r} in this store: it was deleted, and `trackers restore {shlex.quote(name)}` "
            "brings it back"
        )


def read_studies(
    connection: Connection, study_id: int | None = None, where: Sequence[ColumnElement[bool]] | None = None
) -> list[StudyRow]:
    """Read one study, or every one that satisfies *where* (None: that was not deleted), newest first.

    It takes a constant number of statements. Where all are read, *code* and *environment* are left away: they may be
    long.
    """
    e, s = t.experiments.c, t.studies.c
    columns = (e.uid, e.name, e.description, e.created_at, e.archived_at, e.deleted_at)
    query = select(t.studies, *columns).join(t.experiments, e.id == s.id)
    query = query.where(*([e.deleted_at.is_(None)] if where is None else where)).order_by(
        e.created_at.desc(), e.id.desc()
    )
    if study_id is not None:
        query = query.where(s.id == study_id)
    rows = connection.execute(query).all()

    def gather(table: Any, column: Any, *names: str, where: Any = None) -> dict[int, list[Any]]:
        query = select(column, *(table.c[name] for name in names))
        if study_id is not None:
            query = query.where(column == study_id)
        if where is not None:
            query = query.where(where)
        found: dict[int, list[Any]] = {}
        for key, *values in connection.execute(query):
            found.setdefault(key, []).append(values)
        return found

    light = None if study_id is not None else t.study_documents.c.name != "code"
    documents = gather(t.study_documents, t.study_documents.c.study_id, "name", "content", where=light)
    attrs = gather(t.study_attrs, t.study_attrs.c.study_id, "scope", "name", "value")
    distributions = gather(t.distributions, t.distributions.c.study_id, "name", "spec")
    tags = gather(t.experiment_tags, t.experiment_tags.c.experiment_id, "name", "value")
    counts = count_runs(connection, study_id)
    launch = launches.read_launch(connection, rows[0].launch_id) if study_id is not None and rows else None
    return [
        _study_row(
            row,
            dict(documents.get(row.id, ())),
            attrs.get(row.id, []),
            dict(distributions.get(row.id, ())),
            dict(tags.get(row.id, ())),
            counts.get(row.id, {}),
            launch,
        )
        for row in rows
    ]


def count_runs(connection: Connection, study_id: int | None = None) -> dict[int, dict[RunState, int]]:
    """Return the number of trials in each state, by study."""
    c = t.runs.c
    query = select(c.experiment_id, c.state, func.count()).where(c.number.is_not(None))
    if study_id is not None:
        query = query.where(c.experiment_id == study_id)
    counts: dict[int, dict[RunState, int]] = {}
    for key, state, count in connection.execute(query.group_by(c.experiment_id, c.state)):
        counts.setdefault(key, {})[RunState(state)] = count
    return counts


def _study_row(
    row: Any,
    documents: dict[str, Any],
    attrs: list[Any],
    distributions: dict[str, Any],
    tags: dict[str, str],
    counts: dict[RunState, int],
    launch: Launch | None,
) -> StudyRow:
    created_at = to_datetime(row.created_at)
    assert created_at is not None  # the column is never NULL
    return StudyRow(
        id=row.id,
        uid=row.uid,
        name=row.name,
        directions=tuple(row.directions),
        metric_names=tuple(row.metric_names),
        created_at=created_at,
        mode=row.mode,
        space=documents.get("space"),
        settings=documents.get("settings") or {},
        distributions=distributions,
        seed=row.seed,
        total_trials=row.total_trials,
        epoch=row.epoch,
        renewals=row.renewals,
        last_seq=row.last_seq,
        owner=owner_of(row, documents.get("workers")),
        status=row.status,
        reason=row.reason,
        started_at=to_datetime(row.started_at),
        ended_at=to_datetime(row.ended_at),
        description=row.description,
        tags=tags,
        user_attrs={name: value for scope, name, value in attrs if scope == "user"},
        system_attrs={name: value for scope, name, value in attrs if scope == "system"},
        counts=counts,
        code=_code(documents.get("code"), launch),
        environment=None if launch is None else launch.environment,
        launch=row.launch_id,
        archived=row.archived_at is not None,
        deleted_at=to_datetime(row.deleted_at),
    )


def _code(objective: Mapping[str, Any] | None, launch: Launch | None) -> Mapping[str, Any] | None:
    """Return what is known of the objective, and of the code around it."""
    if launch is None:
        return objective
    call: dict[str, Any] = {"branch": launch.branch, "remote": launch.remote, "entry_point": launch.entry_point}
    call["arguments"] = list(launch.arguments)
    version = launch.code
    known = {} if version is None else {**version.content, "version": version.version, "state": version.digest}
    return {**known, **call, **(objective or {})}


def owner_of(row: Any, workers: Any = None) -> Owner | None:
    """Return the owner recorded in a row of ``studies``."""
    if row.owner_host is None:
        return None
    return Owner(
        user=row.owner_user or "",
        host=row.owner_host,
        pid=row.owner_pid,
        started=row.owner_started,
        since=to_datetime(row.owner_since),
        workers=tuple((str(host), int(pid)) for host, pid in workers or ()),
    )


def delete_study(connection: Connection, study_id: int, epoch: int) -> None:
    """Mark a study as deleted and free its name; its rows go when the grace period is over.

    *epoch* is what was judged to be without a living manager: raises StudyBusyError when that is no longer so.
    """
    s = t.studies.c
    done = connection.execute(update(t.studies).where(s.id == study_id, s.epoch == epoch).values(epoch=epoch + 1))
    if done.rowcount != 1:
        raise StudyBusyError("the study was started while it was being deleted: stop it first")
    e = t.experiments.c
    connection.execute(update(t.experiments).where(e.id == study_id).values(deleted_at=now_us(), live_name=None))
