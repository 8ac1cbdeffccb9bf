"""Choices of a categorical param. A choice is told by its type and its value: ``True``, ``1`` and ``1.0`` are three.

A list, tuple or mapping is told by its JSON: ``(50, 50)`` and ``[50, 50]`` are one. Stored, and known to samplers, is
the JSON; an objective is given the very object that it named.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from hpo.errors import SpaceError

Choice = Any
"""What a categorical param chooses from: text, int, float, bool, None, or anything else that JSON can hold."""

Key = tuple[type, Hashable]
"""The identity of a choice."""

PLAIN = (str, int, float, bool, type(None))
NESTED = (list, tuple, dict)


def plain(value: Any, where: str) -> Choice:
    """Return *value* as JSON reads it back: a tuple as a list, numpy's scalars and members of enumerations as plain ones.

    Raises: SpaceError, which begins with *where*, for what JSON cannot hold.
    """
    if type(value) in PLAIN:
        return value
    try:
        return json.loads(json.dumps(value, default=_scalar))
    except (TypeError, ValueError, RecursionError):
        raise SpaceError(
            f"{where}: {value!r:.80} is {_article(type(value).__name__)}, and a choice is text, int, float, bool, None, "
            "or a list or dict of them: name your objects by text and look them up in the objective"
        ) from None


def declared(value: Any, where: str) -> Choice:
    """Return a choice of a declared space: a list, tuple or mapping as it is, anything else as `plain` does.

    Raises: SpaceError, as `plain` does.
    """
    read = plain(value, where)
    return value if type(value) in NESTED else read


def _scalar(value: Any) -> Any:
    if type(value).__module__ == "numpy" and getattr(value, "shape", None) == () and hasattr(value, "item"):
        return value.item()
    raise TypeError


def key(value: Any) -> Key:
    """Return what tells *value* from every other choice; NaN equals itself here."""
    if type(value) is float and value != value:
        return (float, "nan")
    if isinstance(value, NESTED):
        return (list, json.dumps(value, sort_keys=True, default=_scalar))
    return (type(value), value)


def is_one_of(value: Any, choices: Sequence[Any]) -> bool:
    """Tell whether *value* is among *choices* (both as `plain` makes them)."""
    wanted = key(value)
    return any(key(choice) == wanted for choice in choices)


def as_given(value: Any, choices: Sequence[Any]) -> Any:
    """Return the member of *choices*, as a person wrote them, that *value* stands for; *value* where there is none."""
    wanted = key(plain(value, ""))
    return next((choice for choice in choices if key(plain(choice, "")) == wanted), value)


def tuples_in(choices: Sequence[Any]) -> list[int]:
    """Return which of *choices* are tuples, which JSON makes lists of."""
    return [i for i, choice in enumerate(choices) if isinstance(choice, tuple)]


def read_choices(spec: Mapping[str, Any]) -> list[Any]:
    """Return the choices of a distribution's JSON form, tuples where it says that they were tuples."""
    choices = list(spec["attributes"]["choices"])
    for i in spec.get("tuples", ()):
        choices[i] = tuple(choices[i])
    return choices


def _article(word: str) -> str:
    return f"an {word}" if word[:1].lower() in "aeiou" else f"a {word}"
