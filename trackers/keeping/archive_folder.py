"""The folder of an archive while it is written: a mark tells what a process that was killed left there."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trackers.errors import InvalidValueError

NAME = "archive.json"
MARK = ".unfinished-archive"
"""There until the archive is whole, and held by the process that writes it."""


def check_free(folder: Path) -> None:
    """Raise InvalidValueError where *folder* holds something that is no archive of which the writer was killed."""
    names = {entry.name for entry in folder.iterdir()} if folder.exists() else set()
    if names and (MARK not in names or NAME in names or not all(map(_is_ours, names))):
        raise InvalidValueError(f"{folder} holds something already: give an empty folder, or a new one")


def _is_ours(name: str) -> bool:
    return name in {MARK, "rows", "files"} or name.endswith(".parquet") or name.startswith(f".{NAME}.")


@contextmanager
def begun(folder: Path) -> Iterator[None]:
    """Make *folder*, and empty it again where the body fails; raises InvalidValueError where another process writes."""
    there = folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    mark = folder / MARK
    held = os.open(mark, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise InvalidValueError(f"another archive is being written to {folder}: wait until it is done") from None
        check_free(folder)  # nobody else writes there now
        try:
            _empty(folder)
            yield
        except BaseException:
            _empty(folder)
            mark.unlink(missing_ok=True)
            if not there:
                shutil.rmtree(folder, ignore_errors=True)
            raise
        mark.unlink()
    finally:
        os.close(held)


def _empty(folder: Path) -> None:
    """Take away everything but the mark."""
    for entry in folder.iterdir():
        if entry.name != MARK:
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
