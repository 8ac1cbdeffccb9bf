"""``du``: what takes room in the store."""

from __future__ import annotations

import click

from trackers.cli.program import as_called
from trackers.cli.storage import open_store, reading_options
from trackers.wording import counted


@click.command(
    short_help="Show what takes room: by experiment, by kind, the biggest runs.",
    epilog="\b\nExamples:\n  trackers du\n  trackers du --runs",
)
@click.option("--runs", is_flag=True, help="Show the biggest runs instead of the experiments.")
@reading_options
def du(runs: bool, storage: str | None, as_json: bool) -> None:
    """Show the bytes of each experiment: its rows (an estimate) and its files.

    A file that several experiments have is in the files of each, and once in the total.
    """
    from trackers.cli import text

    with open_store(storage) as store:
        found = store.du()
    if as_json:
        text.print_json(found.facts())
        return
    if runs:
        rows = [[text.run_cell(one.run), one.points, text.size(one.file_bytes)] for one in found.biggest]
        text.print_table(["run", "points", "files"], rows)
        return
    table = [
        [
            f"{one.experiment} (deleted)" if one.deleted else one.experiment,
            one.runs,
            one.points,
            text.size(one.row_bytes),
            text.size(one.file_bytes),
            text.size(one.shared_bytes),
        ]
        for one in found.experiments
    ]
    text.print_table(["experiment", "runs", "points", "rows", "files", "of them shared"], table)
    kinds = ", ".join(f"{kind.replace('_', ' ')} {text.size(size)}" for kind, size in found.kinds.items())
    click.echo(
        f"Database {text.size(found.database_bytes)}; {counted(found.files, 'file')}, {text.size(found.file_bytes)}."
    )
    if kinds:
        click.echo(f"By kind: {kinds}.")
    if found.unused_files:
        click.echo(
            f"Nobody has {counted(found.unused_files, 'file')} ({text.size(found.unused_bytes)}): "
            f"{as_called('`trackers gc`')} removes {'it' if found.unused_files == 1 else 'them'}."
        )
