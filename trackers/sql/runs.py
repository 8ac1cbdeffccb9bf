"""Runs: started, resumed, found, read by the page."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, Text, and_, func, insert, or_, select, type_coerce, update

from trackers.clock import now_us
from trackers.errors import InvalidValueError, NotFoundError, StateError
from trackers.processes import lived_at
from trackers.sql import launches, statements
from trackers.sql import tables as t
from trackers.sql.batch import Batch
from trackers.sql.columns import check_param, join_param, param_columns
from trackers.sql.experiments import check_experiment, make_experiment
from trackers.sql.fold import next_positions
from trackers.sql.ids import take_block
from trackers.sql.run_names import path_of
from trackers.sql.studies import find_study
from trackers.states import RunState
from trackers.values import ParamValue, RunError

_UID = re.compile(r"[0-9a-f]{32}")
_BEGINNING = re.compile("[0-9a-f]{8,31}")
_LISTED = re.compile("[0-9a-f]{8,32}")
"""A run behind the name of its experiment: whole, or its beginning."""
_CHUNK = 500
_RAW = type_coerce(t.params.c.text, Text)
"""Text as it is stored: ``join_param`` turns it back."""
_PARAMS = statements.insert(t.params, conflict="ON CONFLICT (run_id, name) DO NOTHING")
_PARAMS_OF = "SELECT name, kind, number, number_kind, text FROM trackers_params WHERE run_id = ?"
_GONE = (
    "SELECT r.uid FROM trackers_runs r JOIN trackers_experiments e ON e.id = r.experiment_id "
    "WHERE r.id {} AND (r.deleted_at IS NOT NULL OR e.deleted_at IS NOT NULL)"
)


@dataclass(frozen=True, slots=True)
class Start:
    """A run that is about to exist; names are clean. *experiment* None: that of the parent.

    *run_id* is negative where it is allotted when the run is written; *parent* is the parent's uid, where its id is
    not known. *launch* is the id of what ``launches.keep`` kept; *captured* holds the fields of a ``NewLaunch`` that is
    to be kept with the run, where that could not be done before.
    """

    run_id: int
    uid: str
    experiment: str | None
    name: str
    params: Mapping[str, ParamValue]
    tags: Mapping[str, str]
    parent_id: int | None
    user: str
    host: str
    pid: int
    time: int
    parent: str | None = None
    launch: int | None = None
    captured: Mapping[str, Any] | None = None

    def fields(self) -> dict[str, Any]:
        """Return what an entry of a journal holds of it; nothing is copied, as ``dataclasses.asdict`` does at length."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Resume:
    """A run that goes on in another process while the store is away, since *time* (microseconds).

    What is logged meanwhile has ``-time`` as its attempt: which number that is is known once it is written. *after* is
    when the attempt began that it goes on from, which has to be there before it.
    """

    host: str
    pid: int
    time: int
    captured: Mapping[str, Any] | None = None
    after: int | None = None

    def fields(self) -> dict[str, Any]:
        """Return what an entry of a journal holds of it."""
        return {name: getattr(self, name) for name in self.__slots__}


def resume_later(connection: Connection, run_id: int, resume: Resume) -> int:
    """Write an attempt that began while the store was away, unless it is there already; return its number.

    Raises StateError where that which it goes on from is not there.
    """
    found = _attempt_since(connection, run_id, resume.time)
    if found is not None and found.number > 0 and (found.host, found.pid) == (resume.host, resume.pid):
        return int(found.number)
    if resume.after is not None and _attempt_since(connection, run_id, resume.after) is None:
        raise StateError(
            f"run {path_of(connection, run_id)} goes on here with what another journal has of it, which comes first: bring "
            "that, and `trackers sync` again"
        )
    launch = None
    if resume.captured is not None:
        launch = launches.keep(connection, launches.NewLaunch(**resume.captured))
    return resume_run(connection, run_id, resume.host, resume.pid, launch, resume.time)


def find_attempt(connection: Connection, run_id: int, time: int) -> int:
    """Return the number of the attempt of a run that began at *time* while the store was away.

    Raises StateError where it is not there: it was refused.
    """
    found = _attempt_since(connection, run_id, time)
    if found is None or found.number == 0:
        raise StateError(f"run {path_of(connection, run_id)} did not go on there: that it was resumed was refused")
    return int(found.number)


