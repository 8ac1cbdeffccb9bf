"""The tracker on its own: runs that are deleted in two steps.

One function for each noun that changes; the order of new columns is that of ``trackers.sql.tables``.

Revision ID: 0002
"""

import hashlib
import json
from collections.abc import Mapping
from itertools import count
from typing import Any

from alembic import op
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKeyConstraint,
    Integer,
    PrimaryKeyConstraint,
    String,
    Text,
    UniqueConstraint,
    text,
)

from trackers.sql import views
from trackers.sql.chunks import SIZE
from trackers.sql.fold import UNNAMED, UNREPORTED
from trackers.sql.points import seal_series

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change every noun."""
    _runs()
    _registry()
    _launches()
    _datasets()
    _journals()
    _series()
    _search()
    _chunks()
    _finals()
    _views()
    _keeping()


def _runs() -> None:
    op.add_column("trackers_runs", Column("deleted_at", BigInteger))
    op.add_column("trackers_experiments", Column("archived_at", BigInteger))


def _registry() -> None:
    """Make what the registry gains: one statement a table, which is all that makes it long."""
    op.add_column("trackers_aliases", Column("description", _content()))
    op.create_table(
        "trackers_alias_tags",
        Column("model_id", _id(), nullable=False),
        Column("alias", _name(250), nullable=False),
        Column("name", _name(250), nullable=False),
        Column("value", _content(), nullable=False),
        PrimaryKeyConstraint("model_id", "alias", "name", name="pk_trackers_alias_tags"),
        ForeignKeyConstraint(
            ["model_id", "alias"],
            ["trackers_aliases.model_id", "trackers_aliases.alias"],
            name="fk_trackers_alias_tags_model_id_alias",
            ondelete="CASCADE",
        ),
    )
    op.create_table(
        "trackers_model_version_figures",
        Column("model_id", _id(), nullable=False),
        Column("version", Integer, nullable=False),
        Column("name", _name(250), nullable=False),
        Column("data", _name(64), nullable=False),
        Column("values", Text, nullable=False),
        Column("host", _content(), nullable=False),
        Column("time", BigInteger, nullable=False),
        Column("actor", _content(), nullable=False),
        PrimaryKeyConstraint("model_id", "version", "name", "data", name="pk_trackers_model_version_figures"),
        _of_version("model_version_figures"),
    )
    op.create_table(
        "trackers_approvals",
        Column("model_id", _id(), nullable=False),
        Column("version", Integer, nullable=False),
        Column("user", _name(250), nullable=False),
        Column("comment", _content(), nullable=False),
        Column("host", _content(), nullable=False),
        Column("time", BigInteger, nullable=False),
        PrimaryKeyConstraint("model_id", "version", "user", name="pk_trackers_approvals"),
        _of_version("approvals"),
    )
    op.create_table(
        "trackers_policies",
        Column("id", _id(), autoincrement=False, nullable=False),
        Column("model", _name(250), nullable=False),
        Column("name", _name(250), nullable=False),
        Column("version", Integer, nullable=False),
        Column("alias", _name(250), nullable=False),
        Column("rule", Text, nullable=False),
        Column("description", _content(), nullable=False),
        Column("created_at", BigInteger, nullable=False),
        Column("created_by", _content(), nullable=False),
        Column("ended_at", BigInteger),
        PrimaryKeyConstraint("id", name="pk_trackers_policies"),
        UniqueConstraint("model", "name", "version", name="uq_trackers_policies_model_name_version"),
    )


def _of_version(table: str) -> ForeignKeyConstraint:
    return ForeignKeyConstraint(
        ["model_id", "version"],
        ["trackers_model_versions.model_id", "trackers_model_versions.version"],
        name=f"fk_trackers_{table}_model_id_version",
        ondelete="CASCADE",
    )


# --- code and environments: documents of studies become rows that runs and studies share ------------------------------


def _launches() -> None:
    """Make the tables of code, environments and launches: one statement a table, which is all that makes it long."""
    op.create_table(
        "trackers_code_versions",
        Column("id", _id(), nullable=False, autoincrement=False),
        Column("digest", _name(64), nullable=False),
        Column("version", _name(32), nullable=False),
        Column("commit", _name(64)),
        Column("dirty", Boolean),
        Column("content", Text, nullable=False),
        Column("bundle", _name(64)),
        Column("commits", _name(64)),
        Column("created_at", BigInteger, nullable=False),
        PrimaryKeyConstraint("id", name="pk_trackers_code_versions"),
        UniqueConstraint("digest", name="uq_trackers_code_versions_digest"),
        ForeignKeyConstraint(["bundle"], ["trackers_blobs.digest"], name="fk_trackers_code_versions_bundle"),
        ForeignKeyConstraint(["commits"], ["trackers_blobs.digest"], name="fk_trackers_code_versions_commits"),
    )
    op.create_index("ix_trackers_code_versions_commit", "trackers_code_versions", ["commit"])
    op.create_index("ix_trackers_code_versions_bundle", "trackers_code_versions", ["bundle"])
    op.create_index("ix_trackers_code_versions_commits", "trackers_code_versions", ["commits"])
    op.create_table(
        "trackers_environments",
        Column("id", _id(), nullable=False, autoincrement=False),
        Column("digest", _name(64), nullable=False),
        Column("python", _name(64), nullable=False),
        Column("content", Text, nullable=False),
        Column("created_at", BigInteger, nullable=False),
        PrimaryKeyConstraint("id", name="pk_trackers_environments"),
        UniqueConstraint("digest", name="uq_trackers_environments_digest"),
    )
    code, environment = ["trackers_code_versions.id"], ["trackers_environments.id"]
    op.create_table(
        "trackers_launches",
        Column("id", _id(), nullable=False, autoincrement=False),
        Column("digest", _name(64), nullable=False),
        Column("code_id", _id()),
        Column("environment_id", _id()),
        Column("branch", _content()),
        Column("remote", _content()),
        Column("entry_point", _content(), nullable=False),
        Column("arguments", Text, nullable=False),
        Column("created_at", BigInteger, nullable=False),
        PrimaryKeyConstraint("id", name="pk_trackers_launches"),
        UniqueConstraint("digest", name="uq_trackers_launches_digest"),
        ForeignKeyConstraint(["code_id"], code, name="fk_trackers_launches_code_id"),
        ForeignKeyConstraint(["environment_id"], environment, name="fk_trackers_launches_environment_id"),
    )
    op.create_index("ix_trackers_launches_code_id", "trackers_launches", ["code_id"])
    op.create_index("ix_trackers_launches_environment_id", "trackers_launches", ["environment_id"])
    op.add_column("trackers_attempts", Column("launch_id", _id()))
    op.add_column("trackers_studies", Column("launch_id", _id()))
    _move_documents()
    op.drop_column("trackers_attempts", "code")
    op.drop_table("trackers_run_documents")


def _move_documents() -> None:
    """Make rows of the documents ``code-VERSION`` and ``environment`` of studies, and let their attempts refer to them."""
    listed = (
        "SELECT study_id, name, content FROM trackers_study_documents WHERE name = 'environment' OR name LIKE 'code%'"
    )
    studies: dict[int, dict[str, Any]] = {}
    for study_id, name, content in op.get_bind().execute(text(listed)).all():
        studies.setdefault(study_id, {})[name] = json.loads(content)
    if not studies:
        return
    ids = count(_ask("SELECT next FROM trackers_counters WHERE name = 'ids'"))
    for study_id, documents in studies.items():
        environment = documents.get("environment")
        current = documents.get("code") or {}
        for name, content in documents.items():
            if not name.startswith("code-"):
                continue
            launch_id = _launch(ids, content, environment)
            moved = "UPDATE trackers_attempts SET launch_id = :launch WHERE code = :code AND run_id IN "
            inside = "(SELECT id FROM trackers_runs WHERE experiment_id = :study)"
            _run(moved + inside, launch=launch_id, code=name.removeprefix("code-"), study=study_id)
        if environment is not None or current.get("version"):
            _run(
                "UPDATE trackers_studies SET launch_id = :launch WHERE id = :study",
                launch=_launch(ids, current, environment),
                study=study_id,
            )
        kept = {key: current[key] for key in ("file", "name", "digest", "source") if key in current}
        if current:
            _run(
                "UPDATE trackers_study_documents SET content = :content WHERE study_id = :study AND name = 'code'",
                content=json.dumps(kept, separators=(",", ":")),
                study=study_id,
            )
    _run("DELETE FROM trackers_study_documents WHERE name = 'environment' OR name LIKE 'code-%'")
    _run("UPDATE trackers_counters SET next = :next WHERE name = 'ids'", next=next(ids))


def _launch(ids: Any, code: Mapping[str, Any], environment: Mapping[str, Any] | None) -> int:
    """Write a launch with its code and environment where it is new, and return its id."""
    call_of = ("branch", "remote", "entry_point", "arguments")
    content = {key: value for key, value in code.items() if key not in (*call_of, "source")}
    content["objective"] = {key: code.get(key) for key in ("file", "name", "digest")}
    now = _ask("SELECT created_at FROM trackers_store")
    code_id = None
    if code.get("version"):
        row = {"version": code["version"][:32], "commit": code.get("commit"), "dirty": code.get("dirty")}
        row |= {"content": json.dumps(content), "created_at": now}
        code_id = _row(ids, "code_versions", {"digest": _digest(content), **row})
    environment_id = None
    if environment is not None:
        row = {"python": str(environment.get("python") or "")[:64], "content": json.dumps(environment)}
        environment_id = _row(ids, "environments", {"digest": _digest(environment), **row, "created_at": now})
    call = {"branch": code.get("branch"), "remote": code.get("remote"), "entry_point": code.get("entry_point") or ""}
    call["arguments"] = json.dumps(code.get("arguments") or [])
    whole = _digest([call, code_id, environment_id])
    launch = {"code_id": code_id, "environment_id": environment_id, **call, "created_at": now}
    return _row(ids, "launches", {"digest": whole, **launch})


def _row(ids: Any, table: str, row: Mapping[str, Any]) -> int:
    found = _ask(f"SELECT id FROM trackers_{table} WHERE digest = :digest", digest=row["digest"])
    if found is not None:
        return int(found)
    new_id = int(next(ids))
    names = ", ".join(f'"{name}"' for name in ("id", *row))
    values = ", ".join(f":{name}" for name in ("id", *row))
    _run(f"INSERT INTO trackers_{table} ({names}) VALUES ({values})", id=new_id, **row)
    return new_id


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _ask(query: str, **values: Any) -> Any:
    return op.get_bind().execute(text(query), values).scalar()


def _run(statement: str, **values: Any) -> None:
    op.get_bind().execute(text(statement), values)


# --- data sets: found by their digest --------------------------------------------------------------------------------


def _datasets() -> None:
    op.create_index("ix_trackers_datasets_digest", "trackers_datasets", ["digest"])


def _keeping() -> None:
    """Make the tables of what is pinned and of what may be swept."""
    op.create_table(
        "trackers_pins",
        Column("kind", _name(8), nullable=False),
        Column("target", _name(64), nullable=False),
        Column("reason", _content(), nullable=False),
        Column("author", _content(), nullable=False),
        Column("created_at", BigInteger, nullable=False),
        PrimaryKeyConstraint("kind", "target", name="pk_trackers_pins"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "trackers_garbage",
        Column("digest", _name(64), nullable=False),
        Column("size", _id(), nullable=False),
        Column("marked_at", BigInteger, nullable=False),
        PrimaryKeyConstraint("digest", name="pk_trackers_garbage"),
        sqlite_with_rowid=False,
    )


# --- types ------------------------------------------------------------------------------------------------------


def _id() -> Any:
    return BigInteger().with_variant(Integer(), "sqlite")


def _name(length: int) -> Any:
    return String(length).with_variant(String(length, collation="C"), "postgresql")


def _content() -> Any:
    return Text().with_variant(String(collation="C"), "postgresql")


def _journals() -> None:
    op.create_table(
        "trackers_journals",
        Column("uid", String(32).with_variant(String(32, collation="C"), "postgresql"), nullable=False),
        Column("position", BigInteger().with_variant(Integer, "sqlite"), nullable=False),
        Column("created_at", BigInteger, nullable=False),
        Column("changed_at", BigInteger, nullable=False),
        PrimaryKeyConstraint("uid", name="pk_trackers_journals"),
        sqlite_with_rowid=False,
    )


def _series() -> None:
    op.add_column("trackers_series", Column("since_step", BigInteger().with_variant(Integer, "sqlite")))
    op.add_column("trackers_series", Column("hidden", BigInteger().with_variant(Integer, "sqlite")))
    # Of the series that several attempts wrote: what a later attempt hides was in the extremes until now.
    hidden = (
        "EXISTS (SELECT 1 FROM trackers_points q WHERE q.series_id = p.series_id AND q.attempt > p.attempt "
        "AND q.step <= p.step)"
    )
    seen = f"FROM trackers_points p WHERE p.series_id = trackers_series.id AND NOT {hidden}"
    op.execute(
        "UPDATE trackers_series SET since_step = (SELECT MIN(p.step) FROM trackers_points p "
        "WHERE p.series_id = trackers_series.id AND p.attempt = trackers_series.last_attempt), "
        f"hidden = count - (SELECT COUNT(*) {seen}), "
        f"min = (SELECT MIN(p.value) {seen}), max = (SELECT MAX(p.value) {seen}) WHERE last_attempt > 0"
    )


def _search() -> None:
    """Make the indexes that searches walk, and the beginnings of texts that two of them hold."""
    is_server = op.get_bind().dialect.name == "postgresql"
    word = String(250, collation="C") if is_server else String(250)
    op.add_column("trackers_params", Column("word", word))
    op.add_column("trackers_tags", Column("word", word))
    op.execute("UPDATE trackers_params SET word = substr(text, 1, 250) WHERE kind = 4")
    op.execute("UPDATE trackers_tags SET word = substr(value, 1, 250)")
    for name in ("user", "host"):  # an index of PostgreSQL takes no longer ones
        op.execute(f'UPDATE trackers_runs SET "{name}" = substr("{name}", 1, 250) WHERE length("{name}") > 250')
    for table, *columns in _INDEXES:
        op.create_index(f"ix_trackers_{table}_{'_'.join(columns)}", f"trackers_{table}", columns)
    hidden = text("archived_at IS NOT NULL OR deleted_at IS NOT NULL")
    op.create_index("ix_trackers_runs_hidden", "trackers_runs", ["id"], sqlite_where=hidden, postgresql_where=hidden)
    op.create_index("ix_trackers_runs_duration", "trackers_runs", [text("(ended_at - started_at)"), "id"])


_INDEXES = (
    ("attempts", "launch_id", "run_id", "number"),
    ("runs", "experiment_id", "created_at", "id"),
    ("runs", "state", "id"),
    ("runs", "name", "id"),
    ("runs", "user", "id"),
    ("runs", "host", "id"),
    ("runs", "started_at", "id"),
    ("runs", "ended_at", "id"),
    ("params", "name", "number", "run_id"),
    ("params", "name", "word", "run_id"),
    ("results", "objective", "value", "run_id"),
    ("series", "key", "context", "last", "run_id"),
    ("series", "key", "context", "min", "run_id"),
    ("series", "key", "context", "max", "run_id"),
    ("tags", "name", "word", "run_id"),
)


def _whole(name: str, nullable: bool = False, autoincrement: bool = True) -> Column[int]:
    kind = BigInteger().with_variant(Integer, "sqlite")
    return Column(name, kind, nullable=nullable, autoincrement=autoincrement)


def _chunks() -> None:
    """Make the table of sealed points, and seal those of long series."""
    op.add_column("trackers_series", _whole("sealed", nullable=True))
    op.create_table(
        "trackers_chunks",
        _whole("series_id", autoincrement=False),
        _whole("ordinal", autoincrement=False),
        Column("count", Integer, nullable=False),
        Column("attempt", Integer, nullable=False),
        _whole("step"),
        Column("time", BigInteger, nullable=False),
        _whole("first_step"),
        _whole("last_step"),
        Column("min", Double),
        _whole("min_step", nullable=True),
        Column("min_time", BigInteger),
        Column("max", Double),
        _whole("max_step", nullable=True),
        Column("max_time", BigInteger),
        Column("sketch", Text, nullable=False),
        Column("points", Text, nullable=False),
        PrimaryKeyConstraint("series_id", "ordinal", name="pk_trackers_chunks"),
        ForeignKeyConstraint(
            ["series_id"],
            ["trackers_series.id"],
            name="fk_trackers_chunks_series_id",
            ondelete="CASCADE",
        ),
    )
    connection = op.get_bind()
    long = connection.exec_driver_sql(f"SELECT id FROM trackers_series WHERE count >= {SIZE}").scalars().all()
    for series_id in long:
        seal_series(connection, series_id)


def _finals() -> None:
    """Give each named final value the series that it has from now on, where its trial reported nothing under the name."""
    listed = op.get_bind().execute(text("SELECT id, metric_names FROM trackers_studies")).all()
    for study_id, names in listed:
        for objective, name in enumerate(json.loads(names) if isinstance(names, str) else names):
            if not UNNAMED.fullmatch(name):
                _final(study_id, objective, name)
    _run(
        "INSERT INTO trackers_points (series_id, ordinal, step, attempt, time, value, kind) SELECT s.id, 0, s.last_step, "
        "s.last_attempt, s.last_time, s.last, s.last_kind FROM trackers_series s WHERE s.last_attempt = :unreported",
        unreported=UNREPORTED,
    )


def _final(study_id: int, objective: int, name: str) -> None:
    lacking = (
        "FROM trackers_results v JOIN trackers_runs r ON r.id = v.run_id WHERE r.experiment_id = :study AND "
        "v.objective = :objective AND NOT EXISTS (SELECT 1 FROM trackers_series s WHERE s.run_id = v.run_id AND "
        "s.key = :name AND s.context = '')"
    )
    found = {"study": study_id, "objective": objective, "name": name}
    rows = _ask(f"SELECT COUNT(*) {lacking}", **found)
    first = _ask("SELECT next FROM trackers_counters WHERE name = 'series'")
    _run(
        'INSERT INTO trackers_series (id, run_id, "key", context, "count", last, last_kind, last_step, last_attempt, '
        "last_time, min, max) SELECT CAST(:before AS BIGINT) + ROW_NUMBER() OVER (ORDER BY v.run_id), v.run_id, "
        "CAST(:key AS VARCHAR(250)), '', 1, v.value, v.kind, 0, CAST(:unreported AS INTEGER), "
        f"COALESCE(r.ended_at, r.created_at), v.value, v.value {lacking}",
        before=first - 1,
        key=name,
        unreported=UNREPORTED,
        **found,
    )
    _run("UPDATE trackers_counters SET next = :next WHERE name = 'series'", next=first + rows)


def _views() -> None:
    """Make the views; they read every table, so they come last."""
    connection = op.get_bind()
    for statement in views.statements(connection.dialect.name):
        connection.exec_driver_sql(statement)
