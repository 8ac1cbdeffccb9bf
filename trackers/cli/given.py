"""What the words of a call mean: params, tags, points and paths. Nothing is opened here."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import click

from trackers.names import clean_metric
from trackers.recorder import check_step, context_label
from trackers.wording import without_credentials

_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_WORDS = {"true": True, "false": False, "null": None, "True": True, "False": False, "None": None}
"""JSON's words, and Python's, which a script writes."""
_POINT = re.compile(r"(?P<key>[^={}]+)(?:\{(?P<context>[^{}]*)\})?=(?P<value>[^@{}]*)(?:@(?P<step>[^@{}]*))?")
"""The first = behind the key and its context ends them, as it does for params and tags."""
_STEP = re.compile(r"[+-]?[0-9]{1,400}")
_LAST = 2**63 - 1
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


class Point(NamedTuple):
    """A point of a metric; without a *step* it comes after those before it."""

    key: str
    context: str
    value: float
    step: int | None


def read_pairs(words: Sequence[str], option: str) -> dict[str, str]:
    """Read ``KEY=VALUE`` words; raises UsageError for one that is none, and for a key that is given twice.

    *option* says where they stand: ``--tag``.
    """
    pairs: dict[str, str] = {}
    for word in words:
        key, value = read_pair(word, option)
        if key in pairs:
            raise click.UsageError(f"{option} gives {key} twice.")
        pairs[key] = value
    return pairs


def read_pair(word: str, option: str, form: str = "KEY=VALUE") -> tuple[str, str]:
    """Read one word of the *form* ``KEY=VALUE``; raises UsageError, which says *option* and *form*, where it is none."""
    key, equals, value = word.partition("=")
    if not equals or not key:
        raise click.UsageError(f"{option} takes {form}, not {word!r}.")
    return key, value


def read_value(text: str) -> Any:
    """Return the number, the boolean or the null that *text* is; else *text*, such as ``007`` or what no float holds."""
    if text in _WORDS:
        return _WORDS[text]
    try:
        value = json.loads(text) if _NUMBER.fullmatch(text) else text
    except ValueError:  # thousands of digits
        return text
    return text if isinstance(value, float) and math.isinf(value) else value


def check_local(path: str, option: str) -> None:
    """Raise UsageError where *path*, which *option* gives, is an address: only what is on this machine is read."""
    if _ADDRESS.match(path):
        shown = without_credentials(path).partition("?")[0][:200]
        raise click.UsageError(f"{option} takes a path on this machine, not {shown}: download it first.")


def read_points(words: Sequence[str]) -> list[Point]:
    """Read ``KEY=VALUE``, ``KEY=VALUE@STEP`` and ``KEY{split=val}=VALUE``.

    Raises UsageError for what is none, and for two points of a series at one step.
    """
    found = [_point(word) for word in words]
    taken = set()
    for key, context, _, step in found:
        if step is not None and (key, context, step) in taken:
            raise click.UsageError(f"--metric gives {called(key, context)} twice at step {step}.")
        taken.add((key, context, step))
    return found


def placed(points: Sequence[Point], taken: Mapping[tuple[str, str], Sequence[int]]) -> list[Point]:
    """Return *points* with all their steps; *taken* are those of the series of files.

    One that was given none comes after all that were given before it, on the command line and in the files. Raises
    UsageError where a step would have two values, and where there is none after the last one.
    """
    steps: dict[tuple[str, str], set[int]] = {}
    found = []
    for point in points:
        series = point.key, point.context
        if series not in steps:
            steps[series] = set(taken.get(series, ()))
        there = steps[series]
        step = point.step if point.step is not None else max(there, default=-1) + 1
        if step > _LAST:
            raise click.UsageError(f"There is no step of {called(*series)} after {_LAST}: give one, as in KEY=VALUE@0.")
        if step in there:
            raise click.UsageError(f"There are two values of {called(*series)} at step {step}.")
        there.add(step)
        found.append(point._replace(step=step))
    return found


def _point(word: str) -> Point:
    found = _POINT.fullmatch(word)
    if found is None:
        raise click.UsageError(f"--metric takes KEY=VALUE or KEY=VALUE@STEP, as in loss=0.25@10, not {word!r}.")
    key, context, step = clean_metric(found["key"]), context_label(found["context"]), found["step"]
    try:
        value = read_number(found["value"])
    except OverflowError:
        raise click.UsageError(
            f"The metric {called(key, context)} is too large for a float: {found['value'][:40]}."
        ) from None
    if value is None:
        raise click.UsageError(f"The metric {called(key, context)} must be a number, not {found['value'][:60]!r}.")
    if step is not None and not _STEP.fullmatch(step):
        raise click.UsageError(f"The step of {called(key, context)} must be a whole number, not {step[:60]!r}.")
    return Point(key, context, value, None if step is None else check_step(int(step)))


def read_number(text: str) -> float | None:
    """Return the number that *text* is, also ``nan`` and ``inf``; None where it is none.

    Raises OverflowError for one that is too large: who means infinity writes it.
    """
    try:
        number = float(text)
    except ValueError:
        return None
    if "_" in text or not text.isascii():  # Python's 1_000 and digits of other scripts are nobody else's numbers
        return None
    if math.isinf(number) and "inf" not in text.lower():
        raise OverflowError
    return number


def called(key: str, context: str) -> str:
    """Return a series as it is written: ``loss{split=val}``."""
    return f"{key}{{{context}}}" if context else key
