"""Every table of the store.

A study is an experiment with a row in ``studies``; a trial is a run with a number. ``studies`` holds only what is
written often; its long texts lie in ``study_documents``, so that a commit never rewrites them. Ids come from
``counters``. ``live_name`` is the name while the row lives and NULL after, so that a deleted name can be used again.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    DDL,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    Table,
    UniqueConstraint,
    event,
    or_,
)

from trackers.sql.columns import (
    COLLATION,
    Content,
    Digest,
    FileName,
    Id,
    Json,
    JsonOrNull,
    Kind,
    LongText,
    Name,
    Number,
    Time,
    Uid,
    escape,
    name_type,
    word_of,
)

PREFIX = "trackers_"

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)


def _table(name: str, *items: Any, clustered: bool = False) -> Table:
    """Make a table; *clustered*: SQLite keeps its rows in the primary key itself (see ``lay_out``)."""
    return Table(PREFIX + name, metadata, *items, info={"clustered": clustered})


def _id() -> Column[int]:
    return Column("id", Id, primary_key=True, autoincrement=False)


def _ref(name: str, target: str, *, key: bool = False, null: bool = False, cascade: bool = True) -> Column[Any]:
    """Make a column that refers to the id of *target*, or to another of its columns (``"blobs.digest"``)."""
    target = target if "." in target else f"{target}.id"
    kind = Digest if target.endswith(".digest") else Uid if target.endswith(".uid") else Id
    foreign = ForeignKey(PREFIX + target, ondelete="CASCADE" if cascade else None)
    return Column(name, kind, foreign, primary_key=key, nullable=null, autoincrement=False)


def _key(name: str, kind: Any) -> Column[Any]:
    return Column(name, kind, primary_key=True, autoincrement=False, nullable=False)


def _word(name: str) -> Column[str]:
    """Make the column for what an index holds of the text *name* (see ``columns.word_of``)."""

    def first_of(context: Any) -> str | None:
        text = context.get_current_parameters()[name]
        return None if text is None else word_of(escape(text))

    return Column("word", Name, default=first_of, onupdate=first_of)


def _text(name: str, null: bool = False) -> Column[Any]:
    return Column(name, Content, nullable=null)


# --- the store ---------------------------------------------------------------------------------------------------

store = _table(
    "store",
    _id(),
    Column("uid", Uid, nullable=False),
    Column("created_at", Time, nullable=False),
    _text("artifact_root"),
    CheckConstraint("id = 1", name="one_row"),
)

counters = _table("counters", _key("name", name_type(32)), Column("next", Id, nullable=False), clustered=True)

journals = _table(
    "journals",
    _key("uid", Uid),
    Column("position", Id, nullable=False),
    Column("created_at", Time, nullable=False),
    Column("changed_at", Time, nullable=False),
    clustered=True,
)
"""How far each process's log entries are in this store: *position* is the number of the last one (see the journal)."""

# --- experiments and studies -------------------------------------------------------------------------------------

experiments = _table(
    "experiments",
    _id(),
    Column("uid", Uid, nullable=False, unique=True),
    Column("name", Name, nullable=False),
    Column("live_name", Name, unique=True),
    Column("kind", name_type(16), nullable=False),
    _text("description"),
    Column("created_at", Time, nullable=False),
    Column("deleted_at", Time),
    Column("archived_at", Time),
)

experiment_tags = _table(
    "experiment_tags",
    _ref("experiment_id", "experiments", key=True),
    _key("name", Name),
    _text("value"),
    clustered=True,
)

studies = _table(
    "studies",
    _ref("id", "experiments", key=True),
    Column("mode", name_type(16), nullable=False),
    Column("directions", Json, nullable=False),
    Column("metric_names", Json, nullable=False),
    Column("seed", Id, nullable=False),
    Column("total_trials", Id),
    Column("status", name_type(16), nullable=False),
    _text("reason"),
    Column("started_at", Time),
    Column("ended_at", Time),
    Column("last_seq", Id, nullable=False),
    Column("epoch", Id, nullable=False),
    Column("renewals", Id, nullable=False),
    _text("owner_user", null=True),
    _text("owner_host", null=True),
    Column("owner_pid", Id),
    Column("owner_started", Number),
    Column("owner_since", Time),
    Column("owner_ended", Time),
    Column("launch_id", Id),
)

