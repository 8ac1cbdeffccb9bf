"""Names of params, and what was probably meant by one that is not there."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable
from typing import Any

from hpo.errors import SpaceError

LONGEST = 250
"""Characters in the name of a param, at most."""


def check_name(name: Any) -> str:
    """Return *name* if a param may have it.

    Raises: SpaceError unless it is text in NFC form of 1 to ``LONGEST`` characters, none of them a control character.
    """
    if not isinstance(name, str):
        raise SpaceError(f"{name!r} cannot name a param: a name is text, this is {type(name).__name__}")
    if not name.strip():
        raise SpaceError(f"{name!r} cannot name a param: give it at least one visible character")
    if len(name) > LONGEST:
        raise SpaceError(f"{name[:40]!r}... cannot name a param: it has {len(name)} characters, {LONGEST} is the most")
    if any(unicodedata.category(c) in ("Cc", "Cs") for c in name):
        raise SpaceError(f"{name!r} cannot name a param: it holds a control character, take it out")
    if unicodedata.normalize("NFC", name) != name:
        raise SpaceError(f"{name!r} cannot name a param: its accents are separate characters, write it in NFC form")
    return str(name)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``": did you mean 'optimizer'?"`` where a known name is close to *word*, else the empty text."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f": did you mean {close[0]!r}?" if close else ""
