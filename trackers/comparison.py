"""Two versions side by side. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from trackers.policy import Subject
from trackers.values import Launch

DIGITS = 12
"""Digits of a digest that are shown beside what was measured on that data."""


@dataclass(frozen=True, slots=True)
class Side:
    """A version with the manifest of its model, and what its run was started with (None where that is not known)."""

    subject: Subject
    manifest: Mapping[str, Any]
    launch: Launch | None = None

    def __str__(self) -> str:
        return f"{self.subject.version.name}/{self.subject.version.version}"

    @property
    def metrics(self) -> dict[str, float]:
        """What it was registered with, and the series of its run that a context tells from those."""
        series = {f"{one.key}{{{one.context}}}": one.last for one in self.subject.series if one.context}
        return {
            **self.subject.version.metrics,
            **{k: v for k, v in series.items() if k not in self.subject.version.metrics},
        }

    @property
    def params(self) -> dict[str, Any]:
        """Those of its run, and over them those of its record, where a refit has its trial's."""
        own = self.subject.version.lineage.get("params")
        return {**(self.subject.run.params if self.subject.run else {}), **(own if isinstance(own, Mapping) else {})}

    @property
    def code(self) -> dict[str, Any]:
        """What its record says of the code; the rest as its run knows it, however it was registered."""
        known: dict[str, Any] = {}
        if self.launch is not None and self.launch.code is not None:
            code, objective = self.launch.code, self.launch.code.content.get("objective") or {}
            known = {
                "version": code.version,
                "commit": code.commit,
                "dirty": code.dirty,
                "entry_point": self.launch.entry_point or None,
            }
            known |= {"file": objective.get("file"), "objective": objective.get("name")}
            known["digest"] = objective.get("digest") or code.digest
        return known | {name: value for name, value in self.subject.code.items() if value is not None}

    @property
    def environment(self) -> Mapping[str, Any]:
        """The environment of its run."""
        return (self.launch.environment if self.launch is not None else None) or {}

    @property
    def python(self) -> Any:
        """The version of Python that made it."""
        return (
            self.subject.version.lineage.get("python") or self.environment.get("python") or self.manifest.get("python")
        )

    @property
    def packages(self) -> Mapping[str, Any]:
        """Every package that was installed, by its record or its run; empty where neither knows."""
        found = self.subject.version.lineage.get("packages") or self.environment.get("packages")
        return found if isinstance(found, Mapping) else {}


@dataclass(frozen=True, slots=True)
class Line:
    """One fact about both.

    *section* is ``"metrics"`` (of its run), ``"measured"`` (since, with the data), ``"params"``, ``"data"``,
    ``"code"``, ``"environment"`` or ``"model"``.
    """

    section: str
    name: str
    champion: Any
    challenger: Any

    @property
    def same(self) -> bool:
        """Whether both are equal; NaN equals NaN."""
        a, b = self.champion, self.challenger
        return bool(a == b) or (a != a and b != b)

    @property
    def is_package(self) -> bool:
        """Whether it is the version of a package."""
        return self.section == "environment" and self.name != "python"

    @property
    def difference(self) -> float | None:
        """How much larger the challenger's number is; None for what is no number."""
        a, b = self.champion, self.challenger
        numbers = all(isinstance(x, int | float) and not isinstance(x, bool) for x in (a, b))
        return b - a if numbers else None


@dataclass(frozen=True, slots=True)
class Comparison:
    """The names of both versions, and a line for each fact."""

    champion: str
    challenger: str
    lines: tuple[Line, ...]
    same_data: bool | None
    """Whether both have the same data, as ``trackers.policy.Better`` has it; None where one has none recorded."""

    def as_json(self) -> dict[str, Any]:
        """Return the comparison for JSON: each section by the name of its lines."""
        sections: dict[str, Any] = {}
        for line in self.lines:
            fact = {"champion": line.champion, "challenger": line.challenger, "same": line.same}
            if line.difference is not None:
                fact["difference"] = line.difference
            sections.setdefault(line.section, {})[line.name] = fact
        return {"champion": self.champion, "challenger": self.challenger, "same_data": self.same_data, **sections}


def compare(champion: Side, challenger: Side) -> Comparison:
    """Compare two versions fact by fact, those that only one has included."""
    lines = []
    # Of a model alone only its libraries are known: beside all that was installed the rest would seem to differ.
    whole = bool(champion.packages and challenger.packages)
    ours, theirs = (dict(_facts(side, whole)) for side in (challenger, champion))
    order = ("metrics", "measured", "params", "data", "code", "environment", "model")
    for section, name in sorted({**theirs, **ours}, key=lambda key: order.index(key[0])):
        lines.append(Line(section, name, theirs.get((section, name)), ours.get((section, name))))
    same_data = challenger.subject.has_same_data(champion.subject)
    return Comparison(str(champion), str(challenger), tuple(lines), same_data)


def _facts(side: Side, whole: bool) -> Iterator[tuple[tuple[str, str], Any]]:
    """Yield each fact of a version: of its environment all packages where *whole*, else its model's libraries."""
    subject, manifest = side.subject, side.manifest
    yield from ((("metrics", name), value) for name, value in side.metrics.items())
    for one in sorted(subject.figures, key=lambda figure: figure.time):
        # What was measured on other data is another figure: only those of the same stand side by side.
        other = one.data and one.name != "latency_ms"
        yield ("measured", f"{one.name} on {one.data[:DIGITS]}" if other else one.name), one.value
    yield from ((("params", name), value) for name, value in side.params.items())
    yield from ((("data", name), digest) for name, digest in subject.data().items())
    code = side.code
    for name in ("version", "commit", "dirty", "file", "objective", "digest", "entry_point"):
        if code.get(name) is not None:
            yield ("code", name), code[name]
    yield ("environment", "python"), side.python
    libraries = side.packages if whole else manifest.get("libraries", {})
    yield from ((("environment", name), version) for name, version in sorted(libraries.items()))
    yield ("model", "flavor"), manifest.get("flavor")
    yield ("model", "class"), manifest.get("class")
    yield ("model", "bytes"), subject.size
    for name in ("input", "output"):
        yield ("model", name), _signature(manifest.get(name))


def _signature(schema: Any) -> str | None:
    """Write a schema in a line: ``float64 [*, 4]``, or the columns of a frame."""
    if not isinstance(schema, Mapping):
        return None
    if schema.get("kind") == "frame":
        return ", ".join(f"{column.get('name')}: {column.get('dtype')}" for column in schema.get("columns", ()))
    if schema.get("kind") == "array":
        shape = ", ".join("*" if size is None else str(size) for size in schema.get("shape", ()))
        return f"{schema.get('dtype')} [{shape}]"
    return str(schema.get("kind") or schema.get("error") or schema)
