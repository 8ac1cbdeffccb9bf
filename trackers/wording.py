"""How counts are written in sentences."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """Return ``"1 trial"``, ``"2 trials"``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
