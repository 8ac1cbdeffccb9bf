"""A group written: folded rows to statements, in the order in which rows refer to each other.

Runs on the writer's thread, inside its transaction. Every statement says what it expects to change and is checked by
the number of rows it did.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection

from trackers.errors import FencedError, NotFoundError, StateError, TrackersError
from trackers.sql import journals, manifests, points, runs, shared
from trackers.sql import tables as t
from trackers.sql.failures import is_integrity
from trackers.sql.fold import Fold, StudyFold
from trackers.sql.guard import Guard
from trackers.sql.ids import BLOCK, take_block
from trackers.sql.statements import Statement, delete, insert, update, upsert
from trackers.sql.writer import Work
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
_SIMPLE: tuple[tuple[str, Statement], ...] = (
    ("params", upsert(t.params, keep=("position",))),  # a param keeps its place in the order in which they came
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


_HELD = {"sqlite": "", "postgresql": " FOR NO KEY UPDATE", "mysql": " FOR UPDATE"}


class SqlApplier:
    """Writes groups of submissions and tasks, in order; used by one thread."""

    def __init__(self, dialect: str) -> None:
        self._dialect = dialect
        self._series_ids = range(0)
        self._cursor: Any = None
        self._connection: Connection | None = None
        self._run_ids: dict[str, int] = {}

    def rolled_back(self) -> None:
        """Forget the block of series ids and those of runs: the counters were rolled back too."""
        self._series_ids = range(0)
        self._run_ids.clear()

    def apply(self, connection: Connection, group: Sequence[Work]) -> None:
        """Write the group: runs of submissions are folded together, a task sees all that came before it."""
        self._connection = connection
        self._cursor = connection.connection.dbapi_connection.cursor()  # type: ignore[union-attr]
        try:
            self._advance(group)
            fold: Fold | None = None
            for work in group:
                entry = work.entry
                if work.task is None and (entry is None or entry.kind == "log"):
                    fold = fold or Fold()
                    fold.add(work.changes if entry is None else self._changes(entry), work.guard)
                    continue
                if fold is not None:
                    self._write(fold)
                    fold = None
                work.result = self._do(connection, entry) if work.task is None else work.task(connection)
            if fold is not None:
                self._write(fold)
        finally:
            self._cursor.close()
            self._cursor = self._connection = None

    # --- journals ----------------------------------------------------------------------------------------------

    def _advance(self, group: Sequence[Work]) -> None:
        """Note how far each journal is written with this group: its entries come by rising numbers."""
        spans: dict[str, tuple[int, int]] = {}
        for work in group:
            if work.journal:
                spans[work.journal] = (spans.get(work.journal, (work.seq, 0))[0], work.seq)
        for uid, (first, last) in spans.items():
            journals.advance(self._dialect, self._cursor, uid, first, last)

    def _changes(self, entry: Entry) -> Any:
        """Return what a run logged under the id that it has in this store."""
        if entry.run_id >= 0:
            return entry.content
        run_id = self._run_id(entry)
        return [replace(change, run_id=run_id) for change in entry.content]

    def _run_id(self, entry: Entry) -> int:
        if entry.run_id >= 0:
            return entry.run_id
        if entry.run not in self._run_ids:
            assert self._connection is not None  # set while a group is applied
            self._run_ids[entry.run] = runs.find_run(self._connection, entry.run)
        return self._run_ids[entry.run]

    def _do(self, connection: Connection, entry: Entry | None) -> Any:
        assert entry is not None  # a work is a task, changes or an entry
        if entry.kind == "start":
            return runs.start_later(connection, runs.Start(**entry.content))
        return runs.set_params(connection, self._run_id(entry), entry.content)

    # --- statements --------------------------------------------------------------------------------------------

    def _run(self, statement: Statement, rows: Any) -> int:
        return statement.run(self._dialect, self._cursor, list(rows)) if rows else 0

    def _one(self, text: str, values: Sequence[Any]) -> Any:
        """Run one statement written with ``?``; ``{held}`` holds the rows it reads until the transaction ends."""
        text = text.replace("{held}", _HELD[self._dialect])
        return self._cursor.execute(text if self._dialect == "sqlite" else text.replace("?", "%s"), values)

    def _write(self, fold: Fold) -> None:
        for guard, study in fold.studies.items():
            if guard.epoch is None:
                shared.admit(self._one, self._cursor, guard, study, fold)
            else:
                self._check_epoch(guard, study)
        if fold.unguarded:
            assert self._connection is not None  # set while a group is applied
            runs.check_living(self._connection, fold.unguarded)
        try:
            self._write_runs(fold)
            points.write(self._dialect, self._cursor, fold, self._take_ids)
            manifests.write(self._dialect, self._cursor, fold, self._take_ids)
            for guard, study in fold.studies.items():
                self._write_study(guard, study)
        except Exception as exc:
            if not is_integrity(exc):
                raise
            raise _explained(exc) from exc

    # --- studies -----------------------------------------------------------------------------------------------

    def _check_epoch(self, guard: Guard, study: StudyFold) -> None:
        self._one("SELECT epoch, last_seq FROM trackers_studies WHERE id = ?{held}", (guard.study_id,))
        found = self._cursor.fetchone()
        if found is None or found[0] != guard.epoch:
            raise FencedError(
                f"a newer manager owns study {guard.study_id} (epoch {found[0] if found else '?'}, this one has "
                f"{guard.epoch}): this one stops, nothing of its write was kept"
            )
        if study.seqs and study.seqs[0] != found[1] + 1:
            raise StateError(f"event {study.seqs[0]} of study {guard.study_id} does not follow event {found[1]}")

    def _write_study(self, guard: Guard, study: StudyFold) -> None:
        columns = dict(study.columns)
        if study.seqs:
            columns["last_seq"] = study.seqs[-1]
        if columns:
            changes = ", ".join(f"{name} = ?" for name in columns)
            self._one(f"UPDATE trackers_studies SET {changes} WHERE id = ?", (*columns.values(), guard.study_id))
        self._run(_EVENTS, study.events)
        self._run(_DISTRIBUTIONS, study.distributions.values())
        self._run(_DOCUMENTS, study.documents.values())
        self._run(_STUDY_ATTRS, study.attrs.values())
        if self._run(_ANSWERS, study.answers) != len(study.answers):
            raise StateError(f"a command of study {guard.study_id} is answered already, or was never sent")

    # --- runs --------------------------------------------------------------------------------------------------

    def _write_runs(self, fold: Fold) -> None:
        self._run(_RUNS, fold.runs.values())
        moves = [
            (int(move.state), move.ended_at, move.first_start, move.later_start, run_id, *_ends(move.sources))
            for run_id, move in fold.moves.items()
        ]
        if self._run(_MOVES, moves) != len(moves):
            raise self._illegal(fold)
        self._run(_ATTEMPTS, fold.attempts.values())
        if self._run(_ATTEMPT_ENDS, fold.attempt_ends.values()) != len(fold.attempt_ends):
            listed = ", ".join(f"{number} of run {run_id}" for run_id, number in list(fold.attempt_ends)[:5])
            raise StateError(f"an attempt has ended already or never started, one of: {listed}")
        self._run(_PARAM_DROPS, fold.param_drops)
        for name, statement in _SIMPLE:
            self._run(statement, getattr(fold, name).values())

    def _illegal(self, fold: Fold) -> TrackersError:
        """Name the run whose move the statement refused: its row still holds the old state."""
        for run_id, move in fold.moves.items():
            self._one("SELECT state FROM trackers_runs WHERE id = ?", (run_id,))
            found = self._cursor.fetchone()
            if found is None:
                return NotFoundError(f"there is no run {run_id} in this store")
            if found[0] != move.state and found[0] not in move.sources:
                return StateError(f"run {run_id} is {RunState(found[0])!r} and cannot become {move.state!r}")
        listed = ", ".join(str(run_id) for run_id in list(fold.moves)[:5])
        return StateError(f"a run has reached its final state already, one of: {listed}")

    def _take_ids(self, n: int) -> range:
        if n > len(self._series_ids):
            assert self._connection is not None  # set while a group is applied
            self._series_ids = take_block(self._connection, "series", max(n, BLOCK))
        taken, self._series_ids = self._series_ids[:n], self._series_ids[n:]
        return taken


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
