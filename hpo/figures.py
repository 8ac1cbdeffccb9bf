"""The figures of a study, under the names that they have in ``optuna.visualization``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from hpo.errors import UserError
from hpo.wording import suggestion

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from hpo.reports import StudyView


class Figures:
    """What a study draws of itself: each call reads the study anew and returns a matplotlib figure.

    A notebook shows the figure; ``figure.savefig("history.png")`` writes it. Where there is nothing to draw yet, the
    figure says so in a sentence.
    """

    def _view(self) -> StudyView:
        raise NotImplementedError

    def plot_optimization_history(self) -> Figure:
        """Draw the result of each trial in the order of their numbers, with the best so far."""
        return self._plot("optimization_history")

    def plot_intermediate_values(self) -> Figure:
        """Draw what the trials reported on their way, pruned ones faint."""
        return self._plot("learning_curves")

    def plot_parallel_coordinate(self, params: Sequence[str] | None = None) -> Figure:
        """Draw a line per trial through *params* (None: the most important ones) to its result.

        Raises: UserError for a param that no trial has.
        """
        return self._plot("parallel_coordinates", params)

    def plot_param_importances(self) -> Figure:
        """Draw how much each param mattered (PED-ANOVA)."""
        return self._plot("importance")

    def plot_slice(self, params: Sequence[str] | None = None) -> Figure:
        """Draw the result over each of *params* (None: the most important ones) by itself.

        Raises: UserError for a param that no trial has.
        """
        return self._plot("slices", params)

    def plot_pareto_front(self) -> Figure:
        """Draw the objectives against each other, with the front; for a study of several objectives."""
        return self._plot("pareto_front")

    def plot_edf(self) -> Figure:
        """Draw the share of trials that reached each result (empirical distribution function)."""
        return self._plot("edf")

    def plot_timeline(self) -> Figure:
        """Draw which worker ran what, when."""
        return self._plot("timeline")

    def _plot(self, name: str, params: Sequence[str] | None = None) -> Figure:
        from hpo.reports.figures import FIGURES

        view = self._view()
        if params is not None:
            view = replace(view, only=_known(view, params))
        return FIGURES[name].plot(view)


def _known(view: StudyView, params: Sequence[str]) -> tuple[str, ...]:
    wanted = (params,) if isinstance(params, str) else tuple(params)
    for name in wanted:
        if name not in view.params:
            there = ", ".join(view.params) or "none"
            raise UserError(
                f"no trial of {view.row.name!r} has a param {name!r} (there: {there}){suggestion(str(name), view.params)}"
            )
    return wanted
