"""What a journal holds: a run that started or went on, its params, what it logged; as JSON and back.

A run goes by its uid: its integer id may not be allotted yet. Nothing is pickled.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from trackers import changes as c
from trackers.errors import InvalidValueError
from trackers.plain import plain
from trackers.states import RunState

NOBODY = -1
"""The id in the records of a run whose own is not known here: its uid says whose they are."""

_KINDS = (
    *(c.PointsLogged, c.TagsSet, c.AttrsSet, c.ArtifactsLogged, c.ModelLogged, c.InputLogged, c.CheckpointSaved),
    *(c.AttemptEnded, c.TrialFinished, c.LogKept, c.ParamsLogged),
)
_CLASSES: dict[str, type] = {kind.__name__: kind for kind in _KINDS}
_FIELDS: dict[type, tuple[str, ...]] = {
    kind: tuple(field.name for field in fields(kind) if field.name != "run_id") for kind in _KINDS
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing to write for the run *run* (its uid).

    *kind* is ``"start"`` (*content*: the fields of ``trackers.sql.runs.Start``), ``"resume"`` (those of its ``Resume``),
    ``"params"`` (a mapping) or ``"log"`` (a sequence of changes). *run_id* is the run's id where it is known; a journal keeps the uid alone.
    """

    kind: str
    run: str
    content: Any
    run_id: int = NOBODY

    @property
    def size(self) -> int:
        """Number of things in it, for the bound of a queue."""
        if self.kind != "log":
            return 1
        return sum(len(x.points) if type(x) is c.PointsLogged else 1 for x in self.content)


def encode(seq: int, entry: Entry, before: int) -> bytes:
    """Return an entry as one line of JSON, without its end; raises InvalidValueError for what JSON cannot hold.

    *before* is the number of the entry that comes before it in the same journal, 0 for the first: numbers jump where
    entries went straight to the database, and so one that is missing is told from one that never was there.
    """
    content = entry.content
    if entry.kind == "log":
        content = [[type(x).__name__, {name: getattr(x, name) for name in _fields_of(x)}] for x in content]
    try:
        text = json.dumps([seq, entry.kind, entry.run, content, before], separators=(",", ":"), default=plain)
    except (TypeError, ValueError, RecursionError) as exc:
        raise InvalidValueError(f"what run {entry.run} logged cannot be kept as JSON: {exc}") from exc
    return text.encode("ascii")


def decode_head(content: bytes | None) -> dict[str, Any]:
    """Return what a journal says of itself; empty where its first line is damaged, or somebody else's."""
    try:
        head = json.loads(content or b"{}")
    except (ValueError, RecursionError):
        return {}
    known = isinstance(head, dict) and isinstance(head.get("journal"), int) and isinstance(head.get("uid"), str)
    return head if known else {}


def decode(line: bytes) -> tuple[int, Entry, int | None]:
    """Return what was kept as *line*: number, entry, and the number before it (None: an older release did not say)."""
    try:
        seq, kind, run, content, *before = json.loads(line)
    except RecursionError as exc:
        raise ValueError("it is nested too deeply") from exc
    if kind == "log":
        content = [_change(name, values) for name, values in content]
    return int(seq), Entry(kind, run, content), int(before[0]) if before else None


def _fields_of(change: c.Change) -> tuple[str, ...]:
    found = _FIELDS.get(type(change))
    if found is None:
        raise InvalidValueError(f"a {type(change).__name__} is not kept in a journal")
    return found


def _pairs(files: Mapping[str, Sequence[Any]]) -> dict[str, tuple[str, int]]:
    return {name: (digest, size) for name, (digest, size) in files.items()}


_BACK: dict[str, Callable[[Any], Any]] = {
    "points": lambda points: tuple(map(tuple, points)),
    "files": _pairs,
    "state": RunState,
    "values": lambda values: None if values is None else tuple(values),
    "metrics": tuple,
}


def _change(name: str, values: Mapping[str, Any]) -> Any:
    back = {field: _BACK[field](value) if field in _BACK else value for field, value in values.items()}
    return _CLASSES[name](run_id=NOBODY, **back)