def _attempt_since(connection: Connection, run_id: int, time: int) -> Any:
    """Return number, host and process of the last attempt of a run that began at *time*, None without one."""
    a = t.attempts.c
    query = select(a.number, a.host, a.pid).where(a.run_id == run_id, a.started_at == time)
    return connection.execute(query.order_by(a.number.desc())).first()


def start_later(connection: Connection, start: Start) -> int:
    """Write a run that started while the store was away, unless it is there already; return its id."""
    found = connection.execute(select(t.runs.c.id).where(t.runs.c.uid == start.uid)).scalar()
    if found is not None:
        return int(found)
    if start.experiment is not None:
        check_experiment(start.experiment)  # a journal is a file: anybody may have written it
    run_id = start.run_id if start.run_id >= 0 else take_block(connection, "ids", 1)[0]
    parent_id = start.parent_id if start.parent is None else find_run(connection, start.parent)
    launch = start.launch
    if launch is None and start.captured is not None:
        launch = launches.keep(connection, launches.NewLaunch(**start.captured))
    insert_run(connection, replace(start, run_id=run_id, parent_id=parent_id, launch=launch))
    return run_id


def insert_run(connection: Connection, start: Start) -> None:
    """Write a run, with its experiment where that is new; raises NotFoundError for the parent."""
    now = start.time
    parent = None
    if start.parent_id is not None:
        c = t.runs.c
        parent = connection.execute(
            select(c.experiment_id).where(c.id == start.parent_id, c.deleted_at.is_(None))
        ).scalar()
        if parent is None:
            raise _no_parent(connection, start.parent_id)
    if start.experiment is None and parent is not None:
        experiment_id = parent
    else:
        experiment_id, _ = make_experiment(connection, start.experiment or "default")
    connection.execute(
        insert(t.runs).values(
            id=start.run_id,
            uid=start.uid,
            experiment_id=experiment_id,
            parent_id=start.parent_id,
            name=start.name,
            state=int(RunState.RUNNING),
            user=start.user,
            host=start.host,
            created_at=now,
            started_at=now,
        )
    )
    _insert_attempt(connection, start.run_id, 0, now, start.host, start.pid, start.launch)
    if start.params:
        positions = next_positions(len(start.params))
        rows = [
            (start.run_id, name, place, *param_columns(value))
            for place, (name, value) in zip(positions, start.params.items(), strict=True)
        ]
        _PARAMS.run(connection.dialect.name, connection.connection.cursor(), rows)
    if start.tags:
        tags = [{"run_id": start.run_id, "name": name, "value": value} for name, value in start.tags.items()]
        connection.execute(insert(t.tags), tags)


def _no_parent(connection: Connection, run_id: int) -> NotFoundError:
    uid = connection.execute(select(t.runs.c.uid).where(t.runs.c.id == run_id)).scalar()
    if uid is None:
        return NotFoundError(f"there is no run {run_id} to be the parent in this store: it was removed")
    return NotFoundError(f"run {uid} was deleted and is nobody's parent; `trackers restore {uid}` brings it back")


def _insert_attempt(
    connection: Connection, run_id: int, number: int, now: int, host: str, pid: int, launch: int | None
) -> None:
    connection.execute(
        insert(t.attempts).values(
            run_id=run_id,
            number=number,
            worker="",
            host=host,
            pid=pid,
            started_at=now,
            reason="",
            counts=True,
            cpus=1.0,
            gpus=0.0,
            launch_id=launch,
        )
    )


