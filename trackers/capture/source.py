"""A copy of the source file of an objective, so that what ran can be read later."""

from __future__ import annotations

import fnmatch
import hashlib
import os
from pathlib import Path
from typing import Any

from trackers.capture.secret import SECRET_FILES, redact

MAX_SOURCE_BYTES = 1 << 20


def snapshot(path: str | os.PathLike[str] | None = None, *, text: str | None = None) -> dict[str, Any]:
    """Return ``{"file", "text", "digest", "size", "truncated"}`` of a source file, or of the source *text* itself.

    *digest* (sha-256, hex) is that of the whole file as it is; in *text* secrets are hidden, and it is cut at 1 MiB.
    A file that cannot be read, or whose name says that it holds secrets, has no text. Never raises for a file.
    """
    name = os.path.basename(os.fspath(path)) if path is not None else ""
    if text is not None:
        data: bytes | None = text.encode("utf-8", "surrogatepass")
    else:
        data = _read(Path(path)) if path is not None else None
    if data is None:
        return {"file": name, "text": None, "digest": None, "size": None, "truncated": False}
    is_secret = any(fnmatch.fnmatch(name, pattern) for pattern in SECRET_FILES)
    return {
        "file": name,
        "text": None if is_secret else redact(data[:MAX_SOURCE_BYTES].decode("utf-8", "replace")),
        "digest": hashlib.sha256(data).hexdigest(),
        "size": len(data),
        "truncated": len(data) > MAX_SOURCE_BYTES,
    }


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes() if path.is_file() else None
    except OSError:
        return None
