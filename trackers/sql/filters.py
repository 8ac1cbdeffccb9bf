"""A filter's tree as conditions on a run's id: for each part, that one of the run's rows satisfies it."""

from __future__ import annotations

import json
import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from string import ascii_lowercase, ascii_uppercase
from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Double,
    Join,
    Select,
    and_,
    any_,
    cast,
    collate,
    exists,
    false,
    func,
    literal,
    not_,
    or_,
    select,
    true,
)

from trackers.query import And, Between, Comparison, Field, In, IsNull, Like, Literal, Node, Not, Or
from trackers.query.literals import MOST_DIGITS
from trackers.sql.columns import BOOL, EXACT, FLOAT, INT, JSON, STR, WORD, Content, escape, to_json
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


Leaf = Comparison | Between | In | Like | IsNull


class FilterCompiler:
    """Makes conditions for one database; *best* says what ``best(...)`` of each metric means."""

    def __init__(self, dialect: str, best: Mapping[str, Best]) -> None:
        self.dialect = dialect
        self.best = best
        self._sources: dict[tuple[Field, Any], Source] = {}

    def condition(self, node: Node, run: ColumnElement[int], *, sets: bool = False, runs: Any = None) -> Condition:
        """Return *node* as a condition on the run whose id is *run*.

        Each part of it looks for the run's row; with *sets* the runs that match a part are gathered once instead, which
        is cheaper where very many runs are asked about. *runs* is the alias of ``runs`` that is being walked, if any.
        """
        if isinstance(node, And | Or):
            join = and_ if isinstance(node, And) else or_
            return join(*(self.condition(part, run, sets=sets, runs=runs) for part in node.nodes))
        if isinstance(node, Not):
            return not_(func.coalesce(self.condition(node.node, run, sets=sets, runs=runs), false()))
        source = self.source(node.field, runs)
        holds = self.row(node, source)
        if runs is not None and source.runs is runs:
            found: Condition = holds
        else:
            found = self.is_among(source, holds, run, sets=sets)
        return not_(func.coalesce(found, false())) if isinstance(node, IsNull) and not node.negated else found

    def source(self, field: Field, runs: Any = None) -> Source:
        """Return where *field* is kept; the same aliases each time, since its parts are never within each other."""
        if (field, runs) not in self._sources:
            self._sources[field, runs] = find_source(field, self.best, runs)
        return self._sources[field, runs]

    def ids(self, node: Leaf) -> list[Select[int]]:
        """Return queries whose ids together are those of the runs of which *node* holds, no row twice.

        Each reads its part of an index from end to end: for ``!=``, what is before and after the value.
        """
        source = self.source(node.field)
        excluded = self._excluded(node, source)
        if excluded is None:
            return [ids_of(source, self.row(node, source))]
        column, parts = excluded
        return [
            *(ids_of(source, part) for part in parts),
            ids_of(source, and_(column.is_(None), self.row(node, source))),
        ]

    def _excluded(self, node: Leaf, source: Source) -> tuple[Any, list[Condition]] | None:
        """Return the column that *node* excludes values of, and the ranges that are left; None for any other node."""
        if isinstance(node, Comparison) and node.op == "!=":
            values: Sequence[Literal] = [node.value]
        elif isinstance(node, In | Between) and node.negated:
            values = node.values if isinstance(node, In) else (node.low, node.high)
        else:
            return None
        if len(values) > _MOST_PARTS or isinstance(source.table, Join):
            return None  # of a join, no index holds both what is compared and the run
        ends = self._ends(node.field, source, values)
        if ends is None:
            return None
        column, found = ends
        if isinstance(node, Between):
            return (column, [column < found[0], column > found[1]]) if found[0] <= found[1] else None
        found = sorted(set(found))
        middle = [and_(column > low, column < high) for low, high in pairwise(found)]
        return column, [column < found[0], *middle, column > found[-1]]

    def _ends(self, field: Field, source: Source, values: Sequence[Literal]) -> tuple[Any, list[Any]] | None:
        """Return *values* as one column holds them; None where that alone does not say which rows have them."""
        if field.holds == "state":
            return source.number, [int(RunState[str(value)]) for value in values]
        if all(isinstance(value, str) for value in values):
            words = [_text_value(source.text, str(value)) for value in values]
            return None if any(len(word) >= WORD for word in words) else (source.text, words)
        if any(isinstance(value, str | bool) or value != value or _is_long(source, value) for value in values):
            return None
        numbers = [_number(source, value) for value in values if not isinstance(value, str)]
        column = numbers[0][0]
        return (column, [value for _, value in numbers]) if all(other is column for other, _ in numbers) else None

    def row(self, node: Leaf, source: Source) -> Condition:
        """Return what the run's row of *source* satisfies: for ``is null`` that there is a value."""
        if isinstance(node, IsNull):
            return source.present
        holds = self._holds(node, source)
        negated = node.op == "!=" if isinstance(node, Comparison) else node.negated
        # what holds of a value holds of none that is missing: there the index alone says so
        return and_(not_(func.coalesce(holds, false())), _compares(source)) if negated else holds

    def _holds(self, node: Comparison | Between | In | Like, source: Source) -> Condition:
        """Return what the row must satisfy, without the negation."""
        if isinstance(node, Like):
            return self._like(node, source)
        if isinstance(node, In):
            return or_(*(self._equal(node.field, source, part) for part in _groups(node.values)))
        if isinstance(node, Between):
            return and_(_ordered(source, ">=", node.low), _ordered(source, "<=", node.high))
        if node.op in {"=", "!="}:
            return self._equal(node.field, source, [node.value])
        return _ordered(source, node.op, node.value)

    def _like(self, node: Like, source: Source) -> Condition:
        parts = _PATTERN.findall(node.pattern)
        holds = self._matches(source.text, parts, node.ignore_case)
        start = "" if node.ignore_case else _beginning(parts)
        within = (
            and_(source.text >= _text(source.text, start), source.text <= _text(source.text, start + _LAST))
            if start
            else true()
        )
        if source.full is None:
            return and_(within, holds)
        # of a long text the index has the beginning alone, of a list or mapping nothing
        length = func.length if self.dialect == "sqlite" else func.char_length  # LENGTH of MariaDB counts bytes
        in_index = func.coalesce(length(source.text), WORD) < WORD
        whole = self._whole(source, parts, node.ignore_case)
        if start and not _may_be_json(start[:1]):
            return and_(within, or_(and_(in_index, holds), and_(not_(in_index), whole)))
        return or_(and_(within, in_index, holds), and_(not_(in_index), whole))

    def _whole(self, source: Source, parts: Sequence[str], ignore_case: bool) -> Condition:
        again = source.again.c
        row = select(literal(1)).where(again.run_id == source.run, again.name == source.table.c.name)
        if source.kind is not None:
            row = row.where(again.kind.in_((STR, JSON)))
        return self.exists(row.where(self._matches(again[source.full.name], parts, ignore_case)))

    def is_among(self, source: Source, holds: Condition, run: ColumnElement[int], *, sets: bool) -> Condition:
        """Tell that the row that *source* has of the run satisfies *holds*.

        With *sets* all the runs for which that is so are gathered once; else the row is looked for, run by run.
        """
        if not sets:
            return self.exists(select(literal(1)).select_from(source.table).where(source.run == run, source.own, holds))
        return self.is_in(run, ids_of(source, holds))

    def is_in(self, run: ColumnElement[int], ids: Any) -> Condition:
        """Tell that *run* is among *ids*, a query that is run once."""
        if self.dialect == "sqlite":
            return (run + 0).in_(ids)
        # in a function, so that a server gathers it once and makes no join, whose kind depends on what it expects
        return func.coalesce(run.in_(ids), false())

    def exists(self, row: Select[int]) -> Condition:
        """Tell that there is *row*, looked for run by run."""
        # with an OFFSET, PostgreSQL makes neither a join nor a hash of it
        return exists(row.offset(0) if self.dialect == "postgresql" else row)

    def _equal(self, field: Field, source: Source, values: Sequence[Literal]) -> Condition:
        """Tell that the field equals one of *values*, which are all numbers, all text or all booleans."""
        if field.holds == "state":
            return self._numbers_equal(source, [int(RunState[str(value)]) for value in values])
        first = values[0]
        if isinstance(first, bool):
            return and_(source.kind == BOOL, source.number.in_([float(value) for value in values]))
        if not isinstance(first, str):
            return self._numbers_equal(source, values)
        texts = [str(value) for value in values]
        found = [self._texts_equal(source, texts)]
        if source.kind is not None:
            found += self._as_written(source, texts)
            if source.full is not None and (written := [_compact(text) for text in texts if _may_be_json(text[:1])]):
                found.append(and_(source.kind == JSON, self._one_of(source.full, written)))
        return or_(*found)

    def _texts_equal(self, source: Source, texts: Sequence[str]) -> Condition:
        words = [_text_value(source.text, text) for text in texts]
        if source.full is None or all(len(word) < WORD for word in words):
            return self._one_of(source.text, words)
        return and_(self._one_of(source.text, [word[:WORD] for word in words]), self._one_of(source.full, texts))

    def _as_written(self, source: Source, texts: Sequence[str]) -> list[Condition]:
        """Let text equal the number or boolean that it writes: in MLflow every param is text."""
        found: list[Condition] = []
        if numbers := [_read_number(text) for text in texts if _NUMBER.fullmatch(text)]:
            found.append(and_(source.kind.in_((INT, FLOAT)), self._numbers_equal(source, numbers)))
        if flags := [float(text.lower() == "true") for text in texts if text.lower() in {"true", "false"}]:
            found.append(and_(source.kind == BOOL, source.number.in_(flags)))
        return found

    def _numbers_equal(self, source: Source, values: Sequence[Any]) -> Condition:
        long = [value for value in values if _is_long(source, value)]
        numbers = [_number(source, value) for value in values if value == value and not _is_long(source, value)]
        columns = {id(column): column for column, _ in numbers}.values()
        found = [_long_ordered(source, "=", value) for value in long]
        found += [self._one_of(column, [value for other, value in numbers if other is column]) for column in columns]
        if any(value != value for value in values):
            found.append(source.is_nan)
        return or_(*found)

    def _one_of(self, column: ColumnElement[Any], values: Sequence[Any]) -> Condition:
        """Tell that *column* is one of *values*; a long list goes to PostgreSQL as one value, not as a thousand."""
        if self.dialect == "postgresql" and len(values) > LONG_LIST:
            return column == any_(literal(values, ARRAY(column.type)))
        found: Condition = column.in_(values)
        return found

    def _matches(self, column: Any, parts: Sequence[str], ignore_case: bool) -> Condition:
        if self.dialect == "sqlite" and not ignore_case:
            found: Condition = column.op("GLOB", is_comparison=True)(_text(column, "".join(map(_glob, parts))))
            return found
        pattern = "".join(map(_sql_pattern, parts))
        if ignore_case and self.dialect != "sqlite":  # whose LIKE ignores the case of ASCII letters by itself
            column, pattern = self._lowered(column), pattern.translate(str.maketrans(ascii_uppercase, ascii_lowercase))
        like: Condition = column.like(_text(column, pattern), escape="\\")
        return like

    def _lowered(self, column: Any) -> Any:
        """Return *column* with its ASCII letters lowered, and no others: ILIKE and LOWER go by the database's locale."""
        if self.dialect == "postgresql":
            return func.lower(collate(column, "C"), type_=column.type)  # TRANSLATE takes 25 times as long
        for upper, lower in zip(ascii_uppercase, ascii_lowercase, strict=True):  # MariaDB has no TRANSLATE
            column = func.replace(column, upper, lower, type_=column.type)
        return column


