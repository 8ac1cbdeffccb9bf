"""Where a file is written: through a link to what it leads to, and never in the place of a device or a pipe."""

from __future__ import annotations

import os
import re
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

_STDOUT = 1
_OPEN = re.compile(r"/dev/(std(out|err)|fd/\d+)\Z|/proc/[^/]+/fd/\d+\Z")
"""What some process has open."""


def is_plain(path: Path) -> bool:
    """Tell whether a file may take the place of what *path* leads to: a plain file, a folder (it refuses), nothing."""
    return path.is_file() or path.is_dir() or not path.exists()


def is_stdout(path: Path) -> bool:
    """Tell whether *path* leads to where this process prints, as ``/dev/stdout`` does."""
    try:
        return os.path.samestat(path.stat(), os.fstat(_STDOUT))
    except (OSError, ValueError):  # one of them is closed, or not there
        return False


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file that takes the place of what *path* leads to, in one step, once the body has ended well."""
    target = Path(os.path.realpath(path)) if path.is_symlink() else path
    draft = target.with_name(f".{target.name[:40]}.{uuid.uuid4().hex}")
    try:
        with draft.open("xb") as sink:
            yield sink
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def any_destination(path: Path) -> Iterator[BinaryIO]:
    """Open a ``whole_file``, or what *path* leads to where that is a device, a pipe or where this process prints."""
    if _OPEN.match(os.path.abspath(path)) and not is_stdout(path):
        with path.open("ab") as sink:  # what is there stays: it may be a log
            yield sink
    elif is_stdout(path):
        sys.stdout.flush()
        with os.fdopen(os.dup(_STDOUT), "wb") as sink:
            yield sink
    elif is_plain(path):
        with whole_file(path) as sink:
            yield sink
    else:
        with path.open("wb") as sink:
            yield sink
