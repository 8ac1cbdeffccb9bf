"""Code, environments, and the launches that used them."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    Index,
)

from trackers.sql.columns import (
    Digest,
    Json,
    Time,
    name_type,
)
from trackers.sql.tables.base import own_id, ref, table, text

code_versions = table(
    "code_versions",
    own_id(),
    Column("digest", Digest, nullable=False, unique=True),
    Column("version", name_type(32), nullable=False),
    Column("commit", name_type(64)),
    Column("dirty", Boolean),
    Column("content", Json, nullable=False),
    ref("bundle", "blobs.digest", null=True, cascade=False),
    ref("commits", "blobs.digest", null=True, cascade=False),
    Column("created_at", Time, nullable=False),
    Index(None, "commit"),
    Index(None, "bundle"),
    Index(None, "commits"),
)
"""Distinct states of code: *content* is what is known of it, *bundle* the file with its changes and new files,
*commits* that with the commits that no remote had."""

environments = table(
    "environments",
    own_id(),
    Column("digest", Digest, nullable=False, unique=True),
    Column("python", name_type(64), nullable=False),
    Column("content", Json, nullable=False),
    Column("created_at", Time, nullable=False),
)

launches = table(
    "launches",
    own_id(),
    Column("digest", Digest, nullable=False, unique=True),
    ref("code_id", "code_versions", null=True, cascade=False),
    ref("environment_id", "environments", null=True, cascade=False),
    text("branch", null=True),
    text("remote", null=True),
    text("entry_point"),
    Column("arguments", Json, nullable=False),
    Column("created_at", Time, nullable=False),
    Index(None, "code_id"),
    Index(None, "environment_id"),
)
"""How processes were launched: which code, in which environment, by which call; one row for all that are alike."""
