"""How much better something must be, as people write it: ``0.005``, or ``5%`` of what there is."""

from __future__ import annotations

import math
from typing import Any

import click


class Margin(click.ParamType[float]):
    """The type of an option that takes a gain in the unit of the metric."""

    name = "X"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read *value*; a percentage is refused, since a metric of 0 to 1 could mean either by it."""
        number = _number(value)
        if number is None and _percentage(value) is not None:
            self.fail(f"a margin is in the unit of the metric: write --relative {value}.", param, ctx)
        if number is None:
            self.fail(f"{value!r} is no number: write one such as 0.005.", param, ctx)
        return number


class Part(click.ParamType[float]):
    """The type of an option that takes a part of a value: a number from 0 to below 1, or a percentage."""

    name = "PART"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read *value*; a number from 1 on, by which a percentage may be meant, is refused."""
        percentage, number = _percentage(value), _number(value)
        if percentage is not None:
            return percentage / 100
        if number is None:
            self.fail(f"{value!r} is no part of a value: write one such as 5% or 0.05.", param, ctx)
        if number >= 1:
            here, whole = f"{number:g}", f"{number * 100:g}%"
            self.fail(f"{here} would be {whole} of the value: write {here}%, or {whole} where it is meant.", param, ctx)
        return number


def _percentage(value: Any) -> float | None:
    return _number(value.strip()[:-1]) if isinstance(value, str) and value.strip().endswith("%") else None


def _number(value: Any) -> float | None:
    """Return *value* as a number, None where it is none that a gain could reach."""
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
