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
    if any(one.refused or one.damaged or one.missing for one in found):
        click.get_current_context().exit(1)


def _sentence(one: Synced) -> str:
    if one.busy:
        return f"{one.busy[0].upper()}{one.busy[1:]}."
    said = f"{one.journal.name}: {counted(one.written, 'entry', 'entries')} written"
    said += f", {one.known} {_was(one.known)} there already" if one.known else ""
    said += f", {counted(one.files, 'file')}" if one.files else ""
    said += f"; it was logged for {one.origin}" if one.origin else ""
    said += f"; the last line was cut off while it was written ({counted(one.torn, 'byte')})" if one.torn else ""
    if one.damaged or one.missing:
        said += f"; {_lost(one)} (to look at it: {one.journal}; delete it when you have)"
    if one.refused:
        listed = "\n  ".join(one.refused[:5])
        kept = f" (all in {one.journal}/refused)" if len(one.refused) > 5 else ""
        said += f"; {len(one.refused)} {_was(len(one.refused))} refused{kept}:\n  {listed}"
    return said + ("" if one.refused else ".")


def _lost(one: Synced) -> str:
    """Name what of a journal could not be read, and what is not in it any more."""
    lost = []
    if one.damaged:
        are = "is" if one.damaged == 1 else "are"
        lost.append(f"{counted(one.damaged, 'line')} {are} damaged and {_was(one.damaged)} passed over")
    if one.missing:
        named = ", ".join(one.missing[:5]) + (f" and {len(one.missing) - 5} more" if len(one.missing) > 5 else "")
        single = len(one.missing) == 1 and one.missing[0].startswith("entry ")
        lost.append(f"{named} {'is' if single else 'are'} missing")
    return "; ".join(lost)


def _was(count: int) -> str:
    return "was" if count == 1 else "were"
