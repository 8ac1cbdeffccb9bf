"""Processes: who this one is, and whether another one of this host still lives."""

from __future__ import annotations

import getpass
import os
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path

APART = "__trackers_apart__"
"""A module with this attribute was loaded by a program as something of its own (an objective, a model's code), and is no part
of the code around it."""


def host_name() -> str:
    """Return the name of this host."""
    return socket.gethostname()


def user_name() -> str:
    """Return the name of the user who runs this process, as the operating system has it.

    What LOGNAME or USER says, which anybody can set, counts only where it has none, and the number where they say
    nothing.
    """
    with suppress(ImportError, KeyError):
        import pwd

        return pwd.getpwuid(os.getuid()).pw_name
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return str(os.getuid())


def start_time(pid: int) -> float | None:
    """Return when process *pid* of this host started, None when it is gone (or dead and not yet waited for).

    Seconds since the host's boot where /proc tells, seconds since the epoch elsewhere: only equality means anything.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None if Path("/proc/self/stat").exists() else _start_time_by_ps(pid)
    # The command's name, in parentheses, may itself hold spaces and parentheses.
    fields = stat.rpartition(")")[2].split()
    if fields[0] in {"Z", "X", "x"}:
        return None
    return int(fields[19]) / os.sysconf("SC_CLK_TCK")


def is_stopped(pid: int) -> bool:
    """Tell whether process *pid* of this host is stopped (SIGSTOP, Ctrl-Z, a debugger) as far as /proc tells."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] in {"T", "t"}


def _start_time_by_ps(pid: int) -> float | None:
    """Ask ``ps``, where there is no /proc."""
    environment = {**os.environ, "LC_ALL": "C"}
    answer = subprocess.run(
        ["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False, env=environment
    )
    state, _, started = answer.stdout.strip().partition(" ")
    if not started or state.startswith("Z"):
        return None
    return time.mktime(time.strptime(started.strip(), "%a %b %d %H:%M:%S %Y"))


def is_alive(pid: int, started: float) -> bool:
    """Tell whether process *pid* of this host is still the one that started at *started*."""
    now = start_time(pid)
    return now is not None and abs(now - started) < 0.02


def lived_at(pid: int, moment: float) -> bool:
    """Tell whether process *pid* of this host lives and did so at *moment* (seconds since the epoch).

    One that took the number over later has started later. A clock that was set back since may hide that it lives.
    """
    started = start_time(pid)
    if started is None:
        return False
    if Path("/proc/self/stat").exists():
        started += time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    return started <= moment + 0.1
