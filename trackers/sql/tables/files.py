"""Files by their digest, their names, and models."""

from __future__ import annotations

from sqlalchemy import (
    Column,
    Index,
)

from trackers.sql.columns import (
    Digest,
    FileName,
    Id,
    Json,
    Kind,
    Name,
    Number,
    Time,
    Uid,
    name_type,
)
from trackers.sql.tables.base import key, ref, table, text

blobs = table(
    "blobs",
    key("digest", Digest),
    Column("size", Id, nullable=False),
    Column("created_at", Time, nullable=False),
    clustered=True,
)

artifacts = table(
    "artifacts",
    ref("run_id", "runs", key=True),
    key("name", FileName(1000)),
    ref("digest", "blobs.digest", cascade=False),
    Column("created_at", Time, nullable=False),
    Index(None, "digest"),
    clustered=True,
)

checkpoints = table(
    "checkpoints",
    ref("run_id", "runs", key=True),
    ref("digest", "blobs.digest", cascade=False),
    Column("step", Id),
    Column("created_at", Time, nullable=False),
    Index(None, "digest"),
)

models = table(
    "models",
    key("uid", Uid),
    ref("run_id", "runs"),
    Column("name", Name, nullable=False),
    Column("flavor", name_type(64), nullable=False),
    Column("manifest", Json),
    Column("size", Id, nullable=False),
    Column("step", Id),
    Column("value", Number),
    Column("value_kind", Kind, nullable=False),
    text("why_not", null=True),
    Column("created_at", Time, nullable=False),
    Column("replaced_at", Time),
    Column("deleted_at", Time),
    text("deleted_why"),
    Index(None, "run_id", "name"),
)
"""Models that runs saved, or the sentence that says why there is none. The current one of a run and name has no
*replaced_at*; a replaced one stays only while a registered version needs it. *value* NULL with *value_kind* 0: none."""

model_files = table(
    "model_files",
    ref("model_uid", "models.uid", key=True),
    key("name", FileName(1000)),
    ref("digest", "blobs.digest", cascade=False),
    Index(None, "digest"),
    clustered=True,
)
