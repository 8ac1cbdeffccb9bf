"""The records of one group, folded to the rows that are written once: pure, no database.

A trial that is created, started and finished within a group becomes one row in its final state. Moves between states
are checked against the one table of legal moves here, and the first of each run again in the statement itself.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

from trackers import changes as c
from trackers.artifacts.names import check_name
from trackers.clock import now_us
from trackers.errors import InvalidValueError, StateError
from trackers.names import clean_name
from trackers.sql.columns import FINITE, check_param, escape, param_columns, split_number, to_json, word_of
from trackers.sql.guard import Guard
from trackers.states import LEGAL_MOVES, RunState, may_move

if TYPE_CHECKING:
    from trackers.sql.runs import Start
    from trackers.values import ParamValue

_SOURCES = {new: tuple(int(old) for old in LEGAL_MOVES if new in LEGAL_MOVES[old]) for new in RunState}
_positions = count(now_us())

LOGGED = 1 << 62
"""From this position on come the params that a trial logged; those before were searched over."""

UNREPORTED = -1
"""The attempt of a point that no attempt reported: the final value of a trial that reported none (see 0021)."""
UNNAMED = re.compile(r"value(_\d+)?")
"""What objectives are called that nobody named: ``attributes.value`` is their name, and a series would be for nobody."""

Rows = dict[Any, list[Any]]


@dataclass(slots=True)
class Move:
    """What becomes of a run that was there before the group; *sources* are the states its first move may leave."""

    sources: tuple[int, ...]
    state: RunState
    first_start: int | None = None
    later_start: int | None = None
    ended_at: int | None = None


@dataclass(slots=True)
class StudyFold:
    """What a group writes about a study itself."""

    seqs: list[int] = field(default_factory=list)
    shared_events: list[c.SharedEvent] = field(default_factory=list)
    events: list[tuple[Any, ...]] = field(default_factory=list)
    columns: dict[str, Any] = field(default_factory=dict)
    documents: Rows = field(default_factory=dict)
    attrs: Rows = field(default_factory=dict)
    distributions: Rows = field(default_factory=dict)
    answers: list[tuple[Any, ...]] = field(default_factory=list)


class Fold:
    """The rows of one group. ``add`` takes the records in order; its attributes hold rows keyed by primary key."""

    def __init__(self) -> None:
        self.studies: dict[Guard, StudyFold] = {}
        self.runs: dict[int, list[Any]] = {}
        self.moves: dict[int, Move] = {}
        self.attempts: Rows = {}
        self.attempt_ends: Rows = {}
        self.params: Rows = {}
        self.logged: Rows = {}
        self.params_once: dict[tuple[int, str], tuple[tuple[Any, ...], Any]] = {}
        """Rows of params that are written once, and their values as they were given."""
        self.param_drops: dict[tuple[int, str], None] = {}
        self.results: Rows = {}
        self.errors: Rows = {}
        self.points: dict[tuple[int, str, str], list[tuple[int, int, int, float]]] = {}
        self.finals: dict[tuple[int, str, str], tuple[int, int, int, float]] = {}
        """Final values, each the one point of its series if that has no other."""
        self.attrs: Rows = {}
        self.tags: Rows = {}
        self.logs: Rows = {}
        self.blobs: Rows = {}
        self.artifacts: Rows = {}
        self.checkpoints: Rows = {}
        self.checkpoint_drops: list[tuple[int]] = []
        self.models: dict[tuple[int, str], c.ModelLogged] = {}
        self.model_failures: dict[tuple[int, str], c.ModelLogged] = {}
        self.model_drops: dict[tuple[int, str], c.ModelDropped] = {}
        self.inputs: dict[tuple[int, str, str, str], c.InputLogged] = {}
        self.unguarded: set[int] = set()
        """Runs that were written without a lease."""
        self.started: set[int] = set()
        """Runs of this group that are no trials, whatever they were started in."""
        self.experiments: dict[int, str] = {}
        """The experiments that new runs without a lease are in, by the id that is known for their name."""
        self._guard: Guard | None = None

    def add(self, changes: Sequence[c.Change], guard: Guard | None) -> None:
        """Fold *changes*, written under *guard*, after what is folded already."""
        self._guard = guard
        if guard is not None and guard not in self.studies:
            self.studies[guard] = StudyFold()
        for change in changes:
            _FOLDERS[type(change)](self, change)
            if guard is None:
                self.unguarded.add(change.run_id)  # type: ignore[union-attr]  # what has none needs a guard

    @property
    def _study(self) -> StudyFold:
        if self._guard is None:
            raise InvalidValueError("what belongs to a study is written under its lease only")
        return self.studies[self._guard]

    # --- trials ------------------------------------------------------------------------------------------------

    def _created(self, change: c.TrialCreated) -> None:
        guard = self._guard
        if guard is None:
            raise InvalidValueError("a trial is created under the lease of its study only")
        self.runs[change.run_id] = [
            change.run_id,
            change.uid,
            guard.study_id,
            change.number,
            change.parent_id,
            change.name,
            int(change.state),
            guard.user,
            guard.host,
            change.time,
            change.started or (change.time if change.state is RunState.RUNNING else None),
            None,
        ]
        for position, (name, value) in enumerate(change.params.items()):
            name = _name(name, "param")
            self.params[change.run_id, name] = [change.run_id, name, position, *param_columns(value)]
        if change.system_attrs:
            self._attrs(change.run_id, "system", change.system_attrs)
        if change.user_attrs:
            self._attrs(change.run_id, "user", change.user_attrs)

    def _move(self, run_id: int, sources: tuple[int, ...], state: RunState) -> Move | None:
        """Move a run; return None where its row is one of this group's."""
        row = self.runs.get(run_id)
        if row is not None:
            if row[6] != state or state is not RunState.RUNNING:
                _check_move(run_id, row[6], state)
                row[6] = int(state)
            return None
        move = self.moves.get(run_id)
        if move is None:
            move = self.moves[run_id] = Move(sources, state)
        elif move.state != state or state is not RunState.RUNNING:
            _check_move(run_id, move.state, state)
            move.state = state
        return move

    def _started(self, change: c.TrialStarted) -> None:
        run_id = change.run_id
        sources = (RunState.WAITING,) if change.claimed else (RunState.WAITING, RunState.RUNNING)
        move = self._move(run_id, sources, RunState.RUNNING)
        if move is None:
            row = self.runs[run_id]
            if change.attempt == 0 or row[10] is None:
                row[10] = change.time
        elif change.attempt == 0:
            move.first_start = change.time
        elif move.later_start is None:
            move.later_start = change.time
        self.attempts[run_id, change.attempt] = [
            run_id,
            change.attempt,
            escape(change.worker),
            escape(change.host),
            change.pid,
            change.time,
            None,
            None,
            "",
            True,
            float(change.cpus),
            float(change.gpus),
            change.launch,
        ]

    def _attempt_ended(self, change: c.AttemptEnded) -> None:
        key = change.run_id, change.attempt
        ending = [change.time, change.outcome, escape(change.reason), change.counts]
        row = self.attempts.get(key)
        if row is not None and row[6] is None:
            row[5] = row[5] if change.started is None else change.started
            row[6:10] = ending
        elif row is None and key not in self.attempt_ends:
            self.attempt_ends[key] = [change.started, *ending, *key]
        else:
            raise StateError(f"attempt {change.attempt} of run {change.run_id} has ended already")

    def _requeued(self, change: c.TrialRequeued) -> None:
        self._move(change.run_id, _SOURCES[RunState.WAITING], RunState.WAITING)

    def _finished(self, change: c.TrialFinished) -> None:
        run_id = change.run_id
        if not change.state.is_finished():
            raise StateError(f"run {run_id} cannot finish as {change.state!r}")
        move = self._move(run_id, _SOURCES[change.state], change.state)
        if move is None:
            self.runs[run_id][11] = change.time
        else:
            move.ended_at = change.time
        for objective, value in enumerate(change.values or ()):
            self.results[run_id, objective] = [run_id, objective, *split_number(value)]
        for name, value in zip(change.metrics, change.values or (), strict=False):
            if not UNNAMED.fullmatch(name):
                self.finals[run_id, _name(name, "metric"), ""] = (0, UNREPORTED, change.time, value)
        if change.error is not None or change.error_type is not None or change.traceback is not None:
            texts = (change.error_type, change.error, change.traceback)
            self.errors[run_id] = [run_id, *(None if text is None else escape(text) for text in texts)]

    # --- runs that are no trials -------------------------------------------------------------------------------

    def start(self, start: Start, experiment_id: int) -> None:
        """Fold the start of a run that has its id and no parent, in an experiment that is there."""
        run_id, host = start.run_id, escape(start.host)
        self.started.add(run_id)
        self.experiments[experiment_id] = start.experiment or "default"
        self.runs[run_id] = [
            *(run_id, start.uid, experiment_id, None, None, start.name, int(RunState.RUNNING)),
            *(escape(start.user), host, start.time, start.time, None),
        ]
        self.attempts[run_id, 0] = [
            *(run_id, 0, "", host, start.pid, start.time, None, None, "", True, 1.0, 0.0, start.launch),
        ]
        self.set_params(run_id, start.params)
        for name, value in start.tags.items():
            text = escape(value)
            self.tags[run_id, name] = [run_id, name, text, word_of(text)]

    def set_params(self, run_id: int, params: Mapping[str, ParamValue]) -> None:
        """Fold params that are written once; raises InvalidValueError where one has another value in this group."""
        self.unguarded.add(run_id)
        position = next_positions(len(params))
        for name, value in params.items():
            known = self.params_once.get((run_id, name))
            if known is not None:
                check_param(name, known[1], value)
                continue
            self.params_once[run_id, name] = (run_id, name, next(position), *param_columns(value)), value

    # --- what a run holds --------------------------------------------------------------------------------------

    def _params(self, change: c.ParamsSet) -> None:
        for name, value in change.params.items():
            name = _name(name, "param")
            old = self.params.get((change.run_id, name))
            position = old[2] if old is not None else next(_positions)
            self.params[change.run_id, name] = [change.run_id, name, position, *param_columns(value)]

    def _params_logged(self, change: c.ParamsLogged) -> None:
        for name, value in change.params.items():
            key = change.run_id, _name(name, "param")
            self.logged[key] = [*key, LOGGED + next(_positions), *param_columns(value)]

    def _params_dropped(self, change: c.ParamsDropped) -> None:
        for name in change.names:
            key = change.run_id, _name(name, "param")
            self.params.pop(key, None)
            self.param_drops[key] = None  # run before the rows are written: one that is set again stays

    def _points(self, change: c.PointsLogged) -> None:
        if not change.points:
            return
        key = change.run_id, _name(change.key, "metric"), change.context and _name(change.context, "context")
        known = self.points.get(key)
        if known is None:
            self.points[key] = list(change.points)
        else:
            known.extend(change.points)

    def _attrs(self, run_id: int, scope: str, attrs: Any) -> None:
        for name, value in attrs.items():
            name = _name(name, "attribute")
            self.attrs[run_id, scope, name] = [run_id, scope, name, to_json(value)]

    def _attrs_set(self, change: c.AttrsSet) -> None:
        if change.scope not in {"user", "system", "dist"}:
            raise InvalidValueError(f"the scope of an attribute is 'user', 'system' or 'dist', not {change.scope!r}")
        self._attrs(change.run_id, change.scope, change.attrs)

    def _tags(self, change: c.TagsSet) -> None:
        for name, value in change.tags.items():
            name = _name(name, "tag")
            text = escape(str(value))
            self.tags[change.run_id, name] = [change.run_id, name, text, word_of(text)]

    def _log(self, change: c.LogKept) -> None:
        self.logs[change.run_id, change.attempt] = [change.run_id, change.attempt, escape(change.text)]

    def _file(self, digest: str, size: int, time: int) -> None:
        self.blobs.setdefault(digest, [digest, size, time])

    def _artifacts(self, change: c.ArtifactsLogged) -> None:
        for given, (digest, size) in change.files.items():
            name = check_name(given)
            self._file(digest, size, change.time)
            self.artifacts[change.run_id, name] = [change.run_id, name, digest, change.time]

    def _checkpoint(self, change: c.CheckpointSaved) -> None:
        self._file(change.digest, change.size, change.time)
        self.checkpoints[change.run_id] = [change.run_id, change.digest, change.step, change.time]

    def _checkpoint_dropped(self, change: c.CheckpointDropped) -> None:
        self.checkpoints.pop(change.run_id, None)
        self.checkpoint_drops.append((change.run_id,))

    def _model(self, change: c.ModelLogged) -> None:
        key = change.run_id, _name(change.name, "model")
        for digest, size in change.files.values():
            self._file(digest, size, change.time)
        if change.manifest is None:
            self.model_failures[key] = change  # the model that was saved before it stays
            return
        self.models[key] = change
        self.model_failures.pop(key, None)
        self.model_drops.pop(key, None)

    def _model_dropped(self, change: c.ModelDropped) -> None:
        self.model_drops[change.run_id, _name(change.name, "model")] = change

    def _input(self, change: c.InputLogged) -> None:
        name = _name(change.name, "data set")
        self.inputs[change.run_id, name, change.digest, change.role] = change

    # --- the study ---------------------------------------------------------------------------------------------

    def _distributions(self, change: c.DistributionsSeen) -> None:
        study, study_id = self._study, self._guard.study_id if self._guard else 0
        for name, spec in change.distributions.items():
            name = _name(name, "param")
            study.distributions[name] = [study_id, name, to_json(spec)]

    def _study_changed(self, change: c.StudyChanged) -> None:
        study, study_id = self._study, self._guard.study_id if self._guard else 0
        for name in ("status", "reason", "total_trials", "started_at", "ended_at"):
            value = getattr(change, name)
            if value is not None:
                study.columns[name] = escape(value) if isinstance(value, str) else value
        for name in ("directions", "metric_names"):
            if getattr(change, name) is not None:
                study.columns[name] = to_json(list(getattr(change, name)))
        if change.launch is not None:
            study.columns["launch_id"] = change.launch
        for name in ("settings", "code", "workers", "space"):
            value = getattr(change, name)
            if value is not None:
                study.documents[name] = [study_id, name, to_json(value)]
        for scope, attrs in (("user", change.user_attrs), ("system", change.system_attrs)):
            for name, value in (attrs or {}).items():
                name = _name(name, "attribute")
                study.attrs[scope, name] = [study_id, scope, name, to_json(value)]

    def _event(self, change: c.EventHappened) -> None:
        study, study_id = self._study, self._guard.study_id if self._guard else 0
        if study.seqs and change.seq != study.seqs[-1] + 1:
            raise StateError(f"event {change.seq} of study {study_id} does not follow event {study.seqs[-1]}")
        study.seqs.append(change.seq)
        data = to_json(change.data) if change.data else "{}"
        study.events.append((study_id, change.seq, change.kind, change.number, data, change.time))

    def _shared_event(self, change: c.SharedEvent) -> None:
        self._study.shared_events.append(change)

    def _answered(self, change: c.CommandAnswered) -> None:
        self._study.answers.append((change.time, to_json(change.answer), change.command_id))


