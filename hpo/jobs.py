"""How an objective reaches its workers: by the name of its file, or by value."""

from __future__ import annotations

import inspect
import tempfile
import textwrap
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hpo.execution.worker import Job

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

    def __call__(self) -> Job:
        """Import the objective here."""
        from hpo.objective_file import load_objective

        path = Path(self.file)
        if not path.is_file() or path.read_text(encoding="utf-8") != self.source:
            folder = Path(tempfile.mkdtemp(prefix="hpo-source-"))
            path = folder / path.name
            path.write_text(self.source, encoding="utf-8")
        loaded = load_objective(f"{path}:{self.name}")
        return Job(loaded.function, _fetched(self.args), self.retry_on, self.system_metrics)


@dataclass(frozen=True)
class ValueJob:
    """An objective that travels by value: a function of a notebook, of ``__main__``, or a callable object."""

    objective: Callable[..., Any]
    args: Mapping[str, Any] = field(default_factory=dict)
    retry_on: tuple[str, ...] = ()
    system_metrics: float = 0.0

    def __call__(self) -> Job:
        """Return it."""
        return Job(self.objective, _fetched(self.args), self.retry_on, self.system_metrics)


def with_args(job: Callable[[], Job], args: Mapping[str, Any]) -> Callable[[], Job]:
    """Return the same job with other arguments."""
    if not isinstance(job, FileJob | ValueJob):
        raise TypeError(f"{type(job).__name__} takes no arguments")
    return replace(job, args=args)


def _fetched(args: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value.fetch() if hasattr(value, "fetch") else value for name, value in args.items()}


def source_of(objective: Callable[..., Any]) -> str:
    """Return the text of an objective that travels by value, as far as Python knows it."""
    try:
        return textwrap.dedent(inspect.getsource(objective))
    except (OSError, TypeError):
        return ""


def warn_of_size(objective: Callable[..., Any]) -> None:
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
        stacklevel=3,
    )


def _held(objective: Callable[..., Any]) -> dict[str, Any]:
    """Return what a function closes over, its globals that it uses, and an object's attributes."""
    function = inspect.unwrap(objective)
    if not inspect.isfunction(function):
        return dict(vars(objective)) if hasattr(objective, "__dict__") else {}
    found = inspect.getclosurevars(function)
    return {k: v for k, v in {**found.nonlocals, **found.globals}.items() if not inspect.ismodule(v)}
