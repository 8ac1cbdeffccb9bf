"""Where a version comes from and what came of a run or of data: a graph, and the ways to show it. Pure."""

from __future__ import annotations

from trackers.lineage.graph import Edge, Graph, Node
from trackers.lineage.markup import to_dot, to_mermaid
from trackers.lineage.picture import to_svg
from trackers.lineage.tree import to_text

__all__ = ["Edge", "Graph", "Node", "to_dot", "to_mermaid", "to_svg", "to_text"]