def summary(points: Sequence[tuple[int, int, int, float]]) -> list[Any]:
    """Return what a series keeps of *points*: last, its kind, step, attempt and time, the smallest and the largest."""
    last = points[0]
    low: float | None = None
    high: float | None = None
    for point in points:
        if (point[1], point[0]) >= (last[1], last[0]):
            last = point
        value = point[3]
        if value == value:
            low = value if low is None or value < low else low
            high = value if high is None or value > high else high
    numbers = [None if number is None else split_number(number)[0] for number in (low, high)]
    return [*split_number(last[3]), last[0], last[1], last[2], *numbers]


def visible(points: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Return those of *points* (step, attempt, ...) that count, in their order.

    Where a later attempt began again at a step, what older attempts logged from that step on is hidden.
    """
    firsts: dict[int, int] = {}
    for step, attempt, *_ in points:
        firsts[attempt] = min(step, firsts.get(attempt, step))
    if len(firsts) < 2:
        return list(points)
    ends = hidden_from(firsts)
    return [point for point in points if point[0] < ends[point[1]]]


def hidden_from(firsts: Mapping[int, int]) -> dict[int, float]:
    """Return the step from which on each attempt is hidden, by the first step of each."""
    ends: dict[int, float] = {}
    end = math.inf
    for attempt in sorted(firsts, reverse=True):
        ends[attempt] = end
        end = min(end, firsts[attempt])
    return ends


def value_columns(value: float | None) -> tuple[float | None, int]:
    """Return the columns of a number that may be missing."""
    return (None, FINITE) if value is None else split_number(value)


_last_position = 0


def next_positions(count: int) -> Iterator[int]:
    """Return *count* positions for params of runs: behind all that were given out before, here or elsewhere."""
    global _last_position
    first = max(now_us(), _last_position + 1)
    _last_position = first + count
    return iter(range(first, first + count))


def _check_move(run_id: int, old: int, new: RunState) -> None:
    if not may_move(RunState(old), new):
        raise StateError(f"run {run_id} is {RunState(old)!r} and cannot become {new!r}")


_known: dict[str, str] = {}


def _name(name: str, what: str) -> str:
    """Return the clean form of a name; the same few come back with every trial."""
    clean = _known.get(name)
    if clean is None:
        clean = clean_name(name, what)
        if len(_known) < 10_000:
            _known[name] = clean
    return clean


_FOLDERS: dict[type, Callable[[Fold, Any], None]] = {
    c.TrialCreated: Fold._created,
    c.TrialStarted: Fold._started,
    c.AttemptEnded: Fold._attempt_ended,
    c.TrialRequeued: Fold._requeued,
    c.TrialFinished: Fold._finished,
    c.ParamsSet: Fold._params,
    c.ParamsLogged: Fold._params_logged,
    c.ParamsDropped: Fold._params_dropped,
    c.PointsLogged: Fold._points,
    c.AttrsSet: Fold._attrs_set,
    c.TagsSet: Fold._tags,
    c.LogKept: Fold._log,
    c.ArtifactsLogged: Fold._artifacts,
    c.ModelLogged: Fold._model,
    c.ModelDropped: Fold._model_dropped,
    c.CheckpointSaved: Fold._checkpoint,
    c.CheckpointDropped: Fold._checkpoint_dropped,
    c.InputLogged: Fold._input,
    c.DistributionsSeen: Fold._distributions,
    c.StudyChanged: Fold._study_changed,
    c.EventHappened: Fold._event,
    c.SharedEvent: Fold._shared_event,
    c.CommandAnswered: Fold._answered,
}
