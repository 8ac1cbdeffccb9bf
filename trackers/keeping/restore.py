"""``restore``: a backup made a store again, in any database that holds nothing yet.

One of an older schema is upgraded on the way; the store is of this release's from its first moment.
"""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trackers.artifacts import ArtifactStore
from trackers.errors import DigestError, SchemaError, StoreBusyError, StoreError, TrackersError
from trackers.keeping.backup import file_of, read_manifest
from trackers.sql import audit, dump, statistics
from trackers.sql.address import read_address
from trackers.sql.audit_columns import names_given
from trackers.sql.backup_rows import Kept, open_rows, path_of
from trackers.sql.engine import Database
from trackers.sql.schema import HEAD, REVISIONS, open_database
from trackers.wording import counted

if TYPE_CHECKING:
    from sqlalchemy import Connection

_THREADS = 8


@dataclass(frozen=True)
class Restored:
    """What was restored into the store *url*: *rows* in *tables*, *files* of *bytes*.

    *problems* name files that rows refer to and that the store lacks, and what needs them; and names that no store
    takes, which somebody wrote into its database or the backup.
    """

    url: str
    tables: int
    rows: int
    files: int
    bytes: int
    problems: tuple[str, ...] = ()


def restore(
    source: str | os.PathLike[str],
    url: str | os.PathLike[str],
    *,
    artifacts: str | None = None,
    partial: bool = False,
) -> Restored:
    """Restore the backup in the folder *source* into the store *url*, which must not exist, or hold nothing.

    *artifacts* is where its files go, as for ``connect``. Everything is verified before the first row is written, and
    counted before the rows are committed. Files that were lost before the backup was made do not stop it. With
    *partial* neither do those that the backup lost since, or whose bytes changed. Raises NotFoundError where there is
    no backup, DigestError for a damaged one, SchemaError for one of a newer schema, and StoreError for a store that
    holds something.
    """
    folder = Path(source)
    manifest = read_manifest(folder)
    if manifest["revision"] not in REVISIONS:
        raise SchemaError(
            f"the backup in {folder} was written by a newer release (schema {manifest['revision']}, this one knows "
            f"{HEAD}): install that release; nothing was changed"
        )
    _check_tables(folder, manifest)
    _verify_rows(folder, manifest)
    there = _find_files(folder, manifest, partial)
    with open_rows(folder, manifest) as kept:
        return _restore(folder, manifest, kept, there, url, artifacts, partial)


def _restore(
    folder: Path,
    manifest: dict[str, Any],
    kept: Mapping[str, Kept],
    there: set[str],
    url: str | os.PathLike[str],
    artifacts: str | None,
    partial: bool,
) -> Restored:
    database, identity = open_database(read_address(url), artifacts=artifacts, create=True)
    try:
        with database.writing() as connection:
            dump.clear_counters(connection)  # refuses before any file is copied; rolled back with the rest otherwise
            connection.rollback()
        files = ArtifactStore(identity.artifact_root, identity.uid)
        files.claim(identity.uid, database.address.safe)
        copied = _copy_files(folder, manifest["files"], there, files, partial)
        checked = functools.partial(_check_named, folder=folder, named=manifest["files"])
        rows = _write_alone(database, kept, None if partial else checked)
        statistics.gather(database)
        with database.reading() as connection:
            lost = (manifest["files"].keys() | dump.reachable_files(connection).keys()) - copied.keys()
            problems = tuple(
                _sentence(connection, digest, digest in manifest.get("missing", ())) for digest in sorted(lost)
            )
            problems += tuple(flaw.problem for flaw in audit.shortened(list(names_given(connection))))
    finally:
        database.close()
    return Restored(database.address.safe, len(kept), rows, len(copied), sum(copied.values()), problems)


def _check_tables(folder: Path, manifest: dict[str, Any]) -> None:
    """Raise DigestError where a backup of today's schema does not name all of its tables: it was changed since."""
    if manifest["revision"] != HEAD:
        return
    lacking = {table.name for table in dump.dumped_tables()} - {table["name"] for table in manifest["tables"]}
    if lacking:
        raise DigestError(
            f"The backup in {folder} is damaged: it does not name {min(lacking)}; use another copy of it."
        )


