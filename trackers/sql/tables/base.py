"""What every table is made with: names, keys, columns that refer to others."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    Column,
    ForeignKey,
    Index,
    MetaData,
    Table,
)

from trackers.sql.columns import (
    COLLATION,
    Content,
    Digest,
    Id,
    Name,
    Uid,
    escape,
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


def table(name: str, *items: Any, clustered: bool = False) -> Table:
    """Make a table; *clustered*: SQLite keeps its rows in the primary key itself (see ``lay_out``)."""
    return Table(PREFIX + name, metadata, *items, info={"clustered": clustered})


def own_id() -> Column[int]:
    """Make the column for the id of a row, from the counter of the store."""
    return Column("id", Id, primary_key=True, autoincrement=False)


def ref(name: str, target: str, *, key: bool = False, null: bool = False, cascade: bool = True) -> Column[Any]:
    """Make a column that refers to the id of *target*, or to another of its columns (``"blobs.digest"``)."""
    target = target if "." in target else f"{target}.id"
    kind = Digest if target.endswith(".digest") else Uid if target.endswith(".uid") else Id
    foreign = ForeignKey(PREFIX + target, ondelete="CASCADE" if cascade else None)
    return Column(name, kind, foreign, primary_key=key, nullable=null, autoincrement=False)


def key(name: str, kind: Any) -> Column[Any]:
    """Make a column that is part of the primary key."""
    return Column(name, kind, primary_key=True, autoincrement=False, nullable=False)


def word(name: str) -> Column[str]:
    """Make the column for what an index holds of the text *name* (see ``columns.word_of``)."""

    def first_of(context: Any) -> str | None:
        found = context.get_current_parameters()[name]
        return None if found is None else word_of(escape(found))

    return Column("word", Name, default=first_of, onupdate=first_of)


def text(name: str, null: bool = False) -> Column[Any]:
    """Make a column for any text."""
    return Column(name, Content, nullable=null)


def only_on(dialects: tuple[str, ...], index: Index) -> None:
    """Make *index* on these databases alone; ``info`` says so to who compares the schema."""
    index.info["dialects"] = dialects
    index.ddl_if(dialects)  # type: ignore[arg-type]  # its own page says that several may be named


def lay_out(dialect: str) -> None:
    """Say how the databases of *dialect* are to lay out the tables, before they are made.

    Apart from the tables, since SQLAlchemy loads every dialect that is named there: a tenth of a second of each start.
    """
    for made in metadata.tables.values():
        if dialect == "sqlite":
            made.dialect_kwargs["sqlite_with_rowid"] = not made.info["clustered"]
        elif dialect == "mysql":
            made.dialect_kwargs.update(mysql_engine="InnoDB", mysql_charset="utf8mb4", mysql_collate=COLLATION)
        for index in made.indexes:
            if dialect != "mysql" and "where" in index.info:
                index.dialect_kwargs[f"{dialect}_where"] = index.info["where"]
