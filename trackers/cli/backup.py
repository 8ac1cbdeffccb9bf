"""``backup`` and ``restore FOLDER``: a store in a folder, and out of it again."""

from __future__ import annotations

from pathlib import Path

import click

from trackers.cli.storage import DEFAULT, open_store, reading_options
from trackers.wording import counted


@click.command(
    short_help="Copy the whole store to a folder.",
    epilog="\b\nExample:\n  trackers backup /backups/hpo",
)
@click.argument("to", metavar="FOLDER", type=click.Path(file_okay=False))
@click.option("--copy", is_flag=True, help="Copy files on the same disk too, instead of linking them.")
@reading_options
def backup(to: str, copy: bool, storage: str | None, as_json: bool) -> int:
    """Write every row and file of the store to FOLDER, while others go on writing.

    Given the same FOLDER again, only new files are copied. `trackers restore` makes a store of it, on SQLite or
    PostgreSQL. Exit code 1 where a file could not be read: the rest is backed up.
    """
    from trackers.cli import text

    with open_store(storage) as store:
        done = store.backup(to, link=not copy)
    if as_json:
        text.print_json({name: getattr(done, name) for name in done.__dataclass_fields__})
    else:
        click.echo(
            f"Backed up {counted(done.rows, 'row')} and {counted(done.files, 'file')} "
            f"({text.size(done.bytes)}, {done.added} new) to {done.folder}."
        )
        for problem in done.problems:
            click.echo(f"Problem: {problem}", err=True)
    return 1 if done.problems else 0


def is_backup(word: str) -> bool:
    """Tell whether *word* is the folder of a backup."""
    from trackers.keeping.backup import NAME

    return "\0" not in word and Path(word, NAME).is_file()


def restore_backup(source: str, artifacts: str | None, partial: bool, storage: str | None, as_json: bool) -> int:
    """Restore the backup in the folder *source* and say what is there; return the exit code."""
    import trackers
    from trackers.cli import text

    done = trackers.restore(source, storage or DEFAULT, artifacts=artifacts, partial=partial)
    if as_json:
        text.print_json({name: getattr(done, name) for name in done.__dataclass_fields__})
    else:
        what = f"{counted(done.rows, 'row')} and {counted(done.files, 'file')}"
        click.echo(f"Restored {what} ({text.size(done.bytes)}) into {done.url}.")
        for problem in done.problems:
            click.echo(text.plain(f"Problem: {problem}"), err=True)
    return 1 if done.problems else 0
