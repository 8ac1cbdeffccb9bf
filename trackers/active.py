"""The run that code logs to: as a handle, and as what is active in this context."""

from __future__ import annotations

import json
import operator
import os
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar, Token
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trackers import changes as c
from trackers.clock import now_us
from trackers.errors import InvalidValueError, StateError
from trackers.names import clean_name
from trackers.states import RunState
from trackers.values import LoggedModel, ParamValue, Run, to_datetime

if TYPE_CHECKING:
    from trackers.sql.commit import Commit
    from trackers.tracking import Tracking

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


class ActiveRun:
    """A run that is being written.

    Thread-safe. Logging returns at once: what is logged within a few milliseconds is committed together, in order,
    and is certain after ``flush``, ``end`` or the end of the ``with`` block, which raise the first failure. As a
    context manager it ends the run, and is ``trackers.active_run()`` inside: an exception marks it FAIL, with the
    traceback, and goes on up.
    """

    def __init__(self, store: Tracking, run_id: int, uid: str, attempt: int = 0) -> None:
        self.id = run_id
        self.uid = uid
        self._store = store
        self._attempt = attempt
        self._lock = threading.Lock()
        self._params: dict[str, ParamValue] = {}
        self._steps: dict[tuple[str, str], int] = {}
        self._pending: deque[Commit] = deque()
        self._failure: BaseException | None = None
        self._ended = False
        self._token: Token[Any] | None = None

    def __repr__(self) -> str:
        return f"<ActiveRun {self.uid}>"

    def start_run(self, experiment: str | None = None, **details: Any) -> ActiveRun:
        """Start a run that belongs to this one, in the same store; *details* are those of ``Store.start_run``."""
        return self._store.start_run(experiment, parent=self, **details)

    @property
    def run(self) -> Run:
        """The run as it is stored now, with everything that was logged."""
        self.flush()
        return self._store.get_run(self.id)

    def known(self, params: Mapping[str, ParamValue], steps: Mapping[tuple[str, str], int] | None = None) -> None:
        """Tell the handle what its run holds already: params, and the last step of each series (the store's part)."""
        self._params.update(params)
        self._steps.update(steps or {})

    def begun(self, commit: Commit) -> None:
        """Wait for *commit*, which writes the run, before anything is taken for certain (the store's part)."""
        with self._lock:
            self._sent(commit)

    # --- params, metrics, tags ---------------------------------------------------------------------------------

    def log_param(self, key: str, value: ParamValue) -> None:
        """Log one param; see ``log_params``."""
        self.log_params({key: value})

    def log_params(self, params: Mapping[str, ParamValue]) -> None:
        """Log params: numbers, booleans, text, None, and lists or mappings of them.

        A param is written once. Raises InvalidValueError, which names both, when it has another value already.
        """
        clean = clean_params(params)
        with self._lock:
            self._check_open()
            for name, value in clean.items():
                if name in self._params:
                    self._store.check_param(name, self._params[name], value)
            new = {name: value for name, value in clean.items() if name not in self._params}
            if new:
                self._params.update(new)
                self._sent(self._store.submit_params(self.id, new))

    def log_metric(self, key: str, value: float, step: int | None = None) -> None:
        """Log one point of a metric; see ``log_metrics``."""
        self.log_metrics({key: value}, step)

    def log_metrics(
        self,
        metrics: Mapping[str, float],
        step: int | None = None,
        context: Mapping[str, object] | str | None = None,
    ) -> None:
        """Log a point of each of these metrics; NaN and the infinities are kept.

        *step* counts on from the largest one of the series where it is not given. *context*, such as
        ``{"split": "val"}``, tells series of the same key apart. Raises InvalidValueError for what is no number.
        """
        label = context_label(context)
        given = None if step is None else _check_step(step)
        values = {clean_name(key, "metric"): _check_number(key, value) for key, value in metrics.items()}
        now = now_us()
        with self._lock:
            self._check_open()
            records: list[c.Change] = []
            for key, value in values.items():
                last = self._steps.get((key, label), -1)
                at = last + 1 if given is None else given
                self._steps[key, label] = max(last, at)
                records.append(c.PointsLogged(self.id, key, ((at, self._attempt, now, value),), label))
            self._submit(records)

    def set_tag(self, key: str, value: object) -> None:
        """Set one tag; see ``set_tags``."""
        self.set_tags({key: value})

    def set_tags(self, tags: Mapping[str, object]) -> None:
        """Set tags, over those of the same names; a value that is no text is kept as its text."""
        self._log(c.TagsSet(self.id, clean_tags(tags)))

    # --- files -------------------------------------------------------------------------------------------------

    def log_text(self, text: str, name: str) -> None:
        """Store *text* as the file *name* of this run (UTF-8)."""
        self._put(name, lambda: self._store.artifacts.put_bytes(text.encode("utf-8", "backslashreplace")))

    def log_dict(self, content: Mapping[str, Any] | list[Any], name: str) -> None:
        """Store *content* as the JSON file *name* of this run; raises InvalidValueError for what JSON cannot hold."""
        try:
            text = json.dumps(content, indent=2, ensure_ascii=False)
        except (TypeError, ValueError, RecursionError) as exc:
            raise InvalidValueError(f"the content of {name!r} cannot be written as JSON: {exc}") from exc
        self.log_text(text, name)

    def log_artifact(self, path: str | os.PathLike[str], name: str | None = None) -> None:
        """Store the file at *path*, as *name* (default: its own name). Raises ArtifactError."""
        path = Path(path)
        if path.is_dir():
            raise InvalidValueError(f"{path} is a folder: log its files with log_artifacts")
        self._put(path.name if name is None else name, lambda: self._store.artifacts.put_file(path))

    def log_artifacts(self, folder: str | os.PathLike[str], name: str | None = None) -> None:
        """Store every file below *folder*, with names relative to it, below *name* where that is given."""
        files = self._store.artifacts.put_folder(folder)
        prefix = "" if name is None else name.rstrip("/") + "/"
        self._log(c.ArtifactsLogged(self.id, now_us(), {_file_name(prefix + key): put for key, put in files.items()}))

    def _put(self, name: str, put: Callable[[], tuple[str, int]]) -> None:
        name = _file_name(name)
        with self._lock:
            self._check_open()
        self._log(c.ArtifactsLogged(self.id, now_us(), {name: put()}))

    # --- data and models ---------------------------------------------------------------------------------------

    def log_input(self, data: Any, name: str | None = None, role: str = "train", source: str | None = None) -> None:
        """Note a data set that this run reads: its digest, rows and schema, not its content.

        *data* is what ``trackers.capture.data_digest`` takes: arrays, tables, tensors, bytes, paths. *name* is that of
        the file, or ``"data"``; *role* what it is for; *source* where it came from, by default the path. Equal data
        has an equal digest, however it lies in memory. Raises InvalidValueError for what has no digest.
        """
        self._log(describe_input(self.id, data, name, role, source))

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

        *step* and *value* say what it was the model of; *options* are those of ``trackers.models.save``:
        ``input_example=``, ``signature=``, ``flavor=``, ``code=``, ``pip_requirements=``, and for PyTorch ``factory=``
        and ``factory_kwargs=``. Raises ModelError for a model that cannot be saved.
        """
        from trackers.models.packing import pack

        name = clean_name(name, "model")
        manifest, files = pack(model, self._store.artifacts, **options)
        record = c.ModelLogged(self.id, now_us(), self._store.new_uid(), name, manifest, files, step, value)
        self._log(record)
        self.flush()
        created_at = to_datetime(record.time)
        assert created_at is not None  # None only for a time that is None
        return LoggedModel(
            uid=record.uid,
            run_id=self.id,
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
        """Wait until everything logged so far is committed; raises the first failure since the last call."""
        with self._lock:
            waiting = list(self._pending)
        if waiting:
            self._store.writer.hurry()
        for commit in waiting:
            try:
                commit.wait()
            except BaseException:
                if not commit.done():
                    raise  # interrupted while waiting: what is queued is still written
        with self._lock:
            self._collect()
            failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def end(self, state: RunState = RunState.COMPLETE, reason: BaseException | None = None) -> None:
        """End the run in its final state and wait for the commit; *reason* is kept with its traceback.

        Raises StateError when it has ended already, and the first failure of what was logged.
        """
        state = RunState(state)
        if not state.is_finished():
            raise StateError(f"a run ends as COMPLETE, PRUNED or FAIL, not as {state.name}")
        with self._lock:
            self._check_open()
            self._ended = True
            now = now_us()
            outcome = {RunState.COMPLETE: "complete", RunState.PRUNED: "pruned", RunState.FAIL: "fail"}[state]
            error = _explain(reason)
            self._submit(
                [
                    c.AttemptEnded(self.id, self._attempt, now, outcome, reason=error[1] or ""),
                    c.TrialFinished(self.id, now, state, None, *error),
                ]
            )
        self.flush()

    def __enter__(self) -> ActiveRun:
        self._token = set_active(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: object) -> None:
        if self._token is not None:
            reset_active(self._token)
            self._token = None
        if self._ended:
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

    def _log(self, record: c.Change) -> None:
        with self._lock:
            self._check_open()
            self._submit([record])

    def write(self, records: Iterable[c.Change]) -> None:
        """Log records that were made for this run elsewhere (by the trial that a refit calls its function with)."""
        with self._lock:
            self._check_open()
            self._submit(records)

    def _submit(self, records: Iterable[c.Change]) -> None:
        self._sent(self._store.submit_log(list(records)))

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


# --- what may be logged -----------------------------------------------------------------------------------------


def clean_params(params: Mapping[str, ParamValue]) -> dict[str, ParamValue]:
    """Return params with clean names; raises InvalidValueError."""
    return {clean_name(key, "param"): value for key, value in params.items()}


def clean_tags(tags: Mapping[str, object]) -> dict[str, str]:
    """Return tags with clean names and text as values; raises InvalidValueError."""
    return {clean_name(key, "tag"): str(value) for key, value in tags.items()}


def describe_input(run_id: int, data: Any, name: str | None, role: str, source: str | None) -> c.InputLogged:
    """Return the record of a data set that a run or trial reads; credentials in *source* are hidden."""
    from trackers.capture import data_digest
    from trackers.capture.secret import redact

    path = os.fspath(data) if isinstance(data, str | os.PathLike) else ""
    name = clean_name(name if name is not None else (Path(path).name or "data"), "data set")
    role = clean_name(role, "role")
    digest, rows, schema = data_digest(data)
    return c.InputLogged(run_id, name, digest, role, rows, schema, redact(str(path if source is None else source)))


def context_label(context: Mapping[str, object] | str | None) -> str:
    """Return a metric's context as it is stored: ``"split=val"``, several with commas between them, sorted."""
    if not context:
        return ""
    if isinstance(context, Mapping):
        context = ",".join(f"{key}={value}" for key, value in sorted(context.items(), key=lambda item: str(item[0])))
    if "{" in context or "}" in context:
        raise InvalidValueError(f"a metric's context may not hold braces: {context!r}")
    return clean_name(context, "context")


def _check_number(key: str, value: object) -> float:
    if not isinstance(value, str | bytes):
        try:
            return float(value)  # type: ignore[arg-type]  # whatever has a __float__: NumPy's and PyTorch's scalars
        except (TypeError, ValueError, OverflowError):
            pass
    raise InvalidValueError(f"the metric {key!r} must be a number, not {type(value).__name__} {repr(value)[:60]}")


def _check_step(step: object) -> int:
    try:
        number = operator.index(step)  # type: ignore[arg-type]  # anything else is refused below
    except TypeError:
        raise InvalidValueError(f"a step is a whole number, not {step!r}") from None
    if not -(2**63) <= number < 2**63:
        raise InvalidValueError(f"a step has 64 bits: {number} is out of range")
    return number


def _file_name(name: str) -> str:
    from trackers.artifacts.names import check_name

    return check_name(name)


def _explain(exc: BaseException | None) -> tuple[str | None, str | None, str | None]:
    """Return the type, the message and the traceback to keep of an exception."""
    if exc is None:
        return None, None, None
    message = "interrupted" if isinstance(exc, KeyboardInterrupt) else (str(exc) or type(exc).__name__)
    return type(exc).__name__, message, "".join(traceback.format_exception(exc))
