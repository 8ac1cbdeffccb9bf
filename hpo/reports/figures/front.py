"""The objectives against each other."""

from __future__ import annotations

from itertools import combinations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hpo.ranking import Standing
from hpo.reports import style
from hpo.reports.figures.results import beyond, completed, goal, value, value_limits
from hpo.reports.view import StudyView

CAPTION = "Completed trials, two objectives at a time; no trial beats one of the front in every objective."
MOST_OBJECTIVES = 4


def draw(view: StudyView) -> Figure:
    """Draw each pair of objectives, the Pareto front in front."""
    if view.objectives < 2:
        raise style.NothingToDraw("The study has one objective, so there is no Pareto front.")
    done = completed(view)
    pairs = list(combinations(range(min(view.objectives, MOST_OBJECTIVES)), 2))
    columns = min(3, len(pairs))
    rows = -(-len(pairs) // columns)
    figure = style.new_figure(4.2 if len(pairs) == 1 else 0.4 + 3.0 * rows)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, pair in zip(grid, pairs, strict=True):
        _panel(axes, view, done, *pair)
    handles, labels = grid[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=4)
    outside = sum(value_limits(view, objective).beyond for objective in range(view.objectives))
    left = f"The first {MOST_OBJECTIVES} of {view.objectives} objectives." if view.objectives > MOST_OBJECTIVES else ""
    style.note(figure, " ".join(filter(None, [left, beyond(outside)])))
    return figure


def _panel(axes: Axes, view: StudyView, done: list[Standing], across: int, up: int) -> None:
    style.label(axes, x=goal(view, across), y=goal(view, up), grid="both")
    for objective, which in ((across, "x"), (up, "y")):
        frame = value_limits(view, objective)
        if frame.log:
            style.log_axis(axes, which, frame.low, frame.high)
        elif which == "x":
            axes.locator_params(axis="x", nbins=5)
        (axes.set_xlim if which == "x" else axes.set_ylim)(frame.low, frame.high)
    front = [place for place in done if place.rank == 1]
    rest = [place for place in done if place.rank != 1 and place.trial.feasible]
    bad = [place for place in done if not place.trial.feasible]
    if view.objectives == 2 and len(front) > 1:
        _staircase(axes, view, front)
    for places, name, face, edge, size in (
        (bad, "infeasible", "none", style.FAINT, 14),
        (rest, "dominated", style.FAINT, "none", 14),
        (front, "Pareto front", style.BLUE, "white", 30),
    ):
        if places:
            axes.scatter(
                [value(place, across) for place in places],
                [value(place, up) for place in places],
                s=size,
                facecolor=face,
                edgecolor=edge,
                linewidth=0.7,
                alpha=0.9,
                label=name,
                rasterized=len(places) > style.CROWD,
            )
    if view.best is not None and view.best in front:
        axes.plot(
            value(view.best, across),
            value(view.best, up),
            marker="*",
            markersize=13,
            color=style.GOLD,
            markeredgecolor=style.INK,
            markeredgewidth=0.7,
            linestyle="",
            label=f"most balanced: trial {view.best.trial.number}",
        )


def _staircase(axes: Axes, view: StudyView, front: list[Standing]) -> None:
    """Draw the edge of what the front dominates."""
    points = sorted((value(place, 0), value(place, 1)) for place in front)
    where = "steps-pre" if view.row.directions[0] == "maximize" else "steps-post"
    axes.plot(*zip(*points, strict=True), drawstyle=where, color=style.SKY, linewidth=1.2, zorder=1)
