"""``experiments``: what the runs belong to."""

from __future__ import annotations

import click

from trackers.cli.storage import hidden_parts, nothing, open_store, reading_options, view_option


@click.command(short_help="List experiments and studies.", epilog="\b\nExample:\n  trackers experiments --json")
@view_option
@reading_options
def experiments(view: str, storage: str | None, as_json: bool) -> None:
    """List experiments and studies, newest first, with their number of runs."""
    from trackers.cli import text

    with open_store(storage) as store:
        found = store.list_experiments(view)
        counts = store.count_runs()
        hidden = ""
        if not found and not as_json:
            hidden = hidden_parts(lambda other: len(store.list_experiments(other)), view, "experiment")
    if as_json:
        text.print_json(
            [
                {
                    "name": one.name,
                    "kind": one.kind,
                    "id": one.id,
                    "uid": one.uid,
                    "runs": counts.get(one.id, 0),
                    "created_at": one.created_at,
                    "description": one.description,
                    "tags": one.tags,
                }
                for one in found
            ]
        )
    elif not found:
        click.echo(nothing(view, "experiment", hidden))
    else:
        rows = [[one.name, one.kind, counts.get(one.id, 0), one.created_at, one.description or None] for one in found]
        text.print_table(["experiment", "kind", "runs", "created", "about"], rows)
