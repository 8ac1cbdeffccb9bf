"""``checkout`` and ``env``: the code of a run and the packages it ran with, to have them again."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from trackers.cli.launch import default_folder
from trackers.cli.storage import open_store, reading_options
from trackers.cli.target import run_of
from trackers.errors import NotFoundError
from trackers.wording import counted


@click.command(
    short_help="Restore the code that a run ran.",
    epilog="\b\nExamples:\n  trackers checkout digits/17\n  trackers checkout digits/17 --to again --repo ~/project",
)
@click.argument("run", metavar="RUN")
@click.option("--to", type=click.Path(path_type=Path), help="The new folder (default: named after the run).")
@click.option(
    "--repo",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="A folder of the git repository that has the commit (default: the current one).",
)
@reading_options
def checkout(run: str, to: Path | None, repo: Path | None, storage: str | None, as_json: bool) -> None:
    """Restore the code of RUN (its uid or its first 16 digits, its id, or STUDY/NUMBER) into a new folder.

    The commit, what was changed since, and files that were new; outside a repository the source that was imported.
    Commits that no remote had were kept with the run, and are fetched from there where the repository lacks them; where
    they are all there is, no repository is needed, and the folder becomes one. What is restored is checked against what was recorded. Nothing that exists is written over.
    """
    from trackers.capture.checkout import restore
    from trackers.capture.imports import ELSEWHERE
    from trackers.cli import text

    with open_store(storage) as store:
        found = run_of(store, run)
        launch = store.launch(found)
        if launch is None or launch.code is None:
            raise NotFoundError(f"the code of {found.path} was not recorded: there is nothing to restore")
        bundle = store.read_bundle(launch.code)
        target, read_commits = to or Path(default_folder(found.path)), partial(store.read_commits, launch.code)
        done = restore(launch.code.content, bundle, target, repo, read_commits, launch.remote)
    if as_json:
        text.print_json(
            {
                "run": found.path,
                "folder": str(done.folder),
                "commit": done.commit,
                "changed": done.changed,
                "new": done.files,
                "exact": done.exact,
                "missing": done.missing,
            }
        )
        return
    parts = [f"commit {done.commit[:12]}" if done.commit else ""]
    parts += [
        _counted(len(done.changed), "changed file"),
        _counted(len(done.files), "new file" if done.commit else "file"),
        "the notebook's cells in cells.py" if launch.code.content.get("cells") else "",
    ]
    what = ", ".join(part for part in parts if part) or "nothing"
    but = ", except for:" if done.missing else "."
    click.echo(f"Restored {what} to {text.plain(str(done.folder))}; it is what was recorded{but}")
    for line in done.missing:
        click.echo(f"  {text.plain(line)}")
    if elsewhere := sorted({name.split("/")[1] for name in done.files if name.startswith(f"{ELSEWHERE}/")}):
        folders = ":".join(f"{done.folder}/{ELSEWHERE}/{name}" for name in elsewhere)
        click.echo(f"What was imported from other folders needs PYTHONPATH={text.plain(folders)}")


def _counted(count: int, noun: str) -> str:
    return counted(count, noun) if count else ""


@click.command(
    short_help="Print the packages of a run as a lock.",
    epilog="\b\nExample:\n  trackers env digits/17 > requirements.txt",
)
@click.argument("run", metavar="RUN")
@reading_options
def env(run: str, storage: str | None, as_json: bool) -> None:
    """Print the packages that RUN ran with as requirements, which `pip install -r` takes; with --json all there is.

    A package that came from a folder of that machine stands in a comment.
    """
    from trackers.capture.lock import requirements
    from trackers.cli import text

    with open_store(storage) as store:
        found = run_of(store, run)
        launch = store.launch(found)
    if launch is None or not launch.environment:
        raise NotFoundError(f"the environment of {found.path} was not recorded")
    if as_json:
        text.print_json(launch.environment)
    else:
        click.echo(requirements(launch.environment), nl=False)