def resume_run(
    connection: Connection, run_id: int, host: str, pid: int, launch: int | None = None, time: int | None = None
) -> int:
    """Start another attempt of a run that never ended, now or at *time* (microseconds), and return its number.

    Raises StateError for a run that has ended or whose process lives on this *host*, and for a trial, which only its
    study's manager starts again.
    """
    a, r = t.attempts.c, t.runs.c
    check_living(connection, [run_id])
    row = connection.execute(select(r.state, r.number).where(r.id == run_id)).one()
    if row.number is not None:
        raise StateError(f"run {path_of(connection, run_id)} is a trial: hpo resume STUDY starts it again")
    guarded = update(t.runs).where(r.id == run_id, r.state.in_((int(RunState.RUNNING), int(RunState.WAITING))))
    now = now_us() if time is None else time
    if connection.execute(guarded.values(state=int(RunState.RUNNING))).rowcount != 1:
        named = path_of(connection, run_id)
        raise StateError(f"run {named} has ended ({RunState(row.state).name}): start a new one, with it as the parent")
    connection.execute(update(t.runs).where(r.id == run_id, r.started_at.is_(None)).values(started_at=now))
    going = select(a.pid, a.started_at).where(a.run_id == run_id, a.ended_at.is_(None), a.host == host, a.pid != pid)
    for other, started in connection.execute(going.where(a.started_at.is_not(None))):
        if lived_at(other, started / 1e6):
            named = path_of(connection, run_id)
            raise StateError(f"run {named} is not over: process {other} on {host} still logs to it; end that one first")
    lost = update(t.attempts).where(a.run_id == run_id, a.ended_at.is_(None))
    connection.execute(lost.values(ended_at=now, outcome="lost", reason="the run was resumed"))
    last = connection.execute(select(func.max(a.number)).where(a.run_id == run_id)).scalar()
    number = 0 if last is None else last + 1
    _insert_attempt(connection, run_id, number, now, host, pid, launch)
    return number


def write_params(
    batch: Batch, params: Mapping[tuple[int, str], tuple[Sequence[Any], Any]], new: Collection[int]
) -> None:
    """Write params once, as a ``Fold`` has them: the same value again changes nothing. *new* are the runs of this group.

    Raises InvalidValueError, which names both values, where another one is there already.
    """
    old = {run_id for run_id, _ in params if run_id not in new}

    def compare(written: int) -> None:
        if old and (written != len(params) or batch.dialect == "mysql"):  # there it counts those that were there, too
            for run_id in old:
                for name, *columns in batch.fetch(_PARAMS_OF, (run_id,)):
                    if (run_id, name) in params:
                        check_param(name, join_param(*columns), params[run_id, name][1])

    batch.run(_PARAMS, [row for row, _ in params.values()], compare)


def read_params(connection: Connection, run_id: int, names: Iterable[str] | None = None) -> dict[str, ParamValue]:
    """Read the params of one run (all, or those in *names*), in the order in which they became known."""
    c = t.params.c
    query = select(c.name, c.kind, c.number, c.number_kind, _RAW).where(c.run_id == run_id).order_by(c.position)
    wanted = None if names is None else set(names)
    found = connection.execute(query).all()
    return {name: join_param(*columns) for name, *columns in found if wanted is None or name in wanted}


def check_living(connection: Connection, run_ids: Collection[int]) -> None:
    """Raise StateError where one of these runs was deleted, alone or with its experiment."""
    r, e = t.runs.c, t.experiments.c
    gone = or_(r.deleted_at.is_not(None), e.deleted_at.is_not(None))
    query = select(r.uid).join(t.experiments, e.id == r.experiment_id).where(gone)
    listed = sorted(run_ids)
    for start in range(0, len(listed), _CHUNK):
        found = connection.execute(query.where(r.id.in_(listed[start : start + _CHUNK])).limit(1)).scalar()
        if found is not None:
            raise _deleted(found)


def ask_living(batch: Batch, run_ids: Collection[int]) -> None:
    """Ask the same within a batch; nothing where there are no *run_ids*."""

    def look(rows: Sequence[Any]) -> None:
        if rows:
            raise _deleted(rows[0][0])

    listed = sorted(run_ids)
    if listed and batch.dialect == "postgresql":  # one text, however many they are: it is planned once
        batch.ask(_GONE.format("= ANY(?)"), (listed,), look)
        return
    for start in range(0, len(listed), _CHUNK):
        part = listed[start : start + _CHUNK]
        batch.ask(_GONE.format(f"IN ({', '.join('?' * len(part))})"), part, look)


def _deleted(uid: str) -> StateError:
    return StateError(f"run {uid} was deleted: nothing is logged to it; `trackers restore {uid}` brings it back")


