"""Exceptions by name: what ``retry_on`` may name, found from where the objective stands."""

from __future__ import annotations

import builtins
import functools
import importlib
import inspect
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from hpo.errors import SettingsError
from hpo.wording import shown, suggestion

_MISSING = object()


def exception_names(given: Iterable[type | str] | type | str, objective: Callable[..., Any]) -> tuple[str, ...]:
    """Return the full name (``module.qualname``) of each exception in *given*.

    A name is a builtin's, one that the file of *objective* defines or imports, or a dotted path that can be imported.
    Raises: SettingsError for one that does not exist, or that is no exception to go on after.
    """
    listed = [given] if isinstance(given, type | str) else list(given)
    place = _names_around(objective)
    return tuple(full_name(kind if isinstance(kind, type) else _found(kind, place)) for kind in listed)


def full_name(kind: type | str) -> str:
    """Return ``module.qualname`` of an exception's type."""
    return kind if isinstance(kind, str) else f"{_exception(kind.__name__, kind).__module__}.{kind.__qualname__}"


def _found(name: str, place: Mapping[str, Any]) -> type | str:
    if "<locals>" in name:
        return name  # of a type that was given itself: nobody can look it up
    head, *rest = name.split(".")
    start = place.get(head, getattr(builtins, head, _MISSING))
    found = _attribute(start, rest) if start is not _MISSING else _MISSING
    if found is _MISSING and rest and all(name.split(".")):
        found = _imported(name)
    if found is _MISSING:
        raise SettingsError(_unknown(name, place))
    return _exception(name, found)


def _exception(name: str, found: Any) -> type:
    if not isinstance(found, type) or not issubclass(found, Exception):
        raise SettingsError(f"retry_on (--retry-on) must name exceptions, and {shown(name)} is none.")
    return found


def _attribute(start: Any, path: list[str]) -> Any:
    return functools.reduce(lambda found, part: getattr(found, part, _MISSING), path, start)


def _imported(name: str) -> Any:
    """Import the longest part of a dotted path that is a module, and look the rest up in it."""
    parts = name.split(".")
    for length in range(len(parts) - 1, 0, -1):
        module = ".".join(parts[:length])
        try:
            return _attribute(importlib.import_module(module), parts[length:])
        except ModuleNotFoundError as exc:
            if exc.name is None or not f"{module}.".startswith(f"{exc.name}."):
                raise SettingsError(_broken(name, module, exc)) from exc
        except Exception as exc:
            raise SettingsError(_broken(name, module, exc)) from exc
    return _MISSING


def _broken(name: str, module: str, exc: Exception) -> str:
    return f"retry_on (--retry-on) names {shown(name)}, and {module} cannot be imported: {type(exc).__name__}: {exc}"[
        :300
    ]


def _unknown(name: str, place: Mapping[str, Any]) -> str:
    own = sorted(n for n, value in place.items() if _is_exception(value))
    known = [*own, *(n for n, value in vars(builtins).items() if _is_exception(value))]
    parent, _, last = name.rpartition(".")
    module = sys.modules.get(parent) if parent else None
    if module is not None:
        known = [f"{parent}.{n}" for n, value in vars(module).items() if _is_exception(value)]
    near = suggestion(name, known) or suggestion(last, known)
    there = f" (it has {', '.join(own[:8])})" if own and not near else ""
    help_ = (
        f": name a builtin one, one of the objective's file{there}, or a dotted path as in sqlite3.OperationalError."
    )
    return f"retry_on (--retry-on) names {shown(name)}, and there is no such exception{near or help_}"


def _is_exception(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, Exception)


def _names_around(objective: Callable[..., Any]) -> Mapping[str, Any]:
    """Return the global names of the file that *objective* stands in."""
    while isinstance(objective, functools.partial):
        objective = objective.func
    function = inspect.unwrap(objective)
    module = sys.modules.get(getattr(function, "__module__", None) or "")
    return getattr(function, "__globals__", None) or vars(module or builtins)
