"""Blobs in an object store (``s3://bucket/prefix`` and friends), through fsspec.

An object store shows an object only when it is whole, so there is no temporary name. It has no atomic move either, so
that a deletion cannot be taken back: here the long grace period holds for every blob. Each call is a request or two, so
that whatever looks at many blobs reads `sizes`, which lists them a thousand to a request. Buckets are not created.
"""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, BinaryIO, cast

CHUNK = 1 << 22
IN_MEMORY = 1 << 25


class RemotePlace:
    """A prefix of an object store. Implements ``trackers.artifacts.place.Place``."""

    def __init__(self, filesystem: Any, prefix: str) -> None:
        self._fs = filesystem
        self._prefix = prefix.rstrip("/")

    def put(self, source: BinaryIO) -> tuple[str, int]:
        # The name of the object is the digest of all of it, so it is read once before it can be sent. It is sent even
        # if it is there: that makes it young again, which keeps `delete` away from it.
        data = bytearray()
        while len(data) <= IN_MEMORY and (chunk := source.read(CHUNK)):
            data += chunk
        hasher, size = hashlib.sha256(data), len(data)
        if size <= IN_MEMORY:
            digest = hasher.hexdigest()
            self._fs.pipe_file(self._path(digest), bytes(data))
            return digest, size
        with tempfile.NamedTemporaryFile(prefix="trackers-") as spool:
            spool.write(data)
            data.clear()
            while chunk := source.read(CHUNK):
                hasher.update(chunk)
                spool.write(chunk)
                size += len(chunk)
            spool.flush()
            digest = hasher.hexdigest()
            self._fs.put_file(spool.name, self._path(digest))
        return digest, size

    def open(self, digest: str) -> BinaryIO:
        return cast(BinaryIO, self._fs.open(self._path(digest), "rb"))

    def exists(self, digest: str) -> bool:
        return bool(self._fs.exists(self._path(digest)))

    def size(self, digest: str) -> int:
        return int(self._fs.size(self._path(digest)))

    def delete(self, digest: str, grace: float, unused_grace: float) -> bool:
        path = self._path(digest)
        try:
            if time.time() - self._changed(path) < max(grace, unused_grace):
                return False
            self._fs.rm_file(path)
        except FileNotFoundError:
            pass
        return True

    def _changed(self, path: str) -> float:
        changed = self._fs.modified(path)
        if isinstance(changed, datetime):
            return (changed if changed.tzinfo else changed.replace(tzinfo=UTC)).timestamp()
        return float(changed)

    def sizes(self) -> Iterator[tuple[str, int]]:
        # A folder at a time: what a listing of all of them would hold in memory grows with the store.
        for folder in sorted(str(entry["name"]).rstrip("/") for entry in self._list(self._prefix)):
            if len(name := folder.rpartition("/")[2]) != 2:
                continue
            found = ((str(entry["name"]).rpartition("/")[2], int(entry["size"] or 0)) for entry in self._list(folder))
            yield from sorted((digest, size) for digest, size in found if len(digest) == 64 and digest[:2] == name)

    def _list(self, folder: str) -> list[dict[str, Any]]:
        try:
            return list(self._fs.ls(folder, detail=True))
        except FileNotFoundError:
            return []

    def leftovers(self, older: float, remove: bool) -> tuple[int, int]:
        return 0, 0  # an object that is not whole is not shown

    def quarantine(self, digest: str) -> str:
        target = f"{self._prefix}/quarantine/{digest}"
        self._fs.mv(self._path(digest), target)
        return target

    def write_mark(self, name: str, text: str) -> None:
        self._fs.pipe_file(f"{self._prefix}/stores/{name}", text.encode())

    def read_marks(self) -> dict[str, str]:
        try:
            paths = [str(p) for p in self._fs.ls(f"{self._prefix}/stores", detail=False)]
        except FileNotFoundError:
            return {}
        return {path.rpartition("/")[2]: self._fs.cat_file(path).decode() for path in paths}

    def remove_mark(self, name: str) -> None:
        try:
            self._fs.rm_file(f"{self._prefix}/stores/{name}")
        except FileNotFoundError:
            pass

    def _path(self, digest: str) -> str:
        return f"{self._prefix}/{digest[:2]}/{digest}"
