"""``gc``, ``pin`` and ``unpin``: what may go, and what must not."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import click

from trackers.cli.duration import Duration
from trackers.cli.program import as_called
from trackers.cli.storage import open_store, reading_options
from trackers.wording import counted

if TYPE_CHECKING:
    from trackers.keeping.garbage import Collected


@click.command(
    short_help="Remove what was deleted long ago, and files nobody can reach.",
    epilog="\b\nExamples:\n  trackers gc --dry-run\n  trackers gc --grace 7d",
)
@click.option("--grace", type=Duration(), default="30d", show_default=True, help="How long what was deleted stays.")
@click.option(
    "--file-grace",
    type=Duration(),
    default="1d",
    show_default=True,
    help="How long a file stays after it was first found unreachable; 0 only while nothing writes to the store.",
)
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@reading_options
def gc(grace: timedelta, file_grace: timedelta, dry_run: bool, storage: str | None, as_json: bool) -> int:
    """Remove what was deleted longer ago than the grace, and the files that nothing refers to.

    Registered versions, aliases, pins and all that was not deleted keep what they refer to. A file is marked by the
    first call that finds it unreachable and deleted by a later one: run it daily. Exit code 1 where a file could not be
    deleted.
    """
    from trackers.cli import text

    with open_store(storage) as store:
        done = store.gc(grace=grace, file_grace=file_grace, dry_run=dry_run)
    if as_json:
        text.print_json(_facts(done))
    else:
        _show(done)
    return 1 if done.problems else 0


def _facts(done: Collected) -> dict[str, object]:
    facts = {name: getattr(done, name) for name in done.__dataclass_fields__ if name != "experiments"}
    lines = [{name: getattr(one, name) for name in type(one).__dataclass_fields__} for one in done.experiments]
    return {"experiments": lines, **facts}


def _show(done: Collected) -> None:
    from trackers.cli import text

    would = "would be " if done.dry_run else ""
    rows = [
        [one.name, one.runs, one.kept, one.files, text.size(one.bytes), "all of it" if one.whole else "some runs"]
        for one in done.experiments
        if one.whole or one.runs or one.kept
    ]
    if rows:
        text.print_table(["deleted", "runs", "kept for versions", "files", "bytes", "goes"], rows)
    click.echo(f"{counted(done.files, 'file')} ({text.size(done.bytes)}) {would}deleted.")
    if done.waiting:
        until = f", the next from {text.show(done.next_at)} on" if done.next_at else ""
        click.echo(
            f"{counted(done.waiting, 'file')} ({text.size(done.waiting_bytes)}) that nothing refers to "
            f"{'waits' if done.waiting == 1 else 'wait'} for a later gc{until}."
        )
    if done.never_ended:
        click.echo(
            f"{counted(done.never_ended, 'deleted run')} never ended and may still be logged to: kept until "
            f"{text.show(done.never_ended_until)}, whatever the grace. To remove one before, restore it, end it "
            "(store.resume_run(RUN).end()), and delete it again."
        )
    if done.leftovers:
        click.echo(f"{counted(done.leftovers, 'half-written file')} ({text.size(done.leftover_bytes)}) {would}deleted.")
    if done.shared_with:
        keep = "keeps" if len(done.shared_with) == 1 else "keep"
        click.echo(f"No file is touched: {', '.join(done.shared_with)} {keep} files in the same folder.")
        click.echo(f"If a store of these is gone, {as_called('`trackers doctor`')} says how to remove its mark.")
    for problem in done.problems:
        click.echo(f"Problem: {problem}", err=True)


@click.command(
    short_help="Keep a run, a model or a file whatever becomes of the rest.",
    epilog="\b\nExamples:\n  trackers pin digits/17 --reason 'figure 3 of the paper'\n  trackers pin --list",
)
@click.argument("ref", required=False)
@click.option("--reason", default="", metavar="TEXT", help="Why.")
@click.option("--list", "listed", is_flag=True, help="Show what is pinned.")
@reading_options
def pin(ref: str | None, reason: str, listed: bool, storage: str | None, as_json: bool) -> None:
    """Keep REF from `gc`: a run (its id, its uid or the first 16 digits of it, STUDY/17), a model's uid, or a file's digest."""
    from trackers.cli import text

    if not listed and ref is None:
        raise click.UsageError("Name what is to be pinned, or give --list.")
    with open_store(storage) as store:
        found = store.list_pins() if ref is None else [store.pin(int(ref) if _is_id(ref) else ref, reason)]
    facts = [{name: getattr(one, name) for name in type(one).__dataclass_fields__} for one in found]
    if as_json:
        text.print_json(facts)
    elif ref is not None:
        click.echo(f"The {found[0].kind} {found[0].target} is pinned.")
    elif not found:
        click.echo("Nothing is pinned.")
    else:
        text.print_table(list(facts[0]), [list(one.values()) for one in facts])


@click.command(short_help="Take a pin away.", epilog="\b\nExample:\n  trackers unpin digits/17")
@click.argument("ref")
@reading_options
def unpin(ref: str, storage: str | None, as_json: bool) -> None:
    """Let `gc` remove REF again once nothing else keeps it."""
    from trackers.cli import text

    with open_store(storage) as store:
        store.unpin(int(ref) if _is_id(ref) else ref)
    if as_json:
        text.print_json({"unpinned": ref})
    else:
        click.echo(f"{text.plain(ref)} is not pinned any more.")


def _is_id(ref: str) -> bool:
    return ref.isascii() and ref.isdigit() and len(ref) < 19
