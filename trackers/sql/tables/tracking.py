"""Runs, trials among them, and what hangs on each."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    Index,
    Integer,
    SmallInteger,
    UniqueConstraint,
    or_,
)

from trackers.sql.columns import (
    Digest,
    Id,
    Json,
    JsonOrNull,
    Kind,
    Name,
    Number,
    Time,
    Uid,
    name_type,
)
from trackers.sql.tables.base import key, only_on, own_id, ref, table, text, word

runs = table(
    "runs",
    own_id(),
    Column("uid", Uid, nullable=False, unique=True),
    ref("experiment_id", "experiments"),
    Column("number", Id),
    ref("parent_id", "runs", null=True),
    Column("name", Name, nullable=False),
    Column("state", SmallInteger, nullable=False),
    text("user"),
    text("host"),
    Column("created_at", Time, nullable=False),
    Column("started_at", Time),
    Column("ended_at", Time),
    Column("archived_at", Time),
    Column("deleted_at", Time),
    UniqueConstraint("experiment_id", "number"),
    Index(None, "parent_id"),
    Index(None, "created_at", "id"),
    Index(None, "experiment_id", "created_at", "id"),
    Index(None, "state", "id"),
    Index(None, "name", "id"),
    Index(None, "started_at", "id"),
    Index(None, "ended_at", "id"),
)
_hidden = or_(runs.c.archived_at.is_not(None), runs.c.deleted_at.is_not(None))


only_on(
    ("sqlite", "postgresql"),
    Index("ix_trackers_runs_hidden", runs.c.id, info={"where": _hidden}),
)
only_on(
    ("sqlite", "postgresql"),
    Index("ix_trackers_runs_duration", runs.c.ended_at - runs.c.started_at, runs.c.id),
)
only_on(("sqlite", "postgresql"), Index("ix_trackers_runs_user_id", runs.c.user, runs.c.id))
only_on(("sqlite", "postgresql"), Index("ix_trackers_runs_host_id", runs.c.host, runs.c.id))
# MariaDB has no index of an expression, none of a whole text, and none of some rows only
only_on(("mysql",), Index("ix_trackers_runs_archived_at", runs.c.archived_at))
only_on(("mysql",), Index("ix_trackers_runs_deleted_at", runs.c.deleted_at))

attempts = table(
    "attempts",
    ref("run_id", "runs", key=True),
    key("number", Integer),
    text("worker"),
    text("host"),
    Column("pid", Id, nullable=False),
    Column("started_at", Time),
    Column("ended_at", Time),
    Column("outcome", name_type(16)),
    text("reason"),
    Column("counts", Boolean, nullable=False),
    Column("cpus", Number, nullable=False),
    Column("gpus", Number, nullable=False),
    Column("launch_id", Id),
    Index(None, "launch_id", "run_id", "number"),
    clustered=True,
)
"""*launch_id* names a row of ``launches``; no foreign key, so that a start costs no look-up."""

params = table(
    "params",
    ref("run_id", "runs", key=True),
    key("name", Name),
    Column("position", Id, nullable=False),
    Column("kind", Kind, nullable=False),
    Column("number", Number),
    Column("number_kind", Kind, nullable=False),
    text("text", null=True),
    Column("word", Name),
    Index(None, "name", "number", "run_id"),
    Index(None, "name", "word", "run_id"),
    clustered=True,
)
"""*position* orders a run's params as they became known; the rest is ``columns.param_columns``."""

results = table(
    "results",
    ref("run_id", "runs", key=True),
    key("objective", Integer),
    Column("value", Number),
    Column("kind", Kind, nullable=False),
    Index(None, "objective", "value", "run_id"),
    clustered=True,
)

tags = table(
    "tags",
    ref("run_id", "runs", key=True),
    key("name", Name),
    text("value"),
    word("value"),
    Index(None, "name", "word", "run_id"),
    clustered=True,
)

attrs = table(
    "attrs",
    ref("run_id", "runs", key=True),
    key("scope", name_type(8)),
    key("name", Name),
    Column("value", JsonOrNull, nullable=False),
)

errors = table(
    "errors",
    ref("run_id", "runs", key=True),
    text("type", null=True),
    text("message", null=True),
    text("traceback", null=True),
)

logs = table("logs", ref("run_id", "runs", key=True), key("attempt", Integer), text("text"))

datasets = table(
    "datasets",
    own_id(),
    Column("name", Name, nullable=False),
    Column("digest", Digest, nullable=False),
    Column("rows", Id),
    Column("schema", Json),
    text("source"),
    UniqueConstraint("name", "digest"),
    Index(None, "digest"),
)

inputs = table(
    "inputs",
    ref("run_id", "runs", key=True),
    ref("dataset_id", "datasets", key=True, cascade=False),
    key("role", name_type(64)),
    Index(None, "dataset_id"),
    clustered=True,
)
