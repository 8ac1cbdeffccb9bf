"""What a person is told of the trials that fail: the first ones one by one, the others by their number."""

from __future__ import annotations

from trackers.wording import counted

SHOWN = 5
"""Failures of a run that are told one by one."""


class Failures:
    """The failures of this run of a study."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._count = 0

    def note(self, number: int, cause: str) -> None:
        """Keep a line of one of the first failures, whatever caused it."""
        self._count += 1
        if self._count <= SHOWN:
            line = " ".join(cause.split()) or "for no reason that it told"
            self.lines.append(f"trial {number} failed: {line}"[:300])

    def others(self) -> tuple[str, ...]:
        """Return a line about those that have none; empty where there are none."""
        more = self._count - len(self.lines)
        return (f"... and {counted(more, 'trial')} more failed",) if more else ()
