"""How counts are written in sentences."""

from __future__ import annotations


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return ``"1 trial"``, ``"2 trials"``; *plural* is that of a noun that takes more than an s."""
    return f"{number} {noun}" if number == 1 else f"{number} {plural or noun + 's'}"
