"""Journals drained into their store by another process than the one that wrote them: ``trackers.sync``, once."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from operator import attrgetter
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from trackers import changes as c
from trackers.errors import ArtifactError, DigestError, InvalidValueError, NotFoundError, StoreBusyError, StoreError
from trackers.journal import (
    ASIDE,
    Again,
    Entry,
    Journal,
    Line,
    NewerEntryError,
    add_refused,
    journal_folder,
    list_journals,
    other_journals,
    owner_of,
    write_refused,
)
from trackers.sql.address import read_address
from trackers.sql.commit import Commit
from trackers.sql.committer import Work
from trackers.sql.failures import may_be_of_one
from trackers.sql.journals import THERE, read_position
from trackers.sql.spill import BATCH
from trackers.store import Store, connect

if TYPE_CHECKING:
    from trackers.artifacts import ArtifactStore


@dataclass(frozen=True, slots=True)
class Synced:
    """What became of one journal.

    *written* entries came into the store now, *known* ones were there already, *refused* are sentences about those that
    the store does not take, which are tried again by the next call; *damaged* lines could not be read, and *missing*
    names entries that were in the journal once (``"entry 5"``): it is kept as ``NAME.damaged`` then. *torn* bytes at its
    end are of a line that was being written when the process ended; no call that returned told of it. *origin* is the
    URL that it was logged for, where that is not the store's. *busy* says why nothing was done. The journal is gone
    unless something was refused, damaged, missing or busy.
    """

    journal: Path
    written: int = 0
    known: int = 0
    files: int = 0
    refused: tuple[str, ...] = ()
    damaged: int = 0
    missing: tuple[str, ...] = ()
    torn: int = 0
    origin: str = ""
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
    with _target(url) as target:
        if beside:  # the same server may have been written otherwise: another host name, a port, a user
            found += other_journals(folder, target.identity.uid)
        return _sync_all(found, target)


def bring(journals: Sequence[Path], store: Store) -> list[Synced]:
    """Write what waits in these *journals* of a connected store; see ``sync``."""
    with _target(store) as target:
        return _sync_all(journals, target)


def _target(place: Any) -> Store:
    """Connect a store of its own in any case: one with a journal would number what is drained as its own."""
    return connect(place.url if isinstance(place, Store) else place, strict=True, offline=False)


def _sync_all(found: Sequence[Path], store: Store) -> list[Synced]:
    """Drain journals; one that the server does not take holds up no other, and is raised when they are done.

    What was refused may have had to wait for what another journal has: it is tried again as long as that helps.
    """
    done: dict[Path, Synced] = {}
    failure = None
    for one in found:
        try:
            done[one] = _sync_one(one, store, alone=len(found) == 1)
        except StoreError as exc:
            if exc.__cause__ is None or not may_be_of_one(exc.__cause__):
                raise
            failure = failure or exc
    if failure is not None:
        raise failure
    wrote = any(one.written for one in done.values())
    while wrote:
        wrote = False
        for one, before in done.items():
            waits = before.refused and (one / "records").exists()  # else it was put aside
            if waits and not (then := _sync_one(one, store, alone=False)).busy:
                wrote = wrote or then.written > 0
                written, files = before.written + then.written, before.files + then.files
                done[one] = replace(then, written=written, known=before.known, files=files)
    return list(done.values())


def _sync_one(folder: Path, store: Store, *, alone: bool) -> Synced:
    """Drain one journal; what is wrong with it itself is raised where it is *alone*, and told where others wait too."""
    try:
        journal = _open(folder, store)
    except NotFoundError:
        return Synced(folder)  # its own process drained it, since it was listed
    except StoreBusyError as exc:
        return Synced(folder, busy=str(exc))
    except StoreError as exc:
        if alone:
            raise
        return Synced(folder, refused=(str(exc),))
    drain = _Drain(journal, store)
    try:
        return drain.run()
    except NewerEntryError as exc:
        if alone:
            raise
        return drain.stopped(str(exc))
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
        self._again = Again.read(journal.folder)
        """What an earlier call could not write: the run may have been restored since."""

        self._missing: list[str] = []
        self._left: set[int] = set()
        self._there: set[str] = set()
        """Files that the store has."""

        self._noting = Lock()
        """Held while what was refused is noted, which the writer's thread does as well."""

    def run(self) -> Synced:
        """Write batch after batch, each with its position in its own transaction."""
        uid, place, last = self._journal.uid, self._journal.start, 0
        with self._store.database.reading() as connection:
            done, redone = read_position(connection, uid), read_position(connection, self._again.uid)
        self._left = {seq for seq in self._again.seqs if seq > redone}
        unseen = set(self._left)
        while lines := list(self._journal.read(place, BATCH)):
            place = lines[-1].end
            rising: list[Line] = []
            for line in sorted(lines, key=attrgetter("seq")):  # a disk may hand out blocks in another order
                if line.seq > last:  # else it is a copy of an earlier one
                    self._look_for_gap(line, max(last, done))
                    rising.append(line)
                    last = line.seq
            fresh = [line for line in rising if line.seq > done]
            again = [line for line in rising if redone < line.seq <= done and line.seq in self._again.seqs]
            unseen.difference_update(line.seq for line in rising)
            self._known += len(lines) - len(fresh) - len(again)
            for line in again:  # one by one: what is refused is noted before a later one moves the position past it
                self._write([line], self._again.uid)
            self._write(fresh, uid)
        self._missing += [f"entry {seq}" for seq in sorted(unseen)]
        if self._refused:
            self._store.writer.flush()  # each is noted: the folder may get another name now
        return self._end()

    def stopped(self, why: str) -> Synced:
        """Return what became of a journal that is read no further."""
        return Synced(self._journal.folder, self._written, self._known, self._files, (*self._refused, why))

    def _look_for_gap(self, line: Line, known: int) -> None:
        """Note what was written to the journal between the number *known*, which is here or in the store, and *line*."""
        if line.before is not None and line.before > known:
            first = f"{known + 1} to " if line.before > known + 1 else ""
            self._missing.append(f"{'entries' if first else 'entry'} {first}{line.before}")

    def _write(self, lines: Sequence[Line], uid: str) -> None:
        before = len(self._refused)
        lines = [line for line in lines if self._has_files(line)]
        works = [Work(Commit(), entry=line.entry, journal=uid, seq=line.seq, ordered=True) for line in lines]
        for line, work in zip(lines, works, strict=True):
            work.commit.add_done_callback(partial(self._note, line))
        self._store.writer.write(works)
        try:
            for line, work in zip(lines, works, strict=True):
                try:
                    if work.commit.result() == THERE:
                        self._known += 1
                    else:
                        self._written += 1
                    self._left.discard(line.seq)
                except StoreError:
                    raise  # the database is away: the rest waits, and what is written is known
                except Exception as exc:  # noqa: BLE001 - whatever the store has against it is said, and the rest goes on
                    self._refuse(line, str(exc))
        finally:
            if len(self._refused) > before:
                self._again = Again.of(self._left)
                with self._noting:
                    self._again.write(self._journal.folder)

    def _refuse(self, line: Line, why: str) -> None:
        self._refused.append(f"run {line.entry.run}: {why}")
        self._left.add(line.seq)

    def _note(self, line: Line, commit: Commit) -> None:
        """Keep a refusal before the entries behind it are written (on the writer's thread): this process may be killed."""
        failure = commit.exception()
        if failure is not None and not isinstance(failure, StoreError) and line.seq not in self._again.seqs:
            with self._noting:
                add_refused(self._journal.folder, line.seq, f"run {line.entry.run}: {failure}")

    def _has_files(self, line: Line) -> bool:
        """Store the files that an entry names, which come before what refers to them; refuse it where one is lost.

        A run begins, or goes on, without the files of its code, rather than not at all.
        """
        for digest in _digests(line.entry):
            if digest in self._there:
                continue
            try:
                self._bring_file(digest)
            except DigestError as exc:
                why = str(exc)
            except NotFoundError:
                why = f"its file {digest[:12]}... is neither in {self._journal.folder}/files nor in the store"
            else:
                self._there.add(digest)
                continue
            if line.entry.kind in ("start", "resume"):
                _forget_code(line.entry, why)
                continue
            self._refuse(line, why)
            if line.seq not in self._again.seqs:
                with self._noting:
                    add_refused(self._journal.folder, line.seq, self._refused[-1])
            return False
        return True

    def _bring_file(self, digest: str) -> None:
        """Store a file; raises NotFoundError where it is nowhere, DigestError where it is damaged."""
        source, target = self._journal.files, self._store.artifacts
        if target.exists(digest):
            return
        if not (self._journal.folder / "files").is_dir() or not source.exists(digest):
            raise NotFoundError(digest)
        _copy(source, target, digest, self._journal.folder / "copy")
        self._files += 1

    def _end(self) -> Synced:
        journal, refused = self._journal, tuple(self._refused)
        if refused:
            write_refused(journal.folder, refused)
        if journal.damaged or self._missing or journal.folder.suffix == ASIDE:
            journal.put_aside()  # for a person to look at; it does not wait any more
        elif not refused:
            journal.remove()  # how far it was drained stays in the store: a copy of it may be brought as well
        url = str(journal.head.get("url") or "")
        return Synced(
            journal.folder,
            self._written,
            self._known,
            self._files,
            refused,
            damaged=journal.damaged,
            missing=tuple(self._missing),
            torn=journal.torn,
            origin="" if url == self._store.safe_url else url,
        )


def _copy(source: ArtifactStore, target: ArtifactStore, digest: str, by: Path) -> None:
    try:
        stored, _ = target.put_file(source.get(digest, by))
    finally:
        by.unlink(missing_ok=True)
    if stored != digest:
        raise ArtifactError(f"the file {digest[:12]}... changed on its way into the store: try again")


def _forget_code(entry: Entry, why: str) -> None:
    """Take the files of the code out of the start of a run, and say so in its record."""
    captured = entry.content["captured"]
    content = dict(captured["content"])
    content["notes"] = [*content.get("notes", ()), f"the changes and new files were lost with the journal: {why}"]
    captured |= {"content": content, "bundle": None, "commits": None}


def _digests(entry: Entry) -> list[str]:
    """Return the digests of the files that an entry names."""
    captured = entry.content.get("captured") if entry.kind in ("start", "resume") else None
    held = (captured.get("bundle"), captured.get("commits")) if captured else ()
    found: list[str] = [digest for digest in held if digest]
    for change in entry.content if entry.kind == "log" else ():
        if isinstance(change, c.ArtifactsLogged | c.ModelLogged):
            found += [digest for digest, _ in change.files.values()]
        elif isinstance(change, c.CheckpointSaved):
            found.append(change.digest)
    return found