_LAST = "\U0010ffff"
LONG_LIST = 16
_MOST_PARTS = 16
"""How many values are left out of an index by reading what is around them."""


def _beginning(parts: Sequence[str]) -> str:
    """Return the text that everything begins with that a pattern matches."""
    start = ""
    for part in parts:
        if part in {"%", "_"} or len(start) == WORD // 2:
            break
        start += part[-1]
    return start


def _may_be_json(first: str) -> bool:
    """Tell whether a list or mapping, as it is stored, can begin as a pattern or text does."""
    return first[-1:] in {"[", "{"} or first in {"%", "_"}


def _compares(source: Source) -> Condition:
    """Tell that the row has a value; an empty name is null for ``is null``, and still equals ``''``."""
    return true() if source.always else source.present


def ids_of(source: Source, holds: Condition) -> Select[int]:
    """Return the query for the ids of the runs whose row of *source* satisfies *holds*."""
    return select(source.run).where(source.own, holds).select_from(source.table)


def _groups(values: Sequence[Literal]) -> list[list[Literal]]:
    """Group the values of a list by how they compare."""
    groups: dict[type, list[Literal]] = {}
    for value in values:
        groups.setdefault(float if type(value) is int else type(value), []).append(value)
    return list(groups.values())


def _ordered(source: Source, op: str, value: Literal) -> Condition:
    compare = _OPERATORS[op]
    if isinstance(value, str):
        word = _text_value(source.text, value)
        if source.full is None or len(word) < WORD:
            holds: Condition = compare(source.text, literal(word, source.text.type))
            return holds
        nearly = _OPERATORS[op[0] + "="]
        holds = and_(nearly(source.text, literal(word[:WORD], source.text.type)), compare(source.full, value))
        return holds if source.kind is None else and_(source.kind == STR, holds)
    if _is_long(source, value):
        return _long_ordered(source, op, value)
    column, number = _number(source, value)
    compared: Condition = compare(column, number)
    return compared


