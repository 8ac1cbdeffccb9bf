"""The direction of an objective: a word that equals Optuna's enumeration too, without Optuna being imported."""

from __future__ import annotations


class Direction(str):
    """``"minimize"`` or ``"maximize"``; equal to the text, and to Optuna's ``StudyDirection`` of that name.

    >>> Direction("maximize") == "maximize"
    True
    """

    __slots__ = ()

    @property
    def name(self) -> str:
        """The name of the member of Optuna's enumeration."""
        return self.upper()

    def __eq__(self, other: object) -> bool:
        if isinstance(other, str):
            return str.__eq__(self, other)
        if type(other).__name__ == "StudyDirection":
            return bool(getattr(other, "name", None) == self.name)
        return NotImplemented

    def __ne__(self, other: object) -> bool:
        equal = self.__eq__(other)
        return equal if equal is NotImplemented else not equal

    __hash__ = str.__hash__
