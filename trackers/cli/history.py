"""``history``, ``lineage`` and ``compare``: the past of a model, and two of its versions side by side."""

from __future__ import annotations

import json
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

import click

from trackers.cli.completing import complete_alias, complete_model, complete_reference
from trackers.cli.exit import naming
from trackers.cli.program import as_called
from trackers.cli.storage import open_store, reading_options
from trackers.cli.target import kind_of, noun_with
from trackers.errors import InvalidValueError, NotFoundError, TrackersError
from trackers.wording import counted

if TYPE_CHECKING:
    from trackers.comparison import Comparison, Line
    from trackers.lineage import Graph
    from trackers.store import Store


@click.command(
    epilog="\b\nExamples:\n  trackers history fraud\n  trackers history fraud --alias production --json",
    short_help="Show who did what to a model, when and why.",
)
@click.argument("name", shell_complete=complete_model)
@click.option("--alias", metavar="ALIAS", shell_complete=complete_alias, help="Only what was done to this alias.")
@click.option("--limit", "-n", type=click.IntRange(1), metavar="N", help="Only the last N lines.")
@reading_options
def history(name: str, alias: str | None, limit: int | None, storage: str | None, as_json: bool) -> None:
    """Show who did what to the model NAME, when, why, and what the policies said; oldest first."""
    from trackers.cli import text
    from trackers.cli.models import facts, move_row

    with open_store(storage) as store:
        found = store.registry.history(name, alias=alias)
    found = found[-limit:] if limit else found
    if as_json:
        text.print_json([facts(one) for one in found])
    else:
        text.print_table(["when", "what", "who", "why"], [move_row(one) for one in found])


FORMATS = ("text", "svg", "dot", "mermaid")
_ENDS = {
    ".svg": "svg",
    ".json": "json",
    ".dot": "dot",
    ".gv": "dot",
    ".mmd": "mermaid",
    ".mermaid": "mermaid",
    ".txt": "text",
    "": "text",
}


@click.command(
    epilog="\b\nExamples:\n  trackers lineage fraud@production\n  trackers lineage fraud/3 --format svg --output fraud.svg\n"
    "  trackers lineage digits/17\n  trackers lineage 9f86d081884c",
    short_help="Show where a version comes from, or what came of data.",
)
@click.argument("ref", metavar="NAME@ALIAS|NAME/VERSION|RUN|DIGEST", shell_complete=complete_reference)
@click.option(
    "--format", "form", type=click.Choice(FORMATS), help="How to show it.  [default: by the end of -o, else text]"
)
@click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="Write it to this file.")
@reading_options
def lineage(ref: str, form: str | None, output: Path | None, storage: str | None, as_json: bool) -> None:
    """Show what led to a version, an alias or a run, and what came of a run or of data.

    Data and code lead to runs, runs to versions, versions to aliases. Data is named by its digest, or at least 8 digits
    of its beginning.
    """
    from trackers.cli import text

    if as_json and form is not None:
        raise click.UsageError("--json and --format exclude each other: give one of them.")
    form = "json" if as_json else form or _form_of(output)
    with open_store(storage) as store:
        graph = store.registry.lineage(ref)
    if form == "json" and output is None:
        text.print_json(graph.as_json())
        return
    written = _written(graph, form)
    if output is not None:
        with naming(output):
            output.write_text(written + "\n" * (not written.endswith("\n")), encoding="utf-8")
        click.echo(f"Wrote {output}.")
        return
    for line in written.splitlines():
        click.echo(text.plain(line))


def _form_of(output: Path | None) -> str:
    """Return the format that the end of *output* names; raises UsageError for another."""
    end = "" if output is None else output.suffix.lower()
    if end not in _ENDS:
        raise click.UsageError(
            f"A lineage is not written as {end}: end the name in {', '.join(list(_ENDS)[:-2])} or .txt, or give --format."
        )
    return _ENDS[end]


def _written(graph: Graph, form: str) -> str:
    from trackers.cli import text
    from trackers.lineage import to_dot, to_mermaid, to_svg, to_text

    if form == "json":
        return json.dumps(text.as_json(graph.as_json()), indent=2)
    return {"text": to_text, "svg": to_svg, "dot": to_dot, "mermaid": to_mermaid}[form](graph)


@click.command(
    epilog="\b\nExamples:\n  trackers compare fraud@production fraud/4\n  trackers compare fraud/3 fraud/4 --changed",
    short_help="Put two versions side by side.",
)
@click.argument("champion", metavar="CHAMPION", shell_complete=complete_reference)
@click.argument("challenger", metavar="CHALLENGER", shell_complete=complete_reference)
@click.option("--changed", is_flag=True, help="Show only what differs.")
@reading_options
def compare(champion: str, challenger: str, changed: bool, storage: str | None, as_json: bool) -> None:
    """Put two versions (NAME@ALIAS, NAME/VERSION) side by side.

    Metrics with their differences, params, whether the data are the same, code, environment, size and signature.
    Packages that are equal are counted; --json names them.
    """
    with open_store(storage) as store:
        try:
            found = store.registry.compare(champion, challenger)
        except (NotFoundError, InvalidValueError) as exc:
            _refuse_runs(store, champion, challenger, exc)
            raise
        show_comparison(found, changed, as_json)


def _refuse_runs(store: Store, champion: str, challenger: str, exc: TrackersError) -> None:
    """Raise NotFoundError where both are runs: another command puts those side by side."""
    nouns = [kind_of(store, word) for word in (champion, challenger)]
    if all(kind == "run" for kind, _ in nouns):
        call = as_called(f"`trackers diff {quote(champion)} {quote(challenger)}`")
        raise NotFoundError(
            f"{champion!r} is {noun_with(nouns[0][1])} and no version of a registered model: {call} compares runs"
        ) from exc


def show_comparison(found: Comparison, changed: bool, as_json: bool) -> None:
    """Print a comparison of two versions."""
    from trackers.cli import text

    if as_json:
        text.print_json(found.as_json())
        return
    rows = [_row(line) for line in found.lines if not (line.same and (changed or line.is_package))]
    packages = sum(line.same and line.is_package for line in found.lines)
    if packages and not changed:  # a line for each would hide the others
        above = sum(row[0].partition(".")[0] != "model" for row in rows)
        rows.insert(above, ["environment.packages", *[counted(packages, "package")] * 2, "same"])
    rows, left_out = text.first_of_each(rows, lambda row: row[0].partition(".")[0])
    if rows:
        text.print_table(["", found.champion, found.challenger, "difference"], rows)
        if left_out:
            click.echo(text.more(left_out))
    else:
        click.echo(text.plain(f"{found.champion} and {found.challenger} do not differ."))
    said = {True: "the same", False: "not the same: their metrics are not comparable", None: "not recorded for both"}
    click.echo(f"Their data are {said[found.same_data]}.")


def _row(line: Line) -> list[Any]:
    cells = [line.champion, line.challenger]
    if line.section == "data" or (line.section, line.name) == ("code", "digest"):
        cells = [value[:12] if isinstance(value, str) else value for value in cells]
    gain = line.difference
    last = "same" if line.same else (f"{gain:+.6g}" if gain is not None else "differs")
    return [f"{line.section}.{line.name}", *cells, last]
