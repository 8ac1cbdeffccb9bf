"""The graph: data and code lead to runs, runs to versions, versions to aliases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_AND = ", "
KINDS = ("data", "code", "run", "version", "alias")


@dataclass(frozen=True, slots=True)
class Node:
    """A thing that has a past or a future: *kind* is one of ``KINDS``, *note* what stands beside its label."""

    id: str
    kind: str
    label: str
    note: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Edge:
    """*source* led to *target* (ids of nodes), as *note* says: the role of data, or its roles with commas."""

    source: str
    target: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Graph:
    """Nodes and edges without a cycle; *focus* is the id of what was asked about.

    *left_out* counts the runs that were not read because there are too many.
    """

    focus: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    left_out: int = 0

    def node(self, node_id: str) -> Node:
        """Return the node with this id."""
        return next(node for node in self.nodes if node.id == node_id)

    def before(self, node_id: str) -> list[tuple[Edge, Node]]:
        """Return what led to a node."""
        return [(edge, self.node(edge.source)) for edge in self.edges if edge.target == node_id]

    def after(self, node_id: str) -> list[tuple[Edge, Node]]:
        """Return what a node led to."""
        return [(edge, self.node(edge.target)) for edge in self.edges if edge.source == node_id]

    def as_json(self) -> dict[str, Any]:
        """Return the graph for JSON."""
        return {
            "focus": self.focus,
            "nodes": [
                {"id": n.id, "kind": n.kind, "label": n.label, "note": n.note, "facts": dict(n.facts)}
                for n in self.nodes
            ],
            "edges": [{"from": e.source, "to": e.target, "note": e.note} for e in self.edges],
            "left_out": self.left_out,
        }


class GraphBuilder:
    """Collects nodes and edges, each once."""

    def __init__(self) -> None:
        self._nodes: dict[str, Node] = {}
        self._edges: dict[tuple[str, str], Edge] = {}

    def add(self, node: Node) -> str:
        """Add a node, or keep the one that is there; return its id."""
        self._nodes.setdefault(node.id, node)
        return node.id

    def has(self, node_id: str) -> bool:
        """Tell whether there is such a node."""
        return node_id in self._nodes

    def link(self, source: str, target: str, note: str = "") -> None:
        """Say that *source* led to *target*; where that was said before, another *note* stands beside the first."""
        before = self._edges.get((source, target))
        notes = [] if before is None or not before.note else before.note.split(_AND)
        joined = _AND.join(dict.fromkeys([*notes, *([note] if note else [])]))
        self._edges[source, target] = Edge(source, target, joined)

    def build(self, focus: str, left_out: int = 0) -> Graph:
        """Return the graph, its nodes by kind and otherwise in the order in which they came."""
        nodes = sorted(self._nodes.values(), key=lambda node: KINDS.index(node.kind))
        return Graph(focus, tuple(nodes), tuple(self._edges.values()), left_out)
