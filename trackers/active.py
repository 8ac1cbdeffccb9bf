"""The run that code logs to: as a handle, and as what is active in this context."""

from __future__ import annotations

import os
import time
import traceback
from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import suppress
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any

from trackers import changes as c
from trackers.capture.secret import redact_value
from trackers.clock import now_us
from trackers.errors import InvalidValueError, StateError, StoreAwayError, StoreError
from trackers.names import clean_name
from trackers.recorder import Recorder, clean_params
from trackers.states import RunState
from trackers.values import LoggedModel, ParamValue, Run, to_datetime

if TYPE_CHECKING:
    from trackers.artifacts import ArtifactStore
    from trackers.sql.commit import Commit
    from trackers.system import SystemMetrics
    from trackers.tracking import Tracking

STARTING = {
    "run_name": "it is called name",
    "experiment_id": "give the name of the experiment, start_run('fraud')",
    "run_id": "to go on with a run that never ended call store.resume_run(ID)",
    "description": "give it as a tag, tags={'description': ...}",
    "parent_run_id": "it is called parent",
    "log_system_metrics": "it is called system_metrics",
}
"""What MLflow calls the arguments of ``start_run``, and what serves here."""

_LONG = 2.0
"""Seconds after which who waits for the store is thought to be held up."""

_active: ContextVar[Any] = ContextVar("trackers_active_run", default=None)


def active_run() -> Any:
    """Return the run (or the trial, inside an objective) that is active in this context, else None."""
    return _active.get()


def set_active(run: Any) -> Token[Any]:
    """Make *run* active in this context; hand the token to ``reset_active``."""
    return _active.set(run)


def reset_active(token: Token[Any]) -> None:
    """Make active again what was before ``set_active``."""
    _active.reset(token)


