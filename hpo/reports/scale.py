"""Where values stand on an axis: robust limits, params of any kind as positions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hpo.ranking import wording


@dataclass(frozen=True, slots=True)
class Limits:
    """The part of a value axis that is worth its space; *beyond* counts the values outside."""

    low: float
    high: float
    log: bool = False
    beyond: int = 0

    def holds(self, value: float) -> bool:
        """Tell whether *value* is inside."""
        return self.low <= value <= self.high


def limits(values: Sequence[float], direction: str) -> Limits:
    """Return limits that show the good end of finite *values* whole and cut hopeless outliers off.

    The bad end is cut one span behind the value that nine tenths are better than, where something lies beyond.
    Positive values over more than three decades get a logarithmic axis and nothing is cut.
    """
    ordered = sorted(values)
    low, high = ordered[0], ordered[-1]
    if len(ordered) >= 4 and ordered[0] > 0.0 and high / max(low, 1e-300) > 1e3:
        return Limits(low / 1.3, high * 1.3 if high < 1e300 else high, log=True)
    last = len(ordered) - 1
    slack = 1.0 if last >= 10 else 6.0  # of a few values none is easily spared
    if direction == "maximize":
        bad = ordered[last - math.floor(0.9 * last)]
        low = max(low, bad - slack * (high - bad))
    else:
        bad = ordered[math.floor(0.9 * last)]
        high = min(high, bad + slack * (bad - low))
    width = high - low
    pad = 0.06 * width if width > 0.0 else max(abs(high) * 0.05, 1e-12)
    if not math.isfinite(width):
        low, high, pad = low / 4, high / 4, 0.0
    outside = sum(not low - pad <= value <= high + pad for value in ordered)
    return Limits(low - pad, high + pad, beyond=outside)


@dataclass(frozen=True)
class ParamAxis:
    """The values that a param took or could take, as positions.

    Numbers stand where they are (``log`` tells the scale); anything else stands at the index of its choice.
    """

    name: str
    numeric: bool
    log: bool = False
    low: float = 0.0
    high: float = 1.0
    whole: bool = False
    choices: tuple[str, ...] = ()

    def position(self, value: Any) -> float:
        """Return where *value* stands; NaN for what is no value of the param."""
        if self.numeric:
            return float(value) if _is_number(value) and math.isfinite(value) else math.nan
        word = choice(value)
        return float(self.choices.index(word)) if word in self.choices else math.nan

    def fraction(self, value: Any) -> float:
        """Return where *value* stands between the ends, 0.0 to 1.0; NaN for what is no value of the param."""
        place = self.position(value)
        if not self.numeric:
            return 0.5 if len(self.choices) < 2 else place / (len(self.choices) - 1)
        low, high = self.low, self.high
        if self.log:
            if not place > 0.0:
                return math.nan
            place, low, high = math.log(place), math.log(low), math.log(high)
        return 0.5 if high <= low else (place - low) / (high - low)


def choice(value: Any) -> str:
    """Return the word for a choice; the number 1 and the text "1" share one."""
    return wording.param(value)


def param_axis(name: str, spec: Mapping[str, Any], values: Iterable[Any]) -> ParamAxis:
    """Return the axis of a param from its distribution (Optuna's JSON form; may be empty) and the *values* it took."""
    taken = list(values)
    attributes = spec.get("attributes") or {}
    if "choices" in attributes or not all(_is_number(value) for value in taken):
        words = dict.fromkeys(choice(value) for value in attributes.get("choices") or ())
        words |= dict.fromkeys(sorted({choice(value) for value in taken} - set(words)))
        return ParamAxis(name, numeric=False, choices=tuple(words))
    finite = [float(value) for value in taken if math.isfinite(value)]
    ends = [float(attributes[end]) for end in ("low", "high") if _is_number(attributes.get(end))]
    seen = finite + ends or [0.0, 1.0]
    low, high = min(seen), max(seen)
    log = bool(attributes.get("log")) and low > 0.0
    whole = all(isinstance(value, int) for value in taken)
    return ParamAxis(name, numeric=True, log=log, low=low, high=high, whole=whole)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def even(items: Sequence[Any], most: int) -> list[Any]:
    """Return at most *most* of *items*, evenly chosen, the first one among them."""
    if len(items) <= most:
        return list(items)
    return [items[index * len(items) // most] for index in range(most)]
