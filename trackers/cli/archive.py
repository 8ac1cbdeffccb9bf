"""``archive --to``: an experiment as Parquet files."""

from __future__ import annotations

import click

from trackers.cli.storage import open_store
from trackers.wording import counted


def write_archive(experiment: str, to: str, files: bool, remove: bool, storage: str | None, as_json: bool) -> int:
    """Archive *experiment* in the folder *to* and say what is there; return the exit code."""
    from trackers.cli import text

    with open_store(storage) as store:
        done = store.archive(experiment, to, files=files, remove=remove)
    if as_json:
        text.print_json({name: getattr(done, name) for name in done.__dataclass_fields__})
    else:
        rows = ", ".join(counted(n, name.replace("_", " ").removesuffix("s")) for name, n in done.rows.items() if n)
        click.echo(f"Archived {text.plain(done.experiment)} in {done.folder}: {rows or 'nothing in it'}.")
        if done.files:
            are = "is" if done.files == 1 else "are"
            click.echo(f"{counted(done.files, 'file')} ({text.size(done.bytes)}) {are} with it.")
        if done.removed:
            click.echo("It is deleted from the store; gc removes it when its grace is over.")
        elif remove:
            click.echo("It is not deleted from the store, since the archive lacks files.", err=True)
        if done.running:
            many = len(done.running) > 1
            runs = f"{counted(len(done.running), 'run')} (the first is {done.running[0]})"
            who = f"{runs} are" if many else f"The run {done.running[0]} is"
            click.echo(f"{who} still running: the archive has what was logged until now.", err=True)
        if done.unended:
            many = len(done.unended) > 1
            who = (
                f"{counted(len(done.unended), 'run')} (the first is {done.unended[0]}) have"
                if many
                else f"The run {done.unended[0]} has"
            )
            click.echo(f"{who} no end: its process is gone; the archive has what was logged.", err=True)
        for problem in done.problems:
            click.echo(text.plain(f"Problem: {problem}"), err=True)
    return 1 if done.problems else 0