# --- reading ----------------------------------------------------------------------------------------------------


def find_run(connection: Connection, ref: int | str) -> int:
    """Return the id of the run *ref*: its id, its 32 hex digits or at least 8 of their beginning, or ``STUDY/17``.

    The digits may follow the name of the run's experiment, as listings write them.

    Raises NotFoundError, and InvalidValueError for what is none of them, or names several.
    """
    c = t.runs.c
    if isinstance(ref, bool) or not isinstance(ref, int | str):
        raise InvalidValueError(f"a run is named by its id or STUDY/NUMBER, not by {type(ref).__name__}")
    if isinstance(ref, int):
        found = connection.execute(select(c.id).where(c.id == ref)).scalar() if abs(ref) < 2**63 else None
    elif _UID.fullmatch(ref.lower()):
        found = connection.execute(select(c.id).where(c.uid == ref.lower())).scalar()
    elif _BEGINNING.fullmatch(ref.lower()):
        found = _begun(connection, ref.lower())
    else:
        found = _find_trial(connection, ref)
    if found is None:
        raise NotFoundError(f"there is no run {str(ref)[:100]!r} in this store: list them with `trackers runs`")
    return int(found)


def _begun(connection: Connection, beginning: str, experiment: str | None = None) -> int | None:
    """Return the id of the one run (of *experiment*) whose uid begins so, None without one.

    Raises InvalidValueError for several.
    """
    c, e = t.runs.c, t.experiments.c
    within = c.uid.between(beginning, beginning + "g")  # the letter behind the last hex digit
    query = select(c.id, c.uid).where(within).order_by(c.uid).limit(2)
    if experiment is not None:
        query = query.where(c.experiment_id.in_(select(e.id).where(e.name == experiment)))
    found = connection.execute(query).all()
    if len(found) > 1:
        raise InvalidValueError(f"{beginning} begins {found[0].uid} and {found[1].uid}: give more digits of the run")
    return found[0].id if found else None


def _find_trial(connection: Connection, ref: str) -> int | None:
    study, slash, number = ref.rpartition("/")
    if slash and not number.isdigit() and _LISTED.fullmatch(number.lower()):
        return _begun(connection, number.lower(), experiment=study)
    if not slash or not (number.isascii() and number.isdigit() and len(number) < 19):
        raise NotFoundError(
            f"there is no run {ref[:100]!r} in this store: a run is named by its uid (8 digits or more), a trial by STUDY/NUMBER"
        )
    study_id = find_study(connection, study)
    c = t.runs.c
    query = select(c.id).where(c.experiment_id == study_id, c.number == int(number))
    found: int | None = connection.execute(query).scalar()
    if found is None:
        total = connection.execute(select(func.count(c.number)).where(c.experiment_id == study_id)).scalar_one()
        there = f"it has {total}, numbered from 0" if total else "it has none yet"
        raise NotFoundError(f"there is no trial {number} in study {study!r}: {there}")
    return found


def count_runs(connection: Connection) -> dict[int, int]:
    """Return the number of runs that are neither archived nor deleted, by experiment."""
    c = t.runs.c
    query = select(c.experiment_id, func.count()).where(c.archived_at.is_(None), c.deleted_at.is_(None))
    query = query.group_by(c.experiment_id)
    return {row[0]: row[1] for row in connection.execute(query)}


def find_children(connection: Connection, run_id: int, limit: int) -> tuple[int, list[int]]:
    """Return how many living children a run has, and the ids of the first *limit* of them."""
    c = t.runs.c
    mine = and_(c.parent_id == run_id, c.deleted_at.is_(None))
    count = connection.execute(select(func.count()).where(mine)).scalar_one()
    found = connection.execute(select(c.id).where(mine).order_by(c.id).limit(limit)).scalars() if count else ()
    return count, list(found)


def read_error(connection: Connection, run_id: int) -> RunError | None:
    """Return why a run failed, None where it did not."""
    c = t.errors.c
    row = connection.execute(select(c.type, c.message, c.traceback).where(c.run_id == run_id)).first()
    return None if row is None else RunError(*row)
