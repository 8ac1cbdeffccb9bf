"""The result over each param by itself."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from hpo.ranking import Standing, wording
from hpo.reports import style
from hpo.reports.figures.results import beyond, completed, goal, value, value_limits
from hpo.reports.scale import Limits, ParamAxis, even, param_axis
from hpo.reports.view import StudyView

CAPTION = "The result over each param; the darker the dot, the later the trial. The star is the best trial."
COLUMNS = 4
MOST_PANELS = 12
MOST_DOTS = 3000


def draw(view: StudyView) -> Figure:
    """Draw a panel per param (the most important ones), a row of them per objective where there are several."""
    done = completed(view)
    if not view.params:
        raise style.NothingToDraw("The trials have no params.")
    frames = [value_limits(view, objective) for objective in range(view.objectives)]
    used = _used(view, done, frames)
    names = used[: MOST_PANELS if view.objectives == 1 else COLUMNS]
    columns = min(COLUMNS, len(names))
    pairs = [(name, objective) for objective in range(view.objectives) for name in names]
    rows = math.ceil(len(pairs) / columns)
    figure = style.new_figure(0.5 + 2.0 * rows)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    shown = even(done, MOST_DOTS)
    if view.best is not None and view.best in done and view.best not in shown:
        shown.append(view.best)
    for index, (name, objective) in enumerate(pairs):
        taken = [place.trial.params[name] for place in done if name in place.trial.params]
        axis = param_axis(name, view.specs[name], taken)
        _panel(grid[index], view, shown, axis, frames[objective], objective)
        if index % columns:
            grid[index].set_yticklabels([])
        elif view.objectives > 1:
            grid[index].set_ylabel(wording.short(view.metric_names[objective], 22))
    for axes in grid[len(pairs) :]:
        axes.set_visible(False)
    if view.objectives == 1:
        figure.suptitle(goal(view, 0), x=0.008, ha="left", fontsize=9.5, color=style.INK)
    left = f"The {len(names)} most important of {len(used)} params." if len(names) < len(used) else ""
    empty = [wording.short(name, 30) for name in view.params if name not in used]
    unused = f"No drawn trial has {wording.short(', '.join(empty), 120)}." if empty else ""
    outside = beyond(sum(frame.beyond for frame in frames))
    style.note(figure, " ".join(filter(None, [left, unused, _share(len(shown), len(done)), outside])))
    return figure


def _used(view: StudyView, done: list[Standing], frames: list[Limits]) -> list[str]:
    """Return the params that a trial within the frame has: the panel of another one would be empty."""
    inside = [
        place
        for place in done
        if any(frame.low <= value(place, objective) <= frame.high for objective, frame in enumerate(frames))
    ]
    return [name for name in view.params if any(name in p.trial.params for p in inside)] or list(view.params)


def _share(shown: int, done: int) -> str:
    return f"{shown:,} of {done:,} trials drawn." if shown < done else ""


def _panel(axes: Axes, view: StudyView, shown: list[Standing], axis: ParamAxis, frame: Limits, objective: int) -> None:
    style.label(axes, x=wording.short(axis.name, 30))
    axes.xaxis.label.set_color(style.INK)
    these = [place for place in shown if axis.name in place.trial.params]
    if frame.log:
        style.log_axis(axes, "y", frame.low, frame.high)
    else:
        axes.locator_params(axis="y", nbins=5)
    axes.set_ylim(frame.low, frame.high)
    x = np.array([axis.position(place.trial.params[axis.name]) for place in these])
    y = np.array([value(place, objective) for place in these])
    age = np.array([place.trial.number for place in these], dtype=float)
    if not axis.numeric:
        x = x + 0.5 * (_spread(age) - 0.5)
    axes.scatter(
        x,
        y,
        c=-age,
        cmap="cividis",
        vmin=-max(1, view.trials[-1].number),
        vmax=0.45 * max(1, view.trials[-1].number),
        s=11 if len(these) < 500 else 5,
        alpha=0.75 if len(these) < 500 else 0.5,
        linewidth=0,
        rasterized=len(these) > 400,
    )
    _ticks(axes, axis)
    if view.best is not None and view.best in these:
        at = these.index(view.best)
        star: Any = {"marker": "*", "markersize": 11, "color": style.GOLD, "markeredgecolor": style.INK}
        axes.plot(x[at], y[at], markeredgewidth=0.7, zorder=5, **star)


def _spread(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a share of the width for each trial, the same in every drawing."""
    return np.modf(numbers * 0.6180339887498949)[0]


def _ticks(axes: Axes, axis: ParamAxis) -> None:
    if axis.numeric:
        if axis.log and axis.high > axis.low:
            style.log_axis(axes, "x", axis.low, axis.high, marks=5)
            axes.set_xlim(axis.low / (axis.high / axis.low) ** 0.04, axis.high * (axis.high / axis.low) ** 0.04)
            return
        if axis.whole:
            style.whole_axis(axes)
        else:
            axes.locator_params(axis="x", nbins=4)
        pad = 0.04 * (axis.high - axis.low) or max(abs(axis.low) * 0.05, 0.5)
        axes.set_xlim(axis.low - pad, axis.high + pad)
        return
    words = list(enumerate(axis.choices))
    kept = words if len(words) <= 6 else even(words, 6)
    room = max(4, 26 // max(1, len(kept)))
    long = any(len(word) > room for _, word in kept)
    axes.set_xticks([index for index, _ in kept], [wording.squeezed(word, 12 if long else room) for _, word in kept])
    if long:
        axes.tick_params(axis="x", labelrotation=28)
        for label in axes.get_xticklabels():
            label.set(ha="right", rotation_mode="anchor")
    axes.set_xlim(-0.6, len(words) - 0.4)
