"""The values of a filter: read from their tokens, and checked against the field they stand beside."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from trackers.errors import FilterError
from trackers.query.fields import MILLISECONDS, STATE_ALIASES, Field
from trackers.query.nodes import Literal
from trackers.query.tokens import Token, unquote
from trackers.states import RunState
from trackers.wording import closest

LONGEST_PATTERN = 10_000
"""The longest pattern of ``like``, in characters (SQLite refuses one of 50,000 bytes)."""

EPOCH = datetime.fromtimestamp(0, UTC)
_FIRST = (datetime.min.replace(tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)
_LAST = (datetime.max.replace(tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)

_Fail = Callable[[str], FilterError]
_WORDS: dict[str, Literal] = {
    "true": True,
    "false": False,
    "nan": float("nan"),
    "inf": float("inf"),
    "infinity": float("inf"),
}
MOST_DIGITS = 40
"""Of an integer, which is more than UUIDs have; a longer one is compared as a double."""


def read_literal(token: Token, text: str) -> Literal:
    """Return the value that *token* writes. Raises FilterError."""
    if token.kind == "string":
        return unquote(token.text)
    if token.kind == "number":
        digits = token.text.lstrip("+-")
        if digits.isdecimal() and len(digits) <= MOST_DIGITS:
            return int(token.text)
        return _float(token.text)
    if token.lower in _WORDS and token.quoted is None:
        return _WORDS[token.lower]
    if token.lower in {"null", "none"}:
        raise FilterError(
            f"{token.text} is no value: write is null, or is not null", text, token.position, len(token.text)
        )
    if token.is_keyword:
        raise FilterError(
            "a value is expected here: a number, or text in quotes", text, token.position, len(token.text)
        )
    raise FilterError(f"text stands in quotes: write '{token.text[:64]}'", text, token.position, len(token.text))


def _float(text: str) -> Literal:
    number = float(text)
    return number if number == number else _WORDS["nan"]  # one nan, so that equal filters are equal trees


def check_literal(field: Field, op: str, value: Literal, token: Token, text: str, name: str) -> Literal:
    """Return *value* as *field* compares it: states as their name, times in microseconds since the epoch.

    *name* is the attribute's name as written. Raises FilterError where the two cannot be compared.
    """

    def fail(message: str) -> FilterError:
        return FilterError(message, text, token.position, len(token.text))

    ordered = op not in {"=", "!=", "in"}
    if ordered and value != value:
        raise fail("nan has no order: write = nan, or != nan")
    if field.holds == "state":
        return _state(value, ordered, fail)
    if field.holds == "time":
        return _time(value, name, fail)
    if field.holds == "number" and (isinstance(value, str | bool)):
        what = "metrics are numbers" if field.kind == "metric" else f"{field} is a number"
        raise fail(f"{what}: write one, without quotes")
    if field.holds == "text" and not isinstance(value, str):
        what = "tags are text" if field.kind == "tag" else f"{field} is text"
        raise fail(f"{what}: put the value in quotes, as in '{token.text[:64]}'")
    if ordered and isinstance(value, bool):
        raise fail("true and false have no order: write = or !=")
    return value


def _state(value: Literal, ordered: bool, fail: _Fail) -> Literal:
    if ordered:
        raise fail("states have no order: use = != in, as in attributes.state in ('COMPLETE', 'PRUNED')")
    word = value.upper() if isinstance(value, str) else ""
    word = STATE_ALIASES.get(word, word)
    if word not in RunState.__members__:
        guess = closest(word, [*RunState.__members__, *STATE_ALIASES])
        names = ", ".join(RunState.__members__)
        raise fail(f"this is no state{f'; did you mean {guess!r}?' if guess else f': there are {names}'}")
    return word


def _time(value: Literal, name: str, fail: _Fail) -> Literal:
    """Return a time as integer microseconds since 1970; one outside the years 1 to 9999 is the nearest in them."""
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value.strip())
            moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        except (ValueError, OverflowError):
            raise fail(
                "this is no time: write it as '2026-01-31' or '2026-01-31T12:30:00' (UTC), or as seconds since 1970"
            ) from None
        return (moment - EPOCH) // timedelta(microseconds=1)
    if isinstance(value, bool) or value != value:
        raise fail("a time is text such as '2026-01-31', or a number of seconds since 1970")
    scaled = value * (1_000 if name in MILLISECONDS else 1_000_000)
    return int(max(_FIRST, min(_LAST, scaled)))
