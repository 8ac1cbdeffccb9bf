"""The manager of the thread that runs: a callback reaches it without the store's table of commands."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Here:
    """What a callback may ask of the manager that called it, which cannot answer a command meanwhile.

    *enqueue* takes params and user attributes and returns the trial's number, or raises UserError; *set_attrs* takes
    user attributes of the study, and returns when they are committed.
    """

    study_uid: str
    enqueue: Callable[[Mapping[str, Any], Mapping[str, Any]], int]
    stop: Callable[[], None]
    set_attrs: Callable[[Mapping[str, Any]], None]


_here: ContextVar[Here | None] = ContextVar("hpo_manager", default=None)


def here(study_uid: str) -> Here | None:
    """Return the manager of that study, where it is the one that runs this very code."""
    manager = _here.get()
    return manager if manager is not None and manager.study_uid == study_uid else None


def calling(manager: Here, function: Callable[..., T], *args: Any) -> T:
    """Call *function* and return what it returns; inside, ``here`` is *manager*."""
    token = _here.set(manager)
    try:
        return function(*args)
    finally:
        _here.reset(token)
