"""``diff``: what changed between two runs."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trackers.cli.storage import open_store, reading_options
from trackers.cli.target import run_of
from trackers.wording import counted

if TYPE_CHECKING:
    from trackers.difference import RunComparison

_COLORS = {"+": "green", "-": "red", "@": "cyan"}
_DIGEST = 12
_WIDTH = 30
_LINES = 1000
"""So many lines of code are shown."""
_REST = "--all shows all"
_LED_IN = 8
"""So many equal characters stand before those that differ, where what is before them is cut."""


@click.command(
    short_help="Show what changed between two runs.",
    epilog="\b\nExamples:\n  trackers diff digits/3 digits/17\n  trackers diff digits/3 digits/17 --stat --json",
)
@click.argument("first", metavar="RUN_A")
@click.argument("second", metavar="RUN_B")
@click.option("--all", "whole", is_flag=True, help="Show every changed line of code, and every change.")
@click.option("--stat", is_flag=True, help="Count the changed lines of code instead of showing them.")
@click.option(
    "--repo",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=Path(),
    help="A folder of the git repository that has the commits (default: the current one).",
)
@reading_options
def diff(first: str, second: str, whole: bool, stat: bool, repo: Path, storage: str | None, as_json: bool) -> None:
    """Show what changed from RUN_A to RUN_B: code, call, params, environment, data, results.

    A run is named by its uid (or its first 16 digits), its id, or STUDY/NUMBER. With the repository at hand,
    code is compared file by file, changes that were never committed included.
    """
    from trackers.cli import text
    from trackers.difference import compare_runs

    with open_store(storage) as store:
        found = compare_runs(store, run_of(store, first), run_of(store, second), repo=repo)
    if as_json:
        shown = found.to_json()
        if stat and shown["code"] is not None:
            shown["code"]["files"] = {
                name: _count(lines) for name, lines in (found.code.files if found.code else {}).items()
            }
        text.print_json(shown)
        return
    click.echo(f"{text.plain(found.a.path)} -> {text.plain(found.b.path)}")
    _print_code(found, stat, _LINES if not whole else None)
    for title, changes in (
        ("call", found.call),
        ("params", found.params),
        ("tags", found.tags),
        ("environment", {**found.environment, **found.packages}),
        ("data", found.data),
        ("results", {**found.results, **found.metrics}),
    ):
        shown = dict(changes if whole else islice(changes.items(), text.MOST))
        _print_changes(title, shown, found.missing if title == "params" else None)
        if len(shown) < len(changes):
            click.echo(f"  {text.more(len(changes) - len(shown), _REST)}")


def _head(title: str, end: str = "") -> None:
    click.echo(f"\n{click.style(title, bold=True)}{end}")


def _print_code(found: RunComparison, stat: bool, most: int | None) -> None:
    """Print what is other in the code: of its lines so many, and of each file how many there are."""
    from trackers.cli.text import plain

    if found.code is None:
        _head("code", ": nothing")
        return
    old, new = (version or "not known" for version in found.versions)
    _head("code", f": {old} -> {new}")
    for commit in found.code.commits:
        click.echo(f"  {plain(commit)}")
    if found.code.back:
        click.echo(f"  and {counted(found.code.back, 'commit')} that only the first one has")
    printed = 0
    for place, (name, lines) in enumerate(found.code.files.items()):
        if most is not None and place >= most:
            click.echo(f"  ... and {counted(len(found.code.files) - place, 'more file')}: {_REST}")
            break
        added, removed = _count(lines)
        click.echo(f"  {plain(name)}  " + (f"+{added} -{removed}" if lines[0][:1] != "(" else plain(lines[0])))
        if not stat and lines[0][:1] != "(":
            body = lines[2:]
            shown = body if most is None else body[: max(0, most - printed)]
            for line in shown:
                click.echo("    " + click.style(_shown(line), fg=_COLORS.get(line[:1])))
            printed += len(shown)
            if len(shown) < len(body):
                click.echo(f"    ... and {counted(len(body) - len(shown), 'more line')}: {_REST}")
    if not found.code.files:
        click.echo("  no line is another")
    for note in found.code.notes:
        click.echo(f"  ({plain(note)})")


def _count(lines: tuple[str, ...]) -> tuple[int, int]:
    body = lines[2:]
    return sum(line.startswith("+") for line in body), sum(line.startswith("-") for line in body)


def _shown(line: str) -> str:
    from trackers.cli.text import plain

    return plain(line.replace("\t", "    "))


def _print_changes(
    title: str, changes: Mapping[str, tuple[Any, Any]], missing: Mapping[str, str] | None = None
) -> None:
    """Print what changed; with *missing*, the run that lacks a name, a None that is there is shown as such."""
    from trackers.cli.text import plain

    if not changes:
        _head(title, ": nothing")
        return
    _head(title)
    rows = []
    for name, pair in changes.items():
        lacks = None if missing is None else missing.get(name, "")
        old, new = (
            "None" if value is None and lacks not in (None, run) else _value(value, title)
            for run, value in zip("ab", pair, strict=True)
        )
        if old.split() == new.split():
            old, new = _told_apart(*pair)
        rows.append((plain(name), *_both_cut(old, new)))
    name_width = min(_WIDTH, max(len(row[0]) for row in rows))
    old_width = min(_WIDTH, max(len(row[1]) for row in rows))
    for name, old, new in rows:
        arrow = f"{old.ljust(old_width)} -> {new}"
        click.echo(f"  {name.ljust(name_width)}  {arrow}".rstrip())


def _value(value: Any, title: str) -> str:
    from trackers.cli.text import NONE, show

    if value is None:
        return NONE
    if title == "data":
        return str(value)[:_DIGEST]
    return show(value) if not isinstance(value, str) else show(repr(value) if title == "params" else value)


def _told_apart(old: Any, new: Any) -> tuple[str, str]:
    """Return two values that read alike with all their digits, or with their types."""
    from trackers.cli.text import plain

    if type(old) is not type(new):
        return f"{old} ({type(old).__name__})", f"{new} ({type(new).__name__})"
    return plain(repr(old)), plain(repr(new))


def _both_cut(old: str, new: str) -> tuple[str, str]:
    """Cut both texts to their width, in front too where they would read alike: what differs is shown."""
    pairs = enumerate(zip(old, new, strict=False))
    same = next((i for i, (a, b) in pairs if a != b), min(len(old), len(new)))
    start = same - _LED_IN if same > _WIDTH - _LED_IN and max(len(old), len(new)) > _WIDTH else 0
    return _cut(old, start), _cut(new, start)


def _cut(text: str, start: int) -> str:
    text = "…" + text[start:] if start else text
    return text if len(text) <= _WIDTH else text[: _WIDTH - 1] + "…"
