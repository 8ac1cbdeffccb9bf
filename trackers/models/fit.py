"""Whether a signature can be that of a model: only what must fail when it predicts is held against it. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from trackers.models.schema import some
from trackers.wording import counted


def columns_of(schema: Mapping[str, Any]) -> list[str] | None:
    """Return the names of the columns of a frame; None where the *schema* is no frame's."""
    return [str(column["name"]) for column in schema["columns"]] if schema.get("kind") == "frame" else None


def wrong_width(schema: Mapping[str, Any], width: int | None, *, or_fewer: bool = False) -> str | None:
    """Say that a model takes *width* columns (*or_fewer*), where *schema* has another number of them."""
    columns = columns_of(schema)
    shape: Sequence[int | None] = schema.get("shape") or ()
    has = len(columns) if columns is not None else (shape[1] if len(shape) == 2 else None)
    if not width or has is None or has == width or (or_fewer and has < width):
        return None
    return f"takes {'at most ' * or_fewer}{counted(width, 'column')}, not {has}"


def wrong_names(schema: Mapping[str, Any], names: Sequence[str]) -> str | None:
    """Say that a model takes the columns *names* in that order, where those of a frame are others."""
    columns = columns_of(schema)
    if columns is None or columns == list(names):
        return None
    order = " in that order" if sorted(columns) == sorted(names) else ""
    return f"takes the columns {some(list(names))}{order}, not {some(columns)}"


def missing_names(schema: Mapping[str, Any], needed: Collection[str]) -> str | None:
    """Say that a model needs columns that a frame has not; it may have others besides, in any order."""
    columns = columns_of(schema)
    missing = [] if columns is None else [name for name in needed if name not in columns]
    return f"needs the columns {some(missing)} as well" if missing else None


def strangers(schema: Mapping[str, Any], names: Sequence[str]) -> str | None:
    """Say that none of the columns of a frame is one of *names*, which a model was fitted to."""
    columns = columns_of(schema)
    if columns is None or set(columns) & set(names):
        return None
    return f"was fitted to the columns {some(list(names))}, and none of {some(columns)} is one of them"
