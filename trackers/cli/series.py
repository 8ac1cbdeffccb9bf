"""The series of metrics that files hold: CSV, or lines of JSON."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import click

from trackers.cli.given import called, read_number
from trackers.cli.rows import Row, open_rows, twice
from trackers.errors import InvalidValueError
from trackers.names import clean_metric
from trackers.recorder import context_label


@dataclass
class Series:
    """The points of one series: as many *steps* as *values*, in arrays, which take a quarter of the room of lists."""

    key: str
    context: str
    steps: array[int]
    values: array[float]


@dataclass
class _Column:
    """What a column holds: its numbers, and the first cell that is none, with its line."""

    steps: array[int] = field(default_factory=lambda: array("q"))
    values: array[float] = field(default_factory=lambda: array("d"))
    word: tuple[int, str] | None = None


def read_series(paths: Sequence[str]) -> tuple[list[Series], list[str]]:
    """Return the series of the files at *paths* (``-``: standard input), and sentences on the columns that hold none.

    Each column of numbers is one, under its head, such as ``loss`` or ``loss{split=val}``; an empty cell is no point.
    Without a column ``step`` the rows of a file count from 0. What several files have of a series is one; a value that
    comes again for its step counts once. Raises UsageError, which names the line, for what cannot be read, and where a
    step would have two values.
    """
    if paths.count("-") > 1:
        raise click.UsageError("Standard input can be read once: give --metrics - once.")
    found: dict[tuple[str, str], Series] = {}
    files: dict[tuple[str, str], list[str]] = {}
    notes: list[str] = []
    for path in paths:
        name = "standard input" if path == "-" else path
        for one in _read(path, name, notes):
            series = found.setdefault((one.key, one.context), one)
            if series is not one:
                series.steps += one.steps
                series.values += one.values
            files.setdefault((one.key, one.context), []).append(name)
    for key, series in found.items():
        series.steps, series.values = _once(series, files[key])
    return list(found.values()), notes


def _read(path: str, name: str, notes: list[str]) -> list[Series]:
    """Return the series of one file; each of its columns is another."""
    with open_rows(path, name, notes) as rows:
        columns, has_steps = _columns(rows, name)
    found = [_named(head, column, name) for head, column in columns.items() if column.values]
    if not found:
        words = ((*column.word, head) for head, column in columns.items() if column.word is not None)
        line, word, head = min(words, default=(0, "", ""))
        where = f": line {line} has {word!r} under {head}" if head else ""
        raise click.UsageError(f"{name} holds no column of numbers{' beside step' if has_steps else ''}{where}.")
    if again := twice(called(one.key, one.context) for one in found):
        raise click.UsageError(f"{name} has two columns {again}.")
    notes += [
        f"the column {head!r} of {name} holds no numbers" for head, column in columns.items() if not column.values
    ]
    return found


def _columns(rows: Iterable[Row], name: str) -> tuple[dict[str, _Column], bool]:
    """Return the columns by their heads, and whether there are steps."""
    columns: dict[str, _Column] = {}
    has_steps = False
    for place, (line, step, cells) in enumerate(rows):
        has_steps = step is not None
        for head, cell in cells:
            column = columns.get(head)
            if column is None:
                column = columns[head] = _Column()
            try:
                number = _number(cell)
            except OverflowError:
                raise click.UsageError(
                    f"{name}, line {line}: {head} is too large for a float: {str(cell)[:40]}."
                ) from None
            if type(number) is float:
                column.steps.append(place if step is None else step)
                column.values.append(number)
            elif isinstance(number, str) and column.word is None:
                column.word = line, number[:60]
            if column.word is not None and column.values:
                raise click.UsageError(
                    f"{name}, line {column.word[0]}: {head} must be a number, not {column.word[1]!r}."
                )
    return columns, has_steps


def _number(cell: Any) -> float | str | None:
    """Return the number in a cell, None for an empty one, and the text of what is neither.

    Raises OverflowError for a number that is too large.
    """
    if isinstance(cell, str):
        number = read_number(cell)
        return number if number is not None else cell if cell.strip() else None
    if cell is None:
        return None
    if isinstance(cell, bool) or not isinstance(cell, int | float):
        return json.dumps(cell)
    return float(cell)


def _once(series: Series, files: Sequence[str]) -> tuple[array[int], array[float]]:
    """Return the points of *series* with each step once; raises UsageError where one has two values."""
    if all(before < after for before, after in pairwise(series.steps)):
        return series.steps, series.values
    found: dict[int, float] = {}
    for step, value in zip(series.steps, series.values, strict=True):
        known = found.setdefault(step, value)
        if known != value and (known == known or value == value):  # NaN equals NaN here
            names = list(dict.fromkeys(files))
            have = f"{', '.join(names[:-1])} and {names[-1]} have" if names[1:] else f"{names[0]} has"
            raise click.UsageError(f"{have} two values of {called(series.key, series.context)} at step {step}.")
    return array("q", found), array("d", found.values())


def _named(head: str, column: _Column, name: str) -> Series:
    """Return the series of a column with the key and the context that its head writes."""
    key, context = head, ""
    if head.endswith("}") and "{" in head:
        key, _, context = head[:-1].partition("{")
    try:
        return Series(clean_metric(key), context_label(context), column.steps, column.values)
    except InvalidValueError as exc:
        raise click.UsageError(f"{name}: {exc}") from exc
