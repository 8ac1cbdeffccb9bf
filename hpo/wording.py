"""Words that messages are made of."""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Iterable
from typing import Any


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean X?"`` for the known word nearest to *word*, or nothing."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""


def shown(value: Any) -> str:
    """Return *value* as a sentence shows it: at most 60 characters."""
    text = value if isinstance(value, str) and value else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def quoted(word: str) -> str:
    """Return *word* as a shell reads it as one word."""
    return shlex.quote(word) if re.search(r"[^\w@%+=:,./*-]", word) else word
