"""The store itself, and what keeping house needs to know."""

from __future__ import annotations

from sqlalchemy import (
    CheckConstraint,
    Column,
)

from trackers.sql.columns import (
    Digest,
    Id,
    Time,
    Uid,
    name_type,
)
from trackers.sql.tables.base import key, own_id, table, text

store = table(
    "store",
    own_id(),
    Column("uid", Uid, nullable=False),
    Column("created_at", Time, nullable=False),
    text("artifact_root"),
    CheckConstraint("id = 1", name="one_row"),
)

counters = table("counters", key("name", name_type(32)), Column("next", Id, nullable=False), clustered=True)

journals = table(
    "journals",
    key("uid", Uid),
    Column("position", Id, nullable=False),
    Column("created_at", Time, nullable=False),
    Column("changed_at", Time, nullable=False),
    clustered=True,
)
"""How far each process's log entries are in this store: *position* is the number of the last one (see the journal)."""


pins = table(
    "pins",
    key("kind", name_type(8)),
    key("target", name_type(64)),
    text("reason"),
    text("author"),
    Column("created_at", Time, nullable=False),
    clustered=True,
)
"""What is kept whatever becomes of the rest: *target* is the uid of a ``run`` or ``model``, or the digest of a ``file``."""

garbage = table(
    "garbage",
    key("digest", Digest),
    Column("size", Id, nullable=False),
    Column("marked_at", Time, nullable=False),
    clustered=True,
)
"""Files that nothing referred to at *marked_at*, nor at any look since: see ``trackers.sql.garbage``."""
