"""Ids: 64-bit integers in blocks from a counter row inside, UUIDv7 outside."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sqlalchemy import Connection, select, update

from trackers.sql.tables import counters

if TYPE_CHECKING:
    from trackers.sql.commit import Commit

BLOCK = 1000

_uid_lock = threading.Lock()
_last_uid = 0


def _renew_lock() -> None:
    """Have a lock in a forked child that nobody holds."""
    global _uid_lock
    _uid_lock = threading.Lock()


os.register_at_fork(after_in_child=_renew_lock)


def new_uid() -> str:
    """Return 32 hex digits of a UUIDv7 (RFC 9562); those of one process rise."""
    global _last_uid
    with _uid_lock:
        milliseconds, rest = divmod(time.time_ns(), 1_000_000)
        # The 12 bits after the version hold the fraction of the millisecond; a tie counts on from the last one.
        stamp = max((milliseconds << 12) | (rest * 4096 // 1_000_000), _last_uid + 1)
        _last_uid = stamp
    milliseconds, fraction = stamp >> 12, stamp & 0xFFF
    tail = int.from_bytes(os.urandom(8)) & 0x3FFF_FFFF_FFFF_FFFF
    return f"{(milliseconds << 80) | (0x7 << 76) | (fraction << 64) | (0b10 << 62) | tail:032x}"


def take_block(connection: Connection, name: str, size: int) -> range:
    """Take *size* ids from the counter *name* inside a transaction: they are given to nobody else."""
    connection.execute(update(counters).where(counters.c.name == name).values(next=counters.c.next + size))
    end: int = connection.execute(select(counters.c.next).where(counters.c.name == name)).scalar_one()
    return range(end - size, end)


class Ids:
    """Hands out ids from blocks of its own. Thread-safe.

    *ask* queues the taking of a block of this size and returns its commit.
    """

    def __init__(self, ask: Callable[[int], Commit]) -> None:
        self._ask = ask
        self._lock = threading.Lock()
        self._block = range(0)
        self._coming: Commit | None = None

    def allocate(self, n: int) -> range:
        """Return *n* ids that nobody else gets, rising and without a gap."""
        with self._lock:
            self._receive()
            if n > len(self._block):
                self._block = self._ask(max(n, BLOCK)).result()
            taken, self._block = self._block[:n], self._block[n:]
            return taken

    def allocate_soon(self, seconds: float) -> int | None:
        """Return one id; None where no block of them came within *seconds*: what was asked for serves later calls."""
        try:
            with self._held(seconds):
                self._receive()
                if not self._block and self._coming is None:
                    self._coming = self._ask(BLOCK)
                coming = self._coming
            if coming is not None:
                coming.wait(seconds)
            with self._held(seconds):
                self._receive()
                if not self._block:
                    return None  # others took all of it
                taken, self._block = self._block[0], self._block[1:]
                return taken
        except TimeoutError:
            return None

    @contextmanager
    def _held(self, seconds: float) -> Iterator[None]:
        """Hold the lock; raises TimeoutError where somebody else waits for a block, and holds it meanwhile."""
        if not self._lock.acquire(timeout=seconds):
            raise TimeoutError
        try:
            yield
        finally:
            self._lock.release()

    def _receive(self) -> None:
        """Take over the block that was asked for, where it has come; the lock is held."""
        coming = self._coming
        if coming is not None and coming.done():
            self._coming = None
            if coming.exception() is None and not self._block:
                self._block = coming.result()
