"""How much each param mattered."""

from __future__ import annotations

from matplotlib.figure import Figure

from hpo.ranking import wording
from hpo.reports import style
from hpo.reports.view import StudyView
from hpo.sampling.importance import ENOUGH

CAPTION = (
    "The share of each param in what sets the best tenth of the completed trials apart from the rest (PED-ANOVA). "
    "It speaks of the values that were tried, not of what causes what."
)
MOST = 15
FIRM = 50
"""Completed trials from which the best tenth has five trials: fewer are a hint only."""


def draw(view: StudyView) -> Figure:
    """Draw the most important params as bars."""
    shares = list(view.importances.items())
    done = len(view.completed)
    if not shares and done < ENOUGH:
        raise style.NothingToDraw(f"Importance needs at least {ENOUGH} completed trials with finite results.")
    if not shares:
        raise style.NothingToDraw(
            f"Importance needs at least {ENOUGH} feasible trials with params whose ranges are known."
        )
    if shares[0][1] <= 0.0:
        raise style.NothingToDraw("No param sets the best trials apart from the rest so far.")
    shown = shares[:MOST]
    figure = style.new_figure(0.7 + 0.27 * len(shown))
    axes = figure.subplots()
    rows = range(len(shown))
    axes.barh(rows, [share for _, share in shown], height=0.62, color=style.BLUE)
    for row, (_, share) in zip(rows, shown, strict=True):
        text = wording.percent(share)
        axes.annotate(
            text, (share, row), xytext=(5, 0), textcoords="offset points", va="center", fontsize=8.5, color=style.MUTED
        )
    axes.set_yticks(rows, [wording.short(name, 32) for name, _ in shown])
    axes.tick_params(axis="y", labelcolor=style.INK)
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.set_xlim(0, 1.1 * shown[0][1])
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    hint = f"From {done} completed trials only: take it as a hint." if done < FIRM else ""
    more = f"The {MOST} most important of {len(shares)} params." if len(shares) > MOST else ""
    style.note(figure, " ".join(filter(None, [more, hint])))
    return figure
