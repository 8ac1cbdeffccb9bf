"""A length of time as people write it: ``7d``, ``12h``, ``30m``, ``45s``."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import click

_FORM = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw]?)")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class Duration(click.ParamType[timedelta]):
    """The type of an option that takes a length of time."""

    name = "TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Read *value*; a bare 0 needs no unit."""
        if isinstance(value, timedelta):
            return value
        match = _FORM.fullmatch(str(value).strip().lower())
        if match is None or (not match[2] and float(match[1])):
            self.fail(f"{value!r} is not a length of time: write 7d, 12h, 30m or 45s", param, ctx)
        try:
            return timedelta(**{_UNITS[match[2] or "s"]: float(match[1])})
        except OverflowError:
            self.fail(f"{value!r} is too long", param, ctx)
