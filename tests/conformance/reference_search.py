"""The search again, slowly and in plain Python: what the databases must agree with."""

from __future__ import annotations

import json
import math
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from trackers.query import And, Between, Comparison, Field, In, IsNull, Like, Node, Not, Or, OrderKey
from trackers.values import MetricSummary, Run

NUMBER = re.compile(r"[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|inf|infinity|nan)", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True)
class Known:
    """A run with all that a filter can ask about it; *best* maps metrics to "min" or "max"."""

    run: Run
    series: dict[tuple[str, str], MetricSummary]
    parent: str | None
    best: dict[str, str]


def value_of(known: Known, field: Field) -> Any:
    """Return what the run has, or None."""
    run = known.run
    if field.kind == "metric":
        summary = known.series.get((field.key, field.context))
        aggregate = known.best.get(field.key) if field.aggregate == "best" else field.aggregate
        return None if summary is None or aggregate is None else getattr(summary, aggregate)
    if field.kind in {"param", "tag"}:
        return getattr(run, field.kind + "s").get(field.key)
    if field.key in {"created", "started", "ended"}:
        moment = getattr(run, field.key + "_at")
        return None if moment is None else round(moment.timestamp() * 1e6)
    ended, started = run.ended_at, run.started_at
    return {
        "state": run.state.name,
        "value": run.values[0] if run.values else None,
        "duration": (ended - started).total_seconds() if ended and started else None,
        "run_id": run.uid,
        "parent": known.parent,
    }.get(field.key, getattr(run, field.key, None))


def matches(known: Known, node: Node | None) -> bool:
    if node is None:
        return True
    if isinstance(node, And):
        return all(matches(known, part) for part in node.nodes)
    if isinstance(node, Or):
        return any(matches(known, part) for part in node.nodes)
    if isinstance(node, Not):
        return not matches(known, node.node)
    value = value_of(known, node.field)
    if isinstance(node, IsNull):
        return (value is None or (value == "" and node.field.kind == "attribute")) is not node.negated
    if value is None:
        return False
    if isinstance(node, Comparison):
        if node.op in {"=", "!="}:
            return equal(value, node.value) is (node.op == "=")
        return ordered(value, node.op, node.value)
    if isinstance(node, Between):
        return (ordered(value, ">=", node.low) and ordered(value, "<=", node.high)) is not node.negated
    if isinstance(node, In):
        return any(equal(value, one) for one in node.values) is not node.negated
    return like(value, node) is not node.negated


def equal(value: Any, literal: Any) -> bool:
    if isinstance(literal, bool):
        return value is literal
    if isinstance(literal, str):
        if isinstance(value, bool):
            return literal.lower() == str(value).lower()
        if isinstance(value, int | float):
            return bool(NUMBER.fullmatch(literal)) and equal(value, read_number(literal))
        if isinstance(value, str):
            return value == literal
        try:
            return bool(json.dumps(json.loads(literal)) == json.dumps(value))
        except ValueError:
            return False
    if not isinstance(value, int | float):
        return False
    return value == literal or (value != value and literal != literal)


def read_number(text: str) -> float:
    try:
        return int(text)
    except ValueError:
        return float(text)


def ordered(value: Any, op: str, literal: Any) -> bool:
    if isinstance(value, str) is not isinstance(literal, str) or not isinstance(value, str | int | float):
        return False
    return bool({"<": value < literal, "<=": value <= literal, ">": value > literal, ">=": value >= literal}[op])


def like(value: Any, node: Like) -> bool:
    if isinstance(value, int | float):
        return False
    text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
    parts = re.findall(r"\\.|.", node.pattern, re.DOTALL)
    pattern = "".join(".*" if part == "%" else "." if part == "_" else re.escape(part[-1]) for part in parts)
    flags = re.DOTALL | (re.IGNORECASE | re.ASCII if node.ignore_case else 0)
    return re.fullmatch(pattern, text, flags) is not None


def in_order(runs: Sequence[Known], keys: Sequence[OrderKey]) -> list[Known]:
    """Sort: numbers, then text, then NaN, then what has no value; ties by the id, as the first key goes."""
    keys = keys or [OrderKey(Field("attribute", "created"), descending=True)]
    found = sorted(runs, key=lambda known: known.run.id, reverse=keys[0].descending)
    for key in reversed(keys):
        parts: list[list[Known]] = [[], [], [], []]
        for known in found:
            value = _sortable(value_of(known, key.field))
            is_text, is_nan = isinstance(value, str), isinstance(value, float) and math.isnan(value)
            parts[3 if value is None else 2 if is_nan else 1 if is_text else 0].append(known)
        for part in parts[:2]:
            part.sort(key=lambda known: _sortable(value_of(known, key.field)), reverse=False)
            if key.descending:
                part.sort(key=lambda known: _sortable(value_of(known, key.field)), reverse=True)
        found = [known for part in parts for known in part]
    return found


