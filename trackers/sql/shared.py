"""A study that several processes write at once, as Optuna's do: no manager, no lease.

Each write holds the study's row until its transaction ends. Numbers of trials and places in the order of events are
allotted under that hold, so that they are dense, and rise as the writes become visible. ``renewals``, which no lease
uses here, counts the writes: who has read the trials once reads them again only when it has moved.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, func, insert, select, update

from trackers.errors import NotFoundError, StateError, StudyBusyError
from trackers.names import clean_metric
from trackers.sql import tables as t
from trackers.sql.batch import Batch
from trackers.sql.columns import to_json
from trackers.sql.commit import Commit
from trackers.sql.engine import Database
from trackers.sql.guard import Guard
from trackers.sql.studies import set_attrs
from trackers.sql.trials import read_trials
from trackers.sql.writer import Writer
from trackers.states import LEGAL_MOVES, RunState
from trackers.values import Trial

if TYPE_CHECKING:
    from trackers.changes import Change
    from trackers.sql.fold import Fold, StudyFold

_LOOKUP = 500
_FINISHED = tuple(int(state) for state, moves in LEGAL_MOVES.items() if not moves)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a study is: how it is written (*mode*), how many *writes* it has had, how many *trials* there are."""

    mode: str
    writes: int
    trials: int


class SharedStudy:
    """One process's right to write a shared study. Thread-safe."""

    def __init__(self, study_id: int, database: Database, writer: Writer, guard: Guard) -> None:
        self._id, self._database, self._writer, self._guard = study_id, database, writer, guard

    def submit(self, changes: Sequence[Change]) -> Commit:
        """Hand *changes* to the writer as one unit and return at once.

        The commit fails with NotFoundError where the study or a trial is not there, with StateError where a trial is
        finished or in another state than *changes* need, and with StudyBusyError where the study is managed; then
        nothing of these changes was kept.
        """
        return self._writer.submit(changes, self._guard)

    def standing(self) -> Standing:
        """Return where the study is; raises NotFoundError."""
        return self._database.read(lambda connection: read_standing(connection, self._id))

    def read_since(self, known: int, open_numbers: Iterable[int]) -> tuple[Standing, list[Trial]]:
        """Return where the study is, and its trials from number *known* on and those of *open_numbers*, in one look."""
        still_open = list(open_numbers)

        def read(connection: Connection) -> tuple[Standing, list[Trial]]:
            standing = read_standing(connection, self._id)
            numbers = [*still_open, *range(known, standing.trials)]
            return standing, read_trials(connection, self._id, numbers=numbers) if numbers else []

        return self._database.read(read)

    def agree(self, name: str, spec: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the study's distribution (Optuna's JSON form) of the param *name*: the first one that was given."""
        return self._writer.call(partial(_agree, guard=self._guard, name=name, spec=spec))

    def set_attrs(self, scope: str, attrs: Mapping[str, Any]) -> None:
        """Write attributes of the study: those are not a manager's alone, so the mode does not matter."""
        self._writer.call(partial(_set_attrs, study_id=self._id, scope=scope, attrs=attrs))

    def name_metrics(self, names: Sequence[str]) -> None:
        """Name the objectives, as long as no trial has reported under another name."""
        self._writer.call(partial(_name_metrics, study_id=self._id, names=names))


def read_standing(connection: Connection, study_id: int) -> Standing:
    """Read where a living study is; raises NotFoundError."""
    s, r = t.studies.c, t.runs.c
    newest = select(func.max(r.number)).where(r.experiment_id == study_id).scalar_subquery()
    query = select(s.mode, s.renewals, newest).join(t.experiments, t.experiments.c.id == s.id)
    row = connection.execute(query.where(s.id == study_id, t.experiments.c.deleted_at.is_(None))).first()
    if row is None:
        raise NotFoundError(f"there is no study with the id {study_id} in this store")
    return Standing(row[0], row[1], 0 if row[2] is None else row[2] + 1)


def _agree(connection: Connection, guard: Guard, name: str, spec: Mapping[str, Any]) -> Mapping[str, Any]:
    hold(connection, guard.study_id)
    d = t.distributions.c
    query = select(d.spec).where(d.study_id == guard.study_id, d.name == name)
    known: Mapping[str, Any] | None = connection.execute(query).scalar()
    if known is None:
        connection.execute(insert(t.distributions).values(study_id=guard.study_id, name=name, spec=spec))
    return spec if known is None else known


