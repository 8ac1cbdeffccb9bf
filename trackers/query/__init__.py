"""The filter language of ``search_runs``: text in, a small tree out. Pure: it knows no database.

    metrics.accuracy > 0.9 and params.kernel = 'rbf'
    best(metrics.loss) < 0.1 or not (tags.team in ('vision', 'audio') and attributes.state = 'FAIL')
    params."learning rate" between 1e-4 and 1e-2 and attributes.started >= '2026-01-31'

A field is ``metrics.KEY``, ``params.KEY``, ``tags.KEY``, ``attributes.NAME`` or ``datasets.name|digest|context``; a key
with spaces stands in double quotes or backticks; ``metrics.loss{split=val}`` is the series with that context. Keywords
are case-insensitive.
"""

from __future__ import annotations

from trackers.query.fields import ATTRIBUTES, Field
from trackers.query.nodes import (
    And,
    Between,
    Comparison,
    In,
    IsNull,
    Like,
    Literal,
    Node,
    Not,
    Or,
    OrderKey,
    compared_fields,
    fields_of,
)
from trackers.query.order import parse_order
from trackers.query.parser import parse, parse_flat

__all__ = [
    "ATTRIBUTES",
    "And",
    "Between",
    "Comparison",
    "Field",
    "In",
    "IsNull",
    "Like",
    "Literal",
    "Node",
    "Not",
    "Or",
    "OrderKey",
    "compared_fields",
    "fields_of",
    "parse",
    "parse_flat",
    "parse_order",
]
