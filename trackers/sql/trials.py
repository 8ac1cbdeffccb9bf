"""Trials read: a constant number of statements, whatever their number."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, Table, Text, bindparam, func, select, type_coerce

from trackers.collector import held_collector
from trackers.errors import NotFoundError
from trackers.sql import attempts
from trackers.sql import tables as t
from trackers.sql.columns import Content, Json, from_json, join_number, join_param
from trackers.sql.fold import LOGGED, UNREPORTED
from trackers.sql.history import read_chunks
from trackers.sql.launches import read_version
from trackers.states import RunState
from trackers.values import Attempt, Trial, to_datetime

_LONGEST_LIST = 1000
"""More numbers than these are read as a range, and picked here."""

Gathered = dict[int, list[Any]]


def read_trials(
    connection: Connection,
    study_id: int,
    *,
    states: Collection[RunState] | None = None,
    numbers: Collection[int] | None = None,
    points: bool = True,
    with_attrs: bool = True,
) -> list[Trial]:
    """Read the trials of a study in the order of their numbers.

    *states* and *numbers* narrow them; without *points* their ``intermediate_values`` are empty, and without
    *with_attrs* their attributes, constraints and tags.
    """
    with held_collector():
        return _Reading(connection, study_id, states, numbers).trials(points, with_attrs)


def read_outlines(connection: Connection, study_id: int) -> list[Trial]:
    """Read what ranks the trials of a study, and no more, in the order of their numbers.

    State, values, constraints, times, whether they are archived; of what a pruned one reported the last step.
    """
    with held_collector():
        return _Reading(connection, study_id, None, None).outlines()


def read_trial(connection: Connection, study_id: int, number: int) -> Trial:
    """Read one trial; raises NotFoundError, which says how many there are."""
    found = read_trials(connection, study_id, numbers=(number,))
    if found:
        return found[0]
    c = t.runs.c
    total = connection.execute(select(func.count(c.number)).where(c.experiment_id == study_id)).scalar_one()
    name = connection.execute(select(t.experiments.c.name).where(t.experiments.c.id == study_id)).scalar()
    if name is None:
        raise NotFoundError(f"there is no study with the id {study_id} in this store")
    there = f"it has {total}, numbered from 0" if total else "it has none yet"
    raise NotFoundError(f"there is no trial {number} in study {name!r}: {there}")


def find_trial(connection: Connection, run_id: int) -> tuple[int, int]:
    """Return the study and the number of a trial of a living study; raises NotFoundError."""
    r, e = t.runs.c, t.experiments.c
    query = select(r.experiment_id, r.number).join(t.experiments, e.id == r.experiment_id)
    row = connection.execute(query.where(r.id == run_id, r.number.is_not(None), e.deleted_at.is_(None))).first()
    if row is None:
        raise NotFoundError(f"there is no trial with the id {run_id} in this store")
    return int(row[0]), int(row[1])


def read_log(connection: Connection, run_id: int) -> str:
    """Return what the attempts of a run printed, one after the other."""
    c = t.logs.c
    texts = connection.execute(select(c.text).where(c.run_id == run_id).order_by(c.attempt)).scalars().all()
    return "".join(text if not text or text.endswith("\n") or text is texts[-1] else text + "\n" for text in texts)


class _Reading:
    """One reading of some trials of a study, in one snapshot, by statements that are built once a process."""

    def __init__(
        self,
        connection: Connection,
        study_id: int,
        states: Collection[RunState] | None,
        numbers: Collection[int] | None,
    ) -> None:
        self._connection = connection
        self._study_id = study_id
        self._codes: dict[int, str] = {}
        self._numbers: set[int] | None = None
        self._given: dict[str, Any] = {"study": study_id}
        if states is not None:
            self._given["states"] = [int(state) for state in states]
        if numbers is not None and len(numbers) > _LONGEST_LIST:
            self._numbers = set(numbers)
            self._given |= {"first": min(numbers), "last": max(numbers)}
        elif numbers is not None:
            self._given["numbers"] = list(numbers)
        self._narrowed = frozenset(self._given)

    def trials(self, points: bool, with_attrs: bool) -> list[Trial]:
        """Read them; long, since it names each field of a trial beside where it comes from."""
        study, metric_names, specs = self._study()
        rows = self._rows(_runs(self._narrowed))
        if self._numbers is not None:
            rows = [row for row in rows if row[2] in self._numbers]
        if not rows:
            return []
        params, logged = self._params()
        results = self._results(len(metric_names))
        metrics, reported = self._metrics(metric_names[0] if points and metric_names else None)
        tries = self._attempts()
        errors = {row[0]: row[1:] for row in self._of(t.errors, "type", "message", "traceback")}
        checkpoints = {row[0]: row[1] for row in self._of(t.checkpoints, "digest")}
        models = self._models()
        user, system, constraints, tags = self._attrs() if with_attrs else ({}, {}, {}, {})
        own_specs = self._own_specs()
        found = []
        for run_id, uid, number, state, created_at, started_at, ended_at, archived_at in rows:
            own = params.get(run_id, {})
            error = errors.get(run_id, (None, None, None))
            model = models.get(run_id, (None, None))
            found.append(
                Trial(
                    number=number,
                    state=_STATES[state],
                    params=own,
                    values=results.get(run_id),
                    intermediate_values=reported.get(run_id) or {},
                    user_attrs=user.get(run_id) or {},
                    system_attrs=system.get(run_id) or {},
                    constraints=constraints.get(run_id) or {},
                    distribution_specs={name: specs[name] for name in own if name in specs} | own_specs.get(run_id, {}),
                    metrics=metrics.get(run_id) or {},
                    tags=tags.get(run_id) or {},
                    logged_params=logged.get(run_id) or {},
                    attempts=tries.get(run_id, ()),
                    created_at=to_datetime(created_at),
                    started_at=to_datetime(started_at),
                    ended_at=to_datetime(ended_at),
                    error_type=error[0],
                    error=error[1],
                    traceback=error[2],
                    model=model[0],
                    model_error=model[1],
                    checkpoint=checkpoints.get(run_id),
                    run_id=run_id,
                    uid=uid,
                    study=study,
                    archived=archived_at is not None,
                )
            )
        return found

    def outlines(self) -> list[Trial]:
        """Read what ranks them."""
        study, metric_names, _ = self._study()
        results = self._results(len(metric_names))
        system: dict[int, dict[str, Any]] = {}
        for run_id, name, text in self._rows(_constrained()):
            system.setdefault(run_id, {})[name] = from_json(text)
        last: dict[int, dict[int, float]] = {}
        objective = metric_names[0] if metric_names else ""
        for run_id, step, value, kind in self._rows(_last_reported(), objective=objective, state=int(RunState.PRUNED)):
            last[run_id] = {step: join_number(value, kind)}
        return [
            Trial(
                number=number,
                state=_STATES[state],
                values=results.get(run_id),
                intermediate_values=last.get(run_id) or {},
                constraints=constraints_of(system[run_id]) if run_id in system else {},
                created_at=to_datetime(created_at),
                started_at=to_datetime(started_at),
                ended_at=to_datetime(ended_at),
                run_id=run_id,
                uid=uid,
                study=study,
                archived=archived_at is not None,
            )
            for run_id, uid, number, state, created_at, started_at, ended_at, archived_at in self._rows(
                _runs(self._narrowed)
            )
        ]

    def _rows(self, query: Select[Any], **more: Any) -> Sequence[Any]:
        return self._connection.execute(query, self._given | more).all()

    def _of(self, table: Table, *names: str, order: tuple[str, ...] = (), raw: bool = False) -> Sequence[Any]:
        """Read columns of a table that hangs on the chosen runs: ``run_id`` first.

        *raw* leaves text and JSON as they are stored, to be turned back by who reads them.
        """
        return self._rows(_hanging(self._narrowed, table, names, order, raw))

    def _study(self) -> tuple[str, list[str], dict[str, Any]]:
        of_study, of_specs = _study()
        row = self._connection.execute(of_study, self._given).first()
        if row is None:
            raise NotFoundError(f"there is no study with the id {self._study_id} in this store")
        return row[0], row[1], {str(name): spec for name, spec in self._rows(of_specs)}

    def _params(self) -> tuple[dict[int, dict[str, Any]], dict[int, dict[str, Any]]]:
        """Return the params that were searched over, and those that were only logged."""
        searched: dict[int, dict[str, Any]] = {}
        logged: dict[int, dict[str, Any]] = {}
        names = ("position", "name", "kind", "number", "number_kind", "text")
        for run_id, position, name, *columns in self._of(t.params, *names, order=("run_id", "position"), raw=True):
            (searched if position < LOGGED else logged).setdefault(run_id, {})[name] = join_param(*columns)
        return searched, logged

    def _results(self, objectives: int) -> dict[int, tuple[float, ...]]:
        found: dict[int, list[float]] = {}
        for run_id, value, kind in self._of(t.results, "value", "kind", order=("run_id", "objective")):
            found.setdefault(run_id, []).append(join_number(value, kind))
        return {run_id: tuple(values) for run_id, values in found.items()}

    def _metrics(self, objective: str | None) -> tuple[dict[int, dict[str, float]], dict[int, dict[int, float]]]:
        """Return the last value of every series, and what was reported: the points of the series *objective*."""
        found: dict[int, dict[str, float]] = {}
        sealed: dict[int, int] = {}
        names = ("key", "context", "last", "last_kind", "id", "sealed")
        for run_id, key, context, last, kind, series_id, chunked in self._of(t.series, *names):
            if chunked and key == objective and not context:
                sealed[series_id] = run_id
            name = f"{key}{{{context}}}" if context else key
            found.setdefault(run_id, {})[name] = join_number(last, kind)
        if objective is None:
            return found, {}
        points: dict[int, list[tuple[int, int, float]]] = {}
        for series_id, chunk in read_chunks(self._connection, list(sealed)).items():
            points[sealed[series_id]] = [(step, attempt, value) for step, attempt, _, value in chunk]
        for run_id, step, attempt, value, kind in self._rows(_reported(self._narrowed), objective=objective):
            points.setdefault(run_id, []).append((step, attempt, join_number(value, kind)))
        return found, {run_id: visible(line) for run_id, line in points.items()}

    def _attempts(self) -> dict[int, tuple[Attempt, ...]]:
        found: dict[int, tuple[Attempt, ...]] = {}
        for run_id, *row in self._of(t.attempts, *attempts.COLUMNS, order=("run_id", "number")):
            found[run_id] = (*found.get(run_id, ()), attempts.as_attempt(row, self._code))
        return found

    def _code(self, launch: int) -> str:
        """Return the version of the code of a launch; trials share a few."""
        if launch not in self._codes:
            self._codes[launch] = read_version(self._connection, launch)
        return self._codes[launch]

    def _models(self) -> dict[int, tuple[str | None, str | None]]:
        """Return the current model's uid of each run, or the sentence that says why there is none."""
        found: dict[int, tuple[str | None, str | None]] = {}
        names = ("uid", "why_not", "replaced_at", "deleted_at")
        for run_id, uid, why_not, replaced, deleted in self._of(t.models, *names, order=("created_at",)):
            if replaced is None and deleted is None:
                found[run_id] = (uid, None) if why_not is None else (found.get(run_id, (None,))[0], why_not)
        return found

    def _own_specs(self) -> dict[int, dict[str, Any]]:
        """Return the distributions of params that differ from the study's: only shared studies have them."""
        found: dict[int, dict[str, Any]] = {}
        for run_id, name, spec in self._rows(_specs(self._narrowed)):
            found.setdefault(run_id, {})[name] = spec
        return found

    def _attrs(self) -> tuple[dict[int, Any], dict[int, Any], dict[int, Any], dict[int, Any]]:
        user: dict[int, dict[str, Any]] = {}
        system: dict[int, dict[str, Any]] = {}
        scopes = {"user": user, "system": system}
        for run_id, scope, name, text in self._of(t.attrs, "scope", "name", "value", raw=True):
            if scope in scopes:
                scopes[scope].setdefault(run_id, {})[name] = from_json(text)
        tags: dict[int, dict[str, str]] = {}
        for run_id, name, value in self._of(t.tags, "name", "value"):
            tags.setdefault(run_id, {})[name] = value
        constraints = {run_id: constraints_of(attrs) for run_id, attrs in system.items()}
        return user, system, constraints, tags


