"""``experiments``: what the runs belong to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from trackers.cli.given import read_pairs
from trackers.cli.program import quoted
from trackers.cli.storage import DEFAULT, hidden_parts, nothing, open_store, reading_options, view_option

if TYPE_CHECKING:
    from trackers.values import Experiment


@click.group(
    short_help="List experiments and studies, or make one.",
    epilog="\b\nExamples:\n  trackers experiments --json\n  trackers experiments create churn -t team=risk",
    invoke_without_command=True,
    subcommand_metavar="[create ...]",
)
@view_option
@reading_options
@click.pass_context
def experiments(ctx: click.Context, view: str, storage: str | None, as_json: bool) -> None:
    """List experiments and studies, newest first, with their number of runs; or create an experiment."""
    if ctx.invoked_subcommand is not None:
        _refuse_before(ctx, ctx.invoked_subcommand)
        return
    from trackers.cli import text

    with open_store(storage) as store:
        found = store.list_experiments(view)
        counts = store.count_runs()
        hidden = ""
        if not found and not as_json:
            hidden = hidden_parts(lambda other: len(store.list_experiments(other)), view, "experiment")
    if as_json:
        text.print_json([_facts(one, counts.get(one.id, 0)) for one in found])
    elif not found:
        click.echo(nothing(view, "experiment", hidden))
    else:
        rows = [[one.name, one.kind, counts.get(one.id, 0), one.created_at, one.description or None] for one in found]
        text.print_table(["experiment", "kind", "runs", "created", "about"], rows)


@experiments.command(
    epilog="\b\nExample:\n  trackers experiments create churn --description 'Customers of 2026.' -t team=risk",
    short_help="Create an experiment.",
)
@click.argument("name")
@click.option("--description", default="", help="What it is.")
@click.option("-t", "--tag", "tags", multiple=True, metavar="KEY=VALUE", help="A tag; may be repeated.")
@reading_options
def create(name: str, description: str, tags: Sequence[str], storage: str | None, as_json: bool) -> None:
    """Create the experiment NAME, which no experiment or study may have yet.

    A run makes its experiment where it is new: this is for one that shall have a description or tags first.
    """
    from trackers.cli import text
    from trackers.recorder import clean_tags
    from trackers.sql.experiments import check_experiment
    from trackers.store import connect

    name, pairs = check_experiment(name), clean_tags(read_pairs(tags, "--tag"))
    with connect(storage or DEFAULT, offline=False) as store:
        made = store.create_experiment(name, description=description, tags=pairs)
    if as_json:
        text.print_json(_facts(made, 0))
    else:
        click.echo(text.plain(f"It is the experiment {made.name}.  Log to it:  trackers log {quoted(made.name)}"))


def _refuse_before(ctx: click.Context, command: str) -> None:
    """Refuse options of the list in front of *command*, which would not see them."""
    for param in ctx.command.params:
        if param.name and ctx.get_parameter_source(param.name) is ParameterSource.COMMANDLINE:
            option = param.opts[0]
            raise click.UsageError(f"{option} in front of {command} is for the list: give it behind the name.")


def _facts(one: Experiment, runs: int) -> dict[str, Any]:
    return {
        "name": one.name,
        "kind": one.kind,
        "id": one.id,
        "uid": one.uid,
        "runs": runs,
        "created_at": one.created_at,
        "description": one.description,
        "tags": one.tags,
    }
