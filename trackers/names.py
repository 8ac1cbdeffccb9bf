"""Names that people give: NFC, no control characters, bounded, equal on every database."""

from __future__ import annotations

import unicodedata

from trackers.errors import InvalidValueError

LONGEST = 250
BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Marks that change the direction of writing: two names that look the same would differ by them."""
_OVERRIDING = BIDI - frozenset("\u061c\u200e\u200f")
"""Those that turn round what follows; the others stand in ordinary Hebrew and Arabic."""


def clean_name(name: object, what: str = "name") -> str:
    """Return *name* in its normal form (NFC).

    *what* says what is named ("study", "param", ...) in the message. Raises InvalidValueError when *name* is not
    text, is empty, holds a control or bidi character, a lone surrogate or a space at an end, or is over 250 characters
    long.
    """
    if not isinstance(name, str):
        raise InvalidValueError(f"the name of {_article(what)} {what} must be text, not {type(name).__name__}")
    if name.isascii() and name.isprintable():
        clean = name
    else:
        clean = unicodedata.normalize("NFC", name)
        if char := odd_character(clean):
            raise InvalidValueError(
                f"the name of {_article(what)} {what} may not hold the character {char!r}: {name!r}"
            )
    if not clean or clean != clean.strip():
        raise InvalidValueError(
            f"the name of {_article(what)} {what} may not be empty or start or end with a space: {name!r}"
        )
    if len(clean) > LONGEST:
        raise InvalidValueError(
            f"the name of {_article(what)} {what} may have {LONGEST} characters, not {len(clean)}: {clean[:40]}..."
        )
    return clean


def odd_character(name: str) -> str:
    """Return the first character of *name* that no name may hold, '' where there is none."""
    odd = (char for char in name if char in _OVERRIDING or unicodedata.category(char) in {"Cc", "Cs", "Zl", "Zp"})
    return next(odd, "")


def clean_title(name: object, what: str) -> str:
    """Return the name of what goes by it in paths and URLs, such as a study, likewise: no ``.`` or ``..``, no slash."""
    clean = clean_name(name, what)
    if "/" in clean:
        raise InvalidValueError(
            f"the name of {_article(what)} {what} may not hold a slash, since trials are written STUDY/17: {clean!r}"
        )
    if clean in {".", ".."}:
        raise InvalidValueError(f"the name of {_article(what)} {what} may not be {clean!r}: paths and URLs use it")
    return clean


def clean_metric(name: object) -> str:
    """Return the key of a metric in its normal form.

    Raises InvalidValueError as ``clean_name`` does, and for one that ends as a context is written: ``loss{split=val}``.
    """
    clean = clean_name(name, "metric")
    if clean[-1] == "}" and "{" in clean:
        key, _, context = clean[:-1].partition("{")
        raise InvalidValueError(
            f"the name of a metric may not end in braces, which is how a context is written: {clean!r}; give "
            f"context={context!r} with the metric {key!r}"
        )
    return clean


def _article(word: str) -> str:
    return "an" if word[:1] in "aeiou" else "a"


def tidy_context(text: str) -> str:
    """Return the context of a metric in the one form in which it is stored and searched: ``fold=1,split=val``.

    Spaces and quotes around its names and values go, and its pairs stand in the order of their names.
    """
    text = text if text.isascii() else unicodedata.normalize("NFC", text)
    pairs: list[list[str]] = []
    for part in text.split(","):
        name, equals, value = part.partition("=")
        if equals or not pairs:
            pairs.append([name.strip(), value] if equals else [part])
        else:
            pairs[-1][-1] += f",{part}"  # without a name it goes on with the last value
    for pair in pairs:
        pair[-1] = _unquoted(pair[-1])
    return ",".join("=".join(pair) for pair in sorted(pairs, key=lambda pair: pair[0]))


def _unquoted(value: str) -> str:
    value = value.strip()
    while len(value) > 1 and value[0] == value[-1] and value[0] in "'\"`":
        value = value[1:-1].strip()
    return value
