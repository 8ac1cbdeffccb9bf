"""What code, which environment, on which data: facts about a run, gathered without ever failing it."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trackers.capture.data import data_digest as data_digest
    from trackers.capture.machine import environment as environment
    from trackers.capture.process import Capture as Capture
    from trackers.capture.process import capture as capture
    from trackers.capture.process import code_state as code_state
    from trackers.capture.process import has_grown as has_grown
    from trackers.capture.process import launch as launch

_HOMES = {
    "Capture": "process",
    "capture": "process",
    "code_state": "process",
    "data_digest": "data",
    "environment": "machine",
    "has_grown": "process",
    "launch": "process",
}
__all__ = ["Capture", "capture", "code_state", "data_digest", "environment", "has_grown", "launch"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
