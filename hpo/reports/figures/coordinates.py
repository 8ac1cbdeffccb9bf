"""A line per trial through its params to its result."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from hpo.ranking import Standing, wording
from hpo.reports import style
from hpo.reports.figures.results import completed, value, value_limits
from hpo.reports.scale import ParamAxis, even, param_axis
from hpo.reports.view import StudyView

CAPTION = (
    "Each line is a completed trial: its params from left to right, then its result. Dark lines are the best ranked; "
    "a line that dips below an axis did not use that param."
)
MOST_AXES = 9
MOST_LINES = 400
UNSET = -0.13
"""Where a line passes an axis whose param it did not use."""


def draw(view: StudyView) -> Figure:
    """Draw the most important params and the objectives as vertical axes, completed trials as lines."""
    done = completed(view)
    if not view.params:
        raise style.NothingToDraw("The trials have no params.")
    names = view.params[:MOST_AXES]
    params = [
        param_axis(name, view.specs[name], [place.trial.params[name] for place in done if name in place.trial.params])
        for name in names
    ]
    goals = [_objective_axis(view, objective) for objective in range(view.objectives)]
    lines = even(view.completed, MOST_LINES)
    heights = np.array([[_height(axis, place) for axis in params] + _results(goals, place) for place in lines])
    figure = style.new_figure(3.9)
    axes = figure.subplots()
    _lines(axes, heights)
    _frame(axes, params, goals)
    axes.set_ylim(UNSET - 0.05 if (heights == UNSET).any() else -0.05, 1.04)
    parts = [f"The {len(names)} most important of {len(view.params)} params." if len(names) < len(view.params) else ""]
    parts.append(
        f"{len(lines):,} of {len(done):,} trials drawn, evenly over the ranking." if len(lines) < len(done) else ""
    )
    style.note(figure, " ".join(filter(None, parts)))
    return figure


def _height(axis: ParamAxis, place: Standing) -> float:
    if axis.name not in place.trial.params:
        return UNSET
    height = axis.fraction(place.trial.params[axis.name])
    return UNSET if np.isnan(height) else height


def _results(goals: Sequence[ParamAxis], place: Standing) -> list[float]:
    return [
        axis.fraction(min(max(value(place, objective), axis.low), axis.high)) for objective, axis in enumerate(goals)
    ]


def _objective_axis(view: StudyView, objective: int) -> ParamAxis:
    frame = value_limits(view, objective)
    return ParamAxis(view.metric_names[objective], numeric=True, log=frame.log, low=frame.low, high=frame.high)


def _lines(axes: Axes, heights: NDArray[np.float64]) -> None:
    """Draw the lines, best ranked last and darkest."""
    count, width = heights.shape
    segments = [np.column_stack([np.arange(width), row]) for row in heights]
    shades = colormaps["cividis"](np.linspace(0.0, 0.85, count) ** 0.6)
    shades[:, 3] = np.linspace(0.9, 0.25, count) if count > 30 else 0.85
    widths = np.linspace(1.5, 0.7, count)
    heavy = count * width > style.CROWD
    axes.add_collection(LineCollection(segments[::-1], colors=shades[::-1], linewidths=widths[::-1], rasterized=heavy))
    axes.plot(np.arange(width), heights[0], color="white", linewidth=4.2)
    axes.plot(np.arange(width), heights[0], color=style.GOLD, linewidth=2.2)


def _frame(axes: Axes, params: Sequence[ParamAxis], goals: Sequence[ParamAxis]) -> None:
    scales = [*params, *goals]
    axes.set_xlim(-0.5, len(scales) - 0.45)
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    axes.tick_params(axis="x", length=0, labelcolor=style.INK, pad=6)
    axes.xaxis.tick_top()
    names = [wording.plain(scale.name) for scale in scales]
    room = max(9, 112 // len(scales))
    if max(map(len, names)) > room:  # every other name moves up a line, so that each has the room of two
        names = [wording.squeezed(name, 2 * room - 2) + ("\n" if x % 2 else "") for x, name in enumerate(names)]
    axes.set_xticks(range(len(scales)), names)
    for label in axes.get_xticklabels()[len(params) :]:
        label.set_fontweight("bold")
    for x, scale in enumerate(scales):
        axes.plot([x, x], [0, 1], color=style.MUTED, linewidth=1.0, zorder=3, solid_capstyle="butt")
        for height, text in _ticks(scale):
            axes.plot([x - 0.03, x], [height, height], color=style.MUTED, linewidth=0.8, zorder=3)
            axes.annotate(
                wording.squeezed(text, 11 if len(scales) > 5 else 16),
                (x, height),
                xytext=(-5, 0),
                textcoords="offset points",
                ha="right",
                va="center",
                fontsize=7.5,
                color=style.INK,
                zorder=4,
                bbox={"boxstyle": "square,pad=0.12", "facecolor": "white", "alpha": 0.8, "linewidth": 0},
            )


def _ticks(scale: ParamAxis) -> list[tuple[float, str]]:
    if not scale.numeric:
        words = list(enumerate(scale.choices))
        kept = words if len(words) <= 12 else even(words, 8)
        return [(0.5 if len(words) < 2 else index / (len(words) - 1), word) for index, word in kept]
    if scale.high <= scale.low:
        return [(0.5, wording.number(scale.low, 3))]
    if scale.log:
        decades = [10.0**power for power in range(-300, 300) if scale.low <= 10.0**power <= scale.high]
        marks = even(decades, 6) if len(decades) > 1 else [scale.low, (scale.low * scale.high) ** 0.5, scale.high]
    else:
        nice = MaxNLocator(nbins=6, integer=scale.whole).tick_values(scale.low, scale.high)
        marks = [float(mark) for mark in nice if scale.low <= mark <= scale.high]
    if scale.whole:
        marks = [float(round(mark)) for mark in marks]
    return [(scale.fraction(mark), wording.number(mark, 4)) for mark in marks]
