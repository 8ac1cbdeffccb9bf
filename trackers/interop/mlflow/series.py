"""The sameness of two series: a count and a digest of their points, whatever their order, in constant memory."""

from __future__ import annotations

import struct
from collections import Counter
from dataclasses import dataclass

_PACK = struct.Struct("<qqd").pack
_NAN = float("nan")
_BITS = (1 << 64) - 1

Point = tuple[int, int, float]
"""Step, time (microseconds) and value."""


def mark(point: Point) -> int:
    """Return 64 bits that tell points apart within this process: every NaN is one, and both zeros are one."""
    step, time, value = point
    return hash(_PACK(step, time, value + 0.0 if value == value else _NAN)) & _BITS


@dataclass(slots=True)
class Sum:
    """How many points, and the sum of their marks."""

    count: int = 0
    total: int = 0

    def add(self, point: Point) -> None:
        """Count a point."""
        self.count += 1
        self.total = (self.total + mark(point)) & _BITS


class Known:
    """The points that one side has; ``new`` tells which of others it lacks. Some hundred bytes a point."""

    def __init__(self) -> None:
        self._left: Counter[int] = Counter()

    def add(self, point: Point) -> None:
        """Say that it has this point."""
        self._left[mark(point)] += 1

    def lacks(self, point: Point) -> bool:
        """Tell whether it has no such point; one that it has answers for one only."""
        found = mark(point)
        if self._left[found] > 0:
            self._left[found] -= 1
            return False
        return True
