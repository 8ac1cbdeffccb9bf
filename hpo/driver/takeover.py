"""Ends what is left of a manager that lost its study."""

from __future__ import annotations

import os
import signal

from trackers.values import Owner


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
