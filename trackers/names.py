"""Names that people give: NFC, no control characters, bounded, equal on every database."""

from __future__ import annotations

import unicodedata

from trackers.errors import InvalidValueError

LONGEST = 250


def clean_name(name: object, what: str = "name") -> str:
    """Return *name* in its normal form (NFC).

    *what* says what is named ("study", "param", ...) in the message. Raises InvalidValueError when *name* is not
    text, is empty, holds a control character, a lone surrogate or a space at an end, or is over 250 characters long.
    """
    if not isinstance(name, str):
        raise InvalidValueError(f"the name of {_article(what)} {what} must be text, not {type(name).__name__}")
    if name.isascii() and name.isprintable():
        clean = name
    else:
        clean = unicodedata.normalize("NFC", name)
        for char in clean:
            if unicodedata.category(char) in {"Cc", "Cs", "Zl", "Zp"}:
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


def _article(word: str) -> str:
    return "an" if word[:1] in "aeiou" else "a"
