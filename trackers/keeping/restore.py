"""``restore``: a backup made a store again, in any database that holds nothing yet."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trackers.artifacts import ArtifactStore
from trackers.errors import ArtifactError, DigestError, SchemaError, StoreError
from trackers.keeping.backup import file_of, read_manifest
from trackers.sql import dump
from trackers.sql.address import read_address
from trackers.sql.engine import Database
from trackers.sql.schema import HEAD, open_database


@dataclass(frozen=True)
class Restored:
    """What was restored into the store *url*: *rows* in *tables*, *files* of *bytes*."""

    url: str
    tables: int
    rows: int
    files: int
    bytes: int


def restore(source: str | os.PathLike[str], url: str | os.PathLike[str], *, artifacts: str | None = None) -> Restored:
    """Restore the backup in the folder *source* into the store *url*, which must not exist, or hold nothing.

    *artifacts* is where its files go, as for ``connect``. Everything is verified before the first row is written, and
    counted before the rows are committed. Raises NotFoundError where there is no backup, DigestError for a damaged
    one, SchemaError for one of another schema, and StoreError for a store that holds something.
    """
    folder = Path(source)
    manifest = read_manifest(folder)
    if manifest["revision"] != HEAD:
        raise SchemaError(
            f"the backup in {folder} has schema {manifest['revision']}, this release {HEAD}: restore it with the "
            "release that wrote it, then upgrade the store"
        )
    _verify(folder, manifest)
    database, identity = open_database(read_address(url), artifacts=artifacts, create=True)
    try:
        with database.writing() as connection:
            dump.clear_counters(connection)  # refuses before any file is copied; rolled back with the rest otherwise
            connection.rollback()
        files = ArtifactStore(identity.artifact_root, identity.uid)
        files.claim(identity.uid, database.address.safe)
        _copy_files(folder, manifest, files)
        rows = _write(database, folder, manifest)
    finally:
        database.close()
    return Restored(
        database.address.safe, len(manifest["tables"]), rows, len(manifest["files"]), sum(manifest["files"].values())
    )


def _verify(folder: Path, manifest: dict[str, Any]) -> None:
    for table in manifest["tables"]:
        path = _rows_of(folder, manifest, table["name"])
        try:
            with path.open("rb") as source:
                digest = hashlib.file_digest(source, "sha256").hexdigest()
        except OSError as exc:
            raise DigestError(f"The backup in {folder} lacks {path.name}: use another copy of it.") from exc
        if digest != table["sha256"]:
            raise DigestError(f"{path} is damaged: use another copy of the backup.")
    for digest, size in manifest["files"].items():
        path = file_of(folder, digest)
        if not path.is_file() or path.stat().st_size != size:
            raise DigestError(
                f"The backup in {folder} lacks the file {digest[:12]}..., or a part of it: use another copy."
            )


def _rows_of(folder: Path, manifest: dict[str, Any], table: str) -> Path:
    rows = str(manifest["rows"])
    if "/" in rows or not rows.startswith("rows-") or "/" in table:
        raise DigestError(f"The backup in {folder} is damaged: it names rows in {rows!r}.")
    return folder / rows / f"{table}.jsonl.gz"


def _copy_files(folder: Path, manifest: dict[str, Any], files: ArtifactStore) -> None:
    for digest, size in manifest["files"].items():
        try:
            if files.size(digest) == size:
                continue
        except ArtifactError:
            pass  # it is not there yet
        stored, _ = files.put_file(file_of(folder, digest))
        if stored != digest:
            files.delete(stored)
            raise DigestError(
                f"The file {digest[:12]}... of the backup in {folder} is damaged: use another copy of it."
            )


def _write(database: Database, folder: Path, manifest: dict[str, Any]) -> int:
    tables = {table.name: table for table in dump.dumped_tables()}
    given = {table["name"]: table for table in manifest["tables"]}
    if unknown := given.keys() - tables.keys():
        raise StoreError(f"the backup has tables that this release does not know: {sorted(unknown)}")
    total = 0
    with database.writing() as connection:
        dump.clear_counters(connection)
        for name, table in tables.items():
            if name not in given:
                continue
            entry = given[name]
            rows = _read(_rows_of(folder, manifest, name))
            count = dump.write_rows(connection, table, entry["columns"], rows)
            if count != entry["rows"]:
                raise StoreError(
                    f"{name} has {count} rows after restoring, {entry['rows']} in the backup: nothing was kept"
                )
            total += count
    return total


def _read(path: Path) -> Iterator[list[Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as source:
        for line in source:
            yield json.loads(line)
