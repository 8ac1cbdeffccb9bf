"""The series of metrics that a file holds: CSV, or lines of JSON."""

from __future__ import annotations

import csv
import io
import json
import math
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import click

from trackers.cli.given import called, read_number
from trackers.names import clean_metric
from trackers.recorder import check_step, context_label

STEP = "step"
"""The column with the steps."""

T = TypeVar("T")
Row = tuple[int, Mapping[str, Any]]
"""The number of a line, and its cells by the names of their columns."""


@dataclass
class Series:
    """The points of one column: as many *steps* as *values*."""

    key: str
    context: str
    steps: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)


def read_series(path: str) -> tuple[list[Series], list[str]]:
    """Return the series of the file at *path* (``-``: standard input), and sentences on the columns that hold none.

    Each column of numbers is one, under its head, such as ``loss`` or ``loss{split=val}``; an empty cell is no point.
    Without a column ``step`` rows count from 0. Raises UsageError, which names the line, for what cannot be read, and
    OSError.
    """
    name = "standard input" if path == "-" else path
    rows = _rows(_text(path, name), name)
    columns: dict[str, Series] = {}
    words: dict[str, tuple[int, str]] = {}
    for place, (line, cells) in enumerate(rows):
        step = _step(cells[STEP], name, line) if STEP in cells else place
        for head, cell in cells.items():
            if head == STEP:
                continue
            column = columns.setdefault(head, Series(head, ""))
            number = _number(cell)
            if isinstance(number, str):
                words.setdefault(head, (line, number))
            elif number is not None:
                column.steps.append(step)
                column.values.append(number)
    unnamed = columns.pop("", None)  # pandas writes its index so
    for head, (line, word) in words.items():
        if head in columns and columns[head].values:
            raise click.UsageError(f"{name}, line {line}: {head} must be a number, not {word[:60]!r}.")
    found = [_named(head, column) for head, column in columns.items() if column.values]
    if not found:
        raise click.UsageError(f"{name} holds no column of numbers{f' beside {STEP}' if rows else ''}.")
    _check_twice(found, name)
    notes = [f"the column {head!r} of {name} holds no numbers" for head, column in columns.items() if not column.values]
    return found, notes + ([f"a column of {name} has no name"] if unnamed is not None else [])


def _check_twice(found: Sequence[Series], name: str) -> None:
    """Raise UsageError where a series has two columns, or two values at a step: one would be lost."""
    if twice := _twice(called(one.key, one.context) for one in found):
        raise click.UsageError(f"{name} has two columns {twice}.")
    for one in found:
        if (step := _twice(one.steps)) is not None:
            raise click.UsageError(f"{name} has two values of {called(one.key, one.context)} at step {step}.")


def _text(path: str, name: str) -> str:
    data = _standard_input() if path == "-" else Path(path).read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise click.UsageError(f"{name} is no text in UTF-8.") from None


def _standard_input() -> bytes:
    return b"" if sys.stdin is None else sys.stdin.buffer.read()  # closed by who called (<&-)


def _rows(text: str, name: str) -> list[Row]:
    lines = text.split("\n")
    return list(_json_rows(lines, name) if text.lstrip()[:1] in ("{", "[") else _csv_rows(text, name))


def _json_rows(lines: Iterable[str], name: str) -> Iterator[Row]:
    first: set[str] | None = None
    for line, text in enumerate(lines, 1):
        if not text.strip():
            continue
        try:
            cells = json.loads(text)
        except (ValueError, RecursionError):
            cells = None
        if not isinstance(cells, dict):
            raise click.UsageError(f"{name}, line {line}: each line must be an object of JSON.")
        first = set(cells) if first is None else first
        if (STEP in cells) is not (STEP in first):
            raise click.UsageError(f"{name}, line {line}: some lines have a {STEP}, and some have none.")
        yield line, cells


def _csv_rows(text: str, name: str) -> Iterator[Row]:
    head, _, _ = text.lstrip().partition("\n")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=head.count))
    heads: list[str] | None = None
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if heads is None:
                heads = [cell.strip() for cell in cells]
                if twice := _twice(head for head in heads if head):
                    raise click.UsageError(f"{name} has two columns {twice}.")
                continue
            if len(cells) != len(heads):
                raise click.UsageError(
                    f"{name}, line {reader.line_num}: there are {len(cells)} cells, and the head has {len(heads)}."
                )
            yield reader.line_num, dict(zip(heads, cells, strict=True))
    except csv.Error as exc:
        raise click.UsageError(f"{name}, line {reader.line_num}: {exc}.") from exc


def _twice(items: Iterable[T]) -> T | None:
    """Return the first of *items* that is there twice, None where all differ."""
    return next((item for item, count in Counter(items).items() if count > 1), None)


def _number(cell: Any) -> float | str | None:
    """Return the number in a cell, None for an empty one, and the text of what is neither."""
    if cell is None or (isinstance(cell, str) and not cell.strip()):
        return None
    if isinstance(cell, str):
        number = read_number(cell)
        return cell if number is None else number
    if isinstance(cell, bool) or not isinstance(cell, int | float):
        return json.dumps(cell)
    try:
        return float(cell)
    except OverflowError:
        return math.inf if cell > 0 else -math.inf


def _step(cell: Any, name: str, line: int) -> int:
    number = _number(cell)
    if isinstance(number, float) and number.is_integer():
        exact = cell if isinstance(cell, int) else number
        return check_step(int(exact))
    shown = "empty" if number is None else f"{str(cell)[:60]!r}"
    raise click.UsageError(f"{name}, line {line}: {STEP} must be a whole number, not {shown}.")


def _named(head: str, column: Series) -> Series:
    """Return the series of a column with the key and the context that its head writes."""
    key, context = head, ""
    if head.endswith("}") and "{" in head:
        key, _, context = head[:-1].partition("{")
    return Series(clean_metric(key), context_label(context), column.steps, column.values)
