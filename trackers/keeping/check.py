"""``fsck``: every row and every file looked at, and put right where that needs no judgement."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trackers.errors import ArtifactError, DigestError
from trackers.keeping.backup import file_of, read_manifest
from trackers.sql import audit, dump, repairs
from trackers.sql.audit_columns import missing_tables
from trackers.sql.audit_texts import readable
from trackers.sql.flaw import Flaw
from trackers.wording import counted

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from trackers.artifacts import ArtifactStore
    from trackers.store import Store

_LEFTOVER_SECONDS = 24 * 3600.0
_THREADS = min(8, (os.cpu_count() or 1) + 2)

Progress = Callable[[int, int], None]
"""Told how many files were looked at, and of how many."""


@dataclass(frozen=True)
class Finding:
    """Something that is wrong: which *check* found it, what the *problem* is, and how it was *repaired* ('': not)."""

    check: str
    problem: str
    repaired: str = ""


@dataclass(frozen=True)
class Checked:
    """What `check` found, among so many *files* of *bytes*; with *quick* their bytes were not read."""

    findings: tuple[Finding, ...]
    files: int
    bytes: int
    quick: bool

    @property
    def left(self) -> tuple[Finding, ...]:
        """The findings that were not repaired."""
        return tuple(one for one in self.findings if not one.repaired)


@dataclass(frozen=True, slots=True)
class _Wrong:
    """A file that is not what it should be: *kind* is ``"missing"``, ``"damaged"`` or ``"size"``."""

    digest: str
    kind: str
    size: int = 0


def check(
    store: Store,
    *,
    quick: bool = False,
    repair: bool = False,
    source: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> Checked:
    """Check every row, every reference and every file of *store*; with *quick* only that files are there, in size.

    With *repair* what can be is put right: summaries, open attempts, dangling rows, and files from the backup *source*;
    damaged files are moved away, and what needs them is tagged ``trackers.damaged``. *progress* is told of files.

    Raises ArtifactError where a repair finds no file at all: a folder that is not mounted is no damage.
    """
    if source is not None:
        read_manifest(Path(source))
    with store.database.reading() as connection:
        flaws = audit.shortened(list(audit.audit(connection))) if not repair else list(audit.audit(connection))
        files = _files_of(connection)
    if repair and source is None and files and next(iter(store.artifacts.digests()), None) is None:
        raise ArtifactError(
            f"there is no file in {store.artifacts.safe_root}, which {counted(len(files), 'file')} should be in: mount the "
            "folder, or give the backup to repair from. Nothing was changed."
        )
    findings = [Finding(flaw.check, flaw.problem, _repaired(store, flaw) if repair else "") for flaw in flaws]
    wrong = list(_look_at(store.artifacts, files, quick, progress))
    findings += _mend(store, wrong, Path(source) if source is not None else None) if repair else _tell(store, wrong)
    findings += _leftovers(store, repair)
    return Checked(tuple(findings), len(files), sum(files.values()), quick)


def _files_of(connection: Connection) -> dict[str, int]:
    """Return every file that rows refer to, and its size; -1 for a size that is none, which is no file's."""
    if next(missing_tables(connection), None) is not None:
        return {}  # the rows cannot say
    found = dump.reachable_files(connection)
    return {digest: size if isinstance(size, int) else -1 for digest, size in found.items()}


def _repaired(store: Store, flaw: Flaw) -> str:
    def size_of(digest: str) -> int | None:
        try:
            return store.artifacts.size(digest)
        except ArtifactError:
            return None

    try:
        said: str = store.writer.call(partial(repairs.repair, flaw=flaw, size_of=size_of))
    except audit.ODD:
        return ""  # what it would be made from is damaged as well, as another flaw says
    return said