def _verify_rows(folder: Path, manifest: dict[str, Any]) -> None:
    for table in manifest["tables"]:
        path = path_of(folder, manifest, table["name"])
        try:
            with path.open("rb") as source:
                digest = hashlib.file_digest(source, "sha256").hexdigest()
        except OSError as exc:
            raise DigestError(f"The backup in {folder} lacks {path.name}: use another copy of it.") from exc
        if digest != table["sha256"]:
            raise DigestError(f"{path} is damaged: use another copy of the backup.")


def _find_files(folder: Path, manifest: dict[str, Any], partial: bool) -> set[str]:
    """Return which files the backup has; raise DigestError where it lost one after it was made, unless *partial*."""
    missing = frozenset(manifest.get("missing", ()))
    there = set()
    for digest, size in manifest["files"].items():
        path = file_of(folder, digest)
        if path.is_file() and path.stat().st_size == size:
            there.add(digest)
        elif digest not in missing and not partial:
            raise DigestError(
                f"The backup in {folder} lacks the file {digest[:12]}..., or a part of it: use another copy, or "
                "restore the rest with --partial."
            )
    return there


def _copy_files(
    folder: Path, wanted: dict[str, int], there: set[str], files: ArtifactStore, partial: bool
) -> dict[str, int]:
    """Copy those of the *wanted* files (digest -> size) that are *there*; return what the store has of them then."""
    listed = {digest: size for digest, size in files.sizes() if wanted.get(digest) == size}
    missing = sorted(there - listed.keys())
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="trackers-restore") as pool:
        try:
            copied = list(pool.map(lambda digest: _copy(folder, digest, wanted, files, partial), missing))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return listed | {digest: wanted[digest] for digest, done in zip(missing, copied, strict=True) if done}


def _copy(folder: Path, digest: str, wanted: dict[str, int], files: ArtifactStore, partial: bool) -> bool:
    stored, _ = files.put_file(file_of(folder, digest))
    if stored == digest:
        return True
    if stored not in wanted:  # the bytes may be those of another file of the backup
        files.delete(stored)
    if partial:
        return False
    raise DigestError(
        f"The file {digest[:12]}... of the backup in {folder} is damaged: use another copy of it, or restore the rest "
        "with --partial."
    )


def _sentence(connection: Connection, digest: str, was_missing: bool) -> str:
    users = audit.told(audit.users_of(connection, digest))
    when = "was lost before the backup was made" if was_missing else "is lost or damaged in the backup"
    return f"the file {digest[:12]}... {when}, needed by {users}"


def _write_alone(database: Database, kept: Mapping[str, Kept], check: Callable[[Connection], None] | None) -> int:
    """Write the rows; raise StoreBusyError where another restore has written its own meanwhile."""
    try:
        return _write(database, kept, check)
    except TrackersError as exc:
        with database.reading() as connection:
            taken = dump.holds_something(connection)
        if not taken:
            raise
        raise StoreBusyError(
            f"another restore into {database.address.safe} was at it at the same time and has written its rows: "
            "nothing of this one was kept"
        ) from exc


def _check_named(connection: Connection, folder: Path, named: Mapping[str, int]) -> None:
    """Raise DigestError where rows need a file that the backup does not name: it was changed since."""
    lacking = sorted(dump.reachable_files(connection).keys() - named.keys())
    if lacking:
        users = audit.users_of(connection, lacking[0])
        raise DigestError(
            f"The backup in {folder} is damaged: it does not name the file {lacking[0][:12]}..., which "
            f"{audit.told(users[:1])} needs. Use another copy of it, or restore the rest with --partial."
        )


def _write(database: Database, given: Mapping[str, Kept], check: Callable[[Connection], None] | None) -> int:
    tables = {table.name: table for table in dump.dumped_tables()}
    if unknown := given.keys() - tables.keys():
        raise StoreError(f"the backup has tables that this release does not know: {sorted(unknown)}")
    total = 0
    with database.writing() as connection:
        dump.clear_counters(connection)
        for name, table in tables.items():
            if name not in given:
                continue
            kept = given[name]
            count = dump.write_rows(connection, table, kept.columns, kept.read())
            if count != kept.count:
                raise StoreError(
                    f"{name} has {counted(count, 'row')} after restoring, {kept.count} in the backup: nothing was kept"
                )
            total += count
        if check is not None:
            check(connection)
    return total
