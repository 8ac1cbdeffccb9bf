"""What a check of the rows finds wrong."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Flaw:
    """Something that does not hold: *check* names the rule, *where* the rows (for the repair), *problem* is a sentence."""

    check: str
    problem: str
    where: dict[str, Any] = field(default_factory=dict)
