"""``archive --to``: an experiment as Parquet files."""

from __future__ import annotations

import click

from trackers.cli.storage import open_store


def write_archive(experiment: str, to: str, files: bool, remove: bool, storage: str | None, as_json: bool) -> None:
    """Archive *experiment* in the folder *to* and say what is there."""
    from trackers.cli import text

    with open_store(storage) as store:
        done = store.archive(experiment, to, files=files, remove=remove)
    if as_json:
        text.print_json({name: getattr(done, name) for name in done.__dataclass_fields__})
    else:
        rows = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in done.rows.items() if count)
        click.echo(f"Archived {text.plain(done.experiment)} in {done.folder}: {rows or 'nothing in it'}.")
        if done.files:
            click.echo(f"{done.files} files ({text.size(done.bytes)}) are with it.")
        if done.removed:
            click.echo("It is deleted from the store; gc removes it when its grace is over.")
