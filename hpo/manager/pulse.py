"""The pulse of a manager: a thread that renews the lease once a second and reads the commands that came meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from trackers.errors import FencedError, TrackersError

if TYPE_CHECKING:
    from trackers.store import StudyLease
    from trackers.values import Command

BEAT = 1.0
"""Seconds between two renewals: other processes' commands wait no longer than this."""


class Pulse:
    """Renews *lease* from ``start`` until ``stop``; what it hears goes to whoever is attached, on its thread.

    It beats before there is a manager: reading the trials of a large study takes longer than a lease. A renewal that
    fails because the store is away is tried again at the next beat: only a newer epoch means that the study is
    somebody else's.
    """

    def __init__(self, lease: StudyLease) -> None:
        self._lease = lease
        self._lock = threading.Lock()
        self._heard: list[Command] = []
        self._fenced: BaseException | None = None
        self._on_commands: Callable[[Sequence[Command]], None] | None = None
        self._on_fenced: Callable[[BaseException], None] | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="hpo-pulse", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def attach(
        self, on_commands: Callable[[Sequence[Command]], None], on_fenced: Callable[[BaseException], None]
    ) -> None:
        """Hand what was heard so far, and what comes, to these."""
        with self._lock:
            self._on_commands, self._on_fenced = on_commands, on_fenced
            self._tell()

    def stop(self) -> None:
        """End, and wait until the thread did. Idempotent."""
        self._stop.set()
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join()

    def _tell(self) -> None:
        if self._on_commands is not None and self._heard:
            heard, self._heard = self._heard, []
            self._on_commands(heard)
        if self._on_fenced is not None and self._fenced is not None:
            self._on_fenced(self._fenced)

    def _beat(self) -> None:
        seen: set[int] = set()
        while not self._stop.is_set():
            try:
                fresh = [c for c in self._lease.renew() if c.id not in seen]
            except FencedError as exc:
                with self._lock:
                    self._fenced = exc
                    self._tell()
                return
            except TrackersError:
                fresh = []  # the store is away: what the manager writes will tell, if it stays so
            seen.update(c.id for c in fresh)
            with self._lock:
                self._heard += fresh
                self._tell()
            self._stop.wait(BEAT)
