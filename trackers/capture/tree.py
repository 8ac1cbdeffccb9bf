"""Sha-256 over a tree: many cores, one digest.

Up to 8 MiB the digest is that of the bytes, as every tool computes it. Beyond, it is that of the list of the digests
of pieces of 8 MiB, with the length before it. How the bytes were handed over changes nothing.
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

CHUNK = 8 << 20
Feed = Callable[[Any], None]
"""Takes bytes, or what has a buffer of them; it is read before the call returns, or kept unchanged until the end."""


class TreeHash:
    """Digests what ``update`` is given; a context manager. Sha-256 leaves Python's lock, so that threads share it."""

    def __init__(self) -> None:
        self._parts: list[memoryview] = []
        self._held = 0
        self._length = 0
        self._leaves: deque[Future[bytes]] = deque()
        self._done: list[bytes] = []
        self._pool: ThreadPoolExecutor | None = None
        self._threads = min(
            8, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        )

    def __enter__(self) -> TreeHash:
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def update(self, data: Any) -> None:
        """Digest *data* after what came before."""
        view = memoryview(data).cast("B") if memoryview(data).nbytes else memoryview(b"")
        while view.nbytes:
            taken = view[: CHUNK - self._held]
            self._parts.append(taken)
            self._held += taken.nbytes
            self._length += taken.nbytes
            view = view[taken.nbytes :]
            if self._held == CHUNK:
                self._seal()

    def _seal(self) -> None:
        parts, self._parts, self._held = self._parts, [], 0
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="trackers-digest")
        self._leaves.append(self._pool.submit(_leaf, parts))
        while len(self._leaves) > 2 * self._threads:  # no more in memory than the threads are busy with
            self._done.append(self._leaves.popleft().result())

    def hexdigest(self) -> str:
        """Return the digest of everything, once."""
        if self._length <= CHUNK and not self._leaves:
            return _leaf(self._parts).hex()
        if self._parts:
            self._seal()
        leaves = [*self._done, *(leaf.result() for leaf in self._leaves)]
        if len(leaves) == 1:
            return leaves[0].hex()
        return hashlib.sha256(f"tree|{self._length}|".encode() + b"".join(leaves)).hexdigest()


def _leaf(parts: list[memoryview]) -> bytes:
    hasher = hashlib.sha256()
    for part in parts:
        hasher.update(part)
    return hasher.digest()
