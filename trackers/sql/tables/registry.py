"""The model registry, with its history that nobody changes."""

from __future__ import annotations

from sqlalchemy import (
    DDL,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    UniqueConstraint,
    event,
)

from trackers.sql.columns import (
    Digest,
    Id,
    Json,
    Name,
    Time,
    name_type,
)
from trackers.sql.tables.base import PREFIX, key, own_id, ref, table, text

registered_models = table(
    "registered_models",
    own_id(),
    Column("name", Name, nullable=False, unique=True),
    text("description"),
    Column("created_at", Time, nullable=False),
)

registered_model_tags = table(
    "registered_model_tags",
    ref("model_id", "registered_models", key=True),
    key("name", Name),
    text("value"),
)

model_versions = table(
    "model_versions",
    ref("model_id", "registered_models", key=True),
    key("version", Integer),
    ref("model_uid", "models.uid", cascade=False),
    Column("run_id", Id),
    text("source"),
    text("description"),
    Column("metrics", Json, nullable=False),
    Column("lineage", Json, nullable=False),
    Column("created_at", Time, nullable=False),
    text("created_by"),
    UniqueConstraint("model_id", "model_uid"),
    Index(None, "model_uid"),
)

model_version_tags = table(
    "model_version_tags",
    key("model_id", Id),
    key("version", Integer),
    key("name", Name),
    text("value"),
    ForeignKeyConstraint(
        ["model_id", "version"],
        [model_versions.c.model_id, model_versions.c.version],
        ondelete="CASCADE",
    ),
)

aliases = table(
    "aliases",
    key("model_id", Id),
    key("alias", Name),
    Column("version", Integer, nullable=False),
    text("description", null=True),
    ForeignKeyConstraint(["model_id", "version"], [model_versions.c.model_id, model_versions.c.version]),
    Index(None, "model_id", "version"),
)

alias_tags = table(
    "alias_tags",
    key("model_id", Id),
    key("alias", Name),
    key("name", Name),
    text("value"),
    ForeignKeyConstraint(["model_id", "alias"], [aliases.c.model_id, aliases.c.alias], ondelete="CASCADE"),
)

model_version_figures = table(
    "model_version_figures",
    key("model_id", Id),
    key("version", Integer),
    key("name", Name),
    key("data", Digest),
    Column("values", Json, nullable=False),
    text("host"),
    Column("time", Time, nullable=False),
    text("actor"),
    ForeignKeyConstraint(
        ["model_id", "version"],
        [model_versions.c.model_id, model_versions.c.version],
        ondelete="CASCADE",
    ),
)
"""What was measured of a version after it was registered: *values*, one a repeat, on the data with this digest ('': none)."""

approvals = table(
    "approvals",
    key("model_id", Id),
    key("version", Integer),
    key("user", Name),
    text("comment"),
    text("host"),
    Column("time", Time, nullable=False),
    ForeignKeyConstraint(
        ["model_id", "version"],
        [model_versions.c.model_id, model_versions.c.version],
        ondelete="CASCADE",
    ),
)

policies = table(
    "policies",
    own_id(),
    Column("model", Name, nullable=False),
    Column("name", Name, nullable=False),
    Column("version", Integer, nullable=False),
    Column("alias", Name, nullable=False),
    Column("rule", Json, nullable=False),
    text("description"),
    Column("created_at", Time, nullable=False),
    text("created_by"),
    Column("ended_at", Time),
    UniqueConstraint("model", "name", "version"),
)
"""A change makes a new row, and *ended_at* ends the one before. *model* and *alias* '': all of them."""

registry_history = table(
    "registry_history",
    own_id(),
    Column("name", Name, nullable=False),
    Column("action", name_type(32), nullable=False),
    Column("alias", Name),
    Column("old_version", Integer),
    Column("new_version", Integer),
    text("actor"),
    text("host"),
    text("reason"),
    Column("time", Time, nullable=False),
    Column("details", Json, nullable=False),
    Index(None, "name", "id"),
)
"""Who moved what, when and why: triggers refuse to change or delete a line."""

REFUSAL = "the history of the registry is append-only"


_HISTORY = f"{PREFIX}registry_history"
REFUSING = (
    f"CREATE OR REPLACE FUNCTION {PREFIX}refuse() RETURNS trigger LANGUAGE plpgsql AS "
    f"$$BEGIN RAISE EXCEPTION '{REFUSAL}'; END$$"
)
"""What PostgreSQL's trigger calls."""

TRIGGERS: dict[str, dict[str, str]] = {
    "sqlite": {
        f"{_HISTORY}_no_{action.lower()}": f"CREATE TRIGGER {_HISTORY}_no_{action.lower()} BEFORE {action} ON {_HISTORY} "
        f"BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END"
        for action in ("UPDATE", "DELETE")
    },
    "mysql": {
        f"{_HISTORY}_no_{action.lower()}": f"CREATE TRIGGER {_HISTORY}_no_{action.lower()} BEFORE {action} ON {_HISTORY} "
        f"FOR EACH ROW SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = '{REFUSAL}'"
        for action in ("UPDATE", "DELETE")
    },
    "postgresql": {
        f"{_HISTORY}_append_only": f"CREATE TRIGGER {_HISTORY}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE "
        f"ON {_HISTORY} FOR EACH STATEMENT EXECUTE FUNCTION {PREFIX}refuse()"
    },
}
"""The triggers of each database by name: dialect -> name -> statement."""


def _after_creating_history(dialect: str, statement: str) -> None:
    ddl = DDL(statement).execute_if(dialect=dialect)  # type: ignore[no-untyped-call]
    event.listen(registry_history, "after_create", ddl)


_after_creating_history("postgresql", REFUSING)
for _dialect, _triggers in TRIGGERS.items():
    for _statement in _triggers.values():
        _after_creating_history(_dialect, _statement)
