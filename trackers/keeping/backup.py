"""``backup``: all rows at one moment, and every file they refer to, in a folder that any database can be restored from.

TO/backup.json           what is in it, written last: an older backup in the same folder is whole until then; of its
                         files those that the store had lost already are named as missing
TO/rows-.../TABLE.jsonl.gz   the rows of a table, one JSON array a line
TO/files/ab/abcdef...    files by digest; those that are there already are not copied again
"""

from __future__ import annotations

import fcntl
import gzip
import hashlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trackers.clock import now_us
from trackers.errors import ArtifactError, DigestError, InvalidValueError, NotFoundError, StoreError
from trackers.keeping.room import is_full, write_json, writing_to
from trackers.models.manifest import manifest_digest
from trackers.sql import dump
from trackers.sql.schema import HEAD, REVISIONS

if TYPE_CHECKING:
    from sqlalchemy import Connection, Table

    from trackers.store import Store

NAME = "backup.json"
FORMAT = 1
_DIGEST = re.compile("[0-9a-f]{64}")
_TRIES = 3
_THREADS = 8
"""An object store answers several at once; a disk is busy with fewer."""


@dataclass(frozen=True)
class BackedUp:
    """What a backup holds: *rows* in *tables*, *files* of *bytes*, of which *added* were not there before.

    *problems* name files that could not be copied; the backup lacks them.
    """

    folder: str
    tables: int
    rows: int
    files: int
    bytes: int
    added: int
    problems: tuple[str, ...] = ()


def back_up(store: Store, to: str | os.PathLike[str], *, link: bool = True) -> BackedUp:
    """Write a backup of *store* to the folder *to*, where an older one of the same store may be.

    Rows are of one moment, whatever others write meanwhile. With *link* files on the same disk are linked, not
    copied. Raises InvalidValueError where the folder holds something else, StoreError where its disk is full: an older
    backup there is whole then, and a new one is none.
    """
    folder = Path(to)
    with writing_to(folder, "the backup was not made, an older one in the same folder is as it was"):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return _back_up(store, folder, link)


