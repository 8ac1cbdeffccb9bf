"""What the trials reported on their way."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray

from hpo.ranking import wording
from hpo.reports import style
from hpo.reports.scale import Limits, even, limits
from hpo.reports.view import StudyView
from trackers.states import RunState
from trackers.values import Trial
from trackers.wording import counted

CAPTION = "What each trial reported, step by step; pruned ones are faint and end in a dot, where they were stopped."
MOST = 250


def draw(view: StudyView) -> Figure:
    """Draw a line per trial: pruned faint, completed blue, the best in front."""
    reporting = [place.trial for place in view.ranking if _finite(place.trial)]
    if not reporting:
        if any(place.trial.intermediate_values for place in view.ranking):
            raise style.NothingToDraw(
                "Trials reported NaN or infinity alone on their way: there are no curves to draw."
            )
        raise style.NothingToDraw("No trial reported values on its way, so there are no learning curves.")
    finished = [trial for trial in reporting if trial.state is RunState.COMPLETE]
    others = [trial for trial in reporting if trial.state is not RunState.COMPLETE]
    shown = even(finished, MOST), even(others, MOST)
    pruned = [trial for trial in shown[1] if trial.state is RunState.PRUNED]
    ended = [trial for trial in shown[1] if trial.state is not RunState.PRUNED]
    figure = style.new_figure(3.6)
    axes = figure.subplots()
    style.label(axes, _name(view), "step")
    style.whole_axis(axes)
    frame = _frame(finished, others, view.row.directions[0])
    if frame.log:
        style.log_axis(axes, "y", frame.low, frame.high)
    _lines(axes, pruned, style.FAINT, 0.5, 0.7, "pruned")
    _lines(axes, ended, style.RED, 0.5, 0.7, "failed or not finished")
    _lines(axes, shown[0], style.BLUE, 0.22 if len(shown[0]) > 60 else 0.6, 0.8, "completed")
    _ends(axes, pruned)
    if view.best is not None and view.best.trial in finished[:1]:
        _winner(axes, finished[0])
    axes.autoscale_view()
    axes.set_ylim(frame.low, frame.high)
    style.legend_above(axes)
    left_out = len(reporting) - len(shown[0]) - len(shown[1])
    remark = f"{len(shown[0]) + len(shown[1]):,} of {len(reporting):,} trials drawn, chosen evenly over the ranking."
    holes = sum(not math.isfinite(value) for trial in reporting for value in trial.intermediate_values.values())
    gaps = (
        f"{holes:,} reported NaN or infinite {'value is' if holes == 1 else 'values are'} not drawn." if holes else ""
    )
    low, high = frame.low, frame.high
    hidden = sum(not any(low <= value <= high for _, value in _points(trial)) for trial in (*shown[0], *shown[1]))
    lost = f"{counted(hidden, 'worse curve')} beyond the axis." if hidden else ""
    mute = sum(bool(place.trial.intermediate_values) for place in view.ranking) - len(reporting)
    unlike = f"{counted(mute, 'trial')} reported NaN or infinity alone." if mute else ""
    style.note(figure, " ".join(filter(None, [remark if left_out else "", gaps, unlike, lost])))
    return figure


def _frame(finished: Sequence[Trial], others: Sequence[Trial], direction: str) -> Limits:
    """Return limits for what tells: the way of the best, where the others came to, of those that did not end the better half.

    A trial that began badly, or never got anywhere, would press all that matters into the upper edge.
    """
    ends = sorted((float(_points(trial)[-1][1]) for trial in others), reverse=direction == "maximize")
    way = [float(value) for _, value in _points(finished[0])] if finished else []
    last = [float(_points(trial)[-1][1]) for trial in finished]
    frame = limits(way + last + ends[: (len(ends) + 1) // 2], direction)
    if frame.log or not way:
        return frame
    low, high = min(frame.low, *way), max(frame.high, *way)
    near = high - low <= 2.0 * (frame.high - frame.low)
    return replace(frame, low=low, high=high) if near else frame


def _name(view: StudyView) -> str:
    return "reported value" if view.objectives > 1 else f"reported {wording.short(view.metric_names[0], 40)}"


def _finite(trial: Trial) -> bool:
    return any(math.isfinite(value) for value in trial.intermediate_values.values())


def _points(trial: Trial) -> NDArray[np.float64]:
    return np.array([p for p in sorted(trial.intermediate_values.items()) if math.isfinite(p[1])], dtype=float)


def _lines(axes: Axes, trials: Sequence[Trial], color: str, alpha: float, width: float, name: str) -> None:
    if not trials:
        return
    curves = [_points(trial) for trial in trials]
    heavy = sum(map(len, curves)) > style.CROWD
    lines = LineCollection(curves, colors=color, alpha=alpha, linewidths=width, label=name, rasterized=heavy)
    axes.add_collection(lines)
    single = np.array([curve[0] for curve in curves if len(curve) == 1])
    if len(single):
        axes.scatter(single[:, 0], single[:, 1], s=10, color=color, alpha=alpha, linewidth=0)


def _ends(axes: Axes, pruned: Sequence[Trial]) -> None:
    if pruned:
        ends = np.array([_points(trial)[-1] for trial in pruned])
        axes.scatter(ends[:, 0], ends[:, 1], s=5, color=style.FAINT, linewidth=0, rasterized=len(ends) > style.CROWD)


def _winner(axes: Axes, trial: Trial) -> None:
    points = _points(trial)
    axes.plot(points[:, 0], points[:, 1], color="white", linewidth=4.0)
    axes.plot(
        points[:, 0],
        points[:, 1],
        color=style.GOLD,
        linewidth=2.0,
        marker="o" if len(points) < 3 else "",
        label=f"best: trial {trial.number}",
    )
