"""``search`` and ``runs``: which runs there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from trackers.cli.storage import open_store, reading_options

if TYPE_CHECKING:
    from trackers.page import RunPage
    from trackers.query import Field, Node
    from trackers.values import Run

_FILL = 4
"""How many params and metrics are shown where neither filter nor order names one."""


@click.command(
    epilog="""\b
Examples:
  trackers search "metrics.accuracy > 0.9 and params.kernel = 'rbf'" --order "metrics.accuracy desc"
  trackers search "attributes.state = 'FAIL' and attributes.started >= '2026-01-31'" --experiment fraud
  trackers search "params.lr between 1e-4 and 1e-2 or tags.team in ('vision', 'audio')" --json"""
)
@click.argument("filter", default="")
@click.option("-e", "--experiment", "--study", "names", multiple=True, metavar="NAME", help="Only these; repeatable.")
@click.option("--order", "--order-by", "order_by", metavar="KEYS", help="As in 'metrics.auc desc, attributes.started'.")
@click.option("-n", "--limit", type=click.IntRange(1, 100_000), default=50, show_default=True, help="At most so many.")
@click.option("--page-token", metavar="TOKEN", help="Go on where another page ended.")
@reading_options
def search(
    filter: str,
    names: tuple[str, ...],
    order_by: str | None,
    limit: int,
    page_token: str | None,
    storage: str | None,
    as_json: bool,
) -> None:
    """Find the runs and trials that match FILTER (all of them without one).

    Fields are metrics.KEY, params.KEY, tags.KEY and attributes.NAME (state, name, experiment, number, value, user,
    host, created, started, ended, duration); operators = != < <= > >= in, between, like, ilike, is null; and, or, not.
    """
    _search(filter, names, order_by, limit, page_token, storage, as_json)


@click.command(epilog="\b\nExample:\n  trackers runs fraud --limit 20")
@click.argument("experiments", nargs=-1, metavar="[EXPERIMENT]...")
@click.option("--order", "--order-by", "order_by", metavar="KEYS", help="As in 'metrics.auc desc, attributes.started'.")
@click.option("-n", "--limit", type=click.IntRange(1, 100_000), default=50, show_default=True, help="At most so many.")
@click.option("--page-token", metavar="TOKEN", help="Go on where another page ended.")
@reading_options
def runs(
    experiments: tuple[str, ...],
    order_by: str | None,
    limit: int,
    page_token: str | None,
    storage: str | None,
    as_json: bool,
) -> None:
    """List the runs of these experiments (default: of all), newest first."""
    _search("", experiments, order_by, limit, page_token, storage, as_json)


def _search(
    filter: str,
    names: Sequence[str],
    order_by: str | None,
    limit: int,
    page_token: str | None,
    storage: str | None,
    as_json: bool,
) -> None:
    from trackers.cli import text
    from trackers.query import parse, parse_order

    fields = _fields(parse(filter)) + [key.field for key in parse_order(order_by)]
    with open_store(storage) as store:
        page = store.search_runs(
            filter, experiments=names or None, order_by=order_by, limit=limit, page_token=page_token
        )
    if as_json:
        text.print_json({"runs": [text.run_facts(run) for run in page], "next_token": page.next_token})
    elif not page:
        click.echo("No run matches." if filter else "There are no runs yet.")
    else:
        _print_page(page, fields)


def _print_page(page: RunPage, fields: Sequence[Field]) -> None:
    from trackers.cli import text

    columns = _columns(page, fields)
    heads = ["run", "experiment", "name", "state", "started", "value", *columns]
    rows = [
        [
            run.path,
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
    text.print_table([heads[i] for i in used], [[row[i] for i in used] for row in rows])
    if page.next_token:
        click.echo(f"More follow: --page-token {page.next_token}", err=True)


def _fields(node: Node | None) -> list[Field]:
    from trackers.query import And, Not, Or

    if node is None:
        return []
    if isinstance(node, And | Or):
        return [field for part in node.nodes for field in _fields(part)]
    return _fields(node.node) if isinstance(node, Not) else [node.field]


def _columns(page: RunPage, fields: Sequence[Field]) -> list[str]:
    """Return what to show of each run: the fields that were asked about, else those that most runs have."""
    asked = []
    for field in fields:
        name = f"{field.key}{{{field.context}}}" if field.context else field.key
        if field.kind != "attribute":
            asked.append(f"{field.kind}s.{name}")
    if asked:
        return list(dict.fromkeys(asked))
    columns = []
    for kind in ("metrics", "params"):
        counts = Counter(name for run in page for name in getattr(run, kind))
        columns += [f"{kind}.{name}" for name, _ in counts.most_common(_FILL)]
    return columns


def _value(run: Run, column: str) -> Any:
    kind, _, name = column.partition(".")
    return getattr(run, kind).get(name)
