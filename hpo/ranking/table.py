"""A leaderboard as a table: plain text for a terminal, HTML for a notebook.

A value in parentheses is no result: the last report of a pruned, failed or running trial.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

from hpo.ranking import wording
from trackers.states import RunState
from trackers.wording import counted, padded, text_width

if TYPE_CHECKING:
    from hpo.ranking.leaderboard import Ranking, Standing

GAP = "  "
LEFT = {"state", "model", "code", "params"}
NEVER_LOGGED = "none was logged"
ROOM = 30
"""Characters that the params should have before other columns do."""


def headline(ranking: Ranking) -> str:
    """Return one line: the study, its goals, its trials."""
    goals = zip(ranking.row.directions, ranking.metric_names, strict=True)
    parts = [
        wording.short(ranking.row.name, 60),
        ", ".join(f"{direction} {wording.short(name, 30)}" for direction, name in goals),
        counted(len(ranking), "trial"),
    ]
    counts = wording.states(ranking.states)
    return " · ".join(parts) + (f": {counts}" if counts else "")


def digits_of(standings: Iterable[Standing], objectives: int) -> list[int]:
    """Return how many digits each objective's column takes, for *results*: what is not equal shall not look so."""
    rows = [standing.trial.values for standing in standings if standing.rank is not None]
    columns = zip(*(values for values in rows if values is not None and len(values) == objectives), strict=True)
    return [wording.telling_digits(column) for column in columns] or [5] * objectives


def results(standing: Standing, objectives: int, digits: Sequence[int] | None = None) -> list[str]:
    """Return the text of each objective's value, with so many *digits* each (default: five)."""
    places = digits or [5] * objectives
    values = standing.trial.values
    if standing.trial.state is RunState.COMPLETE and values is not None and len(values) == objectives:
        return [wording.number(value, places[index]) for index, value in enumerate(values)]
    if objectives == 1 and standing.last_value is not None:
        return [f"({wording.number(standing.last_value)})"]
    return [wording.NONE] * objectives


def cells(standing: Standing, objectives: int, digits: Sequence[int] | None = None, *, code: bool = False) -> list[str]:
    """Return what a table shows of one trial, column by column; *code*: which version of it ran, too."""
    trial = standing.trial
    return [
        wording.NONE if standing.rank is None else str(standing.rank),
        str(trial.number),
        *results(standing, objectives, digits),
        str(standing.steps) if standing.steps else wording.NONE,
        wording.seconds(standing.seconds),
        wording.NONE if standing.cost is None else wording.number(standing.cost, 4),
        trial.state.name + (f" ({standing.note})" if standing.note in ("infeasible", "NaN") else ""),
        _model(standing),
        *([standing.code or wording.NONE] if code else []),
        wording.params(trial.params),
    ]


def _model(standing: Standing) -> str:
    """Return whether the model can be loaded, shortly why not where it was logged and lost."""
    if standing.model:
        return "yes"
    told = standing.trial.model_error or (standing.model_reason if standing.model_reason != NEVER_LOGGED else "")
    return f"no: {wording.short(told, 28)}" if told and standing.rank is not None else "no"


def columns(ranking: Ranking, *, code: bool = False) -> list[str]:
    """Return the heads of the columns of ``cells``."""
    names = [wording.short(name, 16) for name in ranking.metric_names]
    heads = ["rank", "trial", *names, "steps", "time", "core-s", "state", "model"]
    return [*heads, *(["code"] if code else []), "params"]


def _codes_differ(shown: Iterable[Standing]) -> bool:
    """Tell whether the trials ran several versions of the code: one that all ran is told by `hpo show`."""
    return len({standing.code for standing in shown}) > 1


def text(ranking: Ranking, limit: int | None, width: int) -> str:
    """Return the first *limit* trials as plain text, lines cut at *width* characters."""
    shown = ranking[:limit]
    code = _codes_differ(shown)
    heads = columns(ranking, code=code)
    digits = digits_of(shown, len(ranking.metric_names))
    body = [heads, *(cells(standing, len(ranking.metric_names), digits, code=code) for standing in shown)]
    widths = [max(text_width(line[column]) for line in body) for column in range(len(heads))]
    kept = _kept(heads, widths, width)
    lines = [wording.short(headline(ranking), width)]
    for line in body if shown else []:
        filled = [padded(line[i], widths[i], right=heads[i] not in LEFT) for i in kept]
        lines.append(wording.short(GAP.join(filled).rstrip(), width))
    if len(ranking) > len(shown):
        lines.append(f"… and {counted(len(ranking) - len(shown), 'more trial')}")
    return "\n".join(lines)


def _kept(heads: list[str], widths: list[int], width: int) -> list[int]:
    """Return the columns that are shown: on a narrow terminal the cost, then the time, make room for the params."""
    kept = list(range(len(heads)))
    for name in ("core-s", "time"):
        others = sum(widths[i] + len(GAP) for i in kept[:-1])
        if width - others < min(widths[-1], ROOM):
            kept.remove(heads.index(name))
    return kept


def html(ranking: Ranking, limit: int | None) -> str:
    """Return the first *limit* trials as an HTML table with nothing but inline styles."""
    style = "padding:2px 10px;text-align:{};white-space:nowrap"
    shown = ranking[:limit]
    code = _codes_differ(shown)
    heads = columns(ranking, code=code)
    aligned = [style.format("left" if head in LEFT else "right") for head in heads]
    lines = [
        "<tr>" + "".join(f'<th style="{s}">{escape(h)}</th>' for h, s in zip(heads, aligned, strict=True)) + "</tr>"
    ]
    digits = digits_of(shown, len(ranking.metric_names))
    for standing in shown:
        line = cells(standing, len(ranking.metric_names), digits, code=code)
        lines.append(
            "<tr>" + "".join(f'<td style="{s}">{_cell(c)}</td>' for c, s in zip(line, aligned, strict=True)) + "</tr>"
        )
    more = len(ranking) - len(shown)
    note = f"<p>… and {counted(more, 'more trial')}</p>" if more else ""
    return f"<div><p>{escape(headline(ranking))}</p><table>{''.join(lines)}</table>{note}</div>"


def _cell(content: str) -> str:
    """Escape *content*; what was cut is in the tooltip."""
    cut = wording.short(content, 80)
    return escape(cut) if cut == content else f'<span title="{escape(content)}">{escape(cut)}</span>'
