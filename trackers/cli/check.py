"""``fsck``: whether everything is there, and what it was."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from trackers.cli.storage import open_store, reading_options
from trackers.wording import counted

if TYPE_CHECKING:
    from trackers.keeping.check import Progress


@click.command(
    short_help="Check every row and file of the store; repair what can be.",
    epilog="\b\nExamples:\n  trackers fsck --quick\n  trackers fsck --repair --from /backups/hpo",
)
@click.option("--quick", is_flag=True, help="Look only whether files are there and as long as they should be.")
@click.option("--repair", is_flag=True, help="Put right what can be, and say what was done.")
@click.option("--from", "source", metavar="FOLDER", help="A backup to take lost and damaged files from.")
@reading_options
def fsck(quick: bool, repair: bool, source: str | None, storage: str | None, as_json: bool) -> int:
    """Check every digest, every reference and every rule of the store.

    With --repair summaries are made again, open attempts of ended runs are closed, dangling rows are removed, damaged
    files are moved away, and what needs them is tagged trackers.damaged. Exit code 1 while something is wrong.
    """
    from trackers.cli import text
    from trackers.keeping.check import facts

    if source is not None and not repair:
        raise click.UsageError("--from is where --repair takes files from: give both.")
    with open_store(storage) as store:
        done = store.fsck(quick=quick, repair=repair, source=source, progress=None if as_json else _progress())
    if as_json:
        text.print_json(facts(done))
    else:
        for one in done.findings:
            text.print_wrapped(f"{one.check}: {one.problem}{f' -> {one.repaired}' if one.repaired else ''}", indent=4)
        looked = "looked at" if quick else "read"
        left = f"{counted(len(done.left), 'problem')} {'is' if len(done.left) == 1 else 'are'} left"
        click.echo(f"{counted(done.files, 'file')} ({text.size(done.bytes)}) {looked}; {left}.")
    return 1 if done.left else 0


def _progress() -> Progress | None:
    if not sys.stderr.isatty():
        return None

    def show(done: int, total: int) -> None:
        if done % 50 == 0 or done == total:
            click.echo(f"\r{done} of {counted(total, 'file')}", nl=done == total, err=True)

    return show
