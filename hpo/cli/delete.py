"""``hpo delete``: take a study out of the store."""

from __future__ import annotations

import sys

import click

from hpo.cli.command import Command
from hpo.cli.options import open_store, storage_options, study_argument
from hpo.errors import UserError
from hpo.wording import counted


@click.command(cls=Command, example="hpo delete digits\nhpo delete digits --yes")
@study_argument
@click.option("--yes", is_flag=True, help="Do not ask.")
@storage_options
def delete(study: str, yes: bool, storage: str | None, profile: str | None) -> None:
    """Delete a study with its trials.

    Its name is free again. A running study is refused; registered models stay.
    """
    with open_store(storage, profile) as store:
        row = store.get_study(study)
        trials = counted(sum(row.counts.values()), "trial")
        if not yes:
            if not sys.stdin.isatty():
                raise UserError(f"Deleting {row.name} with its {trials} must be confirmed: give --yes.")
            click.confirm(f"Delete {row.name} with its {trials}?", abort=True)
        store.delete_study(row.name)
    click.echo(f"Deleted {row.name} with its {trials}.")
