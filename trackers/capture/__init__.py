"""What code, which environment, on which data: facts about a run, gathered without ever failing it."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trackers.capture.data import data_digest as data_digest
    from trackers.capture.machine import environment as environment
    from trackers.capture.repository import code as code
    from trackers.capture.source import snapshot as snapshot

_HOMES = {"code": "repository", "data_digest": "data", "environment": "machine", "snapshot": "source"}
__all__ = ["code", "data_digest", "environment", "snapshot"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
