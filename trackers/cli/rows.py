"""The rows of a file of metrics, one by one: CSV, or lines of JSON."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import re
import stat
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from itertools import chain
from typing import IO, Any, NamedTuple, TypeVar

import click

from trackers.cli.given import read_number
from trackers.errors import InvalidValueError
from trackers.recorder import check_step

STEP = "step"
"""The column with the steps; where there is none of this name, one that differs by capitals alone is taken."""
_WHOLE = re.compile(r"[+-]?[0-9]{1,400}")
_LONG = 400
"""A whole number of so many digits is no float; Python itself reads thousands."""

T = TypeVar("T")


class Row(NamedTuple):
    """The number of a line, its step (None where the file has none), and its cells with the names of their columns."""

    line: int
    step: int | None
    cells: Iterable[tuple[str, Any]]


@contextmanager
def open_rows(path: str, name: str, notes: list[str]) -> Iterator[Iterator[Row]]:
    """Open the file at *path* (``-``: standard input), which is called *name*, and yield its rows.

    *notes* gets a sentence on what is left out. Raises UsageError, also while the rows are read, for what cannot be.
    """
    try:
        with _opened(path) as file:
            yield _rows(file, name, notes)
    except UnicodeDecodeError:
        raise click.UsageError(f"{name} is no text in UTF-8.") from None
    except OSError as exc:
        raise click.UsageError(f"Cannot read {name}: {exc.strerror or exc}.") from exc


@contextmanager
def _opened(path: str) -> Iterator[IO[str]]:
    if path != "-":
        with open(path, encoding="utf-8-sig", newline="") as file:
            mode = os.fstat(file.fileno()).st_mode
            if (stat.S_ISCHR(mode) or stat.S_ISBLK(mode)) and not file.isatty():
                raise click.UsageError(f"{path} is a device, which has no end: give a file, or - for standard input.")
            yield file
        return
    if sys.stdin is None:  # closed by who called (<&-)
        yield io.StringIO()
        return
    text = io.TextIOWrapper(sys.stdin.buffer, encoding="utf-8-sig", newline="")
    try:
        yield text
    finally:
        text.detach()  # standard input stays open


def _rows(lines: Iterator[str], name: str, notes: list[str]) -> Iterator[Row]:
    head = [next(lines, "")]
    while head[-1] and not head[-1].strip():
        head.append(next(lines, ""))
    whole = chain(head, lines)
    if head[-1].lstrip()[:1] in ("{", "["):
        return _json_rows(whole, name)
    # Of the line only its end is cut: pandas writes a tab before the first name where it separates by tabs.
    return _csv_rows(whole, max(",;\t", key=head[-1].count), name, notes)


# --- JSON -------------------------------------------------------------------------------------------------------


class _TwiceError(Exception):
    """An object has a key twice."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _TwiceError(twice(key for key, _ in pairs))
    return found


def _float(text: str) -> float | str:
    """Return a number of JSON; one that no float holds stays text, to be refused under its name."""
    number = float(text)
    return text if math.isinf(number) else number


_decode = json.JSONDecoder(
    object_pairs_hook=_once,
    parse_float=_float,
    parse_int=lambda text: int(text) if len(text) < _LONG else text,
).decode


def _json_rows(lines: Iterable[str], name: str) -> Iterator[Row]:
    first: str | None = None
    begun = False
    for line, text in enumerate(lines, 1):
        if not text.strip():
            continue
        try:
            cells = _decode(text)
        except _TwiceError as exc:
            raise click.UsageError(f"{name}, line {line}, has two columns {exc}.") from None
        except (ValueError, RecursionError):
            cells = None
        if not isinstance(cells, dict):
            raise click.UsageError(f"{name}, line {line}: each line must be an object of JSON.")
        column = _step_column(cells, f"{name}, line {line},")
        if begun and column != first:
            raise click.UsageError(f"{name}, line {line}: some lines have a {first or column}, and some have none.")
        begun, first = True, column
        step = None if column is None else _step(cells.pop(column), name, line)
        yield Row(line, step, cells.items())


# --- CSV --------------------------------------------------------------------------------------------------------


def _csv_rows(lines: Iterable[str], mark: str, name: str, notes: list[str]) -> Iterator[Row]:
    reader = csv.reader(lines, delimiter=mark)
    try:
        heads = [cell.strip() for cell in next(filter(None, reader), ())]
        if not heads:
            return
        _check_heads(heads, name, reader.line_num)
        column = _step_column(heads, name)
        at = None if column is None else heads.index(column)
        nameless = [place for place, head in enumerate(heads) if not head]
        if nameless:
            notes.append(f"a column of {name} has no name")
        left_out = sorted([*nameless, *([] if at is None else [at])], reverse=True)
        named = [head for head in heads if head and head != column]
        for cells in reader:
            if not cells:  # an empty line; one of empty cells is a row without a point
                continue
            line = reader.line_num
            if len(cells) != len(heads):
                raise click.UsageError(
                    f"{name}, line {line}: there are {len(cells)} cells, and the head has {len(heads)}."
                )
            step = None if at is None else _step(cells[at], name, line)
            for place in left_out:
                del cells[place]
            yield Row(line, step, zip(named, cells, strict=True))
    except csv.Error as exc:
        raise click.UsageError(f"{name}, line {reader.line_num}: {exc}.") from exc


def _check_heads(heads: list[str], name: str, line: int) -> None:
    """Raise UsageError for two columns of one name, and where numbers stand in the place of all names."""
    if again := twice(head for head in heads if head):
        raise click.UsageError(f"{name} has two columns {again}.")
    if not any(head and not _is_number(head) for head in heads):
        raise click.UsageError(f"{name}, line {line}: the first line must name the columns, as in {STEP},loss.")


def _is_number(text: str) -> bool:
    try:
        return read_number(text) is not None
    except OverflowError:
        return True


# --- both -------------------------------------------------------------------------------------------------------


def twice(items: Iterable[T]) -> T | None:
    """Return the first of *items* that is there twice, None where all differ."""
    return next((item for item, count in Counter(items).items() if count > 1), None)


def _step_column(heads: Iterable[str], where: str) -> str | None:
    """Return the name of the column with the steps, None without one; raises UsageError where two may be meant."""
    if STEP in heads:
        return STEP
    like = [head for head in heads if head.lower() == STEP]
    if len(like) > 1:
        raise click.UsageError(f"{where} has the columns {' and '.join(like)}: call the one with the steps {STEP}.")
    return like[0] if like else None


def _step(cell: Any, name: str, line: int) -> int:
    try:
        number = _whole_number(cell)
        if number is not None:
            return check_step(number)
    except (InvalidValueError, OverflowError):
        raise click.UsageError(
            f"{name}, line {line}: a step has 64 bits: {str(cell).strip()[:40]} is out of range."
        ) from None
    is_empty = cell is None or not str(cell).strip()
    shown = "empty" if is_empty else repr(str(cell)[:60])
    raise click.UsageError(f"{name}, line {line}: {STEP} must be a whole number, not {shown}.")


def _whole_number(cell: Any) -> int | None:
    """Return the whole number that a cell is, to its last digit; None for anything else.

    Raises OverflowError for one that is larger than any float.
    """
    if isinstance(cell, str):
        text = cell.strip()
        if _WHOLE.fullmatch(text):
            return int(text)
        number = read_number(text)
        if number is None or not math.isfinite(number):
            return None
        exact = Fraction(text)
        return exact.numerator if exact.denominator == 1 else None
    if isinstance(cell, float):
        return int(cell) if cell.is_integer() else None
    return cell if isinstance(cell, int) and not isinstance(cell, bool) else None
