"""Reports: one view of a study, read once, drawn as figures and written as one HTML file that opens offline.

``write(view_of(store, row), "report.html")`` writes the file. ``plot_optimization_history(view)`` and its kin return
matplotlib figures; ``hpo.reports.figures.FIGURES`` has them all by name. matplotlib is imported by the first figure.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from hpo.reports.summary import summary_html
from hpo.reports.view import StudyView, view_of
from trackers.destination import any_destination

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "StudyView",
    "plot_edf",
    "plot_importance",
    "plot_learning_curves",
    "plot_optimization_history",
    "plot_parallel_coordinates",
    "plot_pareto_front",
    "plot_slices",
    "plot_timeline",
    "summary_html",
    "view_of",
    "write",
]


def write(view: StudyView, path: str | os.PathLike[str] = "report.html") -> Path:
    """Write the report of *view* to *path* and return it; a file that is there is replaced in one step.

    A link is written through, a device or a pipe (``/dev/stdout``) written into. Raises OSError when the folder does not
    exist or cannot be written to.
    """
    from hpo.reports.page import render

    target = Path(path)
    page = render(view).encode()
    try:
        with any_destination(target) as sink:
            sink.write(page)
    except OSError as exc:
        exc.filename, exc.filename2 = str(target), None  # nobody knows the draft
        raise
    return target


def plot_optimization_history(view: StudyView) -> Figure:
    """Return the result of each trial in the order of their numbers, with the best so far."""
    return _plot("optimization_history", view)


def plot_learning_curves(view: StudyView) -> Figure:
    """Return what the trials reported on their way, pruned ones faint."""
    return _plot("learning_curves", view)


def plot_parallel_coordinates(view: StudyView) -> Figure:
    """Return a line per trial through its params to its result."""
    return _plot("parallel_coordinates", view)


def plot_importance(view: StudyView) -> Figure:
    """Return how much each param mattered (PED-ANOVA)."""
    return _plot("importance", view)


def plot_slices(view: StudyView) -> Figure:
    """Return the result over each param by itself."""
    return _plot("slices", view)


def plot_timeline(view: StudyView) -> Figure:
    """Return which worker ran what, when."""
    return _plot("timeline", view)


def plot_pareto_front(view: StudyView) -> Figure:
    """Return the objectives against each other, with the front; for a study of several objectives."""
    return _plot("pareto_front", view)


def plot_edf(view: StudyView) -> Figure:
    """Return the share of trials that reached each result (empirical distribution function)."""
    return _plot("edf", view)


def _plot(name: str, view: StudyView) -> Figure:
    from hpo.reports.figures import FIGURES

    return FIGURES[name].plot(view)
