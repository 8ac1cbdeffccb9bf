"""Runs for the terminal and as JSON. What a user stored never reaches the terminal as an escape sequence."""

from __future__ import annotations

import json
import math
import re
import shutil
import sys
import textwrap
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from enum import Enum
from typing import Any, TypeVar

import click

from trackers.values import Attempt, Run
from trackers.wording import counted, cut, padded, short_uid, text_width, wrapped

Row = TypeVar("Row")
NONE = "-"
_GAP = "  "
NARROWEST = 12
"""A text that is cut keeps so many columns."""
_WIDEST = 200
"""A text in a table that goes into a file or a pipe keeps so many columns: every row is as wide as the widest."""
MOST = 200
"""So many params, tags, metrics, files or changes of one thing are shown."""
LONGEST = 2000
"""So many characters of one value are shown."""
_MOST_LINES = 2
"""So many lines say what has no room."""
_UID = re.compile("[0-9a-f]{32}")
_LAID_OUT = re.compile(r"([\n\r\t]|\x1b\[[0-9;]{0,40}m)")
"""What lays text out and colours it."""


class Whole(str):
    """A text that no table cuts: a part of it names something else, or nothing."""

    __slots__ = ()


def run_cell(path: str) -> Whole:
    """Return how a listing names the run *path*: on a terminal the beginning of a uid, in a file or a pipe all of it."""
    experiment, slash, uid = path.rpartition("/")
    if sys.stdout.isatty() and _UID.fullmatch(uid):
        return Whole(f"{experiment}{slash}{short_uid(uid)}")
    return Whole(path)


def print_json(value: Any) -> None:
    """Print *value* as JSON: times as ISO 8601 in UTC, states by name, NaN and the infinities as null."""
    click.echo(json_text(as_json(value)))


def json_text(value: Any) -> str:
    """Return *value* as JSON for people: half a character, which UTF-8 does not have, as an escape."""
    written = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    return re.sub("[\ud800-\udfff]", lambda half: f"\\u{ord(half[0]):04x}", written)


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
        "parent": run.parent or None,
        "user": run.user,
        "host": run.host,
        "error": run.error,
    }


def attempt_facts(attempt: Attempt) -> dict[str, Any]:
    """Return an attempt as JSON shows it."""
    names = ("number", "worker", "host", "pid", "started_at", "seconds", "outcome", "reason")
    return {name: getattr(attempt, name) for name in names}


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


def size(count: int) -> str:
    """Write a number of bytes with three digits and a unit."""
    if count < 1000:
        return counted(count, "byte")
    amount, power = count / 1000, 0
    while amount >= 999.5 and power < 3:
        amount, power = amount / 1000, power + 1
    return f"{amount:.3g} {('kB', 'MB', 'GB', 'TB')[power]}"


def plain(text: str) -> str:
    """Return *text* with whatever does not print written as an escape."""
    return text if text.isprintable() else "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def plain_lines(text: str) -> str:
    """Return *text* likewise, with its line breaks, and four spaces for a tab."""
    return "\n".join(plain(line.replace("\t", "    ")) for line in text.split("\n"))


def printed(text: str) -> str:
    """Return what a program printed as it is, but for what may do more to a terminal than lines and colours do."""
    parts = _LAID_OUT.split(text)
    return "".join(part if place % 2 else plain(part) for place, part in enumerate(parts))


def shortened(value: str) -> str:
    """Return *value*, of a long one its beginning and where the rest is."""
    return value if len(value) <= LONGEST else f"{value[:LONGEST]}... ({len(value)} characters: --json has all)"


def more(amount: int, option: str = "--json has all") -> str:
    """Say that *amount* more are not shown."""
    return f"... and {amount:,} more: {option}"


def first_of_each(rows: Sequence[Row], group: Callable[[Row], Any]) -> tuple[list[Row], int]:
    """Return the first ``MOST`` rows of each group, and how many are left out."""
    seen: Counter[Any] = Counter()
    kept = []
    for row in rows:
        seen[group(row)] += 1
        if seen[group(row)] <= MOST:
            kept.append(row)
    return kept, len(rows) - len(kept)