def _chosen(narrowed: frozenset[str]) -> list[ColumnElement[bool]]:
    """Return the conditions on a study's trials that are *narrowed* by the values of these names."""
    c = t.runs.c
    conditions = [c.experiment_id == bindparam("study"), c.number.is_not(None)]
    if "states" in narrowed:
        conditions.append(c.state.in_(bindparam("states", expanding=True)))
    if "numbers" in narrowed:
        conditions.append(c.number.in_(bindparam("numbers", expanding=True)))
    if "first" in narrowed:
        conditions.append(c.number.between(bindparam("first"), bindparam("last")))
    return conditions


@cache
def _runs(narrowed: frozenset[str]) -> Select[Any]:
    c = t.runs.c
    columns = (c.id, c.uid, c.number, c.state, c.created_at, c.started_at, c.ended_at, c.archived_at)
    return select(*columns).where(*_chosen(narrowed)).order_by(c.number)


@cache
def _hanging(
    narrowed: frozenset[str], table: Table, names: tuple[str, ...], order: tuple[str, ...], raw: bool
) -> Select[Any]:
    columns: list[Any] = [table.c[name] for name in names]
    if raw:
        columns = [type_coerce(c, Text) if isinstance(c.type, (Content, Json)) else c for c in columns]
    query = select(table.c.run_id, *columns).join(t.runs, t.runs.c.id == table.c.run_id)
    return query.where(*_chosen(narrowed)).order_by(*(table.c[name] for name in order))


