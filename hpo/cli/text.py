"""Plain text and JSON for the terminal."""

from __future__ import annotations

import json
import math
import shutil
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from enum import Enum
from typing import Any

import click

from hpo.ranking import wording

UNBOUNDED = 10_000
"""Columns of a line that goes into a file or a pipe, where nothing is cut."""


def width() -> int:
    """Return how many columns a line may have: the terminal's, or as many as it takes where there is none."""
    return shutil.get_terminal_size((80, 24)).columns if sys.stdout.isatty() else UNBOUNDED


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[str] = ()) -> str:
    """Return *rows* under *heads* as aligned columns; those named in *right* are flush right; lines fit the width."""
    clean = [[wording.plain(cell) for cell in row] for row in rows]
    wide = [max(len(line[i]) for line in [list(heads), *clean]) for i in range(len(heads))]
    lines = []
    for line in [list(heads), *clean]:
        cells = [
            cell.rjust(w) if head in right else cell.ljust(w) for head, cell, w in zip(heads, line, wide, strict=True)
        ]
        lines.append(wording.short("  ".join(cells).rstrip(), width()))
    return "\n".join(lines)


def fields(pairs: Sequence[tuple[str, str]]) -> str:
    """Return ``name  value`` lines, the values aligned; empty values are left out."""
    shown = [(name, value) for name, value in pairs if value]
    wide = max((len(name) for name, _ in shown), default=0)
    return "\n".join(wording.short(f"{name.ljust(wide)}  {value}", width()) for name, value in shown)


def when(time: datetime | None) -> str:
    """Return *time* in local time, to the second."""
    return wording.NONE if time is None else time.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def print_json(value: Any) -> None:
    """Print *value* as JSON: times as ISO 8601 in UTC, states by name, NaN and infinity as null."""
    click.echo(json.dumps(plain(value), indent=2, ensure_ascii=False, allow_nan=False))


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
