"""Choices of a categorical param. A choice is told by its type and its value: ``True``, ``1`` and ``1.0`` are three."""

from __future__ import annotations

from typing import Any

from hpo.errors import SpaceError

Choice = str | int | float | bool | None
"""What a categorical param chooses from."""

Key = tuple[type, Any]
"""The identity of a choice."""

PLAIN = (str, int, float, bool, type(None))


def plain(value: Any, where: str) -> Choice:
    """Return *value* as a plain Python scalar; numpy's scalars are turned into theirs.

    Raises: SpaceError, which begins with *where*, for any other type.
    """
    if type(value) in PLAIN:
        return value  # type: ignore[no-any-return]
    if type(value).__module__ == "numpy" and not getattr(value, "shape", None) and hasattr(value, "item"):
        item = value.item()
        if type(item) in PLAIN:
            return item  # type: ignore[no-any-return]
    raise SpaceError(
        f"{where}: {value!r} is {_article(type(value).__name__)}, and a choice is text, int, float, bool or None: "
        "name your objects by text and look them up in the objective"
    )


def key(value: Any) -> Key:
    """Return what tells *value* from every other choice; NaN equals itself here."""
    if type(value) is float and value != value:
        return (float, "nan")
    return (type(value), value)


def _article(word: str) -> str:
    return f"an {word}" if word[:1].lower() in "aeiou" else f"a {word}"
