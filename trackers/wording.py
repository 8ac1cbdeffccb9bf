"""How counts are written in sentences, and how wide a text is."""

from __future__ import annotations

import unicodedata


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return ``"1 trial"``, ``"2 trials"``; *plural* is that of a noun that takes more than an s."""
    return f"{number} {noun}" if number == 1 else f"{number} {plural or noun + 's'}"


def text_width(text: str) -> int:
    """Return how many columns of a terminal *text* takes: East Asian characters take two, combining marks none."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF") for c in text)
