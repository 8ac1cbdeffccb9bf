"""The result of each trial in the order of their numbers."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hpo.ranking import Standing
from hpo.reports import style
from hpo.reports.figures.results import beyond, completed, goal, not_finite, value, value_limits
from hpo.reports.view import StudyView
from trackers.states import RunState
from trackers.values import Trial

CAPTION = (
    "Each dot is a trial in the order they were started; the line is the best result so far. Pruned and failed trials are "
    "marked along the lower edge."
)


def draw(view: StudyView) -> Figure:
    """Draw one panel per objective: completed trials as dots, the best so far as a line."""
    done = completed(view)
    figure = style.new_figure(3.3 if view.objectives == 1 else 2.3 * view.objectives)
    panels = figure.subplots(view.objectives, 1, sharex=True, squeeze=False)[:, 0]
    outside = 0
    for objective, axes in enumerate(panels):
        outside += _panel(axes, view, done, objective)
    panels[-1].set_xlabel("trial")
    style.whole_axis(panels[-1])
    style.legend_above(panels[0])
    style.note(figure, " ".join(filter(None, [beyond(outside), not_finite(view)])))
    return figure


def _panel(axes: Axes, view: StudyView, done: list[Standing], objective: int) -> int:
    """Draw one objective; return how many results are beyond the axis."""
    frame = value_limits(view, objective)
    style.label(axes, y="" if view.objectives == 1 else view.metric_names[objective][:24])
    axes.set_title(goal(view, objective))
    if frame.log:
        style.log_axis(axes, "y", frame.low, frame.high)
    axes.set_ylim(frame.low, frame.high)
    first, last = view.trials[0].number, view.trials[-1].number
    axes.set_xlim(first - max(0.6, 0.01 * (last - first)), last + max(0.6, 0.01 * (last - first)))
    for feasible, name in ((True, "completed"), (False, "infeasible")):
        these = [standing for standing in done if standing.trial.feasible is feasible]
        if these:
            axes.scatter(
                [standing.trial.number for standing in these],
                [value(standing, objective) for standing in these],
                s=16 if len(these) < 500 else 6,
                facecolor=style.BLUE if feasible else "none",
                edgecolor="white" if feasible and len(these) < 500 else style.BLUE if not feasible else "none",
                linewidth=0.4 if feasible else 0.8,
                alpha=0.75,
                label=name,
                rasterized=len(these) > style.CROWD,
            )
    _rug(axes, _in(view, RunState.PRUNED), "pruned", style.FAINT, "|", 0.025)
    _rug(axes, _in(view, RunState.FAIL), "failed", style.RED, "x", 0.065)
    _best_so_far(axes, view, done, objective)
    return frame.beyond


def _in(view: StudyView, state: RunState) -> list[Trial]:
    return [trial for trial in view.trials if trial.state is state]


def _rug(axes: Axes, trials: list[Trial], name: str, color: str, marker: str, height: float) -> None:
    """Mark trials without a comparable result along the lower edge."""
    if trials:
        axes.plot(
            [trial.number for trial in trials],
            [height] * len(trials),
            linestyle="",
            marker=marker,
            markersize=4.5 if len(trials) < 100 else 3.0,
            markeredgewidth=1.0 if len(trials) < 500 else 0.3,
            color=color,
            transform=axes.get_xaxis_transform(),
            label=name,
            rasterized=len(trials) > style.CROWD,
        )


def _best_so_far(axes: Axes, view: StudyView, done: list[Standing], objective: int) -> None:
    sign = -1.0 if view.row.directions[objective] == "maximize" else 1.0
    steps: list[tuple[int, float]] = []
    for standing in done:
        here = value(standing, objective)
        if standing.trial.feasible and (not steps or sign * here < sign * steps[-1][1]):
            steps.append((standing.trial.number, here))
    if not steps:
        return
    axes.plot(
        [number for number, _ in steps] + [view.trials[-1].number],
        [best for _, best in steps] + [steps[-1][1]],
        drawstyle="steps-post",
        color=style.INK,
        linewidth=1.3,
        label="best so far",
    )
    axes.plot(
        *steps[-1],
        marker="*",
        markersize=12,
        color=style.GOLD,
        markeredgecolor=style.INK,
        markeredgewidth=0.7,
        linestyle="",
        label="best",
        zorder=5,
    )
