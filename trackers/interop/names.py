"""Names of other tools, as they are taken here."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Callable

from trackers.errors import InvalidValueError
from trackers.names import LONGEST, clean_name


def fit(name: str, what: str, check: Callable[[str], str] | None = None) -> str:
    """Return a name that we take for another tool's *name*: the same, or one with what is refused taken out.

    A name that had to change ends with a digest of the first one, so that no two become one. *check* raises
    InvalidValueError for a name that does not serve.
    """
    taken = check or (lambda text: clean_name(text, what))
    try:
        if taken(name) == name:
            return name
    except InvalidValueError:
        pass
    mark = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    plain = "".join(char if _is_plain(char) else "_" for char in unicodedata.normalize("NFC", name[:LONGEST]))
    return taken(f"{plain.strip(' ._')[: LONGEST - 10].strip()}~{mark}".lstrip())


def _is_plain(char: str) -> bool:
    return char == " " or (char not in '/\\:#%@{}"' and unicodedata.category(char)[0] not in ("C", "Z"))
