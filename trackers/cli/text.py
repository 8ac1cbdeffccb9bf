"""Runs for the terminal and as JSON. What a user stored never reaches the terminal as an escape sequence."""

from __future__ import annotations

import json
import math
import shutil
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import Enum
from typing import Any

import click

from trackers.values import Run

NONE = "-"
_WIDEST = 40


def print_json(value: Any) -> None:
    """Print *value* as JSON: times as ISO 8601 in UTC, states by name, NaN and the infinities as null."""
    click.echo(json.dumps(as_json(value), indent=2, allow_nan=False))


def as_json(value: Any) -> Any:
    """Return *value* as JSON can hold it."""
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, Mapping):
        return {str(key): as_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(item) for item in value]
    return value if value is None or isinstance(value, str | int) else str(value)


def run_facts(run: Run) -> dict[str, Any]:
    """Return everything about a run, as JSON shows it."""
    return {
        "run": run.path,
        "id": run.id,
        "uid": run.uid,
        "experiment": run.experiment,
        "number": run.number,
        "name": run.name,
        "state": run.state,
        "values": run.values,
        "params": run.params,
        "metrics": run.metrics,
        "tags": run.tags,
        "created_at": run.created_at,
        "started_at": run.started_at,
        "ended_at": run.ended_at,
        "parent_id": run.parent_id,
        "user": run.user,
        "host": run.host,
        "error": run.error,
    }


def show(value: Any) -> str:
    """Write a value in a cell: short, on one line, without control characters."""
    if value is None:
        return NONE
    if isinstance(value, float):
        text = f"{value:.6g}"
    elif isinstance(value, datetime):
        text = value.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    elif isinstance(value, Enum):
        text = value.name
    else:
        text = str(value)
    return plain(text)


def plain(text: str) -> str:
    """Return *text* with whatever does not print written as an escape."""
    return text if text.isprintable() else "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def print_table(heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print *rows* under *heads*; a line is cut at the terminal's width, and whole in a file or a pipe."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    to_terminal = sys.stdout.isatty()
    cells = [[_cut(show(value), to_terminal) for value in row] for row in rows]
    table = Table(box=box.SIMPLE_HEAD if to_terminal else None, pad_edge=False, header_style="bold")
    numeric = [all(_is_number(row[i]) for row in rows) for i in range(len(heads))]
    for head, right in zip(heads, numeric, strict=True):
        table.add_column(Text(plain(head)), justify="right" if right else "left", no_wrap=True, overflow="ellipsis")
    for line in cells:
        table.add_row(*(Text(cell) for cell in line))
    width = shutil.get_terminal_size((80, 24)).columns if to_terminal else _widths(heads, cells)
    Console(width=width, highlight=False, soft_wrap=False).print(table)


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool | Enum))


def _cut(text: str, to_terminal: bool) -> str:
    return text if not to_terminal or len(text) <= _WIDEST else text[: _WIDEST - 1] + "…"


def _widths(heads: Sequence[str], cells: Sequence[Sequence[str]]) -> int:
    """Return a width that cuts nothing; a character may be two columns wide."""
    return sum(max(2 * len(line[i]) for line in [list(heads), *cells]) + 4 for i in range(len(heads)))


def print_fields(pairs: Sequence[tuple[str, Any]]) -> None:
    """Print ``name  value`` lines, the values aligned; empty values are left out."""
    shown = [(plain(name), show(value)) for name, value in pairs if value not in (None, "", {}, [], ())]
    wide = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        click.echo(f"{name.ljust(wide)}  {value}")
