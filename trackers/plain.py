"""Values that JSON does not have, as what it has: paths, times, arrays, sets; for params and for files of JSON."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import date, time
from enum import Enum
from typing import Any


def plain(value: Any) -> Any:
    """Return *value* with its members as JSON has them: the ``default`` of ``json.dumps``.

    A path is its text, a time ISO 8601, a set a sorted list, an array its items, an enum's member its value, a function
    or class where it is imported from. Raises TypeError for anything else.
    """
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, set | frozenset):
        return sorted(value, key=repr)
    if isinstance(value, Enum):
        return value.value
    if hasattr(value, "tolist") and hasattr(value, "ndim"):
        return value.tolist()
    if callable(value) and hasattr(value, "__qualname__"):
        return f"{value.__module__}.{value.__qualname__}"
    raise TypeError(f"a value of type {type(value).__name__}")
