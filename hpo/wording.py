"""Words that messages are made of."""

from __future__ import annotations

import re
import shlex
from typing import Any

from trackers.wording import suggestion as suggestion


def shown(value: Any) -> str:
    """Return *value* as a sentence shows it: at most 60 characters."""
    text = value if isinstance(value, str) and value else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def quoted(word: str) -> str:
    """Return *word* as a shell reads it as one word."""
    return shlex.quote(word) if re.search(r"[^\w@%+=:,./*-]", word) else word
