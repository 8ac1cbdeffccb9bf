"""``sync``: what was logged while the store was away, or offline, into the store."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import click

from trackers.cli.storage import DEFAULT, reading_options
from trackers.wording import counted

if TYPE_CHECKING:
    from trackers.drain import Synced


@click.command(
    short_help="Write what waits in journals to the store.",
    epilog="\b\nExamples:\n  trackers sync\n  trackers sync hpo-journals --storage postgresql+psycopg://me@db/team",
)
@click.argument("journal", required=False)
@reading_options
def sync(journal: str | None, storage: str | None, as_json: bool) -> None:
    """Write to the store what was logged while it was away, or offline (HPO_OFFLINE=1); each entry once.

    JOURNAL is one journal, or a folder of them; the default is where those of the store lie: beside a SQLite file, for
    a server in HPO_JOURNAL or the user's state folder. A journal whose process lives is left alone. Killed in the
    middle, the next call goes on.
    """
    from trackers.drain import sync as drain

    found = drain(journal, store=storage or DEFAULT)
    if as_json:
        from trackers.cli import text

        text.print_json([dataclasses.asdict(one) for one in found])
    elif not found:
        click.echo("No journal waits.")
    for one in [] if as_json else found:
        click.echo(_sentence(one))
    if any(one.refused or one.damaged for one in found):
        click.get_current_context().exit(1)


def _sentence(one: Synced) -> str:
    if one.busy:
        return f"{one.busy[0].upper()}{one.busy[1:]}."
    said = f"{one.journal.name}: {counted(one.written, 'entry', 'entries')} written"
    said += f", {one.known} {_was(one.known)} there already" if one.known else ""
    said += f", {counted(one.files, 'file')}" if one.files else ""
    if one.damaged:
        lines = f"{counted(one.damaged, 'line')} {'is' if one.damaged == 1 else 'are'} damaged and {_was(one.damaged)}"
        said += f"; {lines} passed over (to look at them: {one.journal}; delete it when you have)"
    if one.refused:
        listed = "\n  ".join(one.refused[:5])
        kept = f" (all in {one.journal}/refused)" if len(one.refused) > 5 else ""
        said += f"; {len(one.refused)} {_was(len(one.refused))} refused{kept}:\n  {listed}"
    return said + ("" if one.refused else ".")


def _was(count: int) -> str:
    return "was" if count == 1 else "were"
