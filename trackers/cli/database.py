"""``db``: the schema of the store, checked and brought up to date."""

from __future__ import annotations

import click

from trackers.cli.storage import DEFAULT, reading_options


@click.group(short_help="Check and upgrade the schema of the store.", epilog="\b\nExample:\n  trackers db check")
def db() -> None:
    """Look after the schema of the store."""


@db.command(
    short_help="Say which schema the store has, and what differs from the expected.",
    epilog="\b\nExample:\n  trackers db check --json",
)
@reading_options
def check(storage: str | None, as_json: bool) -> int:
    """Compare the store's tables with those of this release; change nothing.

    Says what an upgrade would do, and who is in its way. Exit code 1 where this release cannot use the store as it is,
    or where something differs.
    """
    from dataclasses import asdict

    from trackers.cli import text
    from trackers.keeping.revision import check_schema
    from trackers.sql.settings import MADE_AGAIN, NOT_OURS

    found = check_schema(storage or DEFAULT)
    if as_json:
        text.print_json({**asdict(found), "is_right": found.is_right})
        return 0 if found.is_right else 1
    click.echo(f"The store {found.store} has schema {found.found}; this release needs {found.expected}.")
    if found.newer:
        click.echo("A newer release wrote it: install that one.")
    elif found.pending:
        click.echo(f"An upgrade is pending ({', '.join(found.pending)}): stop what uses the store, then db upgrade.")
    for sentence in found.differences:
        click.echo(f"Different: {sentence}.")
    if any(sentence.startswith(MADE_AGAIN) for sentence in found.differences):
        click.echo("Views, triggers and indexes are made anew by fsck --repair.")
    if any(sentence.endswith(NOT_OURS) for sentence in found.differences):
        click.echo("What is not ours somebody made by hand: take it away, if nobody needs it.")
    for manager in found.managers:
        click.echo(f"Held by a manager: {text.plain(manager)}.")
    return 0 if found.is_right else 1


@db.command(
    short_help="Bring the store's tables to this release.",
    epilog="\b\nExample:\n  trackers db upgrade --storage postgresql+psycopg://me@db/hpo",
)
@reading_options
def upgrade(storage: str | None, as_json: bool) -> None:
    """Bring the store's tables to this release.

    A copy of a SQLite file is kept beside it. It is refused while others use the store.
    """
    from trackers.cli import text
    from trackers.sql.address import read_address
    from trackers.store import upgrade_store

    url = storage or DEFAULT
    old, new = upgrade_store(url)
    if as_json:
        text.print_json({"store": read_address(url).safe, "old": old, "new": new})
        return
    done = f"is at schema {new} already" if old == new else f"was brought from schema {old} to {new}"
    click.echo(f"The store {read_address(url).safe} {done}.")
