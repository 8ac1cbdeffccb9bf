"""The rows of a backup as this release has them: those of an older schema are upgraded on the way."""

from __future__ import annotations

import gzip
import json
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy import MetaData, func, insert, select
from sqlalchemy.exc import SAWarning

from trackers.errors import DigestError, StoreError
from trackers.sql import dump
from trackers.sql import tables as t
from trackers.sql.address import read_address
from trackers.sql.engine import Database
from trackers.sql.schema import HEAD


@dataclass(frozen=True)
class Kept:
    """The rows of one table: their *columns*, how many there are, and what yields them."""

    columns: Sequence[str]
    count: int
    read: Callable[[], Iterator[list[Any]]]


@contextmanager
def open_rows(folder: Path, manifest: Mapping[str, Any]) -> Iterator[dict[str, Kept]]:
    """Hand out the rows of the backup in *folder* by table, in the newest schema.

    Those of an older one go through a SQLite file of that schema in the folder for temporary files (``TMPDIR``), which
    is upgraded as a store is.
    """
    given = {
        entry["name"]: Kept(entry["columns"], entry["rows"], partial(_read, path_of(folder, manifest, entry["name"])))
        for entry in manifest["tables"]
    }
    if manifest["revision"] == HEAD:
        yield given
        return
    with TemporaryDirectory(prefix="trackers-restore-") as scratch:
        database = Database(read_address(Path(scratch, "hpo.db")))
        with closing(database):
            _fill_older(database, manifest["revision"], given)
            from trackers.sql.migrations.upgrade import upgrade

            upgrade(database)
            with database.reading() as connection:
                yield {
                    table.name: Kept(
                        [column.name for column in table.columns],
                        connection.execute(select(func.count()).select_from(table)).scalar_one(),
                        partial(dump.read_rows, connection, table),
                    )
                    for table in dump.dumped_tables()
                }


def path_of(folder: Path, manifest: Mapping[str, Any], table: str) -> Path:
    """Return the file that holds the rows of a table; raises DigestError for a name that leaves the folder."""
    rows = str(manifest["rows"])
    if "/" in rows or not rows.startswith("rows-") or "/" in table:
        raise DigestError(f"The backup in {folder} is damaged: it names rows in {rows!r}.")
    return folder / rows / f"{table}.jsonl.gz"


def _fill_older(database: Database, revision: str, given: Mapping[str, Kept]) -> None:
    from trackers.sql.migrations.upgrade import apply_revisions

    with database.writing() as connection:
        apply_revisions(connection, None, last=revision)
        older = MetaData()
        with warnings.catch_warnings():  # rows are written into it: of an index of an expression nobody asks
            warnings.filterwarnings("ignore", "Skipped unsupported reflection", SAWarning)
            older.reflect(connection)
        tables = {table.name: table for table in older.sorted_tables}
        if unknown := given.keys() - tables.keys():
            raise StoreError(f"the backup has tables that its schema {revision} does not have: {sorted(unknown)}")
        own = tables[t.store.name]
        connection.execute(insert(own).values(id=1, uid="", created_at=0, artifact_root=""))
        for name, table in tables.items():
            if name in given:
                dump.write_rows(connection, table, given[name].columns, given[name].read())


def _read(path: Path) -> Iterator[list[Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as source:
        for line in source:
            yield json.loads(line)
