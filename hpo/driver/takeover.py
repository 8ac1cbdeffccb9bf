"""Ends what is left of a manager that lost its study."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from trackers.values import Owner

if TYPE_CHECKING:
    from trackers.store import Store


def clear(store: Store, study_id: int, lease_seconds: float) -> None:
    """Wait until nobody alive runs a study, and end what was left of who did, before anything is written.

    A manager that was frozen in the middle of a commit holds the lock of a SQLite file: until it is ended, not even the
    code of the sweep that is to replace it can be stored. Raises StudyBusyError where a living manager owns the study.
    """
    previous = store.await_study(study_id, lease_seconds=lease_seconds)
    if previous is not None:
        end_processes(previous)


def end_processes(previous: Owner) -> None:
    """End a frozen manager of this host, and its workers: it lost the study, and must not go on computing."""
    if previous.host != os.uname().nodename:
        return
    for host, pid in previous.workers:
        if host == previous.host and b"RayWorker" in _command_line(pid):
            _kill(pid)
    if previous.pid != os.getpid() and previous.lives():  # another process may have its number by now
        _kill(previous.pid)


def _command_line(pid: int) -> bytes:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read()
    except OSError:
        return b""


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass  # it ended by itself, or is not ours to end: the epoch keeps it from writing
