"""``search`` and ``runs``: which runs there are."""

from __future__ import annotations

import shutil
import sys
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from trackers.cli.completing import complete_experiment
from trackers.cli.storage import hidden_parts, nothing, open_store, reading_options, view_option
from trackers.wording import text_width

if TYPE_CHECKING:
    from trackers.page import RunPage
    from trackers.query import Field
    from trackers.store import Store
    from trackers.values import Run

_LOOKED_AT = 100
"""Runs whose names are known where a filter names one that none has."""
_NAMED = 8
_CUT = (1, 2, 3)
"""Where the texts stand that a narrow terminal cuts: ``experiment``, ``name`` and ``state``."""
_MAY_GO = (4, 5)
"""Where ``started`` and ``value`` stand in a line."""
_SHOWN = ("metric", "param", "tag")
"""The kinds of field that a run holds by name."""
_COUNTED = 1000
"""So many hidden runs are counted where no other one is found."""
_SYSTEM = "system/"
"""How the names of what the machine did begin: shown where they are asked for."""
_FILL = 4
"""How many params and metrics are shown where neither filter nor order names one."""


@click.command(
    short_help="Find the runs and trials that match FILTER.",
    epilog="""\b
Examples:
  trackers search "metrics.accuracy > 0.9 and params.kernel = 'rbf'" --order "metrics.accuracy desc"
  trackers search "attributes.state = 'FAIL' and attributes.started >= '2026-01-31'" --experiment fraud
  trackers search "params.lr between 1e-4 and 1e-2 or tags.team in ('vision', 'audio')" --json""",
)
@click.argument("filter", default="")
@click.option(
    "-e",
    "--experiment",
    "--study",
    "names",
    multiple=True,
    metavar="NAME",
    shell_complete=complete_experiment,
    help="Only these; repeatable.",
)
@click.option("--order", "--order-by", "order_by", metavar="KEYS", help="As in 'metrics.auc desc, attributes.started'.")
@click.option("-n", "--limit", type=click.IntRange(1, 100_000), default=50, show_default=True, help="At most so many.")
@click.option("--page-token", metavar="TOKEN", help="Go on where another page ended.")
@view_option
@click.option("--csv", "as_csv", is_flag=True, help="Print every attribute, param, metric and tag as CSV.")
@reading_options
def search(
    filter: str,
    names: tuple[str, ...],
    order_by: str | None,
    limit: int,
    page_token: str | None,
    view: str,
    as_csv: bool,
    storage: str | None,
    as_json: bool,
) -> None:
    """Find the runs and trials that match FILTER (all of them without one).

    Fields are metrics.KEY, params.KEY, tags.KEY and attributes.NAME (state, name, experiment, number, value, user,
    host, created, started, ended, duration), datasets.name and datasets.digest; operators = != < <= > >= in, between,
    like, ilike, is null; and, or, not.
    """
    _search(filter, names, order_by, limit, page_token, view, storage, as_json, as_csv)


@click.command(short_help="List runs, newest first.", epilog="\b\nExample:\n  trackers runs fraud --limit 20")
@click.argument("experiments", nargs=-1, metavar="[EXPERIMENT]...", shell_complete=complete_experiment)
@click.option("--order", "--order-by", "order_by", metavar="KEYS", help="As in 'metrics.auc desc, attributes.started'.")
@click.option("-n", "--limit", type=click.IntRange(1, 100_000), default=50, show_default=True, help="At most so many.")
@click.option("--page-token", metavar="TOKEN", help="Go on where another page ended.")
@view_option
@reading_options
def runs(
    experiments: tuple[str, ...],
    order_by: str | None,
    limit: int,
    page_token: str | None,
    view: str,
    storage: str | None,
    as_json: bool,
) -> None:
    """List the runs of these experiments (default: of all), newest first."""
    _search("", experiments, order_by, limit, page_token, view, storage, as_json)


def _search(
    filter: str,
    names: Sequence[str],
    order_by: str | None,
    limit: int,
    page_token: str | None,
    view: str,
    storage: str | None,
    as_json: bool,
    as_csv: bool = False,
) -> None:
    from trackers.cli import text
    from trackers.query import compared_fields, fields_of, parse, parse_order

    order = [key.field for key in parse_order(order_by)]
    asked = parse(filter)
    fields = fields_of(asked) + order
    with open_store(storage) as store:
        _check_fields(store, order)  # an order by what no run has is none at all
        page = store.search_runs(
            filter, experiments=names or None, order_by=order_by, limit=limit, page_token=page_token, view=view
        )
        hidden = ""
        if not page and not page_token:
            _check_fields(store, compared_fields(asked) + order)
        if not page and not (page_token or as_json or as_csv):
            hidden = hidden_parts(partial(_count, store, filter, names), view, "run", _COUNTED)
    if as_csv:
        _print_csv(page)
    elif as_json:
        text.print_json({"runs": [text.run_facts(run) for run in page], "next_token": page.next_token})
    elif not page:
        click.echo(f"No run matches.{hidden}" if filter else nothing(view, "run", hidden))
    else:
        _print_page(page, fields, len(names) == 1)


def _count(store: Store, filter: str, names: Sequence[str], view: str) -> int:
    """Return how many runs match in a view, ``_COUNTED`` where there are more."""
    return len(store.search_runs(filter, experiments=names or None, limit=_COUNTED, view=view))


