"""A graph as a text: what was asked about, what it comes from, what it leads to."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from trackers.lineage.graph import Edge, Graph, Node
from trackers.wording import counted

Neighbours = Callable[[str], list[tuple[Edge, Node]]]


def to_text(graph: Graph) -> str:
    """Return the graph as trees of lines."""
    lines = [_line(graph.node(graph.focus))]
    for title, neighbours in (("comes from", graph.before), ("leads to", graph.after)):
        if branches := list(_branches(graph.focus, neighbours, "")):
            lines += [title, *branches]
    if graph.left_out:
        lines.append(f"and {counted(graph.left_out, 'more run')}")
    return "\n".join(lines)


def _branches(node_id: str, neighbours: Neighbours, indent: str) -> Iterator[str]:
    found = neighbours(node_id)
    for index, (edge, node) in enumerate(found):
        last = index == len(found) - 1
        yield f"{indent}{'└── ' if last else '├── '}{_line(node, edge.note)}"
        yield from _branches(node.id, neighbours, indent + ("    " if last else "│   "))


def _line(node: Node, note: str = "") -> str:
    notes = ", ".join(part for part in (note, node.note) if part)
    return f"{node.kind} {node.label}{f'  ({notes})' if notes else ''}"
