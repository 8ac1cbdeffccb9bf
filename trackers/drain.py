"""Journals drained into their store by another process than the one that wrote them: ``trackers.sync``, once."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trackers import changes as c
from trackers.errors import ArtifactError, InvalidValueError, StoreBusyError, StoreError
from trackers.journal import Entry, Journal, Line, journal_folder, list_journals, other_journals, owner_of
from trackers.sql.address import read_address
from trackers.sql.commit import Commit
from trackers.sql.committer import Work
from trackers.sql.journals import read_position
from trackers.sql.spill import BATCH
from trackers.store import Store, connect

if TYPE_CHECKING:
    from trackers.artifacts import ArtifactStore


@dataclass(frozen=True, slots=True)
class Synced:
    """What became of one journal.

    *written* entries came into the store now, *known* ones were there already, *refused* are sentences about those that
    the store does not take; *damaged* lines could not be read: the journal is kept as ``NAME.damaged`` then. *busy* says
    why nothing was done. The journal is gone unless something was refused, damaged or busy.
    """

    journal: Path
    written: int = 0
    known: int = 0
    files: int = 0
    refused: tuple[str, ...] = ()
    damaged: int = 0
    busy: str = ""


def sync(
    journal: str | os.PathLike[str] | None = None, *, store: Store | str | os.PathLike[str] | None = None
) -> list[Synced]:
    """Write what waits in journals to their store, each entry once, and return what became of each journal.

    *journal* is one, or a folder of them; the default is where those of *store* lie. *store* is a connected store or
    its URL; the default is ``HPO_STORAGE``, else ``hpo.db`` here. A journal whose process lives, or that another one is
    draining, is left alone and said to be busy; killed in the middle, the next call goes on. Raises NotFoundError for a
    journal that is not there and StoreError while the database is away.
    """
    from trackers.default import default_url

    url: Any = store if store is not None else default_url()
    if isinstance(url, Store):
        if url.offline:
            raise InvalidValueError("the store is offline: sync into one that is connected without offline")
        address = url.database.address
    else:
        address = read_address(url)
    folder = journal_folder(address.path, address.safe) if journal is None else Path(journal)
    found = list_journals(folder)
    if journal is not None and not found:
        Journal.open(folder)  # raises: there is none
    beside = journal is None and address.path is None and folder.parent.is_dir()
    if not found and not (beside and list_journals(folder.parent)):
        return []
    with ExitStack() as stack:
        target = url if isinstance(url, Store) else stack.enter_context(connect(url, strict=True, offline=False))
        if beside:  # the same server may have been written otherwise: another host name, a port, a user
            found += other_journals(folder, target.identity.uid)
        return [_sync_one(one, target, alone=len(found) == 1) for one in found]


def _sync_one(folder: Path, store: Store, *, alone: bool) -> Synced:
    """Drain one journal; what is wrong with it itself is raised where it is *alone*, and told where others wait too."""
    try:
        journal = _open(folder, store)
    except StoreBusyError as exc:
        return Synced(folder, busy=str(exc))
    except StoreError as exc:
        if alone:
            raise
        return Synced(folder, refused=(str(exc),))
    try:
        return _Drain(journal, store).run()
    finally:
        journal.close()


def _open(folder: Path, store: Store) -> Journal:
    journal = Journal.open(folder)
    try:
        _check_store(journal, store)
    except BaseException:
        journal.close()
        raise
    return journal


def _check_store(journal: Journal, store: Store) -> None:
    """Note in the journal into which store it goes; raises StoreError where that was another one."""
    owner = owner_of(journal.folder, journal.head)
    if owner and owner != store.identity.uid:
        raise StoreError(
            f"the journal {journal.folder} belongs to another store ({journal.head.get('url')}): name that one with "
            f"--storage; nothing was written to {store.safe_url}"
        )
    if not owner:
        (journal.folder / "store").write_text(store.identity.uid + "\n")


class _Drain:
    """One journal on its way into one store."""

    def __init__(self, journal: Journal, store: Store) -> None:
        self._journal, self._store = journal, store
        self._written = self._known = self._files = 0
        self._refused: list[str] = []

    def run(self) -> Synced:
        """Write batch after batch, each with its position in its own transaction."""
        uid, place = self._journal.uid, self._journal.start
        with self._store.database.reading() as connection:
            done = read_position(connection, uid)
        while lines := list(self._journal.read(place, BATCH)):
            place = lines[-1].end
            fresh = [line for line in lines if line.seq > done]
            self._known += len(lines) - len(fresh)
            self._write(fresh)
        return self._end()

    def _write(self, lines: Sequence[Line]) -> None:
        if (self._journal.folder / "files").is_dir():
            self._bring_files(line.entry for line in lines)
        works = [Work(Commit(), entry=line.entry, journal=self._journal.uid, seq=line.seq) for line in lines]
        self._store.writer.write(works)
        for line, work in zip(lines, works, strict=True):
            try:
                work.commit.wait()
                self._written += 1
            except StoreError:
                raise  # the database is away: the rest waits, and what is written is known
            except Exception as exc:  # noqa: BLE001 - whatever the store has against it is said, and the rest goes on
                self._refused.append(f"run {line.entry.run}: {exc}")

    def _bring_files(self, entries: Iterable[Entry]) -> None:
        """Store the files that these entries name: they come before what refers to them."""
        source, target = self._journal.files, self._store.artifacts
        for digest in dict.fromkeys(digest for entry in entries for digest in _digests(entry)):
            if source.exists(digest) and not target.exists(digest):
                _copy(source, target, digest, self._journal.folder / "copy")
                self._files += 1

    def _end(self) -> Synced:
        journal, refused = self._journal, tuple(self._refused)
        if refused:
            (journal.folder / "refused").write_text("\n".join(refused) + "\n", encoding="utf-8")
        if journal.damaged:
            journal.put_aside()  # for a person to look at; it does not wait any more
        elif not refused:
            journal.remove()  # how far it was drained stays in the store: a copy of it may be brought as well
        return Synced(journal.folder, self._written, self._known, self._files, refused, journal.damaged)


def _copy(source: ArtifactStore, target: ArtifactStore, digest: str, by: Path) -> None:
    try:
        stored, _ = target.put_file(source.get(digest, by))
    finally:
        by.unlink(missing_ok=True)
    if stored != digest:
        raise ArtifactError(f"the file {digest[:12]}... changed on its way into the store: try again")


def _digests(entry: Entry) -> list[str]:
    """Return the digests of the files that an entry names."""
    captured = entry.content.get("captured") if entry.kind == "start" else None
    held = (captured.get("bundle"), captured.get("commits")) if captured else ()
    found: list[str] = [digest for digest in held if digest]
    for change in entry.content if entry.kind == "log" else ():
        if isinstance(change, c.ArtifactsLogged | c.ModelLogged):
            found += [digest for digest, _ in change.files.values()]
        elif isinstance(change, c.CheckpointSaved):
            found.append(change.digest)
    return found
