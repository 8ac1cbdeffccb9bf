"""Names of params."""

from __future__ import annotations

from typing import Any

from hpo.errors import SpaceError
from hpo.wording import shown
from trackers.errors import InvalidValueError
from trackers.names import clean_name


def check_name(name: Any) -> str:
    """Return *name* if a param may have it.

    Raises: SpaceError unless it is text in NFC form that the store takes for a name (``trackers.names.clean_name``).
    """
    try:
        clean = clean_name(name, "param")
    except InvalidValueError as exc:
        raise SpaceError(f"{shown(name)} cannot name a param: {exc}") from None
    if clean != name:
        raise SpaceError(
            f"{shown(name)} cannot name a param: its accents are separate characters, write it in NFC form"
        )
    return str(name)
