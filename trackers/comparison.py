"""Two versions side by side. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from trackers.policy import Subject

DIGITS = 12
"""Digits of a digest that are shown beside what was measured on that data."""


@dataclass(frozen=True, slots=True)
class Side:
    """A version with the manifest of its model."""

    subject: Subject
    manifest: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.subject.version.name}/{self.subject.version.version}"


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

    @property
    def same_data(self) -> bool | None:
        """Whether both have the same data; None where it is not recorded for one of them."""
        sides = [sorted(v for v in column if v is not None) for column in zip(*self._data(), strict=True)]
        return sides[0] == sides[1] if len(sides) == 2 and all(sides) else None

    def _data(self) -> list[tuple[Any, Any]]:
        return [(line.champion, line.challenger) for line in self.lines if line.section == "data"]

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
    ours, theirs = (dict(_facts(side)) for side in (challenger, champion))
    order = ("metrics", "measured", "params", "data", "code", "environment", "model")
    for section, name in sorted({**theirs, **ours}, key=lambda key: order.index(key[0])):
        lines.append(Line(section, name, theirs.get((section, name)), ours.get((section, name))))
    return Comparison(str(champion), str(challenger), tuple(lines))


def _facts(side: Side) -> Iterator[tuple[tuple[str, str], Any]]:
    subject, manifest, lineage = side.subject, side.manifest, side.subject.version.lineage
    yield from ((("metrics", name), value) for name, value in subject.version.metrics.items())
    for one in sorted(subject.figures, key=lambda figure: figure.time):
        # What was measured on other data is another figure: only those of the same stand side by side.
        other = one.data and one.name != "latency_ms"
        yield ("measured", f"{one.name} on {one.data[:DIGITS]}" if other else one.name), one.value
    params = lineage.get("params")
    params = params if isinstance(params, Mapping) else (subject.run.params if subject.run else {})
    yield from ((("params", name), value) for name, value in params.items())
    yield from ((("data", name), digest) for name, digest in subject.data().items())
    for name in ("commit", "dirty", "file", "objective", "digest", "entry_point"):
        if subject.code.get(name) is not None:
            yield ("code", name), subject.code[name]
    yield ("environment", "python"), lineage.get("python") or manifest.get("python")
    packages = lineage.get("packages")
    libraries = packages if isinstance(packages, Mapping) and packages else manifest.get("libraries", {})
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
