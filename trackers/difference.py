"""What changed between two runs: code, params, environment, data, results. Pure, but for the code's files."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trackers.capture.compare import CodeDifference, compare
from trackers.errors import ArtifactError
from trackers.sql.columns import split_param

if TYPE_CHECKING:
    from trackers.store import Store
    from trackers.tracking import RunRef
    from trackers.values import CodeVersion, Launch, Run, RunInput

Changes = Mapping[str, tuple[Any, Any]]
"""Name -> what it was and what it is; None where one of the two has none."""


@dataclass(frozen=True)
class RunComparison:
    """What is not the same in run *b* as in run *a*; what is equal is left away.

    *code* is None where both ran the same code. *data* is by role and name, a digest on either side; *packages* by
    name, versions on either side. *missing* names the run (``"a"`` or ``"b"``) that lacks a param: one may be None,
    too.
    """

    a: Run
    b: Run
    versions: tuple[str, str]
    code: CodeDifference | None = None
    call: Changes = field(default_factory=dict)
    params: Changes = field(default_factory=dict)
    tags: Changes = field(default_factory=dict)
    environment: Changes = field(default_factory=dict)
    packages: Changes = field(default_factory=dict)
    data: Changes = field(default_factory=dict)
    results: Changes = field(default_factory=dict)
    metrics: Changes = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values; what is the same is None or empty."""
        pairs = ("call", "params", "tags", "environment", "packages", "data", "results", "metrics")
        code = self.code
        shown: dict[str, Any] = {
            "a": self.a.path,
            "b": self.b.path,
            "code": None
            if code is None
            else {
                "a": self.versions[0],
                "b": self.versions[1],
                "commits": list(code.commits),
                "commits_back": code.back,
                "files": {name: "\n".join(lines) for name, lines in code.files.items()},
                "notes": list(code.notes),
            },
        }
        shown |= {name: {key: list(pair) for key, pair in getattr(self, name).items()} for name in pairs}
        return shown | {"missing_params": {run: [k for k, r in self.missing.items() if r == run] for run in ("a", "b")}}


def compare_runs(store: Store, a: RunRef, b: RunRef, *, repo: Path | None = None) -> RunComparison:
    """Return what changed from run *a* to run *b*; the code's files come from *repo* and the store.

    Raises NotFoundError for a run that is not there.
    """
    first, second = store.get_run(a), store.get_run(b)
    before, after = store.launch(first), store.launch(second)
    old, new = (launch.code if launch is not None else None for launch in (before, after))
    environments = [dict(launch.environment or {}) if launch is not None else {} for launch in (before, after)]
    packages = [environment.pop("packages", None) or {} for environment in environments]
    for environment in environments:
        environment.pop("direct", None)
    missing = {
        name: "a" if name in second.params else "b"
        for name in {**first.params, **second.params}
        if (name in first.params) is not (name in second.params)
    }
    return RunComparison(
        first,
        second,
        (old.version if old is not None else "", new.version if new is not None else ""),
        None if _digest(old) == _digest(new) else _code(store, old, new, repo),
        _changes(_call(before), _call(after)),
        _changes(first.params, second.params, missing),
        _changes(first.tags, second.tags),
        _changes(environments[0], environments[1]),
        _changes(packages[0], packages[1]),
        _changes(_data(store.inputs(first)), _data(store.inputs(second))),
        _changes(_results(first), _results(second)),
        _changes(first.metrics, second.metrics),
        missing,
    )


def _digest(code: CodeVersion | None) -> str | None:
    return None if code is None else code.digest


def _code(store: Store, old: CodeVersion | None, new: CodeVersion | None, repo: Path | None) -> CodeDifference:
    sides: list[tuple[Mapping[str, Any], bytes | None]] = []
    notes: list[str] = []
    for code in (old, new):
        if code is None:
            sides.append(({}, None))
            notes.append("of one of the two runs the code is not known")
            continue
        try:
            sides.append((code.content, store.read_bundle(code)))
        except ArtifactError as exc:
            sides.append((code.content, None))
            notes.append(str(exc))
    found = compare(sides[0], sides[1], repo)
    return CodeDifference(found.commits, found.back, found.files, (*notes, *found.notes))


def _call(launch: Launch | None) -> dict[str, Any]:
    if launch is None:
        return {}
    call = {"branch": launch.branch, "remote": launch.remote, "entry point": launch.entry_point}
    call["arguments"] = " ".join(launch.arguments)
    return {name: value for name, value in call.items() if value}


def _data(inputs: Iterable[RunInput]) -> dict[str, str]:
    """Return the digests by role and name; several of one are told apart by their place."""
    found: dict[str, str] = {}
    for one in inputs:
        key, count = f"{one.role} {one.name}", 1
        while key in found:
            count += 1
            key = f"{one.role} {one.name} ({count})"
        found[key] = one.digest
    return found


def _results(run: Run) -> dict[str, Any]:
    found: dict[str, Any] = {"state": run.state.name, "error": run.error}
    found |= {f"value {place}" if place else "value": value for place, value in enumerate(run.values or ())}
    if run.started_at is not None and run.ended_at is not None:
        found["seconds"] = (run.ended_at - run.started_at).total_seconds()
    return {name: value for name, value in found.items() if value is not None}


def _changes(old: Mapping[str, Any], new: Mapping[str, Any], also: Collection[str] = ()) -> Changes:
    """Return what differs, and *also* these, in the order of *old*, then what is new; NaN is NaN, and 1 is not 1.0."""
    names = [*old, *(name for name in new if name not in old)]
    pairs = {name: (old.get(name), new.get(name)) for name in names}
    return {name: pair for name, pair in pairs.items() if name in also or not _same(*pair)}


def _same(a: Any, b: Any) -> bool:
    return split_param(a) == split_param(b)