def print_wrapped(line: str, indent: int) -> None:
    """Print a long line; on a terminal broken at spaces where it is wider, what follows *indent* columns in."""
    width = shutil.get_terminal_size().columns
    shown = plain(line)
    if sys.stdout.isatty() and width > 2 * indent:
        shown = "\n".join(
            textwrap.wrap(
                shown,
                width,
                subsequent_indent=" " * indent,
                break_long_words=False,
                break_on_hyphens=False,
                drop_whitespace=True,
            )
        )
    click.echo(shown)


def print_table(heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print *rows* under *heads*, numbers flush right.

    On a terminal the widest texts are cut until a line fits; columns that still do not fit are left out, the last
    first, and named. In a file or a pipe only a text of more than 200 columns is cut, and it is said.
    """
    numeric = [all(_is_number(row[i]) for row in rows) for i in range(len(heads))]
    lines = [[plain(head) for head in heads], *([show(value) for value in row] for row in rows)]
    wide = {i: max(text_width(line[i]) for line in lines) for i in range(len(heads))}
    whole = [numeric[i] or any(isinstance(row[i], datetime | Whole) for row in rows) for i in range(len(heads))]
    room = shutil.get_terminal_size((80, 24)).columns
    long = [i for i, width in wide.items() if i and not whole[i] and width > _WIDEST]
    if sys.stdout.isatty():
        wide = _fitted(wide, whole, room)
    elif long:
        wide |= dict.fromkeys(long, _WIDEST)
        click.echo(f"Texts of more than {_WIDEST} characters are cut: --json shows all.", err=True)
    for line in lines:
        cells = [padded(cut(line[i], w), w, right=numeric[i]) for i, w in wide.items()]
        click.echo(_GAP.join(cells).rstrip())
    if len(wide) < len(heads):
        click.echo(_left_out([head for i, head in enumerate(lines[0]) if i not in wide], room), err=True)


def _left_out(heads: Sequence[str], room: int) -> str:
    """Say that these columns are not shown, with as many of their names as two lines of *room* columns hold."""
    end = ": a wider terminal or --json shows all."
    count = counted(len(heads), "column")
    some = [f"{count} ({', '.join(heads[:named])}, ...)" for named in range(len(heads) - 1, 0, -1)]
    said = [f"No room for {what}{end}" for what in (", ".join(heads), *some, count)]
    broken = [wrapped(one, room) for one in said]
    fits = (one for one in broken if len(one) <= _MOST_LINES and all(text_width(line) <= room for line in one))
    return "\n".join(next(fits, broken[-1]))


def _fitted(wide: Mapping[int, int], whole: Sequence[bool], room: int) -> dict[int, int]:
    """Return the widths of the columns that fit into *room*; those that are *whole*, and the first, are never cut."""
    fitted = list(wide.values())
    while len(fitted) > 1:
        over = sum(fitted) + len(_GAP) * (len(fitted) - 1) - room
        able = [i for i in range(1, len(fitted)) if not whole[i] and fitted[i] > NARROWEST]
        if over <= 0:
            break
        if sum(fitted[i] - NARROWEST for i in able) < over:
            fitted.pop()
            continue
        widest = max(able, key=lambda i: fitted[i])
        next_widest = max((fitted[i] for i in able if fitted[i] < fitted[widest]), default=NARROWEST)
        fitted[widest] = max(next_widest, fitted[widest] - over)
    kept = dict(enumerate(fitted))
    for i in range(len(fitted), len(wide)):  # a narrow one may stand where a wide one had no room
        if sum(kept.values()) + len(_GAP) * len(kept) + wide[i] <= room:
            kept[i] = wide[i]
    return kept


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool | Enum))


def print_fields(pairs: Sequence[tuple[str, Any]]) -> None:
    """Print ``name  value`` lines, the values aligned; empty values are left out."""
    shown = [(plain(name), show(value)) for name, value in pairs if value not in (None, "", {}, [], ())]
    wide = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        click.echo(f"{name.ljust(wide)}  {value}")
