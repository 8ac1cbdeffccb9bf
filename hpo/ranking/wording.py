"""How numbers, times and params are written in tables, for people."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from trackers.states import RunState
from trackers.wording import cut

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


def telling_digits(values: Iterable[float]) -> int:
    """Return with how many digits, 5 to 10, different *values* that stand in one column look different."""
    apart = {value for value in values if math.isfinite(value)}
    for digits in range(5, 10):
        if len({number(value, digits) for value in apart}) == len(apart):
            return digits
    return 10 if len(apart) > 1 else 5


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


def short(text: str, length: int) -> str:
    """Cut *text* to *length* columns, on one line."""
    return cut(plain(text), length)


def squeezed(text: str, length: int) -> str:
    """Cut *text* to *length* characters in its middle, since choices often differ at their end."""
    clean = plain(text)
    if len(clean) <= length:
        return clean
    tail = (length - 1) // 2
    return f"{clean[: length - 1 - tail]}…{clean[len(clean) - tail :]}"


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
