"""``download``: the folder of a model, brought here."""

from __future__ import annotations

from pathlib import Path

import click

from trackers.cli.completing import complete_reference
from trackers.cli.storage import open_store, reading_options
from trackers.wording import counted


@click.command(
    epilog="\b\nExamples:\n  trackers download fraud@production\n  trackers download models:/fraud/7 --to served\n"
    "  trackers download digits/17 --to digits-model",
    short_help="Bring the folder of a model here.",
)
@click.argument("model", metavar="MODEL", shell_complete=complete_reference)
@click.option(
    "--to",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help="A new or empty folder.  [default: named after the model, in this one]",
)
@reading_options
def download(model: str, to: Path | None, storage: str | None, as_json: bool) -> None:
    """Copy the files of MODEL into a folder, checked against their digests; nothing is loaded.

    MODEL is NAME@ALIAS, NAME/VERSION, models:/NAME, STUDY/17 or runs:/RUN/MODEL. The folder is read by trackers.models.load
    and trackers predict, as ./FOLDER, and is one of MLflow's models too.
    """
    from trackers.cli import text
    from trackers.models.download import write_folder
    from trackers.models.mlmodel import NAME
    from trackers.models.reference import DEFAULT_MODEL, find_here

    with open_store(storage) as store:
        logged, version = find_here(store, model)
        if version is not None:
            what, own = f"{version.name} version {version.version}", f"{version.name}-{version.version}"
        else:
            run = store.get_run(logged.run_id).path
            what, own = f"The model of {run}", run.replace("/", "-")
            if logged.name != DEFAULT_MODEL:
                own += f"-{logged.name}"
        folder = write_folder(store.artifacts, logged, to or Path(own))
    if as_json:
        said = {"folder": str(folder), "model": logged.uid, "size": logged.size, "files": sorted(logged.files)}
        text.print_json(said | {"name": version.name, "version": version.version} if version else said)
        return
    also = ", which is an MLflow model too" if NAME in logged.files else ""
    click.echo(text.plain(f"{what} lies in {folder}{also} ({counted(len(logged.files), 'file')}, digests checked)."))
