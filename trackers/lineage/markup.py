"""A graph as Graphviz's DOT and as Mermaid."""

from __future__ import annotations

import json

from trackers.lineage.graph import Graph, Node

_SHAPES = {"data": "cylinder", "code": "note", "run": "box", "version": "component", "alias": "cds"}
_MERMAID = {
    "data": ('[("', '")]'),
    "code": ('["', '"]'),
    "run": ('["', '"]'),
    "version": ('[["', '"]]'),
    "alias": ('(["', '"])'),
}


def to_dot(graph: Graph) -> str:
    """Return the graph in Graphviz's language."""
    names = {node.id: f"n{index}" for index, node in enumerate(graph.nodes)}
    lines = ["digraph lineage {", "  rankdir=LR;", '  node [fontname="sans-serif"];']
    for node in graph.nodes:
        bold = ", penwidth=2" if node.id == graph.focus else ""
        lines.append(f"  {names[node.id]} [shape={_SHAPES[node.kind]}, label={_dot_text(_label(node))}{bold}];")
    for edge in graph.edges:
        note = f" [label={_dot_text(edge.note)}]" if edge.note else ""
        lines.append(f"  {names[edge.source]} -> {names[edge.target]}{note};")
    return "\n".join([*lines, "}"])


def _dot_text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def to_mermaid(graph: Graph) -> str:
    """Return the graph in Mermaid's language."""
    names = {node.id: f"n{index}" for index, node in enumerate(graph.nodes)}
    lines = ["flowchart LR"]
    for node in graph.nodes:
        opening, closing = _MERMAID[node.kind]
        lines.append(f"    {names[node.id]}{opening}{_mermaid_text(_label(node))}{closing}")
    for edge in graph.edges:
        note = f'|"{_mermaid_text(edge.note)}"|' if edge.note else ""
        lines.append(f"    {names[edge.source]} -->{note} {names[edge.target]}")
    lines.append(f"    style {names[graph.focus]} stroke-width:3px")
    return "\n".join(lines)


def _label(node: Node) -> str:
    return f"{node.kind} {node.label}" + (f"\n{node.note}" if node.note else "")


def _mermaid_text(text: str) -> str:
    for char, code in (("#", "35"), ("&", "amp"), ('"', "quot"), ("<", "lt"), (">", "gt"), ("`", "96")):
        text = text.replace(char, f"\0{code};")
    return text.replace("\0", "#").replace("\n", "<br/>")
