"""The time as the store keeps it."""

from __future__ import annotations

import time


def now_us() -> int:
    """Return the time: integer microseconds since the epoch, UTC."""
    return time.time_ns() // 1000
