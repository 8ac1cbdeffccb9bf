"""A study in a few lines of HTML, for a notebook."""

from __future__ import annotations

from html import escape

from hpo.ranking import wording
from hpo.reports.view import StudyView
from trackers.wording import counted

_P = "<p style='margin:4px 0'>"


def summary_html(view: StudyView) -> str:
    """Return what a study is, what won, a small figure and its ten best trials, as HTML with inline styles only."""
    from hpo.reports.facts import verdict

    said = verdict(view)
    lines = [
        f"<h3 style='margin:0'>{escape(wording.short(view.row.name, 80))}</h3>",
        f"{_P}<b>{escape(said.headline)}</b> {escape(said.detail)}</p>",
    ]
    if view.best is not None:
        lines.append(f"{_P}{escape(wording.short(wording.params(view.best.trial.params), 400))}</p>")
    if view.trials:
        tried = f"{counted(len(view.trials), 'trial')}: {wording.states(view.counts)}"
        lines.append(f"{_P}{escape(tried)}; the study is {escape(view.row.status)}.</p>")
    return f"<div>{''.join(lines)}{_figure(view)}{view.ranking.to_html(10) if view.trials else ''}</div>"


def _figure(view: StudyView) -> str:
    """Return the history (or the front of two or three objectives) as an image, empty where nothing can be drawn."""
    if not view.completed:
        return ""
    from hpo.reports.figures import FIGURES
    from hpo.reports.picture import thumbnail_uri

    kind = FIGURES["pareto_front" if view.objectives in (2, 3) else "optimization_history"]
    uri = thumbnail_uri(kind.plot(view))
    return f"<img alt='{escape(kind.title)}' style='width:100%;max-width:720px' src='{uri}'>"
