"""``db check``: the schema of a store, what differs from the expected, and who is in the way of an upgrade."""

from __future__ import annotations

import os
from dataclasses import dataclass

from trackers.errors import NotFoundError
from trackers.sql import settings
from trackers.sql.address import read_address
from trackers.sql.engine import Database
from trackers.sql.schema import HEAD, REVISIONS, check_not_lost, read_revision


@dataclass(frozen=True)
class SchemaState:
    """What `check_schema` found: *pending* are the revisions an upgrade would apply, *managers* who hold a study.

    *differences* are sentences. *newer*: a newer release wrote it.
    """

    store: str
    found: str
    expected: str
    pending: tuple[str, ...]
    newer: bool
    differences: tuple[str, ...]
    managers: tuple[str, ...]

    @property
    def is_right(self) -> bool:
        """Whether this release can use the store as it is."""
        return self.found == self.expected and not self.differences


def check_schema(url: str | os.PathLike[str]) -> SchemaState:
    """Look at the schema of the store *url*, of whatever release; nothing is changed.

    Raises NotFoundError without one, SchemaError for one of which the revision is lost.
    """
    address = read_address(url)
    if address.path is not None and not address.path.exists():
        raise NotFoundError(f"there is no store at {address.path}: name another with --storage or HPO_STORAGE")
    database = Database(address)
    try:
        found = read_revision(database)
        if found is None:
            check_not_lost(database)
            raise NotFoundError(f"there is no store in {address.safe} yet: the first run makes it")
        known = found in REVISIONS
        with database.reading() as connection:
            differing = settings.schema_differences(connection) if found == HEAD else []
            held = settings.held_studies(connection) if known else []
    finally:
        database.close()
    pending = REVISIONS[REVISIONS.index(found) + 1 :] if known else ()
    managers = tuple(f"{name}: {user}@{host}, process {pid}" for name, user, host, pid, _ in held)
    return SchemaState(address.safe, found, HEAD, tuple(pending), not known, tuple(differing), managers)
