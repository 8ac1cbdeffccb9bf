"""What a running study tells whoever watches it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a study is, at one moment.

    *total* is the number of trials it shall have (None: until a timeout). *best_value* and *best_number* are None
    while nothing is complete, and for several objectives. *rate* is finished trials per second, *seconds_left* and
    *elapsed* are seconds. *workers* counts the slots that are there, *busy* those that run a trial. *notes* are
    sentences: what was chosen automatically, what a person should know.
    """

    study: str
    total: int | None
    complete: int = 0
    pruned: int = 0
    failed: int = 0
    running: int = 0
    waiting: int = 0
    best_value: float | None = None
    best_number: int | None = None
    rate: float = 0.0
    seconds_left: float | None = None
    workers: int = 0
    busy: int = 0
    notes: tuple[str, ...] = ()
    elapsed: float = 0.0

    @property
    def finished(self) -> int:
        """How many trials reached a final state."""
        return self.complete + self.pruned + self.failed


def on_terminal(also: Callable[[Progress], None] | None = None) -> Callable[[Progress], None]:
    """Return what shows progress as one line of stderr, written anew each time, and calls *also*."""

    def show(progress: Progress) -> None:
        sys.stderr.write(f"\r{_line(progress):<79}")
        if progress.total is not None and progress.finished >= progress.total:
            sys.stderr.write("\n")
        sys.stderr.flush()
        if also is not None:
            also(progress)

    return show


def _line(progress: Progress) -> str:
    total = "" if progress.total is None else f"/{progress.total}"
    bar = ""
    if progress.total:
        full = min(20, 20 * progress.finished // progress.total)
        bar = f"[{'#' * full}{'.' * (20 - full)}] "
    best = "" if progress.best_value is None else f", best {progress.best_value:.6g} (trial {progress.best_number})"
    return f"{bar}{progress.finished}{total} trials{best}"[:79]
