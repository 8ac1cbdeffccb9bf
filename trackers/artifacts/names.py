"""Which names a file of a run or model may have.

A name is what people see; it is looked up in a table and never joined to a path of the artifact store. It is checked
all the same, because a download writes it below a folder of the caller's choice, on any operating system.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from trackers.errors import InvalidValueError
from trackers.names import BIDI

MAX_NAME_BYTES = 1000
MAX_PART_BYTES = 255
LEFT_BY_MLFLOW = frozenset({"registered_model_meta"})
"""What MLflow adds to the folder of a model that it fetched from its registry."""
_FORBIDDEN = {"\\": "a backslash", ":": "a colon", "#": "a number sign", "%": "a percent sign"}
_INVISIBLE = frozenset({"Cc", "Cs", "Zl", "Zp"})


def check_name(name: str) -> str:
    """Return *name* in Unicode's NFC form, or raise ``InvalidValueError`` with what is wrong with it.

    Parts are divided by ``/``; no part may be empty, ``.`` or ``..``, start or end with a space; no control or bidi
    characters, no backslash, colon, ``#`` or ``%``; at most 1000 bytes of UTF-8 in all, 255 a part.
    """
    if not isinstance(name, str):
        raise InvalidValueError(f"An artifact's name must be text, not {type(name).__name__}.")
    if len(name) > MAX_NAME_BYTES:
        raise InvalidValueError(
            f"The artifact name {name[:40]!r}... is longer than {MAX_NAME_BYTES} bytes: shorten it."
        )
    name = unicodedata.normalize("NFC", name)
    if wrong := _wrong_character(name) or _wrong_part(name):
        shown = name if len(name) <= 80 else name[:80] + "..."
        raise InvalidValueError(f"The artifact name {shown!r} {wrong}: use a relative name such as 'plots/loss.png'.")
    return name


def check_tree(names: Iterable[str]) -> None:
    """Raise InvalidValueError where two of *names* are the same, or one would be a file and a folder of the run."""
    taken: set[str] = set()
    for name in names:
        if name in taken:
            raise InvalidValueError(f"two files would be called {name!r}: give one of them another name")
        taken.add(name)
    folders = {name[:place] for name in taken for place, char in enumerate(name) if char == "/"}
    if both := taken & folders:
        raise InvalidValueError(f"{min(both)!r} would be both a file and a folder of the run: give another name")


def _wrong_character(name: str) -> str:
    for char in name:
        if char in _FORBIDDEN:
            return f"contains {_FORBIDDEN[char]}"
        if char in BIDI or unicodedata.category(char) in _INVISIBLE:
            return f"contains the character U+{ord(char):04X}"
    return ""


def _wrong_part(name: str) -> str:
    if not name:
        return "is empty"
    if len(name.encode()) > MAX_NAME_BYTES:
        return f"is longer than {MAX_NAME_BYTES} bytes"
    if name.startswith("/"):
        return "is absolute"
    for part in name.split("/"):
        if not part:
            return "has an empty part"
        if part in (".", ".."):
            return f"has the part {part!r}"
        if part != part.strip():
            return "has a part that starts or ends with a space"
        if len(part.encode()) > MAX_PART_BYTES:
            return f"has a part longer than {MAX_PART_BYTES} bytes"
    return ""
