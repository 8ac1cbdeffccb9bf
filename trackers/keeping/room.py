"""A full disk, told as what it is: which folder, and that nothing there looks whole."""

from __future__ import annotations

import errno
import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from trackers.errors import StoreError

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@contextmanager
def writing_to(folder: Path, again: str) -> Iterator[None]:
    """Raise StoreError where the disk of *folder* is full while the body writes; *again* says what to do then."""
    try:
        yield
    except OSError as exc:
        if exc.errno not in FULL:
            raise
        raise StoreError(f"the disk of {folder} is full: free some space, or give another folder; {again}") from exc


def is_full(exc: BaseException) -> bool:
    """Tell whether *exc* was raised because a disk was full."""
    cause = exc.__cause__
    return isinstance(cause, OSError) and cause.errno in FULL


def write_json(path: Path, value: Any) -> None:
    """Write *value* as JSON to the file *path*, which is whole whenever it is there."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with temporary.open("x", encoding="utf-8") as sink:
            json.dump(value, sink, indent=1)
            sink.flush()
            os.fsync(sink.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
