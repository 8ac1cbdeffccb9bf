"""Which files in the artifact store something in the database still refers to.

A file is reachable by what refers to it: the artifacts and checkpoints of runs, whatever other column has a foreign
key to ``blobs``, models that were not dropped, and pins. A dropped model reaches nothing, unless it is a registered
version or pinned.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, delete, not_, or_, select, text

from trackers.sql.tables import PREFIX, blobs, metadata, model_files, model_versions, models, pins

_BATCH = 500

REFERRING = tuple(
    key.parent for table in metadata.sorted_tables for key in table.foreign_keys if key.column is blobs.c.digest
)
"""Every column that names a file by a foreign key, those of models too."""


def is_needed() -> ColumnElement[bool]:
    """Return the condition that a row of ``models`` is a registered version or pinned."""
    registered = select(model_versions.c.model_uid).where(model_versions.c.model_uid == models.c.uid)
    pinned = select(pins.c.target).where(pins.c.kind == "model", pins.c.target == models.c.uid)
    return or_(registered.exists(), pinned.exists())


def references() -> list[tuple[ColumnElement[Any], Select[Any]]]:
    """Return the columns that make a file reachable, each with the query that reads it."""
    found: list[tuple[ColumnElement[Any], Select[Any]]] = [
        (column, select(column)) for column in REFERRING if column.table is not model_files
    ]
    # Of a model whose row was lost the files stay, until fsck has taken theirs away: its version may be in production.
    alive = select(model_files.c.digest).outerjoin(models, models.c.uid == model_files.c.model_uid)
    found.append((model_files.c.digest, alive.where(or_(models.c.deleted_at.is_(None), is_needed()))))
    found.append((pins.c.target, select(pins.c.target).where(pins.c.kind == "file")))
    return found


def is_reachable(digest: ColumnElement[str]) -> ColumnElement[bool]:
    """Return the condition that something refers to the file *digest*, a column of an outer query."""
    return or_(*(query.where(column == digest).exists() for column, query in references()))


def unreferenced(connection: Connection, digests: Collection[str]) -> set[str]:
    """Return those of *digests* that nothing refers to."""
    wanted = sorted(set(digests))
    free = set(wanted)
    for start in range(0, len(wanted), _BATCH):
        batch = wanted[start : start + _BATCH]
        for column, query in references():
            free.difference_update(connection.execute(query.where(column.in_(batch)).distinct()).scalars())
    return free


def forget(connection: Connection, digests: Collection[str]) -> None:
    """Delete the rows of files that were deleted, and their names in models that were dropped.

    What somebody refers to again meanwhile stays: until the end of the transaction nobody can.
    """
    wanted = sorted(set(digests))
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"LOCK TABLE {PREFIX}blobs IN SHARE ROW EXCLUSIVE MODE"))
    dropped = select(models.c.uid).where(models.c.deleted_at.is_not(None), not_(is_needed()))
    named = or_(*(select(column).where(column == blobs.c.digest).exists() for column in REFERRING))
    for start in range(0, len(wanted), _BATCH):
        batch = wanted[start : start + _BATCH]
        held = select(blobs.c.digest).where(blobs.c.digest.in_(batch))
        connection.execute(held.with_for_update()).all()
        mine = delete(model_files).where(model_files.c.digest.in_(batch), model_files.c.model_uid.in_(dropped))
        connection.execute(mine)
        connection.execute(
            delete(blobs).where(blobs.c.digest.in_(batch), not_(named), not_(is_reachable(blobs.c.digest)))
        )
