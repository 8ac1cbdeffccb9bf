"""Experiments, and the studies among them.

A study is an experiment with a row in ``studies``, which holds only what is written often; its long texts lie in
``study_documents``, so that a commit never rewrites them. ``live_name`` is the name while the row lives and NULL after,
so that a deleted name can be used again.
"""

from __future__ import annotations

from sqlalchemy import (
    Column,
    Index,
)

from trackers.sql.columns import (
    Id,
    Json,
    JsonOrNull,
    Name,
    Number,
    Time,
    Uid,
    name_type,
)
from trackers.sql.tables.base import key, own_id, ref, table, text

experiments = table(
    "experiments",
    own_id(),
    Column("uid", Uid, nullable=False, unique=True),
    Column("name", Name, nullable=False),
    Column("live_name", Name, unique=True),
    Column("kind", name_type(16), nullable=False),
    text("description"),
    Column("created_at", Time, nullable=False),
    Column("deleted_at", Time),
    Column("archived_at", Time),
)

experiment_tags = table(
    "experiment_tags",
    ref("experiment_id", "experiments", key=True),
    key("name", Name),
    text("value"),
    clustered=True,
)

studies = table(
    "studies",
    ref("id", "experiments", key=True),
    Column("mode", name_type(16), nullable=False),
    Column("directions", Json, nullable=False),
    Column("metric_names", Json, nullable=False),
    Column("seed", Id, nullable=False),
    Column("total_trials", Id),
    Column("status", name_type(16), nullable=False),
    text("reason"),
    Column("started_at", Time),
    Column("ended_at", Time),
    Column("last_seq", Id, nullable=False),
    Column("epoch", Id, nullable=False),
    Column("renewals", Id, nullable=False),
    text("owner_user", null=True),
    text("owner_host", null=True),
    Column("owner_pid", Id),
    Column("owner_started", Number),
    Column("owner_since", Time),
    Column("owner_ended", Time),
    Column("launch_id", Id),
)

study_documents = table(
    "study_documents",
    ref("study_id", "studies", key=True),
    key("name", name_type(32)),
    Column("content", Json, nullable=False),
)


"""The long texts of a study: ``space``, ``settings``, ``code`` (its objective), ``workers``."""

study_attrs = table(
    "study_attrs",
    ref("study_id", "studies", key=True),
    key("scope", name_type(8)),
    key("name", Name),
    Column("value", JsonOrNull, nullable=False),
)

distributions = table(
    "distributions",
    ref("study_id", "studies", key=True),
    key("name", Name),
    Column("spec", Json, nullable=False),
)

events = table(
    "events",
    ref("study_id", "studies", key=True),
    key("seq", Id),
    Column("kind", name_type(32), nullable=False),
    Column("number", Id),
    Column("data", Json, nullable=False),
    Column("time", Time, nullable=False),
    clustered=True,
)

commands = table(
    "commands",
    own_id(),
    ref("study_id", "studies"),
    Column("token", name_type(64), nullable=False, unique=True),
    Column("kind", name_type(32), nullable=False),
    Column("args", Json, nullable=False),
    text("author"),
    Column("created_at", Time, nullable=False),
    Column("answered_at", Time),
    Column("answer", Json),
    Index(None, "study_id", "answered_at"),
)
