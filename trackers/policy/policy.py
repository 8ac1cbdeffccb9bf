"""A policy, and what it said about a version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from trackers.policy.rule import Rule


@dataclass(frozen=True, slots=True)
class Policy:
    """A named rule. *model* None: for every model; *alias* None: for every alias. A change is its next *version*."""

    name: str
    version: int
    rule: Rule
    model: str | None
    alias: str | None
    created_at: datetime
    created_by: str
    description: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """What a policy says: whether it *holds*, one sentence, and the *figures* behind it (JSON).

    *forcible* is false for a rule that force does not overcome.
    """

    policy: str
    version: int
    rule: str
    holds: bool
    says: str
    figures: Mapping[str, Any] = field(default_factory=dict)
    forcible: bool = True

    def as_json(self) -> dict[str, Any]:
        """Return it as a line of history holds it."""
        return {
            "policy": self.policy,
            "version": self.version,
            "rule": self.rule,
            "holds": self.holds,
            "says": self.says,
            "figures": dict(self.figures),
        }