@cache
def _reported(narrowed: frozenset[str]) -> Select[Any]:
    s, p = t.series.c, t.points.c
    query = select(s.run_id, p.step, p.attempt, p.value, p.kind).join(t.series, s.id == p.series_id)
    query = query.join(t.runs, t.runs.c.id == s.run_id).where(*_chosen(narrowed))
    query = query.where(s.key == bindparam("objective"), s.context == "", p.attempt > UNREPORTED)
    return query.order_by(p.series_id, p.ordinal)


@cache
def _last_reported() -> Select[Any]:
    s, r = t.series.c, t.runs.c
    query = select(s.run_id, s.last_step, s["last"], s.last_kind).join(t.runs, r.id == s.run_id)
    query = query.where(*_chosen(frozenset()), r.state == bindparam("state"), s.key == bindparam("objective"))
    return query.where(s.context == "", s.last_attempt > UNREPORTED)


@cache
def _constrained() -> Select[Any]:
    a = t.attrs.c
    query = select(a.run_id, a.name, type_coerce(a.value, Text)).join(t.runs, t.runs.c.id == a.run_id)
    return query.where(*_chosen(frozenset()), a.scope == "system", a.name.startswith(_CONSTRAINTS))


@cache
def _specs(narrowed: frozenset[str]) -> Select[Any]:
    a = t.attrs.c
    query = select(a.run_id, a.name, a.value).join(t.runs, t.runs.c.id == a.run_id)
    return query.where(*_chosen(narrowed), a.scope == "dist")


