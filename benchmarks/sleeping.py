"""The sleeping trial of the utilisation benchmark, and what its diary tells.

Each trial appends one line to a file that every system shares: when its work began and ended, on this machine's
clock. Only the sleeping itself counts as work, so time that a system spends inside ``report`` is not busy time.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

STEPS = 10
SECONDS = 2.0


@dataclass(frozen=True)
class Span:
    """One trial: *start* and *end* in seconds since the epoch."""

    start: float
    end: float


def steps(diary: str) -> Iterator[int]:
    """Sleep through the trial, giving each step's number after it; write the diary's line at the end."""
    start = time.time()
    for step in range(1, STEPS + 1):
        time.sleep(SECONDS / STEPS)
        yield step
    note(diary, start, time.time())


def note(diary: str, start: float, end: float) -> None:
    """Append one line to the *diary*; lines of other processes stay whole (one short write, O_APPEND)."""
    descriptor = os.open(diary, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        os.write(descriptor, f"{start:.6f} {end:.6f}\n".encode())
    finally:
        os.close(descriptor)


def read(diary: str) -> list[Span]:
    """Read the *diary*'s spans, by start."""
    lines = Path(diary).read_text(encoding="utf-8").splitlines()
    spans = [Span(*map(float, line.split())) for line in lines]
    return sorted(spans, key=lambda span: span.start)


def cold(spans: list[Span], called: float, slots: int) -> float:
    """Give busy slot-seconds over slot-seconds, from the call to the last result."""
    last = max(span.end for span in spans)
    return len(spans) * SECONDS / (slots * (last - called))


def warm(spans: list[Span], slots: int) -> float:
    """Give the same from when every slot had work once until the last trial began.

    The window opens when *slots* trials have begun (by then each slot could have had one) and closes when nothing is
    left to hand out; a trial counts with the part of its sleep that lies inside.
    """
    opened, closed = spans[slots - 1].start, spans[-1].start
    busy = 0.0
    for span in spans:
        inside = min(span.end, closed) - max(span.start, opened)
        if inside > 0:
            busy += SECONDS * inside / max(span.end - span.start, SECONDS)
    return busy / (slots * (closed - opened))
