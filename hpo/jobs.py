"""How an objective reaches its workers: by the name of its file, or by value."""

from __future__ import annotations

import atexit
import gc
import hashlib
import inspect
import shutil
import tempfile
import textwrap
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hpo.errors import ClusterError, ObjectiveError, UserError
from hpo.exception import exception_names
from hpo.execution.worker import Job
from hpo.objective_file import LoadedObjective

BIG = 50 * 1024 * 1024
"""Bytes that a closure may drag along before it is named."""


@dataclass(frozen=True)
class FileJob:
    """An objective in a file: workers import the file, or the snapshot of its text where they do not see it.

    *args* values that have a ``fetch`` method (see ``ObjectArg``) are fetched in the worker.
    """

    file: str
    name: str
    source: str
    args: Mapping[str, Any] = field(default_factory=dict)
    retry_on: tuple[str, ...] = ()
    system_metrics: float = 0.0
    collect: bool = False

    def __call__(self) -> Job:
        """Import the objective here."""
        from hpo.objective_file import load_objective

        path = Path(self.file)
        if not path.is_file() or path.read_text(encoding="utf-8") != self.source:
            folder = Path(tempfile.mkdtemp(prefix="hpo-source-"))
            atexit.register(shutil.rmtree, folder, ignore_errors=True)
            path = folder / path.name
            path.write_text(self.source, encoding="utf-8")
        loaded = load_objective(f"{path}:{self.name}")
        return Job(_collecting(loaded.function, self.collect), _fetched(self.args), self.retry_on, self.system_metrics)


@dataclass(frozen=True)
class ValueJob:
    """An objective that travels by value: a function of a notebook, of ``__main__``, or a callable object."""

    objective: Callable[..., Any]
    args: Mapping[str, Any] = field(default_factory=dict)
    retry_on: tuple[str, ...] = ()
    system_metrics: float = 0.0
    collect: bool = False

    def __call__(self) -> Job:
        """Return it."""
        return Job(_collecting(self.objective, self.collect), _fetched(self.args), self.retry_on, self.system_metrics)


class Collecting:
    """An objective after which garbage is collected."""

    def __init__(self, objective: Callable[..., Any]) -> None:
        self.__wrapped__ = objective

    def __call__(self, trial: Any, **args: Any) -> Any:
        """Call the objective."""
        try:
            return self.__wrapped__(trial, **args)
        finally:
            gc.collect()


def job_of(
    objective: Any,
    args: Mapping[str, Any],
    retry_on: Iterable[type | str] | type | str = (),
    *,
    system_metrics: float = 0.0,
    collect: bool = False,
) -> FileJob | ValueJob:
    """Return the job that runs *objective*. Raises: ObjectiveError for what cannot be called, SettingsError."""
    function = objective.function if isinstance(objective, LoadedObjective) else objective
    if not callable(function):
        raise ObjectiveError(f"an objective is a function of a trial, not {objective!r:.60}")
    names = exception_names(retry_on, function)
    if isinstance(objective, LoadedObjective):
        return FileJob(objective.file, objective.name, objective.source, args, names, system_metrics, collect)
    return ValueJob(objective, args, names, system_metrics, collect)


def code_of(objective: Any) -> dict[str, Any]:
    """Return what a study records of its objective: file, name, source and digest."""
    if isinstance(objective, LoadedObjective):
        return objective.record()
    from trackers.capture.secret import redact

    name = getattr(objective, "__name__", type(objective).__name__)
    source = source_of(objective)
    digest = hashlib.sha256(source.encode()).hexdigest()
    return {"file": None, "name": name, "source": redact(source), "digest": digest}


def with_args(job: Callable[[], Job], args: Mapping[str, Any]) -> Callable[[], Job]:
    """Return the same job with other arguments."""
    if not isinstance(job, FileJob | ValueJob):
        raise TypeError(f"{type(job).__name__} takes no arguments")
    return replace(job, args=args)


def _collecting(objective: Callable[..., Any], collect: bool) -> Callable[..., Any]:
    return Collecting(objective) if collect else objective


def _fetched(args: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value.fetch() if hasattr(value, "fetch") else value for name, value in args.items()}


def source_of(objective: Callable[..., Any]) -> str:
    """Return the text of an objective that travels by value, as far as Python knows it."""
    try:
        return textwrap.dedent(inspect.getsource(objective))
    except (OSError, TypeError):
        return ""


def check_gpus() -> None:
    """Raise ClusterError where trials that run here need a GPU and this machine has none."""
    from trackers import capture

    if not capture.environment()["gpus"]:
        raise ClusterError(
            "a trial needs a GPU (--gpus-per-trial), and this machine, where --workers 0 runs it, has none: ask for "
            "none, or run on a cluster with --address"
        )


def check_travels(job: FileJob | ValueJob, callbacks: Sequence[Callable[..., Any]]) -> None:
    """Check that what goes to other processes can go there; warn where it is big.

    Raises: UserError, which names the objective (or the argument, or the callback) and the variable.
    """
    if isinstance(job, ValueJob):
        _check_pickles("objective", job.objective)
        _warn_of_size(job.objective)
    for callback in callbacks:
        _check_pickles("callback", callback)


def _check_pickles(what: str, function: Callable[..., Any]) -> None:
    import cloudpickle

    try:
        cloudpickle.dumps(function)
    except Exception as exc:
        name = getattr(function, "__name__", type(function).__name__)
        for variable, value in _held(function).items():
            try:
                cloudpickle.dumps(value)
            except Exception:  # noqa: BLE001 - whatever it says, this is the one
                raise UserError(
                    f"{what} {name!r} cannot go to workers: its variable {variable!r} is a {type(value).__name__}, which "
                    "cannot be pickled: make it inside the function, or run here with workers=0"
                ) from exc
        raise UserError(
            f"{what} {name!r} cannot go to workers, since it cannot be pickled ({exc}): run here with workers=0"
        ) from exc


def _warn_of_size(objective: Callable[..., Any]) -> None:
    """Name what a closure drags along, where that is more than 50 MB."""
    import cloudpickle

    size = len(cloudpickle.dumps(objective))
    if size <= BIG:
        return
    held = _held(objective)
    sizes = {}
    for name, value in held.items():
        try:
            sizes[name] = len(cloudpickle.dumps(value))
        except Exception:  # noqa: BLE001 - then it is not what makes the closure big
            continue
    name, most = max(sizes.items(), key=lambda item: item[1], default=("something", size))
    warnings.warn(
        f"the objective drags {size / 2**20:.0f} MB along, {most / 2**20:.0f} MB of it {name!r}: "
        f"pass args={{{name!r}: {name}}} to optimize, which travels once",
        stacklevel=4,
    )


def _held(objective: Callable[..., Any]) -> dict[str, Any]:
    """Return what a function closes over, its globals that it uses, and an object's attributes."""
    function = inspect.unwrap(objective)
    if not inspect.isfunction(function):
        return dict(vars(objective)) if hasattr(objective, "__dict__") else {}
    found = inspect.getclosurevars(function)
    return {k: v for k, v in {**found.nonlocals, **found.globals}.items() if not inspect.ismodule(v)}
