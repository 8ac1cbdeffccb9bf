"""Which worker ran what, when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from heapq import heappop, heappush

from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

from hpo.ranking import wording
from hpo.reports import style
from hpo.reports.view import StudyView
from trackers.states import RunState

CAPTION = (
    "Each bar is one start of a trial on a worker; gaps are time in which the worker had nothing to run. "
    "The share is how much of the time it was busy."
)
MOST_ROWS = 40
NARROWEST = 0.0012
"""The share of the width that the shortest bar takes: about a pixel."""
CROWDED = 400
"""More bars than these are as wide as they are, but for what went wrong: widened, they would hide every gap."""

KINDS = {
    "complete": ("completed", style.BLUE),
    "pruned": ("pruned", style.FAINT),
    "fail": ("failed", style.RED),
    "timeout": ("timed out", style.PURPLE),
    "lost": ("worker lost", style.INK),
    "released": ("put back", style.GOLD),
    "running": ("running", style.SKY),
}
_OUTCOMES = {RunState.COMPLETE: "complete", RunState.PRUNED: "pruned", RunState.FAIL: "fail"}


@dataclass(frozen=True, slots=True)
class Bar:
    """One start of a trial; *start* and *end* in seconds since the first one."""

    worker: str
    start: float
    end: float
    kind: str


def draw(view: StudyView) -> Figure:
    """Draw a row per worker, or rows of bars that do not overlap where there are very many workers."""
    bars = all_bars(view)
    if not bars:
        raise style.NothingToDraw("No trial has been started yet.")
    named = sorted({bar.worker for bar in bars}, key=_natural)
    few = len(named) <= MOST_ROWS and all(named)
    rows = {name: row for row, name in enumerate(named)}
    lanes = [rows[bar.worker] for bar in bars] if few else _lanes(bars)
    count = max(lanes) + 1
    figure = style.new_figure(min(6.5, 1.2 + 0.24 * count))
    axes = figure.subplots()
    unit, word = _unit(max(bar.end for bar in bars))
    style.label(axes, x=f"{word} since the first trial started", grid="x")
    _draw_bars(axes, bars, lanes, unit, least=NARROWEST * max(bar.end for bar in bars))
    axes.set_ylim(count - 0.4, -0.6)
    end = max(bar.end for bar in bars) / unit
    axes.set_xlim(-0.005 * end, end * 1.005 if end > 0 else 1.0)
    if few:
        spent = dict.fromkeys(named, 0.0)
        for bar in bars:
            spent[bar.worker] += bar.end - bar.start
        whole = max(bar.end for bar in bars)
        shares = {name: f"  {wording.percent(min(1.0, spent[name] / whole))}" if whole > 0 else "" for name in named}
        axes.set_yticks(range(count), [f"{wording.short(name, 28)}{shares[name]}" for name in named])
    else:
        axes.set_yticks([])
        axes.set_ylabel(f"{count} at a time")
    style.legend_above(axes, columns=7)
    lanes_note = (
        "" if few or not all(named) else f"{len(named)} workers took part; a row here is a free place, not a worker."
    )
    dense = f"{len(bars):,} starts: where single ones cannot be told, darker is busier." if len(bars) > CROWDED else ""
    style.note(figure, " ".join(filter(None, [lanes_note, dense])))
    return figure


def all_bars(view: StudyView) -> list[Bar]:
    """Return every start of a trial, by time; a running one ends at the moment of the view."""
    spans: list[tuple[datetime, datetime, str, str]] = []
    now = view.made_at
    for trial in view.trials:
        for attempt in trial.attempts:
            end = attempt.ended_at or (now if attempt.outcome is None else None)
            if attempt.started_at is not None and end is not None:
                kind = attempt.outcome or "running"
                spans.append((attempt.started_at, max(end, attempt.started_at), attempt.worker, kind))
        if not trial.attempts and trial.started_at is not None and (trial.ended_at or now) is not None:
            end = trial.ended_at or now or trial.started_at
            spans.append((trial.started_at, max(end, trial.started_at), "", _OUTCOMES.get(trial.state, "running")))
    spans.sort(key=lambda span: span[:3])
    zero = spans[0][0] if spans else None
    return [
        Bar(worker, (start - zero).total_seconds(), (end - zero).total_seconds(), kind)
        for start, end, worker, kind in spans
        if zero is not None
    ]


def _natural(name: str) -> list[tuple[int, int | str]]:
    """Order ``worker-10`` behind ``worker-9``."""
    parts: list[tuple[int, int | str]] = []
    digits = ""
    for character in f"{name}\0":
        if character.isdecimal() and character.isascii():
            digits += character
            continue
        if digits:
            parts.append((0, int(digits)))
            digits = ""
        parts.append((1, character))
    return parts


def _lanes(bars: list[Bar]) -> list[int]:
    """Give each bar the lowest row that is free when it starts."""
    free: list[int] = []
    busy: list[tuple[float, int]] = []
    lanes = []
    for bar in bars:
        while busy and busy[0][0] <= bar.start:
            heappush(free, heappop(busy)[1])
        lane = heappop(free) if free else len(busy)
        heappush(busy, (bar.end, lane))
        lanes.append(lane)
    return lanes


def _unit(length: float) -> tuple[float, str]:
    if length < 180:
        return 1.0, "seconds"
    return (60.0, "minutes") if length < 3 * 3600 else (3600.0, "hours")


def _draw_bars(axes: Axes, bars: list[Bar], lanes: list[int], unit: float, least: float) -> None:
    """Draw each bar at least *least* seconds wide: one of a millisecond among hours would not be seen."""
    crowded = len(bars) > CROWDED
    for kind, (name, color) in KINDS.items():
        wide = 0.0 if crowded and kind in ("complete", "pruned") else least
        boxes = [
            [
                (bar.start / unit, lane - 0.36),
                (bar.start / unit, lane + 0.36),
                (max(bar.end, bar.start + wide) / unit, lane + 0.36),
                (max(bar.end, bar.start + wide) / unit, lane - 0.36),
            ]
            for bar, lane in zip(bars, lanes, strict=True)
            if bar.kind == kind
        ]
        if boxes:
            edge = "none" if crowded else "white"
            axes.add_collection(
                PolyCollection(
                    boxes,
                    facecolor=color,
                    edgecolor=edge,
                    linewidth=0.0 if crowded else 0.3,
                    label=name,
                    snap=not crowded,
                    rasterized=len(bars) > 600,
                )
            )
