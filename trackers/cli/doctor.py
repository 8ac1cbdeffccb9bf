"""``doctor``: what a store is, whether it is healthy, and what to do."""

from __future__ import annotations

import click

from trackers.cli.program import as_called
from trackers.cli.storage import DEFAULT, reading_options


@click.command(
    short_help="Say what the store is, whether it is healthy, and what to do.",
    epilog="\b\nExample:\n  trackers doctor --storage postgresql+psycopg://me@db/hpo",
)
@reading_options
def doctor(storage: str | None, as_json: bool) -> int:
    """Look at the database, its settings, disks and clocks, the files, and what was left behind; change nothing.

    One line each: ok, warning or problem, and what to do. Exit code 1 where there is a problem.
    """
    from trackers.cli import text
    from trackers.keeping.doctor import PROBLEM, examine

    found = examine(storage or DEFAULT)
    if as_json:
        text.print_json([{name: getattr(one, name) for name in one.__dataclass_fields__} for one in found])
    else:
        for one in found:
            advice = f" -> {as_called(one.advice)}" if one.advice else ""
            text.print_wrapped(f"{one.level:<8} {one.topic}: {one.told}{advice}", indent=9)
    return 1 if any(one.level == PROBLEM for one in found) else 0