def _is_long(source: Source, value: Literal) -> bool:
    """Tell whether *value* is an integer whose double may be that of others too, compared with what may be one."""
    return source.full is not None and source.kind is not None and type(value) is int and abs(value) >= EXACT


def _long_ordered(source: Source, op: str, value: Any) -> Condition:
    """Compare with an integer that a double may not hold: those of the same double are told apart by their digits.

    There they have the sign of *value* and about as many digits; a number that is no integer is the double itself.
    """
    column, near = _number(source, value)
    digits, length = func.coalesce(source.full, str(int(near))), len(str(value))
    if op == "=":
        within = digits == str(value)
    else:
        further = (op[0] == ">") is (value > 0)  # further from zero: more digits, or larger ones
        count, compare = func.length(digits), _OPERATORS[(">" if further else "<") + op[1:]]
        within = or_(count > length if further else count < length, and_(count == length, compare(digits, str(value))))
    among = or_(and_(source.kind == INT, within), and_(source.kind == FLOAT, literal(_compare(op, int(near), value))))
    nearly = and_(column == near, among)
    return nearly if op == "=" else or_(_OPERATORS[op[0]](column, near), nearly)


def _compare(op: str, left: int, right: int) -> bool:
    return bool(_OPERATORS[op](left, right))


def _compact(text: str) -> str:
    """Return a list or mapping as it is stored: MLflow keeps ``[64, 32]``, as Python writes it."""
    try:
        return to_json(json.loads(text))
    except (ValueError, RecursionError):
        return text


def _read_number(text: str) -> float:
    return int(text) if text.lstrip("+-").isdecimal() and len(text) <= MOST_DIGITS else float(text)


def _number(source: Source, value: float) -> tuple[ColumnElement[Any], float]:
    """Return the column to compare with *value*, and *value* as it is stored."""
    if source.whole:
        value *= source.unit
        if math.isfinite(value) and abs(value) < 2**62 and (value == round(value) or source.unit > 1):
            return source.number, round(value)
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
