"""Read an order, such as ``metrics.auc desc, attributes.started asc``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from trackers.errors import FilterError
from trackers.query.nodes import OrderKey
from trackers.query.parser import Parser

MOST_KEYS = 8


def parse_order(order_by: str | Sequence[str] | None) -> tuple[OrderKey, ...]:
    """Read *order_by*: keys with commas between them, or a sequence of such texts; ``asc`` unless ``desc`` is said.

    A key that comes a second time is dropped. Raises FilterError.
    """
    given = [order_by] if isinstance(order_by, str) else order_by or ()
    if not isinstance(given, Iterable) or not all(isinstance(text, str) for text in given):
        raise FilterError(f"an order is text, as in 'metrics.auc desc', or a list of such texts, not {order_by!r:.60}")
    texts = list(given)
    keys: dict[object, OrderKey] = {}
    for text in texts:
        parser = Parser(text, "order")
        while parser.token.kind != "end":
            key = _key(parser)
            keys.setdefault(key.field, key)
            if len(keys) > MOST_KEYS:
                raise FilterError(f"an order may have {MOST_KEYS} keys: take some away")
    return tuple(keys.values())


def _key(parser: Parser) -> OrderKey:
    first = parser.token
    field = parser.field()
    if field.kind == "dataset":
        parser.fail("a run may have several data sets, which gives no order: write the order by another field", first)
    descending = parser.sees("desc", "descending")
    if descending or parser.sees("asc", "ascending"):
        parser.take()
    if parser.sees(","):
        parser.take()
        if parser.token.kind == "end":
            parser.fail("another field is expected after the comma")
    elif parser.token.kind != "end":
        parser.fail("a field is followed by asc, desc or a comma")
    return OrderKey(field, descending)
