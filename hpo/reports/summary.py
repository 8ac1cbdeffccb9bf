"""A study in a few lines of HTML, for a notebook."""

from __future__ import annotations

from html import escape

from hpo.ranking import wording
from hpo.reports.view import StudyView


def summary_html(view: StudyView) -> str:
    """Return what a study is, what won and its ten best trials, as HTML with inline styles only."""
    from hpo.reports.facts import verdict

    said = verdict(view)
    lines = [
        f"<h3 style='margin:0'>{escape(wording.short(view.row.name, 80))}</h3>",
        f"<p style='margin:4px 0'><b>{escape(said.headline)}</b> {escape(said.detail)}</p>",
    ]
    if view.best is not None:
        lines.append(
            f"<p style='margin:4px 0'>{escape(wording.short(wording.params(view.best.trial.params), 400))}</p>"
        )
    return f"<div>{''.join(lines)}{view.ranking.to_html(10)}</div>"
