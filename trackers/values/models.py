"""What a store hands out of models and the registry."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class LoggedModel:
    """A model that a run saved. *manifest* is the content of its ``model.json``; *files* maps names to digests."""

    uid: str
    run_id: int
    name: str
    flavor: str
    manifest: Mapping[str, Any]
    files: Mapping[str, str]
    size: int
    created_at: datetime
    step: int | None = None
    value: float | None = None
    deleted_at: datetime | None = None
    deleted_why: str = ""


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """An immutable version of a registered model, with what it came from."""

    name: str
    version: int
    model_uid: str
    run_id: int | None
    source: str
    created_at: datetime
    created_by: str
    description: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    lineage: Mapping[str, Any] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RegisteredModel:
    """A name in the registry, its aliases (alias -> version) and its newest version (0: none)."""

    name: str
    created_at: datetime
    description: str = ""
    aliases: Mapping[str, int] = field(default_factory=dict)
    latest: int = 0
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Alias:
    """A name that points at a version, and what it is for."""

    name: str
    alias: str
    version: int
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Approval:
    """A user's word for a version."""

    user: str
    host: str
    time: datetime
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Figure:
    """What was measured of a version after it was registered: one value a repeat, on the data with digest *data*."""

    name: str
    values: tuple[float, ...]
    data: str
    time: datetime
    actor: str
    host: str

    @property
    def value(self) -> float:
        """The mean of the repeats."""
        mean = sum(self.values) / len(self.values)
        # The sum may be too large for a number where the mean is not.
        return sum(value / len(self.values) for value in self.values) if math.isinf(mean) else mean


@dataclass(frozen=True, slots=True)
class RegistryMove:
    """One line of the registry's append-only history: who moved what, when and why."""

    id: int
    name: str
    action: str
    alias: str | None
    old_version: int | None
    new_version: int | None
    actor: str
    host: str
    reason: str
    time: datetime
    details: Mapping[str, Any] = field(default_factory=dict)
    written: bool = True
