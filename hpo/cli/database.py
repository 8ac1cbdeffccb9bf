"""``hpo db``: the store's own upkeep."""

from __future__ import annotations

import click

from hpo.cli.command import Command, LazyGroup
from hpo.cli.options import storage_options, stored_url, without_password


@click.group(cls=LazyGroup, table={"upgrade": "hpo.cli.database:upgrade"})
def db() -> None:
    """Look after the store: upgrade its schema.

    Example: hpo db upgrade --storage postgresql+psycopg://me@db/hpo
    """


@click.command(cls=Command, example="hpo db upgrade\nhpo db upgrade --storage postgresql+psycopg://me@db/hpo")
@storage_options
def upgrade(storage: str | None, profile: str | None) -> None:
    """Bring the store's tables to this release.

    It is refused while studies run in the store.
    """
    import trackers

    url = stored_url(storage, profile)
    old, new = trackers.upgrade_store(url)
    done = f"is at schema {new} already" if old == new else f"was brought from schema {old} to {new}"
    click.echo(f"The store {without_password(str(url))} {done}.")
