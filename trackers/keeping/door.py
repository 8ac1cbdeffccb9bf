"""The part of a store's front door that keeps house."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

from trackers.values import Pin

if TYPE_CHECKING:
    from trackers.interop.outcome import Imported
    from trackers.keeping.archive import Archived
    from trackers.keeping.backup import BackedUp
    from trackers.keeping.check import Checked, Progress
    from trackers.keeping.garbage import Collected
    from trackers.keeping.usage import Usage
    from trackers.store import Store


class Keeping:
    """What a `Store` does to keep itself small, whole and safe. Each method imports what it needs when it is called."""

    @property
    def _own(self) -> Store:
        return cast("Store", self)

    def _settled(self) -> None:
        """Wait for what this process logged, also where it went to a journal: what is kept, or removed, is all of it."""
        self._own.settle()
        self._own.flush()

    def gc(
        self,
        *,
        grace: timedelta = timedelta(days=30),
        file_grace: timedelta = timedelta(days=1),
        dry_run: bool = False,
    ) -> Collected:
        """Remove what was deleted more than *grace* ago, and files that nothing has referred to for *file_grace*.

        Registered versions, aliases, pins, and what was not deleted, keep all they refer to. A file is marked by the
        first call that finds it unreachable and deleted by a call *file_grace* later, so call it daily. Safe while
        others write, and after a kill: call it again. With *dry_run* nothing is changed.
        """
        from trackers.keeping.garbage import collect

        return collect(self._own, grace=grace, file_grace=file_grace, dry_run=dry_run)

    def pin(self, ref: Any, reason: str = "") -> Pin:
        """Keep what *ref* names whatever becomes of the rest: a run, the uid of a model, or the digest of a file.

        Raises NotFoundError.
        """
        from trackers.keeping import pins

        return pins.pin(self._own, ref, reason)

    def unpin(self, ref: Any) -> None:
        """Take the pin of *ref* away; raises NotFoundError where there is none."""
        from trackers.keeping import pins

        pins.unpin(self._own, ref)

    def list_pins(self) -> list[Pin]:
        """Return every pin, oldest first."""
        from trackers.keeping import pins

        return pins.list_pins(self._own)

    def backup(self, to: str | os.PathLike[str], *, link: bool = True) -> BackedUp:
        """Write a backup to the folder *to*: all rows at one moment, whatever is written meanwhile, and their files.

        An older backup of this store in the folder is replaced, and files that it has are not copied again. With *link*
        files on the same disk are linked. ``trackers.restore`` makes a store of it, on any database. Raises
        InvalidValueError where the folder holds something else.
        """
        from trackers.keeping.backup import back_up

        self._settled()
        return back_up(self._own, to, link=link)

    def fsck(
        self,
        *,
        quick: bool = False,
        repair: bool = False,
        source: str | os.PathLike[str] | None = None,
        progress: Progress | None = None,
    ) -> Checked:
        """Check every row, every reference and every file; with *quick* only that files are there, and their sizes.

        With *repair* what can be is put right: summaries, open attempts, dangling rows, and files from the backup
        *source*; damaged files are moved away, and what needs them is tagged ``trackers.damaged``. *progress* is
        called with how many files were looked at, and of how many.
        """
        from trackers.keeping.check import check

        self._settled()
        return check(self._own, quick=quick, repair=repair, source=source, progress=progress)

    def du(self) -> Usage:
        """Measure what takes room: rows (an estimate) and files by experiment and kind, and the biggest runs."""
        from trackers.keeping.usage import measure

        self._settled()
        return measure(self._own)

    def archive(
        self, experiment: str | int, to: str | os.PathLike[str], *, files: bool = False, remove: bool = False
    ) -> Archived:
        """Write an experiment or study to Parquet files in the new or empty folder *to*, and count them again.

        With *files* the bytes of its files go along; with *remove* it is deleted after that, in two steps, unless a
        file could not be copied. Raises NotFoundError, InvalidValueError for a folder that holds something, StateError
        where *remove* meets a run that is still running, and StoreError without pyarrow.
        """
        from trackers.keeping.archive import archive

        self._settled()
        return archive(self._own, experiment, to, files=files, remove=remove)

    def import_archive(self, source: str | os.PathLike[str]) -> Imported:
        """Read the archive in the folder *source* back, and compare what is here with it; a second call adds nothing.

        An experiment joins the one of its name; a study must find its name free. See ``Imported.problems``. Raises
        NotFoundError, InvalidValueError for a newer format, DigestError for a damaged archive, AlreadyExistsError for
        a study whose name is taken, ConflictError for what is deleted here, StoreError without pyarrow.
        """
        from trackers.keeping.unarchive import import_archive

        self._settled()
        return import_archive(self._own, source)
