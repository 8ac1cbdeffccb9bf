"""The tracker on its own: runs that are deleted in two steps.

One function for each noun that changes; the order of new columns is that of ``trackers.sql.tables``.

Revision ID: 0002
"""

from typing import Any

from alembic import op
from sqlalchemy import (
    BigInteger,
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
from trackers.sql.points import seal_series

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change every noun."""
    _runs()
    _registry()
    _search()
    _chunks()
    _views()


def _runs() -> None:
    op.add_column("trackers_runs", Column("deleted_at", BigInteger))
    op.add_column("trackers_experiments", Column("archived_at", BigInteger))


def _registry() -> None:
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


def _id() -> Any:
    return BigInteger().with_variant(Integer(), "sqlite")


def _name(length: int) -> Any:
    return String(length).with_variant(String(length, collation="C"), "postgresql")


def _content() -> Any:
    return Text().with_variant(String(collation="C"), "postgresql")


def _search() -> None:
    """Make the indexes that searches walk, and the beginnings of texts that two of them hold."""
    is_server = op.get_bind().dialect.name == "postgresql"
    word = String(250, collation="C") if is_server else String(250)
    op.add_column("trackers_params", Column("word", word))
    op.add_column("trackers_tags", Column("word", word))
    op.execute("UPDATE trackers_params SET word = substr(text, 1, 250) WHERE kind = 4")
    op.execute("UPDATE trackers_tags SET word = substr(value, 1, 250)")
    for table, *columns in _INDEXES:
        op.create_index(f"ix_trackers_{table}_{'_'.join(columns)}", f"trackers_{table}", columns)
    hidden = text("archived_at IS NOT NULL OR deleted_at IS NOT NULL")
    op.create_index("ix_trackers_runs_hidden", "trackers_runs", ["id"], sqlite_where=hidden, postgresql_where=hidden)


_INDEXES = (
    ("runs", "experiment_id", "created_at", "id"),
    ("runs", "state", "id"),
    ("runs", "name", "id"),
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


def _views() -> None:
    """Make the views; they read every table, so they come last."""
    connection = op.get_bind()
    for statement in views.statements(connection.dialect.name):
        connection.exec_driver_sql(statement)