def _check_fields(store: Store, fields: Sequence[Field]) -> None:
    """Raise NotFoundError for a metric, param or tag that no run of the store has: nothing could match it."""
    from trackers.errors import NotFoundError
    from trackers.wording import closest

    newest = store.search_runs(limit=_LOOKED_AT)
    for field in fields:
        if not newest or field.kind not in _SHOWN or _has(store, field):
            continue
        called = [row for row in store.list_studies() if field.kind == "metric" and field.key in row.metric_names]
        if called:
            first = field.key == called[0].metric_names[0]
            do = "search for attributes.value." if first else "name the objectives with metrics=[...] to search for it."
            raise NotFoundError(
                f"No run reported {field.key!r} on its way; it is what study {called[0].name} calls its result: {do}"
            )
        known = dict.fromkeys(name for run in newest for name in getattr(run, f"{field.kind}s"))
        if others := [name for name in known if field.kind == "metric" and name.partition("{")[0] == field.key]:
            wanted = f"{field.key}{{{field.context}}}" if field.context else field.key
            listed = ", ".join(f"metrics.{name}" for name in others[:_NAMED])
            raise NotFoundError(f"No run has the metric {wanted!r}: they have {listed}.")
        if field.key in known:  # with its context within the quotes
            raise NotFoundError(f"A context stands behind the quotes, if there are any: metrics.{field.key}")
        near = closest(field.key, known)
        has = f"they have {', '.join(list(known)[:_NAMED])}." if known else f"they have no {field.kind}s."
        there = f"; did you mean {near!r}?" if near else f": {has}"
        raise NotFoundError(f"No run has the {field.kind} {field.key!r}{there}")


def _has(store: Store, field: Field) -> bool:
    """Tell whether a run has *field*, be it archived or deleted."""
    return bool(store.search_runs(f"{field} is not null", limit=1, view="all"))


def _print_csv(page: RunPage) -> None:
    import csv

    rows = page.to_rows()
    if rows:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        for line in [list(rows[0]), *(row.values() for row in rows)]:
            writer.writerow(_cell(value) for value in line)
    if page.next_token:
        click.echo(f"More follow: --page-token {page.next_token}", err=True)


def _cell(value: Any) -> Any:
    """Return a value as CSV holds it: times as ISO 8601 in UTC, as in JSON; on a terminal without what steers it."""
    from trackers.cli import text
    from trackers.page import whole

    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    return text.plain(value) if isinstance(value, str) and sys.stdout.isatty() else whole(value)


def _print_page(page: RunPage, fields: Sequence[Field], of_one: bool) -> None:
    """Print the runs of a page; *of_one*: of a single experiment, which was asked for."""
    from trackers.cli import text

    columns = _columns(page, fields)
    heads = ["run", "experiment", "name", "state", "started", "value", *columns]
    rows = [
        [
            text.run_cell(run.path),
            run.experiment,
            run.name or None,
            run.state,
            run.started_at,
            run.values[0] if run.values else None,
            *(_value(run, column) for column in columns),
        ]
        for run in page
    ]
    used = [i for i in range(len(heads)) if i < 4 or any(row[i] is not None for row in rows)]
    if all(row[2] is None for row in rows):
        used.remove(2)
    if sys.stdout.isatty():
        if of_one:
            used.remove(1)  # it would take the room of what each run says for itself
        if any(field.kind in _SHOWN for field in fields) or _crowded(heads, rows, used):
            used.sort(key=lambda i: i in _MAY_GO)  # what was asked about has room first
    text.print_table([heads[i] for i in used], [[row[i] for i in used] for row in rows])
    if page.next_token:
        click.echo(f"More follow: --page-token {page.next_token}", err=True)


def _crowded(heads: Sequence[str], rows: Sequence[Sequence[Any]], used: Sequence[int]) -> bool:
    """Tell whether a terminal has no room for the first metric, behind what stands before it: a param would take it."""
    from trackers.cli import text

    first = next((i for i in used if heads[i].startswith("metrics.")), None)
    before = [i for i in used if first is not None and i <= first]
    wide = [max(text_width(text.show(line[i])) for line in (heads, *rows)) for i in before]
    wide = [min(width, text.NARROWEST) if i in _CUT else width for i, width in zip(before, wide, strict=True)]
    return sum(wide) + 2 * max(0, len(wide) - 1) > shutil.get_terminal_size((80, 24)).columns


def _columns(page: RunPage, fields: Sequence[Field]) -> list[str]:
    """Return what to show of each run: the fields that were asked about, else those that most runs have."""
    asked = []
    for field in fields:
        name = f"{field.key}{{{field.context}}}" if field.context else field.key
        if field.kind in _SHOWN:
            asked.append(f"{field.kind}s.{name}")
    if asked:
        return list(dict.fromkeys(asked))
    columns = []
    for kind in ("metrics", "params"):
        names = (name for run in page for name in getattr(run, kind))
        counts = Counter(name for name in names if kind != "metrics" or not name.startswith(_SYSTEM))
        columns += [f"{kind}.{name}" for name, _ in counts.most_common(_FILL)]
    return columns


def _value(run: Run, column: str) -> Any:
    kind, _, name = column.partition(".")
    return getattr(run, kind).get(name)
