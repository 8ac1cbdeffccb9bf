"""What does not hold in the rows of a store: every check reads, and yields what is wrong.

A check is a function of a connection. What can be put right again is in ``trackers.sql.repairs``, by the check's name.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    Connection,
    ForeignKeyConstraint,
    Text,
    and_,
    func,
    not_,
    or_,
    select,
    type_coerce,
)

from trackers.capture.process import content_digest
from trackers.capture.state import state_digest
from trackers.errors import DamagedError
from trackers.sql import tables as t
from trackers.sql.audit_columns import columns, filled, json_values, missing_tables, names_given
from trackers.sql.audit_registry import aliases, history, models
from trackers.sql.audit_series import chunks, sealed_series, series
from trackers.sql.audit_texts import readable, texts, words
from trackers.sql.columns import BOOL, FINITE, FLOAT, INT
from trackers.sql.flaw import Flaw
from trackers.sql.objects import missing_objects
from trackers.states import RunState
from trackers.wording import counted

_FINISHED = tuple(int(state) for state in RunState if state.is_finished())
ODD = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError)
"""What reading a value raises that none of ours wrote."""

_SHOWN = 20
"""So many flaws of one kind are named; the others are counted."""


def audit(connection: Connection) -> Iterator[Flaw]:
    """Yield everything that is wrong with the rows; where tables are missing, those alone."""
    lacking = list(missing_tables(connection))
    yield from lacking
    for check in () if lacking else CHECKS:
        try:
            with readable(connection):
                yield from check(connection)
        except DamagedError as exc:
            yield Flaw(check.__name__.replace("_", " "), f"it cannot be looked at whole: {exc}")
        except ODD as exc:
            said = f"it cannot be looked at whole: a value is none of ours ({type(exc).__name__}: {exc})"
            yield Flaw(check.__name__.replace("_", " "), said[:300])


def database_file(connection: Connection) -> Iterator[Flaw]:
    """Check that SQLite finds its own file whole."""
    if connection.dialect.name != "sqlite":
        return
    for (said,) in connection.exec_driver_sql(f"PRAGMA integrity_check({_SHOWN})"):
        if said != "ok":
            yield Flaw("database file", f"SQLite says: {said}")


def schema(connection: Connection) -> Iterator[Flaw]:
    """Check that every view, trigger and index is there."""
    for name, kind in missing_objects(connection).items():
        yield Flaw("schema", f"the {kind} {name} is missing: fsck --repair makes it again", {"name": name})


def references(connection: Connection) -> Iterator[Flaw]:
    """Check every foreign key, whether or not the database enforces it."""
    for table in filled(connection):
        for rule in table.constraints:
            if isinstance(rule, ForeignKeyConstraint):
                yield from _dangling(connection, rule)


def _dangling(connection: Connection, rule: ForeignKeyConstraint) -> Iterator[Flaw]:
    child, parent = rule.table, rule.elements[0].column.table.alias()
    columns = [element.parent for element in rule.elements]
    there = select(parent.c[rule.elements[0].column.name]).where(
        *(element.parent == parent.c[element.column.name] for element in rule.elements)
    )
    query = select(*child.primary_key, *columns).where(
        *(column.is_not(None) for column in columns), not_(there.correlate(child).exists())
    )
    keys = [column.name for column in child.primary_key]
    names = [column.name for column in columns]
    for row in connection.execute(query):
        key, target = dict(zip(keys, row, strict=False)), dict(zip(names, row[len(keys) :], strict=True))
        to = rule.elements[0].column.table.name.removeprefix(t.PREFIX)
        shown = ", ".join(f"{name} {value}" for name, value in key.items())
        aims = ", ".join(str(value) for value in target.values())
        where = {"table": child.name, "key": key, "columns": names, "parent": rule.elements[0].column.table.name}
        yield Flaw(
            "references", f"{child.name.removeprefix(t.PREFIX)} ({shown}) refers to {to} {aims}: not there", where
        )


def trial_numbers(connection: Connection) -> Iterator[Flaw]:
    """Check that the trials of each living study are numbered 0 to n-1."""
    r, e = t.runs.c, t.experiments.c
    query = (
        select(e.name, func.count(r.number), func.min(r.number), func.max(r.number))
        .join(t.studies, t.studies.c.id == e.id)
        .join(t.runs, r.experiment_id == e.id)
        .where(e.deleted_at.is_(None), r.number.is_not(None))
        .group_by(e.id, e.name)
    )
    for name, count, first, last in connection.execute(query):
        if first != 0 or last != count - 1:
            yield Flaw("trial numbers", f"study {name} has {counted(count, 'trial')}, numbered from {first} to {last}")


def events(connection: Connection) -> Iterator[Flaw]:
    """Check that the events of each study are numbered from 1 to the last that the study counts."""
    e, s, x = t.events.c, t.studies.c, t.experiments.c
    count = func.count(e.seq)
    query = (
        select(x.name, s.last_seq, count, func.min(e.seq), func.max(e.seq))
        .join(t.experiments, x.id == s.id)
        .outerjoin(t.events, e.study_id == s.id)
        .where(x.deleted_at.is_(None))
        .group_by(s.id, x.name, s.last_seq)
        .having(or_(count != s.last_seq, and_(count > 0, or_(func.min(e.seq) != 1, func.max(e.seq) != s.last_seq))))
    )
    for name, last, found, first, highest in connection.execute(query):
        yield Flaw("events", f"study {name} counts {last} events and has {found}, from {first} to {highest}")


def attempts(connection: Connection) -> Iterator[Flaw]:
    """Check that what has ended has no open attempt, and that ends and states agree."""
    a, r = t.attempts.c, t.runs.c
    resting = (*_FINISHED, int(RunState.WAITING))
    query = select(r.id, r.uid, r.state, a.number).join(t.attempts, a.run_id == r.id)
    for run_id, uid, state, number in connection.execute(query.where(r.state.in_(resting), a.ended_at.is_(None))):
        where = {"run_id": run_id, "number": number, "state": state}
        yield Flaw("attempts", f"run {uid} is {_state(state)}, and its attempt {number} never ended", where)
    tried = select(a.run_id).where(a.run_id == r.id)
    # Optuna knows of no attempts: a trial need not have one.
    lost = select(r.uid).where(r.started_at.is_not(None), r.number.is_(None), not_(tried.exists()))
    for (uid,) in connection.execute(lost):
        yield Flaw("attempts", f"run {uid} was started, and none of its attempts is there")
    unended = select(r.id, r.uid, r.state).where(r.state.in_(_FINISHED), r.ended_at.is_(None))
    for run_id, uid, state in connection.execute(unended):
        yield Flaw(
            "ends", f"run {uid} is {_state(state)} and has no time of its end", {"run_id": run_id, "ended": True}
        )
    early = select(r.id, r.uid, r.state).where(r.state.not_in(_FINISHED), r.ended_at.is_not(None))
    for run_id, uid, state in connection.execute(early):
        yield Flaw(
            "ends", f"run {uid} is {_state(state)} and has a time of its end", {"run_id": run_id, "ended": False}
        )


def results(connection: Connection) -> Iterator[Flaw]:
    """Check that complete trials have a value for each objective, and unfinished ones none."""
    r, s, v = t.runs.c, t.studies.c, t.results.c
    query = (
        select(r.uid, r.state, s.directions, func.count(v.objective), func.max(v.objective))
        .join(t.studies, s.id == r.experiment_id)
        .outerjoin(t.results, v.run_id == r.id)
        .where(
            r.number.is_not(None), r.state.in_((int(RunState.COMPLETE), int(RunState.RUNNING), int(RunState.WAITING)))
        )
        .group_by(r.id, r.uid, r.state, s.directions)
    )
    for uid, state, directions, count, last in connection.execute(query):
        wanted = len(directions) if state == RunState.COMPLETE else 0
        if count != wanted or (count and last != count - 1):
            yield Flaw(
                "results", f"trial {uid} is {_state(state)} and has {counted(count, 'value')} instead of {wanted}"
            )


def _state(state: int) -> str:
    try:
        return RunState(state).name
    except ValueError:
        return f"state {state}"


def values(connection: Connection) -> Iterator[Flaw]:
    """Check params, uids and names that readers rely on."""
    p, r, e = t.params.c, t.runs.c, t.experiments.c
    lost = and_(p.kind.in_((BOOL, INT, FLOAT)), p.number.is_(None), p.number_kind == FINITE, p.text.is_(None))
    for run_id, name in connection.execute(select(p.run_id, p.name).where(lost)):
        yield Flaw("values", f"the param {name!r} of run {run_id} is a number without one")
    for run_id, uid in connection.execute(select(r.id, r.uid).where(func.length(r.uid) != 32)):
        yield Flaw("values", f"the run {run_id} has the uid {uid!r}, which is none")
    for experiment_id, name in connection.execute(select(e.id, e.name).where(e.name.like("%/%"))):
        yield Flaw("values", f"the experiment {experiment_id} is named {name!r}, with a slash")
    studies = select(t.studies.c.id).where(t.studies.c.id == e.id)
    for (name,) in connection.execute(select(e.name).where(e.kind == "study", not_(studies.exists()))):
        yield Flaw("values", f"{name} is a study, and nothing of one is there")


def states(connection: Connection) -> Iterator[Flaw]:
    """Check that every state is one."""
    r = t.runs.c
    for uid, state in connection.execute(select(r.uid, r.state).where(r.state.not_in([int(s) for s in RunState]))):
        yield Flaw("states", f"run {uid} is in state {state}, which is none")


def records(connection: Connection) -> Iterator[Flaw]:
    """Check that what is kept of code and of environments is what it was found by: its digest."""
    for table, what in ((t.code_versions, "version of the code"), (t.environments, "environment")):
        c = table.c
        query = select(c.id, c.digest, type_coerce(c.content, Text))
        for record_id, digest, content in connection.execution_options(yield_per=100).execute(query):
            try:
                kept = json.loads(content)
            except (ValueError, TypeError, RecursionError):
                continue  # json_values says so
            # the first release took all of a version of the code for its digest
            if isinstance(kept, dict) and digest not in (content_digest(kept), state_digest(kept)):
                yield Flaw("records", f"the {what} {record_id} was changed after it was recorded: restore a backup")


def launches(connection: Connection) -> Iterator[Flaw]:
    """Check that attempts and studies name launches that are there: no foreign key does."""
    n, r, a, s = t.launches.c, t.runs.c, t.attempts.c, t.studies.c
    gone = select(r.uid, a.number).join(t.attempts, a.run_id == r.id).where(a.launch_id.is_not(None))
    there = select(n.id).where(n.id == a.launch_id)
    for uid, number in connection.execute(gone.where(not_(there.exists()))):
        yield Flaw("launches", f"the code of attempt {number} of run {uid} is not there")
    there = select(n.id).where(n.id == s.launch_id)
    for study_id in connection.execute(select(s.id).where(s.launch_id.is_not(None), not_(there.exists()))).scalars():
        yield Flaw("launches", f"the code of study {study_id} is not there")


def parents(connection: Connection) -> Iterator[Flaw]:
    """Check that no run is its own ancestor."""
    r = t.runs.c
    rows = connection.execute(select(r.id, r.parent_id).where(r.parent_id.is_not(None)))
    parent: dict[int, int] = {row[0]: row[1] for row in rows}
    safe: set[int] = set()
    for start in parent:
        path: list[int] = []
        here: int | None = start
        while here is not None and here not in safe and here not in path:
            path.append(here)
            here = parent.get(here)
        if here is not None and here not in safe:
            yield Flaw("parents", f"run {here} is its own ancestor", {"run_id": here})
        safe.update(path)


def names(connection: Connection) -> Iterator[Flaw]:
    """Check that living experiments own their names, and deleted ones do not."""
    e = t.experiments.c
    lost = and_(e.deleted_at.is_(None), e.live_name.is_distinct_from(e.name))
    kept = and_(e.deleted_at.is_not(None), e.live_name.is_not(None))
    for experiment_id, name, deleted_at in connection.execute(
        select(e.id, e.name, e.deleted_at).where(or_(lost, kept))
    ):
        told = "living and does not own its name" if deleted_at is None else "deleted and still owns its name"
        yield Flaw("names", f"the experiment {name} is {told}", {"id": experiment_id})


def counters(connection: Connection) -> Iterator[Flaw]:
    """Check that no counter would hand out an id that is taken."""
    rows = connection.execute(select(t.counters.c.name, t.counters.c.next))
    known: dict[str, int] = {row[0]: row[1] for row in rows}
    for name, tables in COUNTED.items():
        highest = max(connection.execute(select(func.coalesce(func.max(one.c.id), 0))).scalar_one() for one in tables)
        if highest and known.get(name, 1) <= highest:
            where = {"name": name, "next": highest + 1}
            yield Flaw("counters", f"the counter {name} would hand out an id again ({highest} is taken)", where)


COUNTED = {
    "ids": (t.experiments, t.runs, t.commands, t.code_versions, t.environments, t.launches),
    "series": (t.series, t.datasets),
    "registry": (t.registered_models, t.registry_history, t.policies),
}
"""The counters, and the tables whose ids come from them."""

CHECKS: tuple[Callable[[Connection], Iterator[Flaw]], ...] = (
    database_file,
    schema,
    texts,
    json_values,
    columns,
    names_given,
    references,
    names,
    counters,
    values,
    words,
    states,
    trial_numbers,
    events,
    attempts,
    results,
    series,
    chunks,
    sealed_series,
    models,
    aliases,
    history,
    records,
    launches,
    parents,
)


def users_of(connection: Connection, digest: str) -> list[dict[str, Any]]:
    """Return what needs a file: runs with the name they have for it, registered versions, and versions of the code.

    What no run needs has no ``run_id``: a version of the code that none ran, a model whose row is lost, a pin.
    """
    r, m, f, v, n = t.runs.c, t.models.c, t.model_files.c, t.model_versions.c, t.registered_models.c
    found: list[dict[str, Any]] = []
    a, k = t.artifacts.c, t.checkpoints.c
    for run_id, uid, name in connection.execute(
        select(r.id, r.uid, a.name).join(t.artifacts, a.run_id == r.id).where(a.digest == digest)
    ):
        found.append({"run_id": run_id, "what": f"run {uid}: {name}", "name": name})
    for run_id, uid in connection.execute(
        select(r.id, r.uid).join(t.checkpoints, k.run_id == r.id).where(k.digest == digest)
    ):
        found.append({"run_id": run_id, "what": f"run {uid}: its checkpoint", "name": "checkpoint"})
    query = (
        select(r.id, r.uid, m.name, f.name, n.name, v.version)
        .select_from(t.model_files)
        .outerjoin(t.models, f.model_uid == m.uid)
        .outerjoin(t.runs, m.run_id == r.id)
        .outerjoin(t.model_versions, v.model_uid == f.model_uid)
        .outerjoin(t.registered_models, n.id == v.model_id)
    )
    for run_id, uid, model, file, registered, version in connection.execute(query.where(f.digest == digest)):
        one = {"run_id": run_id, "what": f"run {uid}: {file} of its model {model}", "name": f"{model}/{file}"}
        if run_id is None:
            one = {"what": f"{file} of a model that is lost", "name": file}
        if registered is not None:
            one |= {"model": registered, "version": version, "what": f"models:/{registered}/{version}: {file}"}
        found.append(one)
    found += _code_users(connection, digest)
    p = t.pins.c
    if connection.execute(select(p.target).where(p.kind == "file", p.target == digest)).first() is not None:
        found.append({"what": "a pin"})
    return found


def _code_users(connection: Connection, digest: str) -> list[dict[str, Any]]:
    """Return the runs that ran the code of which *digest* is the file, or the code where none did."""
    r, a, n, c = t.runs.c, t.attempts.c, t.launches.c, t.code_versions.c
    query = select(c.id, c.version).where(or_(c.bundle == digest, c.commits == digest)).order_by(c.id)
    found: list[dict[str, Any]] = []
    for code_id, version in connection.execute(query).all():
        ran = select(r.id, r.uid).join(t.attempts, a.run_id == r.id).join(t.launches, n.id == a.launch_id)
        runs = connection.execute(ran.where(n.code_id == code_id).distinct().order_by(r.id)).all()
        found += [{"run_id": run_id, "what": f"run {uid}: its code {version}", "name": "code"} for run_id, uid in runs]
        if not runs:
            found.append({"what": f"the code {version}"})
    return found


def told(users: Sequence[Mapping[str, Any]]) -> str:
    """Say who the *users* of a file are (see ``users_of``): the first ones, and how many more."""
    shown = "; ".join(user["what"] for user in users[:5]) + (f" and {len(users) - 5} more" if len(users) > 5 else "")
    return shown or "what is gone meanwhile"


def shortened(flaws: list[Flaw]) -> list[Flaw]:
    """Return the first flaws of each check, and one that counts the others."""
    seen: Counter[str] = Counter()
    kept = []
    for flaw in flaws:
        seen[flaw.check] += 1
        if seen[flaw.check] <= _SHOWN:
            kept.append(flaw)
    for check, count in seen.items():
        if count > _SHOWN:
            kept.append(Flaw(check, f"{count - _SHOWN} more like these"))
    return kept
