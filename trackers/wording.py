"""How counts, uids and URLs are written, how wide a text is, and which word was meant."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return ``"1 trial"``, ``"2 trials"``; *plural* is that of a noun that takes more than an s."""
    return f"{number} {noun}" if number == 1 else f"{number} {plural or noun + 's'}"


def text_width(text: str) -> int:
    """Return how many columns of a terminal *text* takes: East Asian characters take two, combining marks none."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF") for c in text)


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean X?"`` for the known word nearest to *word*, or nothing."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""


def without_password(url: str) -> str:
    """Return *url* to be shown: ``***`` stands for its password, which may hold ``@`` and ``/``."""
    return re.sub(r"(://[^/@:]*):.*@", r"\1:***@", url)


def without_credentials(url: str) -> str:
    """Return *url* to be shown without user and password: of a bucket, a remote or a server either may be a secret."""
    return re.sub(r"(?<=://)(?:[^/@:]*:.*|[^/]*)@", "", url)


def short_uid(uid: str) -> str:
    """Return the first 16 of the 32 hex digits of *uid*, which every command takes for it.

    They hold the time of a UUIDv7 to the quarter of a microsecond. All 32 where they look like a number, which a
    command would take for an id.
    """
    beginning = uid[:16]
    return uid if beginning.isdigit() else beginning