study_documents = _table(
    "study_documents",
    _ref("study_id", "studies", key=True),
    _key("name", name_type(32)),
    Column("content", Json, nullable=False),
)


"""The long texts of a study: ``space``, ``settings``, ``code`` (its objective), ``workers``."""

study_attrs = _table(
    "study_attrs",
    _ref("study_id", "studies", key=True),
    _key("scope", name_type(8)),
    _key("name", Name),
    Column("value", JsonOrNull, nullable=False),
)

distributions = _table(
    "distributions",
    _ref("study_id", "studies", key=True),
    _key("name", Name),
    Column("spec", Json, nullable=False),
)

events = _table(
    "events",
    _ref("study_id", "studies", key=True),
    _key("seq", Id),
    Column("kind", name_type(32), nullable=False),
    Column("number", Id),
    Column("data", Json, nullable=False),
    Column("time", Time, nullable=False),
    clustered=True,
)

commands = _table(
    "commands",
    _id(),
    _ref("study_id", "studies"),
    Column("token", name_type(64), nullable=False, unique=True),
    Column("kind", name_type(32), nullable=False),
    Column("args", Json, nullable=False),
    _text("author"),
    Column("created_at", Time, nullable=False),
    Column("answered_at", Time),
    Column("answer", Json),
    Index(None, "study_id", "answered_at"),
)

# --- runs --------------------------------------------------------------------------------------------------------

