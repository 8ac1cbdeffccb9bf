"""Plain text and JSON for the terminal."""

from __future__ import annotations

import math
import shutil
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from enum import Enum
from typing import Any

import click

from hpo.ranking import wording
from trackers.cli.text import json_text
from trackers.wording import padded, text_width, wrapped

UNBOUNDED = 10_000
"""Columns of a line that goes into a file or a pipe."""
WIDEST = 200
"""A column of a table that goes there keeps so many: every row is as wide as the widest."""
NARROWEST = 10
"""A column that is cut keeps so many characters."""


def width() -> int:
    """Return how many columns a line may have: the terminal's, or as many as it takes where there is none."""
    return shutil.get_terminal_size((80, 24)).columns if sys.stdout.isatty() else UNBOUNDED


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[str] = ()) -> str:
    """Return *rows* under *heads* as aligned columns; those named in *right* are flush right and never cut.

    On a terminal the widest of the others are cut until a line fits; in a file or a pipe all but the first at
    200 columns.
    """
    clean = [[wording.plain(cell) for cell in line] for line in [heads, *rows]]
    wide = [max(text_width(line[i]) for line in clean) for i in range(len(heads))]
    if not sys.stdout.isatty():
        bound = [w if not i or heads[i] in right else min(w, WIDEST) for i, w in enumerate(wide)]
        if bound != wide:
            click.echo(f"Texts of more than {WIDEST} characters are cut: --json shows all.", err=True)
        wide = bound
    wide = _fitted(wide, heads, right)
    lines = []
    for line in clean:
        cells = [
            padded(wording.short(cell, w), w, right=head in right)
            for head, cell, w in zip(heads, line, wide, strict=True)
        ]
        lines.append(wording.short("  ".join(cells).rstrip(), width()))
    return "\n".join(lines)


def _fitted(wide: list[int], heads: Sequence[str], right: Sequence[str]) -> list[int]:
    """Narrow the widest column that may be cut, one by one, until all fit side by side or none is left to narrow."""
    room = width() - 2 * (len(wide) - 1)
    fitted = list(wide)
    while (over := sum(fitted) - room) > 0:
        able = [i for i, head in enumerate(heads) if head not in right and fitted[i] > NARROWEST]
        if not able:
            break
        widest = max(able, key=lambda i: fitted[i])
        next_widest = max((fitted[i] for i in able if fitted[i] < fitted[widest]), default=NARROWEST)
        fitted[widest] = max(next_widest, fitted[widest] - over, NARROWEST)
    return fitted


def fields(pairs: Sequence[tuple[str, str]]) -> str:
    """Return ``name  value`` lines, the values aligned; empty values are left out. Long ones go on in the next line."""
    shown = [(name, value) for name, value in pairs if value]
    wide = min(max((text_width(name) for name, _ in shown), default=0), max(NARROWEST, width() // 2))
    lines = []
    for name, value in shown:
        for i, part in enumerate(wrapped(wording.plain(value), max(NARROWEST, width() - wide - 2))):
            lines.append(f"{padded('' if i else wording.short(name, wide), wide)}  {part}")
    return "\n".join(lines)


def when(time: datetime | None) -> str:
    """Return *time* in local time, to the second."""
    return wording.NONE if time is None else time.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def print_json(value: Any) -> None:
    """Print *value* as JSON: times as ISO 8601 in UTC, states by name, NaN and infinity as null."""
    click.echo(json_text(plain(value)))


def plain(value: Any) -> Any:
    """Return *value* as JSON can hold it."""
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, bool) or value is None or isinstance(value, str | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, Sequence | set | frozenset) and not isinstance(value, bytes):
        return [plain(item) for item in value]
    return str(value)
