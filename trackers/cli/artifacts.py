"""``artifacts``: the files of a run, listed and brought here."""

from __future__ import annotations

import os
import sys
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trackers.cli.storage import open_store, reading_options
from trackers.cli.target import run_of

if TYPE_CHECKING:
    from trackers.values import ArtifactRow


@click.command(
    short_help="List the files of a run, or bring them here.",
    epilog="\b\nExamples:\n  trackers artifacts digits/17\n  trackers artifacts digits/17 'plots/*' --to plots-of-17\n"
    "  trackers artifacts 01a228c8 notes.txt --cat",
)
@click.argument("run", metavar="RUN")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option(
    "--to", metavar="FOLDER", type=click.Path(path_type=Path), help="Copy them into this folder, which is made."
)
@click.option("--cat", is_flag=True, help="Write the bytes of one file to stdout.")
@reading_options
def artifacts(run: str, names: tuple[str, ...], to: Path | None, cat: bool, storage: str | None, as_json: bool) -> None:
    """List the files that the run logged: all, or those named (* stands for anything).

    With --to they are copied, below the folders of their names; what is there already is not overwritten.
    """
    from trackers.cli import text
    from trackers.errors import AlreadyExistsError, NotFoundError

    if cat and (to is not None or as_json):
        raise click.UsageError("--cat writes a file to stdout: give neither --to nor --json.")
    with open_store(storage) as store:
        found = run_of(store, run)
        files = _chosen(store.list_artifacts(found), names, found.path)
        if cat:
            if len(files) != 1:
                raise click.UsageError(f"--cat takes one file, and {len(files)} are named so.")
            sys.stdout.buffer.write(store.read_artifact(found, files[0].name))
            return
        if to is not None:
            targets = {file.name: to.joinpath(*file.name.split("/")) for file in files}
            if there := next((path for path in targets.values() if os.path.lexists(path)), None):
                raise AlreadyExistsError(f"{there} is there already: give a new folder.")
            for name, path in targets.items():
                path.parent.mkdir(parents=True, exist_ok=True)
                store.download_artifact(found, name, path)
    if as_json:
        text.print_json([{"name": file.name, "size": file.size, "digest": file.digest} for file in files])
    elif not files:
        raise NotFoundError(f"run {found.path} logged no file")
    elif to is None:
        text.print_table(["file", "bytes", "digest"], [[file.name, file.size, file.digest[:12]] for file in files])
    else:
        amount = "1 file" if len(files) == 1 else f"{len(files)} files"
        click.echo(text.plain(f"{amount} copied into {to}."))


def _chosen(files: list[ArtifactRow], names: tuple[str, ...], run: str) -> list[ArtifactRow]:
    """Return the files that *names* name; each must name one."""
    from trackers.errors import NotFoundError

    if not names:
        return files
    for name in names:
        if not any(file.name == name or fnmatchcase(file.name, name) for file in files):
            there = ", ".join(file.name for file in files[:5]) or "none"
            more = f" and {len(files) - 5} more" if len(files) > 5 else ""
            raise NotFoundError(f"run {run} has no file {name!r}: it has {there}{more}")
    return [file for file in files if any(file.name == name or fnmatchcase(file.name, name) for name in names)]
