"""What callers give the registry, as it is kept: names, texts, numbers. Each raises InvalidValueError for another."""

from __future__ import annotations

import json
import operator
from collections.abc import Mapping, Sequence
from typing import Any, SupportsIndex

from trackers.errors import InvalidValueError
from trackers.names import clean_name

_MOST_DIGITS = 1000
"""More than any number has, and as many as Python reads quickly."""
LONGEST_TEXT = 100_000
"""Characters of a description, a tag or a reason."""


def clean_model_name(name: str) -> str:
    name = clean_name(name, "registered model")
    if wrong := set("/@:") & set(name):
        raise InvalidValueError(f"The model name {name!r} may not contain {min(wrong)!r}: models:/NAME@ALIAS uses it.")
    if name in {".", ".."}:
        raise InvalidValueError(f"A model cannot be named {name!r}: in paths and URLs that is a folder.")
    return name


def clean_alias(alias: str) -> str:
    alias = clean_name(alias, "alias")
    if set("/@:") & set(alias) or alias.isdigit() or len(alias.split()) > 1:
        raise InvalidValueError(
            f"The alias {alias!r} must be a word, without spaces, '/', '@' or ':', and not a number."
        )
    return alias


def check_alias_characters(alias: str) -> None:
    """Raise InvalidValueError for an alias that a shell, a list or a page would take for something else."""
    if odd := next((char for char in alias if not (char.isalnum() or char in "_-.")), ""):
        raise InvalidValueError(
            f"The alias {alias!r} may have letters, digits, '_', '-' and '.', and no {odd!r}: take another word."
        )


def new_alias(alias: str) -> str:
    """Return an alias that may be given: not one of the words that mean something else."""
    alias = clean_alias(alias)
    if alias.lower() in ("none", "latest") or not any(c.isalnum() for c in alias):
        raise InvalidValueError(
            f"The alias {alias!r} must be another word, with a letter in it: `--expect none` is no alias, and "
            "models:/NAME is the latest version."
        )
    return alias


VersionNumber = SupportsIndex | str
"""The number of a version: an integer, also of NumPy, or its digits."""


def clean_version(version: VersionNumber) -> int:
    number = number_of(version)
    if number is None or not 0 < number < 2**31:
        raise InvalidValueError(f"A version is a number such as 3, not {version!r:.80}.")
    return number


def number_of(version: object) -> int | None:
    """Return the number that *version* is or writes, None where it is another word or value."""
    if isinstance(version, str):
        return int(version[:_MOST_DIGITS]) if version.isascii() and version.isdigit() else None
    if isinstance(version, bool) or not isinstance(version, SupportsIndex):
        return None
    try:
        return operator.index(version)
    except TypeError:  # an array, say
        return None


def clean_text(text: str, what: str) -> str:
    """Return a text that every database can hold. Raises InvalidValueError."""
    if not isinstance(text, str):
        raise InvalidValueError(f"A {what} is text, not {type(text).__name__}.")
    if len(text) > LONGEST_TEXT:
        raise InvalidValueError(f"A {what} may have {LONGEST_TEXT} characters, not {len(text)}.")
    if "\0" in text or any("\ud800" <= c <= "\udfff" for c in text):
        raise InvalidValueError(f"A {what} may hold no NUL and no half of a character: {text[:80]!r}.")
    return text


def lineage_of(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return what JSON makes of *value*. Raises InvalidValueError."""
    try:
        return dict(json.loads(json.dumps(value)))
    except (TypeError, ValueError, RecursionError) as exc:
        raise InvalidValueError(f"A lineage is what JSON can hold: {exc}.") from None


def clean_number(key: str, value: Any) -> float:
    if isinstance(value, str | bytes | list | tuple) or getattr(value, "ndim", 0) != 0:
        raise InvalidValueError(f"The metric {key!r} must be a number, not {value!r:.60}.")
    return clean_numbers(key, value)[0]


def clean_numbers(key: str, value: float | Sequence[float]) -> tuple[float, ...]:
    if getattr(value, "ndim", 0) and hasattr(value, "tolist"):
        value = value.tolist()  # an array, a series or a tensor
    try:
        numbers = tuple(float(one) for one in (value if isinstance(value, list | tuple) else [value]))  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        raise InvalidValueError(
            f"The figure {key!r} must be a number, or a list of numbers, not {value!r:.60}."
        ) from None
    if not numbers:
        raise InvalidValueError(f"The figure {key!r} has no value.")
    return numbers
