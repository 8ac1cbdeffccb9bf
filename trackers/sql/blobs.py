"""Which files in the artifact store something in the database still refers to."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, or_, select

from trackers.sql.tables import artifacts, checkpoints, code_versions, model_files, model_versions, models

_BATCH = 500


def unreferenced(connection: Connection, digests: Collection[str]) -> set[str]:
    """Return those of *digests* that no artifact of a run, no checkpoint, no model and no code refers to.

    A model that was dropped refers to nothing any more, unless it is a registered version.
    """
    wanted = sorted(set(digests))
    free = set(wanted)
    for start in range(0, len(wanted), _BATCH):
        batch = wanted[start : start + _BATCH]
        registered = select(model_versions.c.model_uid).where(model_versions.c.model_uid == models.c.uid).exists()
        for query in (
            select(artifacts.c.digest).where(artifacts.c.digest.in_(batch)),
            select(checkpoints.c.digest).where(checkpoints.c.digest.in_(batch)),
            select(code_versions.c.bundle).where(code_versions.c.bundle.in_(batch)),
            select(model_files.c.digest)
            .join(models, models.c.uid == model_files.c.model_uid)
            .where(model_files.c.digest.in_(batch), or_(models.c.deleted_at.is_(None), registered)),
        ):
            free.difference_update(connection.execute(query.distinct()).scalars())
    return free
