"""``data``: data sets, and the runs that read them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from trackers.cli.storage import open_store, reading_options

if TYPE_CHECKING:
    from trackers.values import Run, RunInput


@click.command(
    short_help="List data sets, or the runs that read one.",
    epilog="\b\nExamples:\n  trackers data\n  trackers data 'train images'\n  trackers data 9f86d081884c --json",
)
@click.argument("ref", metavar="[NAME|DIGEST]", required=False)
@click.option("--limit", type=click.IntRange(1, 100_000), default=100, show_default=True, help="The most runs to list.")
@reading_options
def data(ref: str | None, limit: int, storage: str | None, as_json: bool) -> None:
    """List the data sets that runs read; of one, by its NAME or the start of its DIGEST, also its runs.

    Two data sets with the same digest are the same data, whatever they are called.
    """
    from trackers.cli import text

    with open_store(storage) as store:
        sets = store.datasets(ref)
        runs: dict[str, tuple[Run, list[RunInput]]] = {}
        for digest in dict.fromkeys(one.digest for one in sets) if ref is not None else ():
            for run in store.runs_with_data(digest, limit=limit):
                runs.setdefault(run.path, (run, store.inputs(run)))
    listed = list(runs.values())[:limit]
    digests = {one.digest for one in sets}
    uses = [(run, one) for run, inputs in listed for one in inputs if one.digest in digests]
    if as_json:
        facts = {
            "data": [
                {
                    "name": d.name,
                    "digest": d.digest,
                    "rows": d.rows,
                    "schema": d.schema,
                    "source": d.source,
                    "runs": d.runs,
                }
                for d in sets
            ]
        }
        used = [{"run": r.path, "name": i.name, "role": i.role, "digest": i.digest, "state": r.state} for r, i in uses]
        text.print_json(facts if ref is None else {**facts, "runs": used})
        return
    if not sets:
        click.echo("No run has logged its data yet: run.log_input(data) does.")
        return
    text.print_table(
        ["name", "digest", "rows", "runs", "source"], [[d.name, d.digest[:12], d.rows, d.runs, d.source] for d in sets]
    )
    if ref is not None:
        click.echo()
        heads = ["run", "experiment", "role", "digest", "state", "started"]
        text.print_table(
            heads,
            [[text.run_cell(r.path), r.experiment, i.role, i.digest[:12], r.state, r.started_at] for r, i in uses],
        )
