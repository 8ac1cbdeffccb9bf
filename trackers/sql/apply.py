"""A group written: folded rows to statements, in the order in which rows refer to each other.

Runs on the writer's thread, inside its transaction. Every statement says what it expects to change and is checked by
the number of rows it did.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection

from trackers.changes import AttemptEnded, PointsLogged
from trackers.errors import FencedError, NotFoundError, StateError, TrackersError
from trackers.sql import journals, manifests, points, runs, shared
from trackers.sql import tables as t
from trackers.sql.batch import Batch
from trackers.sql.committer import Work
from trackers.sql.experiments import make_experiment
from trackers.sql.failures import is_integrity
from trackers.sql.fold import LOGGED, UNREPORTED, Fold, StudyFold
from trackers.sql.guard import Guard
from trackers.sql.ids import BLOCK, take_block
from trackers.sql.run_names import path_in
from trackers.sql.statements import Statement, delete, insert, update, upsert
from trackers.states import RunState

if TYPE_CHECKING:
    from trackers.journal import Entry

_RUNS = insert(
    t.runs,
    *("id", "uid", "experiment_id", "number", "parent_id", "name", "state", "user", "host"),
    *("created_at", "started_at", "ended_at"),
)
_MOVES = update(
    t.runs,
    "state = {state}, ended_at = {ended_at}, "
    "started_at = COALESCE({started_at}, trackers_runs.started_at, {started_at__later})",
    "trackers_runs.id = {id} AND trackers_runs.state IN ({state__from}, {state__or})",
    *("state", "ended_at", "started_at", "started_at__later", "id", "state__from", "state__or"),
)
_ATTEMPTS = insert(t.attempts)
_ATTEMPT_ENDS = update(
    t.attempts,
    "started_at = COALESCE({started_at}, trackers_attempts.started_at), ended_at = {ended_at}, outcome = {outcome}, "
    "reason = {reason}, counts = {counts}",
    "trackers_attempts.run_id = {run_id} AND trackers_attempts.number = {number} "
    "AND trackers_attempts.ended_at IS NULL",
    *("started_at", "ended_at", "outcome", "reason", "counts", "run_id", "number"),
)
_PARAM_DROPS = delete(t.params, "run_id", "name")
_SEARCHED = f'CASE WHEN trackers_params."position" < {LOGGED} THEN trackers_params.{{0}} ELSE excluded.{{0}} END'
"""What was searched over keeps its place in the order in which they came, and a logged param of its name changes nothing of it."""
_SIMPLE: tuple[tuple[str, Statement], ...] = (
    ("params", upsert(t.params, settle={"position": _SEARCHED.format('"position"')})),
    ("logged", upsert(t.params, settle={column.name: _SEARCHED.format(f'"{column.name}"') for column in t.params.c})),
    ("results", insert(t.results)),
    ("errors", upsert(t.errors)),
    ("attrs", upsert(t.attrs)),
    ("tags", upsert(t.tags)),
    ("logs", upsert(t.logs)),
)
_EVENTS = insert(t.events)
_DISTRIBUTIONS = upsert(t.distributions)
_DOCUMENTS = upsert(t.study_documents)
_STUDY_ATTRS = upsert(t.study_attrs)
_ANSWERS = update(
    t.commands,
    "answered_at = {answered_at}, answer = {answer}",
    "trackers_commands.id = {id} AND trackers_commands.answered_at IS NULL",
    *("answered_at", "answer", "id"),
)


class SqlApplier:
    """Writes groups of submissions and tasks, in order; used by one thread."""

    def __init__(self, dialect: str) -> None:
        self._dialect = dialect
        self._series_ids = range(0)
        self._connection: Connection | None = None
        self._run_ids: dict[str, int] = {}
        self._experiment_ids: dict[str, int] = {}
        self._attempts: dict[tuple[int, int], int] = {}
        self._journals: list[tuple[str, int, int]] = []

    def rolled_back(self) -> None:
        """Forget the block of series ids and what was read: the counters were rolled back too."""
        self._series_ids = range(0)
        self._run_ids.clear()
        self._experiment_ids.clear()
        self._attempts.clear()

    def apply(self, connection: Connection, group: Sequence[Work]) -> None:
        """Write the group: runs of submissions are folded together, a task sees all that came before it."""
        self._connection = connection
        self._journals = _journals_of(group)
        try:
            fold: Fold | None = None
            for work in group:
                if work.task is None and self._fits(work.entry, group):
                    fold = fold or Fold()
                    self._fold(fold, work)
                    continue
                if fold is not None:
                    self._write(fold)
                    fold = None
                if work.task is not None:
                    work.result = work.task(connection)
                elif work.entry is not None and work.entry.kind == "resume":
                    run_id = self._run_id(work.entry)
                    work.result = runs.resume_later(connection, run_id, runs.Resume(**work.entry.content))
                elif work.entry is not None:
                    work.result = runs.start_later(connection, runs.Start(**work.entry.content))
            if fold is not None or self._journals:
                self._write(fold or Fold())
        finally:
            self._connection = None

    # --- what runs log -----------------------------------------------------------------------------------------

    @staticmethod
    def _fits(entry: Entry | None, group: Sequence[Work]) -> bool:
        """Tell whether a submission can be folded: all can but some starts, and attempts that follow.

        One that needs its id or its parent looked up is written as it comes, and so is one that is alone: what was
        written with others and failed comes again so, and has to succeed where it was there already.
        """
        if entry is None or entry.kind not in ("start", "resume"):
            return True
        if entry.kind == "resume":
            return False
        start = entry.content
        alone = len(group) == 1
        return not alone and start["run_id"] >= 0 and start["parent_id"] is start["parent"] is start["captured"] is None

    def _fold(self, fold: Fold, work: Work) -> None:
        entry = work.entry
        if entry is None:
            fold.add(work.changes, work.guard)
        elif entry.kind == "log":
            fold.add(self._changes(entry), None)
        elif entry.kind == "params":
            fold.set_params(self._run_id(entry), entry.content)
        else:
            start = runs.Start(**entry.content)
            fold.start(start, self._experiment_id(start.experiment or "default"))
            work.result = self._run_ids[start.uid] = start.run_id

    def _experiment_id(self, name: str) -> int:
        """Return the id of an experiment, made where it is new; what is remembered is checked when it is used."""
        if name not in self._experiment_ids:
            assert self._connection is not None  # set while a group is applied
            self._experiment_ids[name] = make_experiment(self._connection, name)[0]
        return self._experiment_ids[name]

    def _changes(self, entry: Entry) -> Any:
        """Return what a run logged under the id that it has in this store."""
        if entry.run_id >= 0:
            return entry.content
        run_id = self._run_id(entry)
        return [self._placed(change, run_id) for change in entry.content]

    def _placed(self, change: Any, run_id: int) -> Any:
        """Return *change* under the id of its run, and the number of its attempt, where that was not known either."""
        if type(change) is PointsLogged and change.points and change.points[0][1] < UNREPORTED:
            number = self._attempt(run_id, change.points[0][1])
            return replace(change, run_id=run_id, points=tuple((p[0], number, *p[2:]) for p in change.points))
        if type(change) is AttemptEnded and change.attempt < UNREPORTED:
            return replace(change, run_id=run_id, attempt=self._attempt(run_id, change.attempt))
        return replace(change, run_id=run_id)

    def _attempt(self, run_id: int, began: int) -> int:
        """Return the number of an attempt that began while the store was away; see ``runs.Resume``."""
        if (run_id, began) not in self._attempts:
            assert self._connection is not None  # set while a group is applied
            self._attempts[run_id, began] = runs.find_attempt(self._connection, run_id, -began)
        return self._attempts[run_id, began]

    def _run_id(self, entry: Entry) -> int:
        if entry.run_id >= 0:
            return entry.run_id
        if entry.run not in self._run_ids:
            assert self._connection is not None  # set while a group is applied
            self._run_ids[entry.run] = runs.find_run(self._connection, entry.run)
        return self._run_ids[entry.run]

    # --- statements --------------------------------------------------------------------------------------------

    def _write(self, fold: Fold) -> None:
        assert self._connection is not None  # set while a group is applied
        raw = self._connection.connection.dbapi_connection
        batch = Batch(self._dialect, raw)
        for guard, study in fold.studies.items():
            if guard.epoch is None:
                shared.admit(batch, guard, study, fold)
        series_ids = self._take_ids(len(fold.points) + len(fold.finals))
        try:
            with batch:
                while self._journals:
                    journals.advance(batch, *self._journals.pop())
                for guard, study in fold.studies.items():
                    if guard.epoch is not None:
                        self._check_epoch(batch, guard, study)
                runs.ask_living(batch, fold.unguarded - fold.runs.keys())
                self._write_runs(batch, fold)
                points.write(batch, fold, series_ids)
                for guard, study in fold.studies.items():
                    self._write_study(batch, guard, study)
            manifests.write(self._dialect, raw, fold, self._take_ids)
        except Exception as exc:
            if not is_integrity(exc):
                raise
            raise _explained(exc) from exc

    # --- studies -----------------------------------------------------------------------------------------------

    @staticmethod
    def _check_epoch(batch: Batch, guard: Guard, study: StudyFold) -> None:
        def look(rows: Sequence[Any]) -> None:
            found = rows[0] if rows else None
            if found is None or found[0] != guard.epoch:
                raise FencedError(
                    f"a newer manager owns study {guard.study_id} (epoch {found[0] if found else '?'}, this one has "
                    f"{guard.epoch}): this one stops, nothing of its write was kept"
                )
            if study.seqs and study.seqs[0] != found[1] + 1:
                raise StateError(f"event {study.seqs[0]} of study {guard.study_id} does not follow event {found[1]}")

        batch.ask("SELECT epoch, last_seq FROM trackers_studies WHERE id = ?{held}", (guard.study_id,), look)

    @staticmethod
    def _write_study(batch: Batch, guard: Guard, study: StudyFold) -> None:
        columns = dict(study.columns)
        if study.seqs:
            columns["last_seq"] = study.seqs[-1]
        if columns:
            changes = ", ".join(f"{name} = ?" for name in columns)
            batch.execute(f"UPDATE trackers_studies SET {changes} WHERE id = ?", (*columns.values(), guard.study_id))
        batch.run(_EVENTS, study.events)
        batch.run(_DISTRIBUTIONS, list(study.distributions.values()))
        batch.run(_DOCUMENTS, list(study.documents.values()))
        batch.run(_STUDY_ATTRS, list(study.attrs.values()))

        def look(count: int) -> None:
            if count != len(study.answers):
                raise StateError(f"a command of study {guard.study_id} is answered already, or was never sent")

        batch.run(_ANSWERS, study.answers, look)

    # --- runs --------------------------------------------------------------------------------------------------

    def _write_runs(self, batch: Batch, fold: Fold) -> None:
        self._check_experiments(batch, fold)
        batch.run(_RUNS, list(fold.runs.values()))
        moves = [
            (int(move.state), move.ended_at, move.first_start, move.later_start, run_id, *_ends(move.sources))
            for run_id, move in fold.moves.items()
        ]

        def look_at_moves(count: int) -> None:
            if count != len(moves):
                raise _illegal(batch, fold)

        def look_at_ends(count: int) -> None:
            if count != len(fold.attempt_ends):
                ends = list(fold.attempt_ends)[:5]
                listed = ", ".join(f"{number} of run {path_in(batch, run_id)}" for run_id, number in ends)
                raise StateError(f"an attempt has ended already or never started, one of: {listed}")

        batch.run(_MOVES, moves, look_at_moves)
        batch.run(_ATTEMPTS, list(fold.attempts.values()))
        batch.run(_ATTEMPT_ENDS, list(fold.attempt_ends.values()), look_at_ends)
        batch.run(_PARAM_DROPS, list(fold.param_drops))
        for name, statement in _SIMPLE:
            batch.run(statement, list(getattr(fold, name).values()))
        runs.write_params(batch, fold.params_once, fold.runs.keys())

    @staticmethod
    def _check_experiments(batch: Batch, fold: Fold) -> None:
        """Look whether the experiments that new runs are written to still have the names that were asked for."""

        def look(rows: Sequence[Any]) -> None:
            if not rows:  # the next attempt, of each submission alone, looks it up again
                raise StateError("the experiment of a run was renamed or deleted just now: log to it again")

        for experiment_id, name in fold.experiments.items():
            batch.ask("SELECT 1 FROM trackers_experiments WHERE id = ? AND live_name = ?", (experiment_id, name), look)

    def _take_ids(self, n: int) -> range:
        if n > len(self._series_ids):
            assert self._connection is not None  # set while a group is applied
            self._series_ids = take_block(self._connection, "series", max(n, BLOCK))
        taken, self._series_ids = self._series_ids[:n], self._series_ids[n:]
        return taken


def _journals_of(group: Sequence[Work]) -> list[tuple[str, int, int]]:
    """Return the journals whose entries are in a group, each with the first and the last number: they rise."""
    spans: dict[str, tuple[int, int]] = {}
    for work in group:
        if work.journal:
            spans[work.journal] = (spans.get(work.journal, (work.seq, 0))[0], work.seq)
    return [(uid, first, last) for uid, (first, last) in spans.items()]


def _illegal(batch: Batch, fold: Fold) -> TrackersError:
    """Name the run whose move the statement refused: its row still holds the old state."""
    for run_id, move in fold.moves.items():
        found = batch.fetch("SELECT state FROM trackers_runs WHERE id = ?", (run_id,))
        if not found:
            return NotFoundError(f"there is no run {run_id} in this store")
        state = found[0][0]
        if state != move.state and state not in move.sources:
            return StateError(f"run {path_in(batch, run_id)} is {RunState(state)!r} and cannot become {move.state!r}")
    named = [path_in(batch, run_id) for run_id in list(fold.moves)[:5]]
    if len(fold.moves) == 1:
        return StateError(f"run {named[0]} has reached its final state already")
    return StateError(f"a run has reached its final state already, one of: {', '.join(named)}")


def _explained(exc: BaseException) -> TrackersError:
    """Say which rule of the schema refused a write."""
    text = str(exc).lower()
    if "foreign key" in text:
        return NotFoundError("a record refers to a run or study that is not in this store")
    if "runs" in text and "number" in text:
        return StateError("a trial with this number exists already in its study")
    if "results" in text:
        return StateError("a trial has its result already")
    return StateError(f"the store refused a record: {str(exc).strip().splitlines()[0]}")


def _ends(sources: Sequence[int]) -> tuple[int, int]:
    """Return the one or two states a move may leave, as two numbers."""
    return int(sources[0]), int(sources[-1])
