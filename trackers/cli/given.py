"""What the words of ``trackers log`` mean: params, tags and points. Nothing is opened here."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import click

from trackers.names import clean_metric
from trackers.recorder import check_step, context_label

_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_WORDS = {"true": True, "false": False, "null": None, "True": True, "False": False, "None": None}
"""JSON's words, and Python's, which a script writes."""
_POINT = re.compile(r"(?P<key>[^{}]+?)(?:\{(?P<context>[^{}]*)\})?=(?P<value>[^=@{}]*)(?:@(?P<step>[^=@{}]*))?")
_STEP = re.compile(r"[+-]?[0-9]{1,30}")


class Point(NamedTuple):
    """A point of a metric; without a *step* it comes after those before it."""

    key: str
    context: str
    value: float
    step: int | None


def read_pairs(words: Sequence[str], option: str) -> dict[str, str]:
    """Read ``KEY=VALUE`` words; raises UsageError for one that is none, and for a key that is given twice."""
    pairs: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise click.UsageError(f"{option} takes KEY=VALUE, not {word!r}.")
        if key in pairs:
            raise click.UsageError(f"{option} gives {key} twice.")
        pairs[key] = value
    return pairs


def read_value(text: str) -> Any:
    """Return the number, the boolean or the null that *text* is; else *text*, such as ``007``."""
    if text in _WORDS:
        return _WORDS[text]
    try:
        return json.loads(text) if _NUMBER.fullmatch(text) else text
    except ValueError:  # thousands of digits
        return text


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


def placed(points: Sequence[Point], taken: Mapping[tuple[str, str], set[int]]) -> list[Point]:
    """Return *points* with all their steps; *taken* are those of the series of a file.

    One that was given none comes after all that were given before it, on the command line and in the file. Raises
    UsageError where a step would have two values.
    """
    steps = {series: set(of_file) for series, of_file in taken.items()}
    found = []
    for point in points:
        there = steps.setdefault((point.key, point.context), set())
        step = point.step if point.step is not None else max(there, default=-1) + 1
        if step in there:
            raise click.UsageError(f"There are two values of {called(point.key, point.context)} at step {step}.")
        there.add(step)
        found.append(point._replace(step=step))
    return found


def _point(word: str) -> Point:
    found = _POINT.fullmatch(word)
    if found is None:
        raise click.UsageError(f"--metric takes KEY=VALUE or KEY=VALUE@STEP, as in loss=0.25@10, not {word!r}.")
    key, context, step = clean_metric(found["key"]), context_label(found["context"]), found["step"]
    value = read_number(found["value"])
    if value is None:
        raise click.UsageError(f"The metric {called(key, context)} must be a number, not {found['value']!r}.")
    if step is not None and not _STEP.fullmatch(step):
        raise click.UsageError(f"The step of {called(key, context)} must be a whole number, not {step!r}.")
    return Point(key, context, value, None if step is None else check_step(int(step)))


def read_number(text: str) -> float | None:
    """Return the number that *text* is, also ``nan`` and ``inf``; None where it is none."""
    try:
        return float(text) if "_" not in text else None  # Python's 1_000 is nobody else's number
    except ValueError:
        return None


def called(key: str, context: str) -> str:
    """Return a series as it is written: ``loss{split=val}``."""
    return f"{key}{{{context}}}" if context else key
