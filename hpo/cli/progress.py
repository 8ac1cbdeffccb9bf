"""What a person sees while a study runs: a live bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from hpo.ranking import wording
from trackers.cli.exit import reader_left

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text

    from hpo.progress import Progress

EVERY = 5.0
"""Seconds between plain lines while nothing better is found."""
WIDEST = 300
"""Characters of a note: an error may bring a page of text."""
AT_LEAST = 1.0
"""Seconds between plain lines in any case: a sweep of fast trials finds better ones all the time."""


class View(Protocol):
    """Shows progress. ``update`` may be called often, by one thread; leaving the context shows the last one."""

    def __enter__(self) -> View: ...
    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None: ...
    def update(self, progress: Progress) -> None:
        """Show *progress*."""

    def say(self, line: str) -> None:
        """Print a line above it."""

    def note(self, notes: Iterable[str]) -> None:
        """Say those of *notes* that were not said yet."""


def view(console: Console | None = None, *, stream: TextIO | None = None) -> View:
    """Return a live bar on *console* where it is a terminal (default: stderr), plain lines on *stream* otherwise."""
    stream = stream or sys.stderr
    if console is None and stream.isatty():
        from rich.console import Console

        console = Console(file=stream)
    if console is not None and console.is_terminal:
        return LiveView(console)
    return PlainView(stream)


class _Noting:
    """Says each note once."""

    def __init__(self) -> None:
        self._notes: set[str] = set()

    def say(self, line: str) -> None:
        """Print a line."""
        raise NotImplementedError

    def note(self, notes: Iterable[str]) -> None:
        """Say those of *notes* that were not said yet."""
        for note in notes:
            if note not in self._notes:
                self._notes.add(note)
                self.say(note)


class PlainView(_Noting):
    """A line every few seconds, and on a new best; notes as they come."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream
        self._last: Progress | None = None
        self._shown: Progress | None = None
        self._shown_at = float("-inf")

    def __enter__(self) -> PlainView:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        if self._last is not None and self._last != self._shown and self._last.finished:
            self._print(self._last)

    def update(self, progress: Progress) -> None:
        self._last = progress
        self.note(progress.notes)
        waited = time.monotonic() - self._shown_at
        better = self._shown is None or progress.best_number != self._shown.best_number
        if progress.finished and waited >= (AT_LEAST if better else EVERY):
            self._print(progress)

    def say(self, line: str) -> None:
        self._write(wording.short(line, WIDEST))

    def _write(self, line: str) -> None:
        try:
            self._stream.write(f"{line}\n")
            self._stream.flush()
        except BrokenPipeError:  # `hpo run study.py 2>&1 | head`: a night's work does not end with its reader
            if not reader_left():
                raise

    def _print(self, progress: Progress) -> None:
        self._write(f"[{wording.seconds(progress.elapsed)}] {counts(progress)}; {pace(progress)}")
        self._shown, self._shown_at = progress, time.monotonic()


class LiveView(_Noting):
    """A bar and two lines that change in place; what trials print goes above them."""

    def __init__(self, console: Console) -> None:
        from rich.live import Live

        super().__init__()
        self._console = console
        self._progress: Progress | None = None
        self._live = Live(console=console, get_renderable=self._render, refresh_per_second=4, transient=False)

    def __enter__(self) -> LiveView:
        self._live.start()
        self._breakpointhook, sys.breakpointhook = sys.breakpointhook, self._debug
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        sys.breakpointhook = self._breakpointhook
        self._live.stop()

    def _debug(self, *args: Any, **kwargs: Any) -> Any:
        """Leave the terminal to the debugger of a trial that runs here: the bar would write over what is typed."""
        self._live.stop()
        if os.environ.get("PYTHONBREAKPOINT"):
            return self._breakpointhook(*args, **kwargs)
        import pdb

        return pdb.Pdb().set_trace(sys._getframe(1))

    def update(self, progress: Progress) -> None:
        self._progress = progress
        self.note(progress.notes)

    def say(self, line: str) -> None:
        self._console.print(wording.short(line, WIDEST), style="dim", markup=False, highlight=False)

    def _render(self) -> RenderableType:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        progress = self._progress
        if progress is None:
            return Text("starting ...", style="dim")
        width = self._console.width
        head = Table.grid(padding=(0, 1), expand=True)
        head.add_column(no_wrap=True, max_width=max(10, width // 3), overflow="ellipsis")
        head.add_column(ratio=1)
        head.add_column(no_wrap=True, justify="right")
        total = progress.total
        bar = ProgressBar(
            total=total or 1,
            completed=progress.finished if total else 0,
            pulse=total is None,
            complete_style="green",
            finished_style="green",
        )
        head.add_row(Text(wording.plain(progress.study), style="bold"), bar, Text(share(progress)))
        lines = [_states(progress), Text(pace(progress))]
        for line in lines:
            line.truncate(width, overflow="ellipsis")
        return Group(head, *lines)


def share(progress: Progress) -> str:
    """Return ``23/60``."""
    return f"{progress.finished:,}/{progress.total:,}" if progress.total else f"{progress.finished:,}"


def counts(progress: Progress) -> str:
    """Return ``23/60 trials: 9 done, 12 pruned, 2 failed, 4 running``."""
    parts = [f"{progress.complete:,} done", f"{progress.pruned:,} pruned", f"{progress.failed:,} failed"]
    if progress.running:
        parts.append(f"{progress.running:,} running")
    return f"{share(progress)} trials: {', '.join(parts)}"


def pace(progress: Progress) -> str:
    """Return best value, rate, time left and how many workers are busy."""
    parts = []
    if progress.best_value is not None:
        parts.append(f"best {wording.number(progress.best_value)} (trial {progress.best_number})")
    elif progress.best_number is not None:
        parts.append(f"best trial {progress.best_number}")
    if progress.rate:
        slow = progress.rate < 0.1
        parts.append(f"{wording.number(progress.rate * (60 if slow else 1), 3)} trials/{'min' if slow else 's'}")
    if progress.seconds_left is not None and progress.seconds_left > 0:
        parts.append(f"{wording.seconds(progress.seconds_left)} left")
    if progress.workers:
        parts.append(f"{progress.busy}/{progress.workers} workers busy")
    return ", ".join(parts)


def _states(progress: Progress) -> Text:
    from rich.text import Text

    line = Text()
    for number, word, style in (
        (progress.complete, "done", "green"),
        (progress.pruned, "pruned", "yellow"),
        (progress.failed, "failed", "red" if progress.failed else ""),
        (progress.running, "running", "cyan"),
    ):
        line.append(f"{number:,} {word}", style=style).append("  ")
    return line.append(f"{wording.seconds(progress.elapsed)} so far", style="dim")