@cache
def _study() -> tuple[Select[Any], Select[Any]]:
    e, s, d = t.experiments.c, t.studies.c, t.distributions.c
    study = select(e.name, s.metric_names).join(t.studies, s.id == e.id).where(e.id == bindparam("study"))
    return study, select(d.name, d.spec).where(d.study_id == bindparam("study"))


_STATES = {int(state): state for state in RunState}
_CONSTRAINTS = "constraints"


def constraints_of(system_attrs: dict[str, Any]) -> dict[str, float]:
    """Return the constraints that Optuna keeps in a trial's attributes: a list of old, one key each today."""
    found: dict[str, float] = {}
    listed = system_attrs.get(_CONSTRAINTS)
    if isinstance(listed, dict):
        found.update(listed)
    elif listed is not None:
        found.update((str(place), value) for place, value in enumerate(listed))
    prefix = _CONSTRAINTS + ":"
    found.update((name[len(prefix) :], value) for name, value in system_attrs.items() if name.startswith(prefix))
    return found


def visible(points: Sequence[tuple[int, int, float]]) -> dict[int, float]:
    """Return step -> value of the points that count, by step; *points* are (step, attempt, value) as written.

    An attempt that went on at a step hides what older attempts had reported from there on.
    """
    found: dict[int, float] = {}
    newest = points[0][1] if points else 0
    for step, attempt, value in points:
        if attempt > newest:
            newest = attempt
            found = {old: kept for old, kept in found.items() if old < step}
        if attempt == newest:
            found[step] = value
    return dict(sorted(found.items()))
