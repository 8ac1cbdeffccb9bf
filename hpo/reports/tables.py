"""The tables of a report, as rows of text ready to be shown."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hpo.ranking import Standing, wording
from hpo.ranking.table import digits_of, results
from hpo.reports.view import StudyView
from hpo.settings import CHOSEN

MOST_ROWS = 200
"""Trials that the ranking table lists."""

MOST_PARAM_COLUMNS = 14
"""Params up to which each has a column of its own in the ranking table."""

MOST_TEXT = 40_000
"""Characters of a diff or a source that the report carries."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell: its *text*, what it sorts by (empty: last), the whole text where it was cut."""

    text: str
    key: str = ""
    whole: str = ""
    kind: str = "number"


@dataclass(frozen=True, slots=True)
class Table:
    """A table with its heads (name, kind of column) and what it leaves out."""

    heads: tuple[tuple[str, str], ...]
    rows: tuple[tuple[Cell, ...], ...]
    left_out: int = 0


Facts = list[tuple[str, str]]


def best_params(view: StudyView) -> Facts:
    """Return the winner's params."""
    if view.best is None:
        return []
    return [(name, wording.param(value)) for name, value in view.best.trial.params.items()]


def front(view: StudyView) -> Table | None:
    """Return the Pareto front, at most 12 trials of it; None with one objective."""
    if view.objectives < 2 or view.best is None:
        return None
    members = [standing for standing in view.ranking if standing.rank == 1]
    heads = (
        ("trial", "number"),
        *((wording.short(name, 30), "number") for name in view.metric_names),
        ("params", "text"),
    )
    digits = digits_of(members[:12], view.objectives)
    rows = tuple(
        (
            Cell(str(member.trial.number)),
            *(Cell(text) for text in results(member, view.objectives, digits)),
            _text(wording.params(member.trial.params), 90),
        )
        for member in members[:12]
    )
    return Table(heads, rows, max(0, len(members) - 12))


def space(view: StudyView) -> Table:
    """Return the params: what they could be, under which condition, how much they mattered, what the best had."""
    best = view.best.trial.params if view.best is not None else {}
    rows = []
    for name, spec in view.specs.items():
        share = view.importances.get(name)
        rows.append(
            (
                _text(name, 40),
                _text(_range(spec), 60),
                _text(_condition(spec), 50),
                Cell("" if share is None else wording.percent(share), str(share or 0.0)),
                _text(wording.param(best[name]) if name in best else wording.NONE, 40),
            )
        )
    conditional = any(row[2].text for row in rows)
    heads = [("param", "text"), ("range", "text"), ("only when", "text"), ("importance", "number"), ("best", "text")]
    dropped = {2} if not conditional else set()
    dropped |= {3} if not view.importances else set()
    keep = [index for index in range(len(heads)) if index not in dropped]
    return Table(tuple(heads[i] for i in keep), tuple(tuple(row[i] for i in keep) for row in rows))


def _range(spec: Mapping[str, Any]) -> str:
    attributes = spec.get("attributes") or {}
    if "choices" in attributes:
        return "one of " + ", ".join(wording.param(value) for value in attributes["choices"])
    if "low" not in attributes:
        return "not known"
    whole = str(spec.get("name", "")).startswith("Int")
    kind = "whole numbers " if whole else ""
    step = attributes.get("step")
    every = f", step {wording.param(step)}" if step not in (None, 1 if whole else None) else ""
    log = ", logarithmic" if attributes.get("log") else ""
    return f"{kind}{wording.param(attributes['low'])} to {wording.param(attributes.get('high'))}{every}{log}"


def _condition(spec: Mapping[str, Any]) -> str:
    when = spec.get("when") or {}
    return " and ".join(
        f"{wording.plain(str(parent))} is {' or '.join(wording.param(value) for value in _listed(values))}"
        for parent, values in when.items()
    )


def _listed(values: Any) -> list[Any]:
    return list(values) if isinstance(values, list | tuple) else [values]


def settings(view: StudyView) -> Facts:
    """Return what the study ran with."""
    row = view.row
    shown = [("seed", str(row.seed))]
    if row.total_trials is not None:
        shown.insert(0, ("trials asked for", f"{row.total_trials:,}"))
    chosen = row.system_attrs.get(CHOSEN) or {}
    skipped = {"seed", "total_trials", "directions", "metrics", "metric_names"}
    for key, value in row.settings.items():
        if key not in skipped and value not in (None, "", [], {}):
            shown.append((key.replace("_", " "), wording.short(chosen.get(key) or _listing(value), 160)))
    set_here = set(row.settings)
    shown += [(key, wording.short(note, 160)) for key, note in chosen.items() if note and key not in set_here]
    if row.reason:
        shown.append(("outcome", row.reason))
    return shown


def _listing(value: Any) -> str:
    return ", ".join(map(wording.param, value)) if isinstance(value, list | tuple) else wording.param(value)


