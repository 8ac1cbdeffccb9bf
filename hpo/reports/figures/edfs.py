"""The share of trials that reached each result."""

from __future__ import annotations

import statistics

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hpo.ranking import wording
from hpo.reports import style
from hpo.reports.figures.results import beyond, completed, goal, value, value_limits
from hpo.reports.view import StudyView

CAPTION = "The share of the completed trials that are at least as good as each result: a steep end is a crowded top."


def draw(view: StudyView) -> Figure:
    """Draw one panel per objective, with the median and the best result named."""
    if len(completed(view)) < 3:
        raise style.NothingToDraw("A distribution needs at least three completed trials.")
    columns = min(3, view.objectives)
    rows = -(-view.objectives // columns)
    figure = style.new_figure(2.7 * rows)
    grid = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
    outside = sum(_panel(grid[objective], view, objective) for objective in range(view.objectives))
    for axes in grid[view.objectives :]:
        axes.set_visible(False)
    grid[0].set_ylabel("share of trials")
    style.note(figure, beyond(outside))
    return figure


def _panel(axes: Axes, view: StudyView, objective: int) -> int:
    frame = value_limits(view, objective)
    maximize = view.row.directions[objective] == "maximize"
    ordered = sorted((value(place, objective) for place in view.completed), reverse=maximize)
    style.label(axes, goal(view, objective))
    if frame.log:
        style.log_axis(axes, "x", frame.low, frame.high)
    axes.set_xlim(frame.low, frame.high)
    axes.set_ylim(0, 1.04)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1.0], ["0", "25%", "50%", "75%", "100%"])
    shares = [(index + 1) / len(ordered) for index in range(len(ordered))]
    edge = frame.low if maximize else frame.high
    axes.plot([*ordered, edge], [*shares, 1.0], drawstyle="steps-post", color=style.BLUE, linewidth=1.6)
    median = statistics.median(ordered)
    axes.plot([median], [0.5], marker="o", markersize=5, color=style.INK)
    far = (median - frame.low) > (frame.high - median) if not frame.log else median**2 > frame.low * frame.high
    right = not far  # the curve falls where more is better and rises where less is: its free side is above or below
    above = right is maximize
    axes.annotate(
        f"median {wording.number(median, 4)}",
        (median, 0.5),
        xytext=(8 if right else -8, 5 if above else -5),
        textcoords="offset points",
        ha="left" if right else "right",
        va="bottom" if above else "top",
        fontsize=8.5,
    )
    return frame.beyond
