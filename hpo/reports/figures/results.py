"""What several figures need of the completed trials, and the sentence where there are none."""

from __future__ import annotations

from hpo.ranking import Standing, wording
from hpo.reports.scale import Limits, limits
from hpo.reports.style import NothingToDraw
from hpo.reports.view import StudyView
from trackers.states import RunState
from trackers.wording import counted


def completed(view: StudyView) -> list[Standing]:
    """Return the completed trials with finite values, by number; NothingToDraw where there are none."""
    if not view.trials:
        raise NothingToDraw("No trial has been started yet.")
    if not view.completed:
        raise NothingToDraw(f"No trial has completed with a finite result yet ({wording.states(view.counts)}).")
    return sorted(view.completed, key=lambda standing: standing.trial.number)


def value(standing: Standing, objective: int) -> float:
    """Return one of the values of a completed trial."""
    values = standing.trial.values
    return float("nan") if values is None else values[objective]


def value_limits(view: StudyView, objective: int) -> Limits:
    """Return the limits of the axis of an objective."""
    return limits([value(standing, objective) for standing in view.completed], view.row.directions[objective])


def beyond(amount: int) -> str:
    """Return the remark on results that the axis leaves out."""
    return f"{counted(amount, 'worse result')} beyond the axis." if amount else ""


def not_finite(view: StudyView) -> str:
    """Return the remark on completed trials that cannot be drawn."""
    amount = view.counts[RunState.COMPLETE] - len(view.completed)
    return f"{counted(amount, 'result')} NaN or infinite, not drawn." if amount else ""


def goal(view: StudyView, objective: int) -> str:
    """Return the name of an objective with the way it is to go."""
    arrow = "higher is better" if view.row.directions[objective] == "maximize" else "lower is better"
    return f"{wording.short(view.metric_names[objective], 40)} ({arrow})"