def ranking(view: StudyView) -> Table:
    """Return the best 200 trials; a column per param where there are few."""
    names = list(view.params)
    wide = len(names) <= MOST_PARAM_COLUMNS
    codes = {standing.code for standing in view.ranking}
    values = [(wording.short(name, 30), "number") for name in view.metric_names]
    params = [(wording.short(name, 24), _kind(view, name)) for name in names] if wide else [("params", "text")]
    heads = [("rank", "number"), ("trial", "number"), *values, ("state", "text"), ("model", "text")]
    heads += [("steps", "number"), ("time", "number"), ("core-s", "number")]
    heads += [("code", "text")] if len(codes) > 1 else []
    rows = []
    listed = view.ranking[:MOST_ROWS]
    digits = digits_of(listed, view.objectives)
    for standing in listed:
        version = [_text(standing.code, 12)] if len(codes) > 1 else []
        rows.append(
            (*_place(view, standing, digits), *_spent(standing), *version, *_params(standing, params, names, wide))
        )
    heads += params
    return Table(tuple(heads), tuple(rows), max(0, len(view.ranking) - MOST_ROWS))


def _kind(view: StudyView, name: str) -> str:
    """Tell whether a column of a param holds numbers."""
    choices = (view.specs[name].get("attributes") or {}).get("choices")
    return "text" if choices is not None or not view.specs[name] else "number"


def _place(view: StudyView, standing: Standing, digits: Sequence[int]) -> list[Cell]:
    trial = standing.trial
    rank = wording.NONE if standing.rank is None else str(standing.rank)
    cells = [Cell(rank, "" if standing.rank is None else rank), Cell(str(trial.number), str(trial.number))]
    for index, text in enumerate(results(standing, view.objectives, digits)):
        known = trial.values[index] if trial.values is not None and index < len(trial.values) else standing.last_value
        cells.append(Cell(text, _key(known if text != wording.NONE else None)))
    return cells


def _params(standing: Standing, heads: list[tuple[str, str]], names: list[str], wide: bool) -> list[Cell]:
    taken = standing.trial.params
    if not wide:
        return [_text(wording.params({name: taken[name] for name in names if name in taken}), 110)]
    cells = []
    for name, (_, kind) in zip(names, heads, strict=False):
        value = taken.get(name)
        if name not in taken:
            cells.append(Cell("", "", kind=kind))
        elif isinstance(value, int | float) and not isinstance(value, bool):
            cells.append(Cell(wording.param(value), _key(value), kind=kind))
        else:
            cells.append(_text(wording.param(value), 24))
    return cells


def _spent(standing: Standing) -> list[Cell]:
    state = standing.trial.state.name + (f" ({standing.note})" if standing.note in ("infeasible", "NaN") else "")
    return [
        Cell(state, state, kind="text"),
        Cell("yes", "yes", kind="text") if standing.model else Cell("no", "no", standing.model_reason, kind="text"),
        Cell(str(standing.steps) if standing.steps else wording.NONE, str(standing.steps)),
        Cell(wording.seconds(standing.seconds), _key(standing.seconds)),
        Cell(wording.number(standing.cost, 4), _key(standing.cost)),
    ]


def _key(value: float | None) -> str:
    if value is None or math.isnan(value):
        return ""
    return repr(value) if math.isfinite(value) else ("1e999" if value > 0 else "-1e999")


def _text(text: str, length: int) -> Cell:
    cut = wording.short(text, length)
    return Cell(cut, cut or " ", "" if cut == text else wording.short(text, 2000), kind="text")


def code(view: StudyView) -> Facts:
    """Return which code ran."""
    facts = dict(view.row.code or {})
    if not facts.get("commit"):
        shown = [("commit", "not known: the study did not run from a git repository")] if facts else []
    else:
        state = "with changes that were not committed" if facts.get("dirty") else "clean"
        shown = [("commit", str(facts["commit"])), ("tree", state)]
    for key in ("branch", "author", "committed", "remote", "file", "entry_point", "arguments"):
        value = facts.get(key)
        if value:
            text = " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
            shown.append((key.replace("_", " "), wording.short(text, 300)))
    return shown


def code_texts(view: StudyView) -> Facts:
    """Return the longer texts about the code: the source of the objective, the changes that were not committed."""
    facts = view.row.code or {}
    source = facts.get("source")
    text = source.get("text") if isinstance(source, Mapping) else source
    texts = []
    if text:
        texts.append(("Source of the objective", _cut(str(text))))
    if view.diff:
        texts.append(("Changes that were not committed", _cut(view.diff)))
    return texts


def _cut(text: str) -> str:
    return text if len(text) <= MOST_TEXT else f"{text[:MOST_TEXT]}\n… {len(text) - MOST_TEXT:,} more characters"


def environment(view: StudyView) -> Facts:
    """Return where the study ran, without its packages."""
    shown = []
    for key, value in (view.row.environment or {}).items():
        if key == "packages" or value in (None, "", [], {}):
            continue
        if key == "memory" and isinstance(value, int):
            text = f"{value / 2**30:.1f} GiB"
        else:
            text = _said(value)
        shown.append((key.replace("_", " "), wording.short(text, 300)))
    return shown


def _said(value: Any) -> str:
    """Write what was recorded of a machine: lists with commas, facts that have names with them."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_said(each)}" for name, each in value.items() if each not in (None, "", [], {}))
    if isinstance(value, list | tuple):
        return ", ".join(map(_said, value))
    return wording.param(value)


def packages(view: StudyView) -> Facts:
    """Return the installed packages with their versions."""
    found = (view.row.environment or {}).get("packages")
    return [(str(name), str(version)) for name, version in found.items()] if isinstance(found, Mapping) else []
