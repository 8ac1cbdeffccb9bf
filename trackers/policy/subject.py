"""Everything that a rule may ask of a version, read before it is judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from trackers.values import Approval, Figure, MetricSummary, ModelVersion, Run


@dataclass(frozen=True, slots=True)
class Subject:
    """A version with its run (None where it is gone), the run's series, and what was added since it was made.

    *size* is that of the model's files in bytes. Of its run, as a search reads them: *parent* is the parent's uid,
    *launch* the commit, branch, remote, dirty, entry_point and python of its newest attempt, and *goals* the direction of each
    objective of its study.
    """

    version: ModelVersion
    run: Run | None = None
    series: tuple[MetricSummary, ...] = ()
    figures: tuple[Figure, ...] = ()
    approvals: tuple[Approval, ...] = ()
    size: int = 0
    code: Mapping[str, Any] = field(default_factory=dict)
    parent: str | None = None
    launch: Mapping[str, Any] = field(default_factory=dict)
    goals: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"version {self.version.version}"

    def data(self, role: str | None = None) -> dict[str, str]:
        """Return the digests of its inputs (those in *role*), by role and name."""
        found: dict[str, str] = {}
        for entry in self.version.lineage.get("data") or ():
            if isinstance(entry, Mapping) and (role is None or entry.get("role", "") == role):
                name = f"{entry.get('role', '')} {entry.get('name', '')}"
                same = sum(key.partition(" #")[0] == name for key in found)
                found[f"{name} #{same + 1}" if same else name] = str(entry.get("digest", ""))
        return found

    def has_same_data(self, other: Subject, role: str | None = None) -> bool | None:
        """Tell whether both have the same data (in *role*), and the same to train on; None where one has none recorded.

        Who logs one data set twice has no other data than who does once, but who also trains on the test data has.
        """
        mine, theirs = self.data(role), other.data(role)
        if not mine or not theirs:
            return None
        trained = role is not None or self.trained_on() == other.trained_on()
        return trained and set(mine.values()) == set(theirs.values())

    def trained_on(self) -> set[str]:
        """Return the digests of what it was trained on, as far as that is recorded."""
        return set(self.data("train").values())

    def measured(self, key: str) -> list[Figure]:
        """Return what was measured of *key* after it was registered, the newest first."""
        return sorted((one for one in self.figures if one.name == key), key=lambda one: one.time, reverse=True)

    def metric_names(self) -> list[str]:
        """Return the names under which ``metrics.`` finds something."""
        series = [f"{one.key}{{{one.context}}}" if one.context else one.key for one in self.series]
        return list(dict.fromkeys([*self.version.metrics, *(one.name for one in self.figures), *series]))
