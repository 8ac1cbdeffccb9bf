"""What ``import`` and ``export`` say meanwhile and at the end."""

from __future__ import annotations

import sys
from dataclasses import asdict

import click

from trackers.cli import text
from trackers.interop.outcome import Counted, Outcome
from trackers.wording import counted

_NOTES = 20


def say_copied(one: Counted) -> None:
    """Say on a terminal that an experiment is copied: many runs take minutes."""
    say_done(one.name, counted(one.runs, "run"), one.added)


def say_done(name: str, what: str, added: int) -> None:
    """Say on a terminal that *what* of *name* is there, *added* of it now."""
    if sys.stderr.isatty():
        click.echo(f"{text.plain(name)}: {what}, {added:,} new", err=True)


def print_outcome(outcome: Outcome, as_json: bool) -> None:
    """Print counts, notes and problems; exit with 1 where there are problems."""
    if as_json:
        text.print_json(
            {
                "experiments": [asdict(one) for one in outcome.experiments],
                "models": [asdict(one) for one in outcome.models],
                "notes": outcome.notes,
                "problems": outcome.problems,
                "compared": {
                    "digests": outcome.digests,
                    "bytes": outcome.digest_bytes,
                    "sizes_alone": outcome.sizes,
                },
                "equal": outcome.equal,
            }
        )
    else:
        _print_tables(outcome)
    if not outcome.equal:
        raise SystemExit(1)


def _print_tables(outcome: Outcome) -> None:
    columns = ["experiment", "runs", "new runs", "new points", "files", "models", "read back"]
    rows = [
        [one.name, one.runs, one.added, one.points, one.files, one.models, differing(one.unlike)]
        for one in outcome.experiments
    ]
    if rows:
        text.print_table(columns, rows)
    else:
        click.echo("There are no experiments in it.")
    if outcome.models:
        click.echo()
        listed = [[one.name, one.versions, one.added, one.moved, differing(one.unlike)] for one in outcome.models]
        text.print_table(["registered model", "versions", "new", "aliases moved", "read back"], listed)
    for note in outcome.notes[:_NOTES]:
        click.echo(f"note: {text.plain(note)}")
    if len(outcome.notes) > _NOTES:
        click.echo(f"note: and {len(outcome.notes) - _NOTES} more; --json has all")
    for problem in outcome.problems:
        click.echo(f"differs: {text.plain(problem)}", err=True)
    if outcome.digests or outcome.sizes:
        alone = f"; {counted(outcome.sizes, 'file')} by name and size alone" if outcome.sizes else ""
        of = f" of {text.size(outcome.digest_bytes)}" if outcome.digests else ""
        click.echo(f"compared: {counted(outcome.digests, 'digest')}{of}{alone}")
    click.echo(f"read back: {differing(len(outcome.problems))}")


def differing(count: int) -> str:
    """Return what reading back found: ``equal``, ``1 differs``, ``2 differ``."""
    return f"{count} {'differs' if count == 1 else 'differ'}" if count else "equal"
