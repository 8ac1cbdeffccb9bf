"""Conditions: a param with ``when=`` is part of a point only where its parents have the values it names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hpo.choice import Choice, declared
from hpo.errors import SpaceError

When = Mapping[str, Any]
"""``{"optimizer": "sgd"}`` (equal), ``{"optimizer": ["sgd", "rmsprop"]}`` (any of); several names: all of them."""

Condition = dict[str, tuple[Choice, ...]]
"""The same, always as a tuple of values."""


def read_condition(when: When | None, where: str) -> Condition | None:
    """Bring a ``when=`` into its one form; *where* begins the sentence of an error.

    Raises: SpaceError if it is not a mapping of names to values, or names no value.
    """
    if when is None:
        return None
    if not isinstance(when, Mapping) or not when:
        raise SpaceError(
            f"{where}: when= maps the name of another param to its value, as in when={{'optimizer': 'sgd'}}"
        )
    condition: Condition = {}
    for parent, wanted in when.items():
        if not isinstance(parent, str):
            raise SpaceError(f"{where}: when= names {parent!r}, and a param's name is text")
        if isinstance(wanted, set | frozenset):
            wanted = sorted(wanted, key=repr)
        values = tuple(wanted) if isinstance(wanted, list | tuple) else (wanted,)
        if not values:
            raise SpaceError(f"{where}: when= names no value of {parent!r}: give at least one")
        condition[parent] = tuple(declared(value, f"{where}: when={{{parent!r}: ...}}") for value in values)
    return condition


def describe(condition: When) -> str:
    """Say a condition in words: ``optimizer is 'sgd' or 'rmsprop' and layers is 3``."""
    parts = (f"{parent} is {' or '.join(repr(v) for v in values)}" for parent, values in condition.items())
    return " and ".join(parts)
