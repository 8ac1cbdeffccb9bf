"""A graph as a picture: one SVG that needs nothing else, read from left to right."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape
from itertools import pairwise

from trackers.lineage.graph import Graph, Node

_WIDTH, _HEIGHT = 250, 46
_GAP_X, _GAP_Y = 90, 18
_MARGIN = 20
_LONGEST = 34
_LONGEST_NOTE = 14
_WIDE = 30
"""Characters that fill a box in a wide font."""
_TELLING = re.compile(r"[/@ ][^/@ ]+$")
"""The end of a label that tells it from its like: a version's number, an alias, a trial's number, the digits of a run."""
_SHORTEST_NAME = 5
_FILLS = {"data": "#e8f1fb", "code": "#f1ecfa", "run": "#ffffff", "version": "#e9f6ec", "alias": "#fdf1dc"}
_STYLE = (
    "text{font:13px sans-serif;fill:#1a1a1a}.note{font-size:11px;fill:#555}"
    ".box{stroke:#8a8a8a}.focus{stroke:#1a1a1a;stroke-width:2.5}.edge{fill:none;stroke:#8a8a8a}"
    ".over{paint-order:stroke;stroke:#fff;stroke-width:4px}"
)


def to_svg(graph: Graph) -> str:
    """Return the graph as SVG text."""
    columns = _columns(graph)
    tallest = max(len(column) for column in columns)
    height = 2 * _MARGIN + tallest * (_HEIGHT + _GAP_Y) - _GAP_Y
    width = 2 * _MARGIN + len(columns) * (_WIDTH + _GAP_X) - _GAP_X
    places = {
        node.id: (
            _MARGIN + x * (_WIDTH + _GAP_X),
            (height - len(column) * (_HEIGHT + _GAP_Y) + _GAP_Y) // 2 + y * (_HEIGHT + _GAP_Y),
        )
        for x, column in enumerate(columns)
        for y, node in enumerate(column)
    }
    title = f"Lineage of {graph.node(graph.focus).kind} {graph.node(graph.focus).label}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img"><title>{_text(title)}</title><style>{_STYLE}</style><rect width="100%" height="100%" fill="#fff"/>'
    ]
    noted: set[tuple[str, str]] = set()
    for edge in graph.edges:
        note = "" if (edge.source, edge.note) in noted else edge.note
        noted.add((edge.source, edge.note))
        parts.append(_edge(places[edge.source], places[edge.target], note))
    parts += [_box(node, places[node.id], node.id == graph.focus) for node in graph.nodes]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _columns(graph: Graph) -> list[list[Node]]:
    """Put each node one column behind the last of what led to it."""
    depths: dict[str, int] = {}

    def depth(node_id: str) -> int:
        if node_id not in depths:
            depths[node_id] = max((1 + depth(node.id) for _, node in graph.before(node_id)), default=0)
        return depths[node_id]

    columns: list[list[Node]] = [[] for _ in range(1 + max(depth(node.id) for node in graph.nodes))]
    for node in graph.nodes:
        columns[depth(node.id)].append(node)
    columns = [column for column in columns if column]
    for left, right in pairwise(columns):
        rows = {node.id: row for row, node in enumerate(left)}
        right.sort(key=lambda node: _middle(graph, node, rows))  # lines cross less so
    return columns


def _middle(graph: Graph, node: Node, rows: Mapping[str, int]) -> float:
    found = [rows[source.id] for _, source in graph.before(node.id) if source.id in rows]
    return sum(found) / len(found) if found else len(rows)


def _edge(start: tuple[int, int], end: tuple[int, int], note: str) -> str:
    x1, y1 = start[0] + _WIDTH, start[1] + _HEIGHT // 2
    x2, y2 = end[0], end[1] + _HEIGHT // 2
    middle = (x1 + x2) // 2
    line = f'<path class="edge" d="M{x1},{y1} C{middle},{y1} {middle},{y2} {x2},{y2}"/>'
    head = f'<path d="M{x2},{y2} l-7,-4 v8 z" fill="#8a8a8a"/>'
    label = (
        f'<text class="note over" x="{x1 + 4}" y="{y1 - 5}">{_text(_cut(note, _LONGEST_NOTE))}</text>' if note else ""
    )
    return line + head + label


def _box(node: Node, place: tuple[int, int], is_focus: bool) -> str:
    x, y = place
    whole = f"{node.kind} {node.label}" + (f" ({node.note})" if node.note else "")
    up = 20 if node.note else 28
    note = (
        f'<text class="note" x="{x + 10}" y="{y + 37}">{_text(_cut(node.note, _LONGEST + 6))}</text>'
        if node.note
        else ""
    )
    return (
        f'<g><title>{_text(whole)}</title><rect class="{"focus" if is_focus else "box"}" x="{x}" y="{y}" '
        f'width="{_WIDTH}" height="{_HEIGHT}" rx="6" fill="{_FILLS[node.kind]}"/>'
        f"{_label(x + 10, y + up, _shortened(f'{node.kind} {node.label}'))}{note}</g>"
    )


def _label(x: int, y: int, label: str) -> str:
    """Return the first line of a box; one that some font has no room for is drawn as wide as there is."""
    fitted = f' textLength="{_WIDTH - 20}" lengthAdjust="spacingAndGlyphs"' if len(label) >= _WIDE else ""
    return f'<text x="{x}" y="{y}"{fitted}>{_text(label)}</text>'


def _shortened(label: str) -> str:
    """Take as much from the middle of the name in *label* as there is no room for; what stands behind it stays."""
    over = len(label) - _LONGEST
    if over <= 0:
        return label
    telling = _TELLING.search(label)
    end = len(label) if telling is None or telling.start() - over < 2 * _SHORTEST_NAME else telling.start()
    first = (end - over) // 2
    return f"{label[:first]}…{label[first + over + 1 :]}"


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def _text(text: str) -> str:
    """Return *text* as XML holds it: no control characters, no markup."""
    return escape("".join(char if char.isprintable() else "\ufffd" for char in text))
