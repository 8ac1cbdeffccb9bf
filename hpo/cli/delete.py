"""``hpo delete``: take a study out of the store."""

from __future__ import annotations

import sys

import click

from hpo.cli.command import Command
from hpo.cli.options import open_store, outcome_json_option, storage_options, stored_url, study_argument, where
from hpo.errors import UserError
from trackers.wording import counted


@click.command(cls=Command, example="hpo delete digits\nhpo delete digits --yes")
@study_argument
@click.option("--yes", is_flag=True, help="Do not ask.")
@storage_options
@outcome_json_option
def delete(study: str, yes: bool, storage: str | None, profile: str | None, as_json: bool) -> None:
    """Delete a study with its trials.

    Its name is free again. A running study is refused; registered models stay.
    """
    from trackers.errors import StudyBusyError

    with open_store(storage, profile) as store:
        row = store.get_study(study)
        trials = counted(sum(row.counts.values()), "trial")
        if not yes:
            if not sys.stdin.isatty():
                raise UserError(f"Deleting {row.name} with its {trials} must be confirmed: give --yes.")
            click.confirm(f"Delete {row.name} with its {trials}?", abort=True)
        try:
            store.delete_study(row.name)
        except StudyBusyError as exc:
            from hpo.cli.life import busy

            raise busy(row.name, exc, where(stored_url(storage, profile))) from exc
    if as_json:
        from hpo.cli import text

        text.print_json({"deleted": row.name, "trials": sum(row.counts.values())})
    else:
        click.echo(f"Deleted {row.name} with its {trials}.")
