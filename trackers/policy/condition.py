"""A filter judged over one version: true, false, or unknown where the version lacks what is asked about.

The meaning of each comparison is that of ``search_runs``; unknown is carried through and/or/not as SQL carries NULL, so
that a policy never holds for want of a figure.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from trackers.policy.subject import Subject
from trackers.query import And, Between, Comparison, Field, In, IsNull, Like, Literal, Node, Not, Or
from trackers.query.literals import EPOCH
from trackers.wording import closest

_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_LAUNCHED = frozenset({"commit", "branch", "remote", "dirty", "entry_point", "python"})
_EMPTY_IS_NULL = frozenset(Field("attribute", name) for name in ("name", "user", "host"))
"""What every run has a text for; an empty one says that there is none."""
_PATTERN = re.compile(r"\\.|.", re.DOTALL)
_NUMBER = re.compile(r"[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|inf|infinity|nan)", re.ASCII | re.IGNORECASE)


@dataclass(slots=True)
class Condition:
    """The judgement of one filter; *figures* are the values that it looked at, *missing* what it did not find."""

    subject: Subject
    figures: dict[str, Any] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)

    def holds(self, node: Node) -> bool | None:
        """Judge *node*; None is unknown."""
        if isinstance(node, Not):
            inner = self.holds(node.node)
            return None if inner is None else not inner
        if isinstance(node, And | Or):
            found = [self.holds(part) for part in node.nodes]
            decisive = isinstance(node, Or)
            if decisive in found:
                return decisive
            return None if None in found else not decisive
        value = _look_up(self.subject, node.field)
        if value is not None:
            self.figures[str(node.field)] = _shown(node.field, value)
        is_gone = node.field.kind == "attribute" and self.subject.run is None  # of a run that is gone nothing is known
        if isinstance(node, IsNull) and not is_gone:
            is_empty = value is None or (node.field in _EMPTY_IS_NULL and value == "")
            return is_empty is not node.negated
        if isinstance(node, IsNull) or value is None:
            self._miss(node.field)
            return None
        return _compare(node, value)

    def _miss(self, wanted: Field) -> None:
        said = f"{self.subject} has no {wanted}{_hint(self.subject, wanted)}"
        if said not in self.missing:
            self.missing.append(said)


def _hint(subject: Subject, wanted: Field) -> str:
    """Return the end of the sentence that a version has no such thing: why, or what it has."""
    if wanted.kind == "attribute":
        return ": its run is gone" if subject.run is None else ": its run has none"
    if wanted.key == "latency_ms":
        return ": trackers measure records it"
    if wanted.aggregate == "best" and wanted.key not in subject.goals:
        plain = str(Field("metric", wanted.key, context=wanted.context))
        return f": it comes from no study with that objective, write max({plain}) or min({plain})"
    known = _known(subject, wanted)
    close = closest(wanted.key, [name for name in known if name != wanted.key])
    has = ", ".join(known[:4]) + (", ..." if len(known) > 4 else "")
    return f"; did you mean {close}?" if close else f": it has {has}" if known else ": it has none"


def _shown(wanted: Field, value: Any) -> Any:
    """Return *value* as people read it: of a time, which compares by its microseconds, ISO 8601 in UTC."""
    return (EPOCH + timedelta(microseconds=value)).isoformat() if wanted.holds == "time" else value


def _known(subject: Subject, wanted: Field) -> list[str]:
    if wanted.kind == "metric":
        return [name for name in subject.metric_names() if wanted.context or "{" not in name]
    if wanted.kind == "tag":
        return list({**(subject.run.tags if subject.run else {}), **subject.version.tags})
    if wanted.kind == "param":
        return list(_params(subject))
    return []


def _params(subject: Subject) -> Mapping[str, Any]:
    found = subject.version.lineage.get("params")
    return {**(subject.run.params if subject.run else {}), **(found if isinstance(found, Mapping) else {})}


def _look_up(subject: Subject, wanted: Field) -> Any:
    if wanted.kind == "metric":
        return look_up_metric(subject, wanted)
    if wanted.kind == "param":
        return _params(subject).get(wanted.key)
    if wanted.kind == "tag":
        tags = {**(subject.run.tags if subject.run else {}), **subject.version.tags}
        return tags.get(wanted.key)
    return _attribute(subject, wanted.key)


def look_up_metric(subject: Subject, wanted: Field, data: Collection[str] | None = None) -> float | None:
    """Return a metric: as measured since, as it was registered, or (extremes, and else) as its run's series has it.

    With *data*, what was measured on other data, or on data that nobody named, is passed over.
    """
    if wanted.aggregate == "last":
        shown = f"{wanted.key}{{{wanted.context}}}" if wanted.context else wanted.key
        for figure in subject.measured(shown):
            if data is None or figure.data in data:
                return figure.value
        if (value := subject.version.metrics.get(shown)) is not None:
            return value
    aggregate = wanted.aggregate
    if aggregate == "best":
        if wanted.key not in subject.goals:
            return None
        aggregate = "max" if subject.goals[wanted.key] == "maximize" else "min"
    for one in subject.series:
        if (one.key, one.context) == (wanted.key, wanted.context):
            return {"last": one.last, "min": one.min, "max": one.max}[aggregate]
    return None


def _attribute(subject: Subject, name: str) -> Any:
    run = subject.run
    if run is None:
        return None
    if name in _LAUNCHED:
        return subject.launch.get(name)
    if name == "duration":
        return (run.ended_at - run.started_at).total_seconds() if run.started_at and run.ended_at else None
    found = {
        "state": run.state.name,
        "name": run.name,
        "experiment": run.experiment,
        "run_id": run.uid,
        "parent": subject.parent,
        "user": run.user,
        "host": run.host,
        "number": run.number,
        "value": run.values[0] if run.values else None,
        "created": run.created_at,
        "started": run.started_at,
        "ended": run.ended_at,
    }[name]  # every attribute of the language: of one that is not looked up, `is null` would hold
    return (found - EPOCH) // timedelta(microseconds=1) if isinstance(found, datetime) else found


def _compare(node: Comparison | Between | In | Like, value: Any) -> bool:
    if isinstance(value, list | dict) and not isinstance(node, Between) and getattr(node, "op", "=") in {"=", "!="}:
        value = json.dumps(value, separators=(",", ":"))  # as a store keeps it: it has no order, but equals its text
    if isinstance(node, Comparison):
        if node.op in {"=", "!="}:
            return _equal(value, node.value) is (node.op == "=")
        return _ordered(node.op, value, node.value)
    if isinstance(node, Between):
        holds = _ordered(">=", value, node.low) and _ordered("<=", value, node.high)
    elif isinstance(node, In):
        holds = any(_equal(value, one) for one in node.values)
    else:
        holds = isinstance(value, str) and _like(node.pattern, value, ignore_case=node.ignore_case)
    return holds is not node.negated


def _like(pattern: str, text: str, *, ignore_case: bool) -> bool:
    """Match as SQL's LIKE does. Between two ``%`` lies a text of fixed length, so that nothing is tried twice."""
    pieces: list[list[str]] = [[]]
    for part in _PATTERN.findall(pattern):
        if part == "%":
            pieces.append([])
        else:
            pieces[-1].append("." if part == "_" else re.escape(part[-1]))
    flags = re.DOTALL | (re.IGNORECASE if ignore_case else 0)
    if len(pieces) == 1:
        return re.fullmatch("".join(pieces[0]), text, flags) is not None
    start = re.match("".join(pieces[0]), text, flags)
    if start is None:
        return False
    at, end = start.end(), len(text) - len(pieces[-1])
    for piece in pieces[1:-1]:
        found = re.compile("".join(piece), flags).search(text, at, max(at, end))
        if found is None:
            return False
        at = found.end()
    return at <= end and re.compile("".join(pieces[-1]), flags).match(text, end) is not None


def _equal(value: Any, wanted: Literal) -> bool:
    """Tell whether both are equal; text equals the number or boolean that it writes, as in a search."""
    if isinstance(wanted, str) and not isinstance(value, str):
        if isinstance(value, bool):
            return wanted.lower() == str(value).lower()
        if not isinstance(value, int | float) or not _NUMBER.fullmatch(wanted):
            return False
        wanted = float(wanted)
    if isinstance(wanted, bool) and not isinstance(value, bool):
        return False
    if isinstance(value, str) is not isinstance(wanted, str):
        return False
    return bool(value == wanted) or (value != value and wanted != wanted)


def _ordered(op: str, value: Any, wanted: Literal) -> bool:
    if isinstance(value, str) is not isinstance(wanted, str):
        return False
    return isinstance(value, int | float | str) and _OPERATORS[op](value, wanted)
