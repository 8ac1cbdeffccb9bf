"""The figures of a report, one small file each; every ``draw(view)`` returns a matplotlib figure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from matplotlib.figure import Figure

from hpo.reports.figures import bars, coordinates, curves, edfs, front, history, panels, workers
from hpo.reports.style import plot
from hpo.reports.view import StudyView


@dataclass(frozen=True, slots=True)
class FigureKind:
    """A figure by name: its heading, a sentence on how to read it, and what draws it.

    *draw* raises ``NothingToDraw`` with a sentence; *plot* returns a figure in any case.
    """

    name: str
    title: str
    caption: str
    draw: Callable[[StudyView], Figure]

    def plot(self, view: StudyView) -> Figure:
        """Return the figure of *view*; a sentence stands in it where there is nothing to draw."""
        return plot(self.draw, view)


FIGURES: dict[str, FigureKind] = {
    kind.name: kind
    for kind in (
        FigureKind("optimization_history", "Optimization history", history.CAPTION, history.draw),
        FigureKind("pareto_front", "Pareto front", front.CAPTION, front.draw),
        FigureKind("learning_curves", "Learning curves", curves.CAPTION, curves.draw),
        FigureKind("parallel_coordinates", "Parallel coordinates", coordinates.CAPTION, coordinates.draw),
        FigureKind("importance", "Which params mattered", bars.CAPTION, bars.draw),
        FigureKind("slices", "Param by param", panels.CAPTION, panels.draw),
        FigureKind("edf", "Distribution of results", edfs.CAPTION, edfs.draw),
        FigureKind("timeline", "Workers over time", workers.CAPTION, workers.draw),
    )
}

optimization_history = FIGURES["optimization_history"].plot
pareto_front = FIGURES["pareto_front"].plot
learning_curves = FIGURES["learning_curves"].plot
parallel_coordinates = FIGURES["parallel_coordinates"].plot
importance = FIGURES["importance"].plot
slices = FIGURES["slices"].plot
edf = FIGURES["edf"].plot
timeline = FIGURES["timeline"].plot

__all__ = [
    "FIGURES",
    "FigureKind",
    "edf",
    "importance",
    "learning_curves",
    "optimization_history",
    "parallel_coordinates",
    "pareto_front",
    "slices",
    "timeline",
]