runs = _table(
    "runs",
    _id(),
    Column("uid", Uid, nullable=False, unique=True),
    _ref("experiment_id", "experiments"),
    Column("number", Id),
    _ref("parent_id", "runs", null=True),
    Column("name", Name, nullable=False),
    Column("state", SmallInteger, nullable=False),
    _text("user"),
    _text("host"),
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


def _only_on(dialects: tuple[str, ...], index: Index) -> None:
    """Make *index* on these databases alone; ``info`` says so to who compares the schema."""
    index.info["dialects"] = dialects
    index.ddl_if(dialects)  # type: ignore[arg-type]  # its own page says that several may be named


_only_on(
    ("sqlite", "postgresql"),
    Index("ix_trackers_runs_hidden", runs.c.id, info={"where": _hidden}),
)
# MariaDB has no index of some rows only
_only_on(("mysql",), Index("ix_trackers_runs_archived_at", runs.c.archived_at))
_only_on(("mysql",), Index("ix_trackers_runs_deleted_at", runs.c.deleted_at))

attempts = _table(
    "attempts",
    _ref("run_id", "runs", key=True),
    _key("number", Integer),
    _text("worker"),
    _text("host"),
    Column("pid", Id, nullable=False),
    Column("started_at", Time),
    Column("ended_at", Time),
    Column("outcome", name_type(16)),
    _text("reason"),
    Column("counts", Boolean, nullable=False),
    Column("cpus", Number, nullable=False),
    Column("gpus", Number, nullable=False),
    Column("launch_id", Id),
    Index(None, "launch_id", "run_id", "number"),
    clustered=True,
)
"""*launch_id* names a row of ``launches``; no foreign key, so that a start costs no look-up."""

params = _table(
    "params",
    _ref("run_id", "runs", key=True),
    _key("name", Name),
    Column("position", Id, nullable=False),
    Column("kind", Kind, nullable=False),
    Column("number", Number),
    Column("number_kind", Kind, nullable=False),
    _text("text", null=True),
    Column("word", Name),
    Index(None, "name", "number", "run_id"),
    Index(None, "name", "word", "run_id"),
    clustered=True,
)
"""*position* orders a run's params as they became known; the rest is ``columns.param_columns``."""

results = _table(
    "results",
    _ref("run_id", "runs", key=True),
    _key("objective", Integer),
    Column("value", Number),
    Column("kind", Kind, nullable=False),
    Index(None, "objective", "value", "run_id"),
    clustered=True,
)

series = _table(
    "series",
    _id(),
    _ref("run_id", "runs"),
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

points = _table(
    "points",
    _ref("series_id", "series", key=True),
    _key("ordinal", Id),
    Column("step", Id, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("time", Time, nullable=False),
    Column("value", Number),
    Column("kind", Kind, nullable=False),
    clustered=True,
)

chunks = _table(
    "chunks",
    _ref("series_id", "series", key=True),
    _key("ordinal", Id),
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

tags = _table(
    "tags",
    _ref("run_id", "runs", key=True),
    _key("name", Name),
    _text("value"),
    _word("value"),
    Index(None, "name", "word", "run_id"),
    clustered=True,
)

attrs = _table(
    "attrs",
    _ref("run_id", "runs", key=True),
    _key("scope", name_type(8)),
    _key("name", Name),
    Column("value", JsonOrNull, nullable=False),
)

errors = _table(
    "errors",
    _ref("run_id", "runs", key=True),
    _text("type", null=True),
    _text("message", null=True),
    _text("traceback", null=True),
)

logs = _table("logs", _ref("run_id", "runs", key=True), _key("attempt", Integer), _text("text"))

datasets = _table(
    "datasets",
    _id(),
    Column("name", Name, nullable=False),
    Column("digest", Digest, nullable=False),
    Column("rows", Id),
    Column("schema", Json),
    _text("source"),
    UniqueConstraint("name", "digest"),
    Index(None, "digest"),
)

inputs = _table(
    "inputs",
    _ref("run_id", "runs", key=True),
    _ref("dataset_id", "datasets", key=True, cascade=False),
    _key("role", name_type(64)),
    Index(None, "dataset_id"),
    clustered=True,
)

# --- files and models --------------------------------------------------------------------------------------------

blobs = _table(
    "blobs",
    _key("digest", Digest),
    Column("size", Id, nullable=False),
    Column("created_at", Time, nullable=False),
    clustered=True,
)

artifacts = _table(
    "artifacts",
    _ref("run_id", "runs", key=True),
    _key("name", FileName(1000)),
    _ref("digest", "blobs.digest", cascade=False),
    Column("created_at", Time, nullable=False),
    Index(None, "digest"),
    clustered=True,
)

checkpoints = _table(
    "checkpoints",
    _ref("run_id", "runs", key=True),
    _ref("digest", "blobs.digest", cascade=False),
    Column("step", Id),
    Column("created_at", Time, nullable=False),
    Index(None, "digest"),
)

models = _table(
    "models",
    _key("uid", Uid),
    _ref("run_id", "runs"),
    Column("name", Name, nullable=False),
    Column("flavor", name_type(64), nullable=False),
    Column("manifest", Json),
    Column("size", Id, nullable=False),
    Column("step", Id),
    Column("value", Number),
    Column("value_kind", Kind, nullable=False),
    _text("why_not", null=True),
    Column("created_at", Time, nullable=False),
    Column("replaced_at", Time),
    Column("deleted_at", Time),
    _text("deleted_why"),
    Index(None, "run_id", "name"),
)
"""Models that runs saved, or the sentence that says why there is none. The current one of a run and name has no
*replaced_at*; a replaced one stays only while a registered version needs it. *value* NULL with *value_kind* 0: none."""

model_files = _table(
    "model_files",
    _ref("model_uid", "models.uid", key=True),
    _key("name", FileName(1000)),
    _ref("digest", "blobs.digest", cascade=False),
    Index(None, "digest"),
    clustered=True,
)

# --- code and environments ---------------------------------------------------------------------------------------

code_versions = _table(
    "code_versions",
    _id(),
    Column("digest", Digest, nullable=False, unique=True),
    Column("version", name_type(32), nullable=False),
    Column("commit", name_type(64)),
    Column("dirty", Boolean),
    Column("content", Json, nullable=False),
    _ref("bundle", "blobs.digest", null=True, cascade=False),
    Column("created_at", Time, nullable=False),
    Index(None, "commit"),
    Index(None, "bundle"),
)
"""Distinct states of code: *content* is what is known of it, *bundle* the file with its changes and new files."""

environments = _table(
    "environments",
    _id(),
    Column("digest", Digest, nullable=False, unique=True),
    Column("python", name_type(64), nullable=False),
    Column("content", Json, nullable=False),
    Column("created_at", Time, nullable=False),
)

launches = _table(
    "launches",
    _id(),
    Column("digest", Digest, nullable=False, unique=True),
    _ref("code_id", "code_versions", null=True, cascade=False),
    _ref("environment_id", "environments", null=True, cascade=False),
    _text("branch", null=True),
    _text("entry_point"),
    Column("arguments", Json, nullable=False),
    Column("created_at", Time, nullable=False),
    Index(None, "code_id"),
    Index(None, "environment_id"),
)
"""How processes were launched: which code, in which environment, by which call; one row for all that are alike."""

# --- keeping house -----------------------------------------------------------------------------------------------

pins = _table(
    "pins",
    _key("kind", name_type(8)),
    _key("target", name_type(64)),
    _text("reason"),
    _text("author"),
    Column("created_at", Time, nullable=False),
    clustered=True,
)
"""What is kept whatever becomes of the rest: *target* is the uid of a ``run`` or ``model``, or the digest of a ``file``."""

garbage = _table(
    "garbage",
    _key("digest", Digest),
    Column("size", Id, nullable=False),
    Column("marked_at", Time, nullable=False),
    clustered=True,
)
"""Files that nothing referred to at *marked_at*, nor at any look since: see ``trackers.sql.garbage``."""

# --- the registry ------------------------------------------------------------------------------------------------

registered_models = _table(
    "registered_models",
    _id(),
    Column("name", Name, nullable=False, unique=True),
    _text("description"),
    Column("created_at", Time, nullable=False),
)

registered_model_tags = _table(
    "registered_model_tags",
    _ref("model_id", "registered_models", key=True),
    _key("name", Name),
    _text("value"),
)

model_versions = _table(
    "model_versions",
    _ref("model_id", "registered_models", key=True),
    _key("version", Integer),
    _ref("model_uid", "models.uid", cascade=False),
    Column("run_id", Id),
    _text("source"),
    _text("description"),
    Column("metrics", Json, nullable=False),
    Column("lineage", Json, nullable=False),
    Column("created_at", Time, nullable=False),
    _text("created_by"),
    UniqueConstraint("model_id", "model_uid"),
    Index(None, "model_uid"),
)

model_version_tags = _table(
    "model_version_tags",
    _key("model_id", Id),
    _key("version", Integer),
    _key("name", Name),
    _text("value"),
    ForeignKeyConstraint(
        ["model_id", "version"],
        [model_versions.c.model_id, model_versions.c.version],
        ondelete="CASCADE",
    ),
)

aliases = _table(
    "aliases",
    _key("model_id", Id),
    _key("alias", Name),
    Column("version", Integer, nullable=False),
    _text("description", null=True),
    ForeignKeyConstraint(["model_id", "version"], [model_versions.c.model_id, model_versions.c.version]),
    Index(None, "model_id", "version"),
)

alias_tags = _table(
    "alias_tags",
    _key("model_id", Id),
    _key("alias", Name),
    _key("name", Name),
    _text("value"),
    ForeignKeyConstraint(["model_id", "alias"], [aliases.c.model_id, aliases.c.alias], ondelete="CASCADE"),
)

model_version_figures = _table(
    "model_version_figures",
    _key("model_id", Id),
    _key("version", Integer),
    _key("name", Name),
    _key("data", Digest),
    Column("values", Json, nullable=False),
    _text("host"),
    Column("time", Time, nullable=False),
    _text("actor"),
    ForeignKeyConstraint(
        ["model_id", "version"],
        [model_versions.c.model_id, model_versions.c.version],
        ondelete="CASCADE",
    ),
)
"""What was measured of a version after it was registered: *values*, one a repeat, on the data with this digest ('': none)."""

approvals = _table(
    "approvals",
    _key("model_id", Id),
    _key("version", Integer),
    _key("user", Name),
    _text("comment"),
    _text("host"),
    Column("time", Time, nullable=False),
    ForeignKeyConstraint(
        ["model_id", "version"],
        [model_versions.c.model_id, model_versions.c.version],
        ondelete="CASCADE",
    ),
)

policies = _table(
    "policies",
    _id(),
    Column("model", Name, nullable=False),
    Column("name", Name, nullable=False),
    Column("version", Integer, nullable=False),
    Column("alias", Name, nullable=False),
    Column("rule", Json, nullable=False),
    _text("description"),
    Column("created_at", Time, nullable=False),
    _text("created_by"),
    Column("ended_at", Time),
    UniqueConstraint("model", "name", "version"),
)
"""A change makes a new row, and *ended_at* ends the one before. *model* and *alias* '': all of them."""

registry_history = _table(
    "registry_history",
    _id(),
    Column("name", Name, nullable=False),
    Column("action", name_type(32), nullable=False),
    Column("alias", Name),
    Column("old_version", Integer),
    Column("new_version", Integer),
    _text("actor"),
    _text("host"),
    _text("reason"),
    Column("time", Time, nullable=False),
    Column("details", Json, nullable=False),
    Index(None, "name", "id"),
)
"""Who moved what, when and why: triggers refuse to change or delete a line."""

REFUSAL = "the history of the registry is append-only"


def _after_creating_history(dialect: str, statement: str) -> None:
    ddl = DDL(statement).execute_if(dialect=dialect)  # type: ignore[no-untyped-call]
    event.listen(registry_history, "after_create", ddl)


for _action in ("UPDATE", "DELETE"):
    _after_creating_history(
        "sqlite",
        f"CREATE TRIGGER {PREFIX}registry_history_no_{_action.lower()} BEFORE {_action} ON {PREFIX}registry_history "
        f"BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END",
    )
    _after_creating_history(
        "mysql",
        f"CREATE TRIGGER {PREFIX}registry_history_no_{_action.lower()} BEFORE {_action} ON {PREFIX}registry_history "
        f"FOR EACH ROW SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = '{REFUSAL}'",
    )
_after_creating_history(
    "postgresql",
    f"CREATE FUNCTION {PREFIX}refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION '{REFUSAL}'; END$$",
)
_after_creating_history(
    "postgresql",
    f"CREATE TRIGGER {PREFIX}registry_history_append_only BEFORE UPDATE OR DELETE OR TRUNCATE "
    f"ON {PREFIX}registry_history FOR EACH STATEMENT EXECUTE FUNCTION {PREFIX}refuse()",
)


def lay_out(dialect: str) -> None:
    """Say how the databases of *dialect* are to lay out the tables, before they are made.

    Apart from the tables, since SQLAlchemy loads every dialect that is named there: a tenth of a second of each start.
    """
    for table in metadata.tables.values():
        if dialect == "sqlite":
            table.dialect_kwargs["sqlite_with_rowid"] = not table.info["clustered"]
        elif dialect == "mysql":
            table.dialect_kwargs.update(mysql_engine="InnoDB", mysql_charset="utf8mb4", mysql_collate=COLLATION)
        for index in table.indexes:
            if dialect != "mysql" and "where" in index.info:
                index.dialect_kwargs[f"{dialect}_where"] = index.info["where"]
