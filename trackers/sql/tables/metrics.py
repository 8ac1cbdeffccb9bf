"""The series of metrics and their points."""

from __future__ import annotations

from sqlalchemy import (
    Column,
    Index,
    Integer,
    UniqueConstraint,
)

from trackers.sql.columns import (
    Id,
    Kind,
    LongText,
    Name,
    Number,
    Time,
)
from trackers.sql.tables.base import key, own_id, ref, table

series = table(
    "series",
    own_id(),
    ref("run_id", "runs"),
    Column("key", Name, nullable=False),
    Column("context", Name, nullable=False),
    Column("count", Id, nullable=False),
    Column("last", Number),
    Column("last_kind", Kind, nullable=False),
    Column("last_step", Id, nullable=False),
    Column("last_attempt", Integer, nullable=False),
    Column("last_time", Time, nullable=False),
    Column("min", Number),
    Column("max", Number),
    Column("since_step", Id),
    Column("hidden", Id),
    Column("sealed", Id),
    UniqueConstraint("run_id", "key", "context"),
    Index(None, "key", "context", "last", "run_id"),
    Index(None, "key", "context", "min", "run_id"),
    Index(None, "key", "context", "max", "run_id"),
)
"""What is kept of each metric series besides its points; *last* is that of the newest attempt's largest step.

*min* and *max* hold the largest double for an infinity, and NULL while every point was NaN; points that a later attempt
hides are not in them. *since_step* is the smallest step of the newest attempt, NULL where there was one attempt only.
*count* is of every point that was written, *hidden* of those among them that a later attempt hides (NULL: none).
*sealed* is how many of the points lie in ``chunks`` (NULL: none): the first ones, in the order in which they came.
"""

points = table(
    "points",
    ref("series_id", "series", key=True),
    key("ordinal", Id),
    Column("step", Id, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("time", Time, nullable=False),
    Column("value", Number),
    Column("kind", Kind, nullable=False),
    clustered=True,
)

chunks = table(
    "chunks",
    ref("series_id", "series", key=True),
    key("ordinal", Id),
    Column("count", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("step", Id, nullable=False),
    Column("time", Time, nullable=False),
    Column("first_step", Id, nullable=False),
    Column("last_step", Id, nullable=False),
    Column("min", Number),
    Column("min_step", Id),
    Column("min_time", Time),
    Column("max", Number),
    Column("max_step", Id),
    Column("max_time", Time),
    Column("sketch", LongText, nullable=False),
    Column("points", LongText, nullable=False),
)
"""Points that are sealed, *count* to a row from number *ordinal* on: see ``trackers.sql.chunks``.

*step* and *time* are those of the first point, *first_step* and *last_step* the smallest and the largest step.
"""