class ActiveRun(Recorder):
    """A run that is being written. *uid* is its 32 hex digits, which are known at once.

    Thread-safe. Logging returns at once: what is logged within a few milliseconds is committed together, in order,
    and is certain after ``flush``, ``end`` or the end of the ``with`` block, which raise the first failure. While the
    database is away it is kept in a journal, unless the store is strict. As a context manager it ends the run, and is
    ``trackers.active_run()`` inside: an exception marks it FAIL, with the traceback, and goes on up.
    """

    def __init__(self, store: Tracking, run_id: int, uid: str, attempt: int = 0) -> None:
        super().__init__(run_id, attempt)
        self.uid = uid
        self.system_metrics: SystemMetrics | None = None
        self._store = store
        self._params: dict[str, ParamValue] = {}
        self._pending: deque[Commit] = deque()
        self._failure: BaseException | None = None
        self._ended = False
        self._superseded = False
        self._token: Token[Any] | None = None
        self._before: Any = None

    def __repr__(self) -> str:
        return f"<ActiveRun {self.uid}>"

    @property
    def id(self) -> int:
        """The run's id in its store; raises StoreError for one that was started while the store was away."""
        if self._run_id >= 0:
            return self._run_id
        found = self._store.run_id_of(self.uid)
        if self._attempt >= 0:  # else what it logs goes by its uid: the store has to look up the attempt
            self._run_id = found
        return found

    @property
    def known_id(self) -> int | None:
        """The run's id, None while it has none: it was started while the store was away."""
        return self._run_id if self._run_id >= 0 else None

    def is_of(self, store: object) -> bool:
        """Tell whether *store* is the one that the run is written to."""
        return self._store is store

    def start_run(self, experiment: str | None = None, **details: Any) -> ActiveRun:
        """Start a run that belongs to this one, in the same store; *details* are those of ``Store.start_run``."""
        return self._store.start_run(experiment, parent=self, **details)

    @property
    def run(self) -> Run:
        """The run as it is stored now, with everything that was logged."""
        self.flush()
        return self._store.get_run(self.uid)

    # --- for the store -----------------------------------------------------------------------------------------

    def known(
        self,
        params: Mapping[str, ParamValue],
        steps: Mapping[tuple[str, str], int] | None = None,
        files: Iterable[str] = (),
    ) -> None:
        """Tell the handle what its run holds already: params, the last step of each series, files (the store's part)."""
        self._params.update(params)
        self._steps_before = steps or {}
        with suppress(InvalidValueError):  # from before that was refused
            self._check_tree(files)

    def supersede(self, yes: bool = True) -> None:
        """Take nothing more: the run goes on with another handle (the store's part); with False it does not, after all."""
        with self._lock:
            self._superseded = yes
        if yes:
            self.settle()

    def settle(self) -> None:
        """Wait until what was logged to the run's store is committed, unless that is another process's (the store's part)."""
        if self.is_here:
            self._store.settle()

    @property
    def superseded(self) -> bool:
        """Whether the run goes on with another handle."""
        return self._superseded

    @property
    def is_here(self) -> bool:
        """Whether the handle was made in this process, and not in the one that forked it."""
        return self._store.writer.pid == os.getpid()

    def go_on_as(self, attempt: int) -> None:
        """Go on as another attempt, which was begun for a handle that nobody got (the store's part)."""
        with self._lock:
            self._attempt = attempt

    def take_over(self, older: ActiveRun) -> None:
        """Go on in the place of *older*, also as the active run and with what the machine does (the store's part)."""
        if older.system_metrics is not None:
            older.system_metrics.stop()
            self.system_metrics = older.system_metrics.begin(
                self, older.system_metrics.seconds, older.system_metrics.step
            )
        if active_run() is older:
            before = None if older._token is None else older._token.old_value
            self._before = older._before if older._token is None else None if before is Token.MISSING else before
            set_active(self)

    def begun(self, commit: Commit) -> None:
        """Wait for *commit*, which writes the run, before anything is taken for certain (the store's part)."""
        with self._lock:
            self._sent(commit)

    # --- params ------------------------------------------------------------------------------------------------

    def log_params(self, params: Mapping[str, ParamValue]) -> None:
        """Log params: numbers, booleans, text, None, and lists or mappings of them.

        A param is written once. Raises InvalidValueError, which names both, when it has another value already. What is
        a secret, by its param's name (``api_key``) or its look (a URL with a password), is kept as ``***``; so is a number
        that is a password.
        """
        clean = clean_params(params)
        with self._lock:
            self._check_open()
            for name, value in clean.items():
                if name in self._params:
                    known = redact_value(name, self._params[name])  # an older release kept secrets as they were
                    self._store.check_param(name, known, value)
            new = {name: value for name, value in clean.items() if name not in self._params}
            if new:
                self._params.update(new)
                self._sent(self._store.submit(self, "params", new))

    # --- models ------------------------------------------------------------------------------------------------

    def log_model(
        self,
        model: Any,
        name: str = "model",
        *,
        step: int | None = None,
        value: float | None = None,
        **options: Any,
    ) -> LoggedModel:
        """Save *model* and return its row, once that is committed; an older one of the same name is replaced.

        The path of a model folder, ours or one that MLflow wrote, is taken for the model in it, and what ``load_model``
        gave for its folder: the files are stored as they are, once those that have digests are verified.
        *step* and *value* say what it was the model of; *options* are those of ``trackers.models.save``:
        ``input_example=``, ``signature=``, ``flavor=``, ``code=``, ``pip_requirements=``, and for PyTorch ``factory=``
        and ``factory_kwargs=``. Raises ModelError for a model that cannot be saved.
        """
        from trackers.models.packing import pack

        name = clean_name(name, "model")
        manifest, files = pack(model, self._store.artifacts, **options)
        record = c.ModelLogged(self._run_id, now_us(), self._store.new_uid(), name, manifest, files, step, value)
        self._log(record)
        self.flush()
        created_at = to_datetime(record.time)
        assert created_at is not None  # None only for a time that is None
        return LoggedModel(
            uid=record.uid,
            run_id=self._run_id,
            name=name,
            flavor=str(manifest.get("flavor", "")),
            manifest=manifest,
            files={file: digest for file, (digest, _) in files.items()},
            size=sum(size for _, size in files.values()),
            created_at=created_at,
            step=step,
            value=value,
        )

    # --- the end -----------------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Wait until everything logged so far is committed, or safe in the journal while the database is away.

        Raises the first failure since the last call, and StoreError in a forked child.
        """
        self._store.writer.check_process()
        with self._lock:
            waiting = list(self._pending)
        if waiting:
            self._store.writer.hurry()
        since = time.monotonic()
        for commit in waiting:
            try:
                commit.wait()
            except BaseException:
                if not commit.done():  # interrupted while waiting
                    if (seconds := time.monotonic() - since) > _LONG or self._ended:
                        # what is queued is not lost with the process, should that end now
                        self._store.writer.spill(StoreAwayError(f"the store has not answered for {seconds:.0f} s"))
                    raise
        self._store.keep()
        with self._lock:
            self._collect()
            failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    @property
    def ended(self) -> bool:
        """Whether ``end`` was called, the ``with`` block left, or the run goes on with another handle."""
        return self._ended or self._superseded

    def end(self, state: RunState | str = RunState.COMPLETE, reason: BaseException | None = None) -> None:
        """End the run in its final state and wait for the commit; *reason* is kept with its traceback.

        *state* may be named, ``"FAIL"``, also in MLflow's words, ``"FINISHED"``. Raises InvalidValueError for another
        word, StateError when it has ended already, and the first failure of what was logged. Where it is known by then
        that the store did not take all of it, the run has failed.
        """
        state = _final(state)
        if not state.is_finished():
            raise StateError(f"a run ends as COMPLETE, PRUNED or FAIL, not as {state.name}")
        with self._lock:
            self._check_open()
        if self.system_metrics is not None:
            self.system_metrics.stop()
        self._store.follow_launch(self.known_id, self._attempt)
        with self._lock:
            self._check_open()
            self._collect()
            if isinstance(self._failure, StoreError) and state is not RunState.FAIL:
                state, reason = RunState.FAIL, self._failure  # it lacks some of what was logged
            self._ended = True
            now = now_us()
            outcome = {RunState.COMPLETE: "complete", RunState.PRUNED: "pruned", RunState.FAIL: "fail"}[state]
            error = _explain(reason)
            self._submit(
                [
                    c.AttemptEnded(self._run_id, self._attempt, now, outcome, reason=error[1] or ""),
                    c.TrialFinished(self._run_id, now, state, None, *error),
                ]
            )
        if active_run() is self and self._token is None:
            set_active(self._before)
        self.flush()

    def activate(self) -> None:
        """Make it the active run of this context until it ends, without a ``with`` block."""
        self._before = active_run()
        set_active(self)

    def __enter__(self) -> ActiveRun:
        if active_run() is self:
            set_active(self._before)  # what was made active without a block has one now
        self._token = set_active(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: object) -> None:
        if self._token is not None:
            reset_active(self._token)
            self._token = None
        if self._ended or self._superseded:
            if exc is None:
                self.flush()
            return
        left_well = exc is None or (isinstance(exc, SystemExit) and not exc.code)
        if left_well:
            self.end()
            return
        try:
            self.end(RunState.FAIL, exc)
        except Exception as second:  # noqa: BLE001 - what went wrong first is what must be seen
            assert exc is not None  # left_well otherwise
            exc.add_note(f"the run {self.uid} could not be marked as failed: {second}")

    # --- what the writer takes ---------------------------------------------------------------------------------

    def _check_open(self) -> None:
        if self._ended:
            raise StateError(f"run {self.uid} has ended: nothing more can be logged to it")
        if self._superseded:
            raise StateError(f"run {self.uid} was resumed: it goes on with what resume_run returned")

    def _files(self) -> ArtifactStore:
        return self._store.artifacts

    def write(self, records: Iterable[c.Change]) -> None:
        """Log records that were made for this run elsewhere (by the trial that a refit calls its function with)."""
        with self._lock:
            self._check_open()
            self._record(list(records))

    def _record(self, records: list[c.Change]) -> None:
        self._submit(records)
        if self._store.strict and self._failure is not None:  # nothing else keeps it: the next call that logs says so
            failure, self._failure = self._failure, None
            raise failure

    def _submit(self, records: list[c.Change]) -> None:
        self._sent(self._store.submit(self, "log", records))

    def _sent(self, commit: Commit) -> None:
        self._collect()
        self._pending.append(commit)

    def _collect(self) -> None:
        """Forget what is committed and keep the first failure; commits are done in their order."""
        while self._pending and self._pending[0].done():
            failure = self._pending.popleft().exception()
            if self._failure is None:
                self._failure = failure


class Logging:
    """A trial, where a nested run was asked for inside an objective: it logs there, and ends nothing."""

    def __init__(self, trial: Any) -> None:
        self._trial = trial

    def __getattr__(self, name: str) -> Any:
        return getattr(self._trial, name)

    def __enter__(self) -> Logging:
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Leave the trial to its objective."""

    def flush(self) -> None:
        """Do nothing: what a trial logs goes with its next message."""

    def end(self, state: RunState = RunState.COMPLETE, reason: BaseException | None = None) -> None:
        """Do nothing: a trial ends with its objective."""


_WORDS = {"FINISHED": RunState.COMPLETE, "FAILED": RunState.FAIL, "KILLED": RunState.FAIL}


def _final(state: RunState | str | int) -> RunState:
    """Return the state that is meant; raises InvalidValueError, which names those in which a run ends."""
    try:
        if isinstance(state, str):
            word = state.strip().upper()
            return _WORDS[word] if word in _WORDS else RunState[word]
        return RunState(state)
    except (KeyError, ValueError):
        raise InvalidValueError(f"a run ends as COMPLETE, PRUNED or FAIL, not as {state!r:.60}") from None


def _explain(exc: BaseException | None) -> tuple[str | None, str | None, str | None]:
    """Return the type, the message and the traceback to keep of an exception."""
    if exc is None:
        return None, None, None
    message = "interrupted" if isinstance(exc, KeyboardInterrupt) else (str(exc) or type(exc).__name__)
    return type(exc).__name__, message, "".join(traceback.format_exception(exc))
