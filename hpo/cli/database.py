"""``hpo db``: the store's own upkeep, by the commands of ``trackers``."""

from __future__ import annotations

import click

from hpo.cli.app import Commands

TABLE = {"upgrade": "trackers.cli.database:upgrade", "check": "trackers.cli.database:check"}


@click.group(cls=Commands, table=TABLE)
def db() -> None:
    """Look after the store: check and upgrade its schema.

    Example: hpo db upgrade --storage postgresql+psycopg://me@db/hpo
    """
