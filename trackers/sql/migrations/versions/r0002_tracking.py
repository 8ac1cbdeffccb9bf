"""The tracker on its own: runs that are deleted in two steps.

One function for each noun that changes; the order of new columns is that of ``trackers.sql.tables``.

Revision ID: 0002
"""

from typing import Any

from alembic import op
from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKeyConstraint,
    Integer,
    PrimaryKeyConstraint,
    String,
    Text,
    UniqueConstraint,
)

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change every noun."""
    _runs()
    _registry()
    _journals()
    _series()


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
    # Of the series that several attempts wrote: what a later attempt hides was in the extremes until now.
    hidden = (
        "EXISTS (SELECT 1 FROM trackers_points q WHERE q.series_id = p.series_id AND q.attempt > p.attempt "
        "AND q.step <= p.step)"
    )
    seen = f"FROM trackers_points p WHERE p.series_id = trackers_series.id AND NOT {hidden}"
    op.execute(
        "UPDATE trackers_series SET since_step = (SELECT MIN(p.step) FROM trackers_points p "
        "WHERE p.series_id = trackers_series.id AND p.attempt = trackers_series.last_attempt), "
        f"min = (SELECT MIN(p.value) {seen}), max = (SELECT MAX(p.value) {seen}) WHERE last_attempt > 0"
    )