def hold(connection: Connection, study_id: int) -> None:
    """Hold the row of a shared study until the transaction ends, and count the write."""
    s = t.studies.c
    mine = update(t.studies).where(s.id == study_id, s.mode == "shared").values(renewals=s.renewals + 1)
    if connection.execute(mine).rowcount != 1:
        raise managed(study_id)


def _set_attrs(connection: Connection, study_id: int, scope: str, attrs: Mapping[str, Any]) -> None:
    read_standing(connection, study_id)
    set_attrs(connection, study_id, scope, attrs)


def _name_metrics(connection: Connection, study_id: int, names: Sequence[str]) -> None:
    if read_standing(connection, study_id).trials == 0:
        mine = update(t.studies).where(t.studies.c.id == study_id, t.studies.c.mode == "shared")
        connection.execute(mine.values(metric_names=[clean_metric(name) for name in names]))


def managed(study_id: int) -> StudyBusyError:
    """Return the error that says why Optuna may not write this study."""
    return StudyBusyError(
        f"study {study_id} is managed by hpo, which alone writes its trials: read it here, enqueue trials, "
        "or go on with `hpo resume`"
    )


def admit(batch: Batch, guard: Guard, study: StudyFold, fold: Fold) -> None:
    """Admit what a process writes to a shared study: hold its row, allot what is allotted here, refuse what is late."""
    rows = batch.fetch(
        "SELECT s.mode, s.last_seq FROM trackers_studies s JOIN trackers_experiments e ON e.id = s.id "
        "WHERE s.id = ? AND e.deleted_at IS NULL{held}",
        (guard.study_id,),
    )
    if not rows:
        raise NotFoundError(f"there is no study with the id {guard.study_id} in this store")
    mode, last_seq = rows[0]
    if mode != "shared":
        raise managed(guard.study_id)
    _number(batch, guard, fold)
    numbers = _admit_runs(batch, guard, study, fold)
    for seq, event in enumerate(study.shared_events, start=last_seq + 1):
        study.seqs.append(seq)
        data = to_json(event.data) if event.data else "{}"
        study.events.append((guard.study_id, seq, event.kind, numbers[event.run_id], data, event.time))
    batch.execute("UPDATE trackers_studies SET renewals = renewals + 1 WHERE id = ?", (guard.study_id,))


def _number(batch: Batch, guard: Guard, fold: Fold) -> None:
    new = [row for run_id, row in fold.runs.items() if row[2] == guard.study_id and run_id not in fold.started]
    if new:
        query = "SELECT MAX(number) FROM trackers_runs WHERE experiment_id = ?"
        ((highest,),) = batch.fetch(query, (guard.study_id,))
        for number, row in enumerate(new, start=0 if highest is None else highest + 1):
            row[3] = number


def _admit_runs(batch: Batch, guard: Guard, study: StudyFold, fold: Fold) -> dict[int, int]:
    """Check that every trial that is written is this study's and not finished; return their numbers by id."""
    numbers = {run_id: row[3] for run_id, row in fold.runs.items() if row[2] == guard.study_id}
    written = {event.run_id for event in study.shared_events}
    for rows in (fold.params, fold.attrs, fold.points):
        written |= {key[0] for key in rows}
    missing = sorted((written | fold.moves.keys()) - fold.runs.keys())
    for start in range(0, len(missing), _LOOKUP):
        part = missing[start : start + _LOOKUP]
        places = ", ".join("?" * len(part))
        query = f"SELECT id, number, state, experiment_id FROM trackers_runs WHERE id IN ({places})"
        for run_id, number, state, study_id in batch.fetch(query, part):
            if study_id == guard.study_id:
                if state in _FINISHED:
                    raise StateError(f"trial {number} of this study is {RunState(state)!r} already")
                numbers[run_id] = number
    lost = [run_id for run_id in missing if run_id not in numbers]
    if lost:
        raise NotFoundError(f"there is no trial with the id {lost[0]} in study {guard.study_id}")
    return numbers
