"""A filter's tree as conditions on ``runs``: EXISTS over the tables' keys, true or false but never NULL."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Double, and_, cast, exists, false, func, literal, not_, or_, true

from trackers.query import And, Between, Comparison, Field, In, IsNull, Like, Literal, Node, Not, Or
from trackers.sql.columns import BOOL, FLOAT, INT, JSON, STR, Content, escape
from trackers.sql.sources import LARGEST, Best, Condition, Source, find_source
from trackers.states import RunState

_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_NUMBER = re.compile(r"[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|inf|infinity|nan)", re.ASCII | re.IGNORECASE)
_PATTERN = re.compile(r"\\.|.", re.DOTALL)


class FilterCompiler:
    """Makes conditions for one database; *best* says what ``best(...)`` of each metric means."""

    def __init__(self, dialect: str, best: Mapping[str, Best]) -> None:
        self._dialect = dialect
        self._best = best

    def condition(self, node: Node) -> Condition:
        """Return *node* as a condition on ``runs``."""
        if isinstance(node, And):
            return and_(*map(self.condition, node.nodes))
        if isinstance(node, Or):
            return or_(*map(self.condition, node.nodes))
        if isinstance(node, Not):
            return not_(self.condition(node.node))
        source = find_source(node.field, self._best)
        if isinstance(node, IsNull):
            found = _found(source, source.present)
            return found if node.negated else not_(found)
        holds = self._holds(node, source)
        negated = node.op == "!=" if isinstance(node, Comparison) else node.negated
        if negated:
            holds = not_(func.coalesce(holds, false()))
        return _found(source, and_(_compares(source), holds))

    def _holds(self, node: Comparison | Between | In | Like, source: Source) -> Condition:
        """Return what the row must satisfy, without the negation."""
        if isinstance(node, Like):
            return self._like(node, source)
        if isinstance(node, In):
            return or_(*(_equal(node.field, source, part) for part in _groups(node.values)))
        if isinstance(node, Between):
            return and_(_ordered(source, ">=", node.low), _ordered(source, "<=", node.high))
        if node.op in {"=", "!="}:
            return _equal(node.field, source, [node.value])
        return _ordered(source, node.op, node.value)

    def _like(self, node: Like, source: Source) -> Condition:
        parts = _PATTERN.findall(node.pattern)
        if self._dialect == "sqlite" and not node.ignore_case:
            glob = "".join(map(_glob, parts))
            holds: Condition = source.text.op("GLOB", is_comparison=True)(_text(source.text, glob))
        else:
            pattern = _text(source.text, "".join(map(_sql_pattern, parts)))
            # ILIKE of SQLAlchemy lowers both sides on SQLite, and so defeats its own LIKE, which ignores case
            ignore = node.ignore_case and self._dialect != "sqlite"
            holds = source.text.ilike(pattern, escape="\\") if ignore else source.text.like(pattern, escape="\\")
        return holds if source.kind is None else and_(source.kind.in_((STR, JSON)), holds)


def _compares(source: Source) -> Condition:
    """Tell that the row has a value; an empty name is null for ``is null``, and still equals ``''``."""
    return true() if source.table is None and source.text is not None else source.present


def _found(source: Source, holds: Condition) -> Condition:
    """Tell that the run's row of *source* satisfies *holds*."""
    if source.table is None:
        return holds
    return exists(literal(1)).select_from(source.table).where(source.match, holds)


def _groups(values: Sequence[Literal]) -> list[list[Literal]]:
    """Group the values of a list by how they compare."""
    groups: dict[type, list[Literal]] = {}
    for value in values:
        groups.setdefault(float if type(value) is int else type(value), []).append(value)
    return list(groups.values())


def _equal(field: Field, source: Source, values: Sequence[Literal]) -> Condition:
    """Tell that the field equals one of *values*, which are all numbers, all text or all booleans."""
    if field.holds == "state":
        return _numbers_equal(source, [int(RunState[str(value)]) for value in values])
    first = values[0]
    if isinstance(first, bool):
        return and_(source.kind == BOOL, source.number.in_([float(value) for value in values]))
    if not isinstance(first, str):
        return _numbers_equal(source, values)
    texts = [str(value) for value in values]
    listed: Condition = source.text.in_([_text_value(source.text, text) for text in texts])
    if source.kind is None:
        return listed
    return or_(and_(source.kind.in_((STR, JSON)), listed), *_as_written(source, texts))


def _as_written(source: Source, texts: Sequence[str]) -> list[Condition]:
    """Let text equal the number or boolean that it writes: in MLflow every param is text."""
    found: list[Condition] = []
    if numbers := [float(text) for text in texts if _NUMBER.fullmatch(text)]:
        found.append(and_(source.kind.in_((INT, FLOAT)), _numbers_equal(source, numbers)))
    if flags := [float(text.lower() == "true") for text in texts if text.lower() in {"true", "false"}]:
        found.append(and_(source.kind == BOOL, source.number.in_(flags)))
    return found


def _numbers_equal(source: Source, values: Sequence[Any]) -> Condition:
    numbers = [_number(source, value) for value in values if value == value]
    columns = {id(column): column for column, _ in numbers}.values()
    found = [column.in_([value for other, value in numbers if other is column]) for column in columns]
    if len(numbers) < len(values):
        found.append(source.is_nan)
    return or_(*found)


def _ordered(source: Source, op: str, value: Literal) -> Condition:
    compare = _OPERATORS[op]
    if isinstance(value, str):
        holds: Condition = compare(source.text, _text(source.text, value))
        return holds if source.kind is None else and_(source.kind == STR, holds)
    column, number = _number(source, value)
    compared: Condition = compare(column, number)
    return compared


def _number(source: Source, value: float) -> tuple[ColumnElement[Any], float]:
    """Return the column to compare with *value*, and *value* as it is stored."""
    if source.whole:
        if math.isfinite(value) and value == int(value) and abs(value) < 2**63:
            return source.number, int(value)
        return cast(source.number, Double), _finite(value)
    return source.number, _finite(value)


def _finite(value: float) -> float:
    return max(-LARGEST, min(LARGEST, float(value)))


def _text_value(column: ColumnElement[Any], text: str) -> str:
    """Return *text* so that a driver takes it: columns of names hold nothing that would have to be escaped."""
    return text if isinstance(column.type, Content) else escape(text)


def _text(column: ColumnElement[Any], text: str) -> ColumnElement[str]:
    return literal(_text_value(column, text), column.type)


def _glob(part: str) -> str:
    if part in {"%", "_"}:
        return "*" if part == "%" else "?"
    char = part[-1]
    return f"[{char}]" if char in "*?[" else char


def _sql_pattern(part: str) -> str:
    if part in {"%", "_"}:
        return part
    return "\\" + part[-1] if part[-1] in "%_\\" else part[-1]
