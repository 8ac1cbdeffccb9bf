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
    """Renews *lease* until it is stopped. The callbacks run on its thread.

    *on_commands* gets the commands and whether they were sent before this manager's first beat.

    A renewal that fails because the store is away is tried again at the next beat: only a newer epoch means that the
    study is somebody else's.
    """

    def __init__(
        self,
        lease: StudyLease,
        on_commands: Callable[[Sequence[Command], bool], None],
        on_fenced: Callable[[BaseException], None],
    ) -> None:
        self._lease, self._on_commands, self._on_fenced = lease, on_commands, on_fenced
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="hpo-pulse", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, and wait until the thread did. Idempotent."""
        self._stop.set()
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join()

    def _beat(self) -> None:
        seen: set[int] = set()
        first = True
        while True:
            try:
                fresh = [c for c in self._lease.renew() if c.id not in seen]
                seen.update(c.id for c in fresh)
                if fresh:
                    self._on_commands(fresh, first)
                first = False
            except FencedError as exc:
                self._on_fenced(exc)
                return
            except TrackersError:
                pass  # the store is away: what the manager writes will tell, if it stays so
            if self._stop.wait(BEAT):
                return
