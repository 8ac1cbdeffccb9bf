"""The tree that a filter becomes. ``str(node)`` is a filter again, which parses to an equal tree."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from trackers.query.fields import Field
from trackers.query.tokens import quote

Literal = int | float | bool | str
"""A value as written; the null of SQL is no value: ``is null`` asks for it."""


def show(value: Literal, field: Field | None = None) -> str:
    """Write *value* as a filter has it beside *field*."""
    if field is not None and field.holds == "time" and isinstance(value, int):
        moment = datetime.fromtimestamp(0, UTC) + timedelta(microseconds=value)
        return f"'{moment.isoformat()}'"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return quote(value, "'")
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if value != value else ("inf" if value > 0 else "-inf")
    return repr(value)


@dataclass(frozen=True, slots=True)
class Comparison:
    """``field op value``; *op* is one of ``= != < <= > >=``. A run without the field never matches."""

    field: Field
    op: str
    value: Literal

    def __str__(self) -> str:
        return f"{self.field} {self.op} {show(self.value, self.field)}"


@dataclass(frozen=True, slots=True)
class Between:
    """``field [not] between low and high``, ends included. A run without the field never matches."""

    field: Field
    low: Literal
    high: Literal
    negated: bool = False

    def __str__(self) -> str:
        return f"{self.field} {'not ' * self.negated}between {show(self.low, self.field)} and {show(self.high, self.field)}"


@dataclass(frozen=True, slots=True)
class In:
    """``field [not] in (...)``. A run without the field never matches."""

    field: Field
    values: tuple[Literal, ...]
    negated: bool = False

    def __str__(self) -> str:
        listed = ", ".join(show(value, self.field) for value in self.values)
        return f"{self.field} {'not ' * self.negated}in ({listed})"


@dataclass(frozen=True, slots=True)
class Like:
    """``field [not] like 'a%'``: ``%`` is any text, ``_`` one character, a backslash takes them literally."""

    field: Field
    pattern: str
    ignore_case: bool = False
    negated: bool = False

    def __str__(self) -> str:
        word = "ilike" if self.ignore_case else "like"
        return f"{self.field} {'not ' * self.negated}{word} {quote(self.pattern, chr(39))}"


@dataclass(frozen=True, slots=True)
class IsNull:
    """``field is [not] null``: the run has no such field, or it is a param that holds None."""

    field: Field
    negated: bool = False

    def __str__(self) -> str:
        return f"{self.field} is {'not ' * self.negated}null"


@dataclass(frozen=True, slots=True)
class Not:
    """Everything that *node* does not match, runs without the field included."""

    node: Node

    def __str__(self) -> str:
        return f"not ({self.node})" if isinstance(self.node, And | Or) else f"not {self.node}"


@dataclass(frozen=True, slots=True)
class And:
    """All of *nodes* (two or more) match."""

    nodes: tuple[Node, ...]

    def __str__(self) -> str:
        return " and ".join(f"({node})" if isinstance(node, And | Or) else str(node) for node in self.nodes)


@dataclass(frozen=True, slots=True)
class Or:
    """At least one of *nodes* (two or more) matches."""

    nodes: tuple[Node, ...]

    def __str__(self) -> str:
        return " or ".join(f"({node})" if isinstance(node, Or) else str(node) for node in self.nodes)


Node = Comparison | Between | In | Like | IsNull | Not | And | Or


def flattened(node: Node) -> Node:
    """Return an equal tree in which no ``not`` stands in a ``not``, no ``and`` in an ``and``, no ``or`` in an ``or``.

    Databases end at some tens of nested conditions; parentheses that say nothing shall not count.
    """
    if isinstance(node, Not):
        inner = flattened(node.node)
        return inner.node if isinstance(inner, Not) else Not(inner)
    if isinstance(node, And | Or):
        kind = type(node)
        parts = [flattened(part) for part in node.nodes]
        return kind(tuple(leaf for part in parts for leaf in (part.nodes if isinstance(part, kind) else (part,))))
    return node


def depth_of(node: Node) -> int:
    """Return how many conditions are nested in each other."""
    if isinstance(node, Not):
        return 1 + depth_of(node.node)
    return 1 + max(map(depth_of, node.nodes)) if isinstance(node, And | Or) else 0


def fields_of(node: Node | None) -> list[Field]:
    """Return the fields that a filter asks about, in its order."""
    if node is None:
        return []
    if isinstance(node, And | Or):
        return [field for part in node.nodes for field in fields_of(part)]
    return fields_of(node.node) if isinstance(node, Not) else [node.field]


def compared_fields(node: Node | None) -> list[Field]:
    """Return the fields whose values a filter asks about: not those of which it only asks whether a run has them."""
    if isinstance(node, And | Or):
        return [field for part in node.nodes for field in compared_fields(part)]
    if isinstance(node, Not):
        return compared_fields(node.node)
    return [] if isinstance(node, IsNull) else fields_of(node)


@dataclass(frozen=True, slots=True)
class OrderKey:
    """One key of an order; runs with NaN come after all others, runs without the field last of all."""

    field: Field
    descending: bool = False

    def __str__(self) -> str:
        return f"{self.field} {'desc' if self.descending else 'asc'}"