def _back_up(store: Store, folder: Path, link: bool) -> BackedUp:
    with _alone(folder):
        before = _check_target(folder, store.identity.uid)
        copier = _Copier(store, folder / "files", link)
        with store.database.reading() as connection:
            early = dump.reachable_files(connection)
        # Before the rows are read, so that a model that is dropped in the meantime has its files here all the same.
        copier.copy(early)
        for left in reversed(range(_TRIES)):
            rows = folder / f"rows-{uuid.uuid4().hex[:12]}"
            with _or_nothing(rows), store.database.reading() as connection:
                tables = _dump(connection, rows)
                files = dump.reachable_files(connection)
            with _or_nothing(rows):
                problems = copier.copy(files)
            if not problems or left == 0 or not _were_dropped(store, problems):
                break
            shutil.rmtree(rows)
        manifest = {
            "format": FORMAT,
            "revision": HEAD,
            "store": store.safe_url,
            "uid": store.identity.uid,
            "created_at": now_us(),
            "rows": rows.name,
            "tables": tables,
            "files": dict(sorted(files.items())),
            "missing": sorted(problems),
        }
        write_json(folder / NAME, manifest | {"digest": manifest_digest(manifest)})
        _clear(folder, manifest, before)
    counted = sum(table["rows"] for table in tables)
    sizes = sum(size for digest, size in files.items() if digest not in problems)
    told = tuple(problems.values())
    return BackedUp(str(folder), len(tables), counted, len(files) - len(problems), sizes, copier.added, told)


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read what a backup says of itself.

    Raises NotFoundError where there is none, InvalidValueError for a newer one or what is no manifest, DigestError for
    one that was changed since.
    """
    try:
        manifest = json.loads((folder / NAME).read_text(encoding="utf-8"))
        form = int(manifest["format"])
        if form <= FORMAT:
            _check_form(manifest)
    except (FileNotFoundError, NotADirectoryError):
        raise no_backup(folder) from None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as exc:
        raise InvalidValueError(f"{folder / NAME} is damaged: use another copy of the backup") from exc
    if form > FORMAT:
        raise InvalidValueError(f"the backup in {folder} was written by a newer release (format {form}): install that")
    digest = manifest.pop("digest", None)  # the first releases wrote none
    if digest is not None and manifest["revision"] in REVISIONS and digest != manifest_digest(manifest):
        raise DigestError(f"{folder / NAME} is damaged: use another copy of the backup.")
    return dict(manifest)


def no_backup(folder: str | os.PathLike[str]) -> NotFoundError:
    """Return the error for a folder that holds no backup, or one that was not written to its end."""
    return NotFoundError(f"there is no (finished) backup in {folder}: it has no {NAME}")


def _check_form(manifest: dict[str, Any]) -> None:
    """Raise TypeError or KeyError for a manifest that none of ours wrote: its names become paths."""
    about: dict[str, type] = {"revision": str, "rows": str, "tables": list, "files": dict}
    of_table: dict[str, type] = {"name": str, "columns": list, "rows": int, "sha256": str}
    for key, kind in about.items():
        _expect(manifest[key], kind)
    for table in manifest["tables"]:
        for key, kind in of_table.items():
            _expect(table[key], kind)
        for column in table["columns"]:
            _expect(column, str)
    for size in manifest["files"].values():
        _expect(size, int)
    for digest in (*manifest["files"], *_expect(manifest.get("missing", []), list)):
        if _DIGEST.fullmatch(digest) is None:
            raise TypeError("a digest")


def _expect(value: Any, kind: type) -> Any:
    if not isinstance(value, kind) or (isinstance(value, int) and value < 0):
        raise TypeError(kind.__name__)
    return value


def file_of(folder: Path, digest: str) -> Path:
    """Return where a backup in *folder* keeps a file."""
    return folder / "files" / digest[:2] / digest


class _Copier:
    """Brings files of a store into a folder, each of them verified."""

    def __init__(self, store: Store, folder: Path, link: bool) -> None:
        self._artifacts, self._folder, self._link = store.artifacts, folder, link
        self.added = 0

    def copy(self, files: dict[str, int]) -> dict[str, str]:
        """Copy what is not there, several at once; return why it could not be: digest -> sentence."""
        new = [digest for digest, size in sorted(files.items()) if not self._has(digest, size)]
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="trackers-backup") as pool:
            try:
                problems = dict(zip(new, pool.map(self._try, new), strict=True))
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        self.added += sum(problem is None for problem in problems.values())
        return {digest: problem for digest, problem in problems.items() if problem is not None}

    def _has(self, digest: str, size: int) -> bool:
        """Tell whether an older backup here has a file, and has it whole: it may have been damaged since."""
        target = self._target(digest)
        if not target.is_file() or target.is_symlink() or target.stat().st_size != size:
            return False
        source = self._artifacts.path(digest) if self._link else None
        if source is not None and source.exists() and source.samefile(target):
            return True  # whether that is whole is for fsck
        with target.open("rb") as kept:
            return hashlib.file_digest(kept, "sha256").hexdigest() == digest

    def _target(self, digest: str) -> Path:
        return self._folder / digest[:2] / digest

    def _try(self, digest: str) -> str | None:
        try:
            self._bring(digest, self._target(digest))
        except ArtifactError as exc:
            if is_full(exc):
                raise StoreError(
                    f"the disk of {self._folder.parent} is full: free some space, or give another folder; the "
                    "backup was not made, an older one in the same folder is as it was"
                ) from exc
            return str(exc)
        return None

    def _bring(self, digest: str, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        source = self._artifacts.path(digest) if self._link else None
        if source is not None:
            self._artifacts.verify(digest)
            try:
                target.unlink(missing_ok=True)
                os.link(source, target)
            except OSError:
                pass  # another disk, or one without links
            else:
                return
        self._artifacts.get(digest, target)
        target.chmod(0o444)


@contextmanager
def _or_nothing(folder: Path) -> Iterator[None]:
    """Remove *folder* where the body fails: it would take room that is needed."""
    try:
        yield
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _dump(connection: Connection, folder: Path) -> list[dict[str, Any]]:
    folder.mkdir(mode=0o700)
    return [_dump_table(connection, table, folder) for table in dump.dumped_tables()]


def _dump_table(connection: Connection, table: Table, folder: Path) -> dict[str, Any]:
    path, count = folder / f"{table.name}.jsonl.gz", 0
    with path.open("xb") as raw:
        with gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=5, mtime=0) as sink:
            for row in dump.read_rows(connection, table):
                sink.write(json.dumps(row, separators=(",", ":"), allow_nan=False).encode() + b"\n")
                count += 1
        raw.flush()
        os.fsync(raw.fileno())
    with path.open("rb") as source:
        digest = hashlib.file_digest(source, "sha256").hexdigest()
    return {"name": table.name, "columns": [c.name for c in table.columns], "rows": count, "sha256": digest}


def _were_dropped(store: Store, problems: dict[str, str]) -> bool:
    """Tell whether what could not be copied is not referred to any more: then the rows are read again."""
    with store.database.reading() as connection:
        return bool(problems.keys() - dump.reachable_files(connection).keys())


def _check_target(folder: Path, uid: str) -> dict[str, Any] | None:
    if not (folder / NAME).exists():
        others = [entry.name for entry in folder.iterdir() if not entry.name.startswith((".", "rows-", "files"))]
        if others:
            raise InvalidValueError(f"{folder} holds other things ({others[0]}): give an empty folder, or a new one")
        return None
    found = read_manifest(folder)
    if found.get("uid") != uid:
        raise InvalidValueError(
            f"{folder} holds the backup of another store ({found.get('store')}): give a folder each"
        )
    return found


def _clear(folder: Path, manifest: dict[str, Any], before: dict[str, Any] | None) -> None:
    """Remove rows of older backups and of killed ones, and files that only the last one named."""
    for entry in folder.glob("rows-*"):
        if entry.name != manifest["rows"]:
            shutil.rmtree(entry, ignore_errors=True)
    for digest in (before or {}).get("files", {}):
        if digest not in manifest["files"]:
            file_of(folder, digest).unlink(missing_ok=True)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the folder, so that two backups do not write to it at once."""
    descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise InvalidValueError(f"another backup is being written to {folder}: wait until it is done") from None
        yield
    finally:
        os.close(descriptor)
