"""A model's signature: what it takes and what it gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trackers.errors import InvalidValueError
from trackers.models.conform import conform
from trackers.models.schema import check_schema, describe_fully, in_words


@dataclass(frozen=True, slots=True)
class Signature:
    """The schemas of a model's *input* and *output*, as ``trackers.models.schema`` writes them; None: not known."""

    input: Mapping[str, Any] | None = None
    output: Mapping[str, Any] | None = None

    @classmethod
    def infer(cls, input: Any, output: Any = None) -> Signature:
        """Read a signature from an example of the input and of what the model gives for it.

        Arrays, frames, Arrow tables, lists and lists of dicts; ``{"x": array, ...}`` for a model of several inputs.
        """
        return cls(_schema(input), None if output is None else _schema(output))

    @classmethod
    def of(cls, given: Signature | Mapping[str, Any]) -> Signature:
        """Read the ``signature=`` argument: a Signature, or ``{"input": schema, "output": schema}``."""
        if isinstance(given, Mapping) and given.keys() <= {"input", "output"}:
            given = cls(given.get("input"), given.get("output"))
        if not isinstance(given, Signature):
            raise InvalidValueError(
                "signature must be trackers.models.Signature.infer(X, predictions), or a mapping with input and output."
            )
        return cls(*(None if schema is None else check_schema(schema) for schema in (given.input, given.output)))

    def __str__(self) -> str:
        return f"{in_words(self.input)} -> {in_words(self.output)}"


def _schema(data: Any) -> dict[str, Any]:
    return describe_fully(conform(data, None))
