"""``hpo report``: one HTML file that opens offline."""

from __future__ import annotations

from pathlib import Path

import click

from hpo.cli.command import Command
from hpo.cli.options import open_store, outcome_json_option, storage_options, study_argument
from hpo.errors import UserError
from trackers.destination import is_stdout


@click.command(cls=Command, example="hpo report digits\nhpo report digits -o digits.html")
@study_argument
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("report.html"),
    show_default=True,
    help="Where to write it.",
)
@storage_options
@outcome_json_option
def report(study: str, output: Path, storage: str | None, profile: str | None, as_json: bool) -> None:
    """Write a report of a study, one HTML file.

    What was tried, what won and by how much, figures, failures, code and cost; it opens offline.
    """
    if not output.absolute().parent.is_dir():
        raise UserError(f"There is no folder {output.parent}: create it, or write elsewhere with -o.")
    with open_store(storage, profile) as store:
        from hpo.study import Study

        row = store.get_study(study)
        written = Study(store, row).report(output)
    if not output.is_file() or is_stdout(output):
        click.echo(f"Wrote the report to {output}.", err=True)
        return
    size = Path(written).stat().st_size
    if as_json:
        from hpo.cli import text

        text.print_json({"study": row.name, "report": str(written), "bytes": size})
    else:
        click.echo(f"Wrote {written} ({size / 1e6:.1f} MB).")