def _look_at(
    artifacts: ArtifactStore, files: dict[str, int], quick: bool, progress: Progress | None
) -> Iterator[_Wrong]:
    """Look at every file, several at once: hashing leaves the other threads free. With *quick* a listing tells."""
    listed = {digest: size for digest, size in artifacts.sizes() if digest in files} if quick else {}

    def look(item: tuple[str, int]) -> _Wrong | None:
        digest, size = item
        try:
            found = (listed.get(digest) or artifacts.size(digest)) if quick else None
            if found is None or found != size:  # whether the file or the row is wrong, its bytes tell
                found = artifacts.verify(digest)
        except DigestError:
            return _Wrong(digest, "damaged")
        except ArtifactError:
            return _Wrong(digest, "damaged" if artifacts.exists(digest) else "missing")
        return None if found == size else _Wrong(digest, "size", found)

    with ThreadPoolExecutor(_THREADS, thread_name_prefix="trackers-fsck") as pool:
        for done, wrong in enumerate(pool.map(look, sorted(files.items())), start=1):
            if progress is not None:
                progress(done, len(files))
            if wrong is not None:
                yield wrong


def _tell(store: Store, wrong: list[_Wrong]) -> list[Finding]:
    return [Finding("files", _sentence(store, one)) for one in wrong]


def _sentence(store: Store, wrong: _Wrong) -> str:
    with store.database.reading() as connection, readable(connection):
        users = audit.told(audit.users_of(connection, wrong.digest))
    name = f"the file {wrong.digest[:12]}..."
    if wrong.kind == "size":
        return f"{name} has {counted(wrong.size, 'byte')}, not as many as the store says"
    return f"{name} is {wrong.kind}, needed by {users}"


def _mend(store: Store, wrong: list[_Wrong], source: Path | None) -> list[Finding]:
    findings, users = [], []
    for one in wrong:
        problem, said = _sentence(store, one), ""
        if one.kind == "size":
            store.writer.call(partial(repairs.note_size, digest=one.digest, size=one.size))
            said = "the true size was noted"
        else:
            moved = ""
            if store.artifacts.exists(one.digest):
                moved = f"; the damaged bytes are in {store.artifacts.quarantine(one.digest)}"
            if source is not None and _bring_back(store, one.digest, source):
                said = f"restored from {source}"
            else:
                with store.database.reading() as connection, readable(connection):
                    needing = audit.users_of(connection, one.digest)
                users += needing
                problem += moved + _tagged(needing)
        findings.append(Finding("files", problem, said))
    store.writer.call(partial(repairs.mark_damaged, users=users))
    return findings


def _tagged(users: list[dict[str, Any]]) -> str:
    """Say which of *users* ``mark_damaged`` tags."""
    runs = len({user["run_id"] for user in users if "run_id" in user})
    versions = len({(user["model"], user["version"]) for user in users if "model" in user})
    told = [counted(count, noun) for count, noun in ((runs, "run"), (versions, "version")) if count]
    are = "is" if runs + versions == 1 else "are"
    return (
        f"; {' and '.join(told)} that {'needs' if are == 'is' else 'need'} it {are} tagged {repairs.DAMAGED}"
        if told
        else ""
    )


def _bring_back(store: Store, digest: str, source: Path) -> bool:
    path = file_of(source, digest)
    try:
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                return False
    except OSError:
        return False
    store.artifacts.put_file(path)
    return True


def _leftovers(store: Store, repair: bool) -> list[Finding]:
    artifacts = store.artifacts
    if artifacts.owners().keys() - {store.identity.uid}:
        return []
    files, size = artifacts.leftovers(_LEFTOVER_SECONDS, remove=repair)
    if not files:
        return []
    take = "takes" if files == 1 else "take"
    problem = f"{counted(files, 'half-written file')} of writers that were killed {take} {counted(size, 'byte')}"
    return [Finding("leftovers", problem, "deleted" if repair else "")]


def facts(checked: Checked) -> dict[str, Any]:
    """Return what was found, for JSON."""
    lines = [{"check": one.check, "problem": one.problem, "repaired": one.repaired} for one in checked.findings]
    return {"files": checked.files, "bytes": checked.bytes, "quick": checked.quick, "findings": lines}