def _sortable(value: Any) -> Any:
    from trackers.states import RunState

    if isinstance(value, str) and value in RunState.__members__:
        return int(RunState[value])
    if isinstance(value, int):
        return float(value)  # in an order, integers of one double are equal
    return value if isinstance(value, float | str) else None


# --- random filters ---------------------------------------------------------------------------------------------

METRICS = [Field("metric", "loss"), Field("metric", "loss", "min"), Field("metric", "acc", "max")]
METRICS += [Field("metric", "loss", context="split=val"), Field("metric", "never"), Field("metric", "acc", "best")]
PARAMS = [Field("param", name) for name in ("lr", "kernel", "mixed", "never")]
TAGS = [Field("tag", name) for name in ("team", "a tag")]
TEXTS = [Field("attribute", name) for name in ("name", "experiment", "run_id", "parent", "user")]
NUMBERS = [Field("attribute", name) for name in ("number", "value", "duration")]
NUMERALS: list[Any] = [0, 1, 2, -1, 0.5, 0.25, 1e-3, 1e300, 2**60, 2**60 + 1, -(10**19), math.inf, -math.inf]
WORDS = [
    "rbf",
    "RBF",
    "linear",
    "1",
    "0.5",
    "nan",
    "true",
    "[1,2]",
    "[1, 2]",
    '{"a":  1}',
    "",
    "é",
    "a\x00b",
    "b_c%",
    "digits",
    "rb\x1af",
]
WORDS += [str(2**60 + 1), "1152921504606846976.0"]
PATTERNS = ["%", "r%", "R_F", "%b\\_c\\%", "_", "", "%[%", "%*%", "%\\", "É", "a%b", "?%", "%f"]


def random_filter(dice: random.Random, depth: int = 3) -> Node:
    kind = dice.randrange(6) if depth else 5
    if kind < 3 and depth:
        parts = tuple(random_filter(dice, depth - 1) for _ in range(dice.randint(2, 3)))
        return Not(parts[0]) if kind == 2 else And(parts) if kind == 0 else Or(parts)
    field = dice.choice(dice.choice([METRICS, PARAMS, TAGS, TEXTS, NUMBERS, [Field("attribute", "state")]]))
    if dice.random() < 0.12:
        return IsNull(field, dice.random() < 0.5)
    if field.holds == "state":
        states = tuple(dice.sample(["COMPLETE", "FAIL", "RUNNING", "PRUNED"], 2))
        if dice.random() < 0.5:
            return In(field, states, dice.random() < 0.3)
        return Comparison(field, dice.choice(["=", "!="]), states[0])
    is_text = field.holds == "text" or (field.holds == "any" and dice.random() < 0.5)
    return _random_condition(dice, field, WORDS if is_text else NUMERALS, is_text)


def _random_condition(dice: random.Random, field: Field, choices: list[Any], is_text: bool) -> Node:
    kind = dice.randrange(4)
    negated = dice.random() < 0.3
    if kind == 0:
        return Between(field, dice.choice(choices), dice.choice(choices), negated)
    if kind == 1:
        extra = [math.nan] if not is_text else [True] if field.holds == "any" else []
        picked = [*dice.sample(choices, 3), *(extra if dice.random() < 0.5 else [])]
        return In(field, tuple({repr(value): value for value in picked}.values()), negated)
    if kind == 2 and is_text:
        return Like(field, dice.choice(PATTERNS), dice.random() < 0.5, negated)
    op = dice.choice(["=", "!=", "<", "<=", ">", ">="])
    if op in {"=", "!="} and not is_text:
        choices = [*choices, math.nan, *([True, False] if field.holds == "any" else [])]
    return Comparison(field, op, dice.choice(choices))


def random_order(dice: random.Random) -> list[OrderKey]:
    fields = [*METRICS, *PARAMS, *TAGS, *TEXTS, *NUMBERS]
    fields += [Field("attribute", name) for name in ("state", "created", "started", "ended")]
    return [OrderKey(field, dice.random() < 0.5) for field in dice.sample(fields, dice.randint(0, 3))]
