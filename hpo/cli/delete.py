"""``hpo delete``: take a study out of the store."""

from __future__ import annotations

import sys

import click

from hpo.cli.command import Command
from hpo.cli.options import open_store, outcome_json_option, storage_options, stored_url, study_argument, where
from hpo.errors import UserError
from hpo.wording import quoted
from trackers.wording import counted

GRACE_DAYS = 30
"""How long what was deleted stays in the store, unless `hpo gc` is told otherwise."""


@click.command(cls=Command, example="hpo delete digits\nhpo delete digits --yes")
@study_argument
@click.option("--yes", is_flag=True, help="Do not ask.")
@storage_options
@outcome_json_option
def delete(study: str, yes: bool, storage: str | None, profile: str | None, as_json: bool) -> None:
    """Delete a study with its trials.

    It is hidden at once, its name is free again, and `hpo restore` brings it back for 30 days; then `hpo gc` removes
    it. A running study is refused; registered models stay.
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
        again = f"hpo restore {quoted(row.name)}{where(stored_url(storage, profile))}"
        click.echo(f"Deleted {row.name} with its {trials}; `{again}` brings it back, for {GRACE_DAYS} days.")
