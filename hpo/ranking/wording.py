"""How numbers, times and params are written in tables, for people."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from trackers.states import RunState
from trackers.wording import text_width

NONE = "–"


def number(value: float | None, digits: int = 5) -> str:
    """Write *value* with *digits* significant digits, and an exponent only where it helps."""
    if value is None:
        return NONE
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("inf" if value > 0 else "-inf")
    if float(value).is_integer() and abs(value) < 10**9:
        return str(int(value))
    size = abs(float(value))
    if not 1e-4 <= size < 1e7:
        mantissa, exponent = f"{value:.{max(0, digits - 2)}e}".split("e")
        mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
        return f"{mantissa}e{int(exponent)}"
    places = max(0, digits - 1 - math.floor(math.log10(size)))
    text = f"{value:.{places}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def telling_digits(values: Iterable[float], least: int = 5, most: int = 10) -> int:
    """Return with how many digits different *values* that stand in one column look different, as far as *most* go."""
    apart = {value for value in values if math.isfinite(value)}
    for digits in range(least, most):
        if len({number(value, digits) for value in apart}) == len(apart):
            return digits
    return most if len(apart) > 1 else least


def seconds(value: float | None) -> str:
    """Write a length of time given in seconds."""
    if value is None or not math.isfinite(value):
        return NONE
    if value < 0.9995:
        return f"{value * 1000:.0f} ms"
    if value < 59.95:
        return f"{value:.1f} s"
    whole = round(value)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 48 * 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole / 86400:.1f} days"


def percent(share: float) -> str:
    """Write a share of the whole."""
    return f"{share:.0%}" if share >= 0.01 or share == 0 else "< 1%"


def param(value: Any) -> str:
    """Write a param's value."""
    if isinstance(value, bool) or value is None:
        return str(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return number(value)
    if isinstance(value, str):
        return plain(value)
    return plain(json.dumps(value, ensure_ascii=False, default=str))


def params(values: Mapping[str, Any]) -> str:
    """Write params on one line."""
    return ", ".join(f"{plain(name)}={param(value)}" for name, value in values.items())


def plain(text: str) -> str:
    """Replace what would break a line or steer a terminal by a visible dot."""
    return "".join(c if c.isprintable() else "·" for c in text)


def padded(text: str, length: int, *, right: bool = False) -> str:
    """Fill *text* with spaces to *length* columns, those in front of it where it stands flush *right*."""
    space = " " * (length - text_width(text))
    return space + text if right else text + space


def short(text: str, length: int) -> str:
    """Cut *text* to *length* columns, the last of them an ellipsis where something was cut."""
    clean = plain(text)
    if text_width(clean) <= length:
        return clean
    kept = clean[: max(1, length - 1)]
    while len(kept) > 1 and text_width(kept) >= length:
        kept = kept[:-1]
    return kept.rstrip() + "…"


def wrapped(text: str, length: int) -> list[str]:
    """Break *text* into lines of *length* columns, at spaces where there are any."""
    lines, line = [], ""
    for word in plain(text).split(" "):
        longer = f"{line} {word}" if line else word
        if text_width(longer) <= length:
            line = longer
            continue
        if line:
            lines.append(line)
        while text_width(word) > length:
            head = word[:length]
            while text_width(head) > length:
                head = head[:-1]
            lines.append(head)
            word = word[len(head) :]
        line = word
    return [*lines, line]


def squeezed(text: str, length: int) -> str:
    """Cut *text* to *length* characters in its middle, since choices often differ at their end."""
    clean = plain(text)
    if len(clean) <= length:
        return clean
    tail = (length - 1) // 2
    return f"{clean[: length - 1 - tail]}…{clean[len(clean) - tail :]}"


def count(amount: int, noun: str, plural: str = "") -> str:
    """Write an amount with its noun: ``1 trial``, ``2,000 trials``."""
    return f"{amount:,} {noun if amount == 1 else plural or noun + 's'}"


STATE_WORDS = {
    RunState.COMPLETE: "completed",
    RunState.PRUNED: "pruned",
    RunState.FAIL: "failed",
    RunState.RUNNING: "running",
    RunState.WAITING: "waiting",
}


def states(counts: Mapping[RunState, int]) -> str:
    """Write how many trials are in which state: ``22 completed, 36 pruned``."""
    return ", ".join(f"{counts[state]:,} {word}" for state, word in STATE_WORDS.items() if counts.get(state))
