"""What the caller of a load chose to trust."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from trackers.errors import InvalidValueError


@dataclass(frozen=True, slots=True)
class Trust:
    """Everything in the artifact, or the types with these full names, or (both empty) nothing beyond our own list.

    It is made from the caller's argument only: nothing that an artifact says widens it.
    """

    everything: bool = False
    names: frozenset[str] = frozenset()

    @classmethod
    def of(cls, trust: bool | str | Sequence[str] | Trust) -> Trust:
        """Read the ``trust=`` argument: True, False, the full name of a type, or several."""
        if isinstance(trust, Trust):
            return trust
        if isinstance(trust, bool):
            return cls(everything=trust)
        names = [trust] if isinstance(trust, str) else list(trust) if isinstance(trust, Iterable) else [trust]
        if not all(isinstance(name, str) and name for name in names):
            raise InvalidValueError('trust must be True, False or full names of types, such as ["mypkg.MyType"].')
        return cls(names=frozenset(names))

    def allows(self, name: str) -> bool:
        """Tell whether the type with the full name *name* is trusted."""
        return self.everything or name in self.names
