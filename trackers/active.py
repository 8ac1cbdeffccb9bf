"""The run that logs here and now: set by whoever runs it, asked for by what logs."""

from __future__ import annotations

from contextvars import ContextVar, Token
from typing import Any

_active: ContextVar[Any] = ContextVar("trackers_active_run", default=None)


def active_run() -> Any:
    """Return the run (or the trial of an objective) that is active in this thread, or None."""
    return _active.get()


def set_active(run: Any) -> Token[Any]:
    """Make *run* the active one; hand the token to `reset_active`."""
    return _active.set(run)


def reset_active(token: Token[Any]) -> None:
    """Make the run before it the active one again."""
    _active.reset(token)
