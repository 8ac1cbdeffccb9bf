"""Why a worker's process ended: what Ray says, what the process left in its error log, what the system counts."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

READ = 64 * 1024
"""Bytes of an error log that are read: a crash is the last thing in it."""

_SIGNALS = {
    "SIGSEGV": "segmentation fault",
    "SIGABRT": "aborted",
    "SIGBUS": "bus error",
    "SIGFPE": "floating point error in native code",
    "SIGILL": "illegal instruction",
}
_FRAME = re.compile(r'^  File "(?P<file>[^"]+)", line (?P<line>\d+) in (?P<name>.+)$', re.MULTILINE)


LOOK_SECONDS = 5.0
"""How long a look at another node may take; it may have to start a process there."""


@dataclass(frozen=True, slots=True)
class Traces:
    """Where a worker's process leaves traces: its node's id, the file that its stderr goes to ("": not known).

    *killed* is what `killed_for_memory` was there when the process began.
    """

    node: str = ""
    log: str = ""
    killed: int = 0

    @classmethod
    def of_this_process(cls) -> Traces:
        """Return those of the worker that calls."""
        import ray

        try:
            log = os.readlink("/proc/self/fd/2")
        except OSError:
            log = ""
        return cls(ray.get_runtime_context().get_node_id(), log, killed_for_memory())

    def read(self) -> str:
        """Say what they tell, on the machine that they lie on; nothing where they tell nothing."""
        crash = _crash(self.log)
        if crash:
            return crash
        return "the system killed it: out of memory" if killed_for_memory() > self.killed else ""


def look(traces: Traces) -> str:
    """Read *traces* where they lie: here, or by a task on their node. Nothing where that node does not answer soon."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    if not traces.node:
        return ""  # it died before it could say
    if traces.node == ray.get_runtime_context().get_node_id():
        return traces.read()
    there = NodeAffinitySchedulingStrategy(traces.node, soft=False)
    task: Any = ray.remote(_read)
    reading = task.options(num_cpus=0, max_retries=0, scheduling_strategy=there).remote(traces)
    try:
        said: str = ray.get(reading, timeout=LOOK_SECONDS)
    except (ray.exceptions.RayError, ray.exceptions.GetTimeoutError):
        ray.cancel(reading, force=True)
        return ""
    return said


def _read(traces: Traces) -> str:
    return traces.read()


def killed_for_memory() -> int:
    """Return how many processes the kernel of this machine has killed for their memory (0 where it does not say)."""
    try:
        found = re.search(r"^oom_kill (\d+)$", Path("/proc/vmstat").read_text(encoding="ascii"), re.MULTILINE)
    except OSError:
        return 0
    return int(found[1]) if found else 0


def why(exc: BaseException, traces: Traces) -> str:
    """Say in one line why a worker died, as far as that can be known.

    *exc* is Ray's. Its text names every cause there might be, so that only what it says of memory and of nodes is taken
    from it.
    """
    text = f"{type(exc).__name__}: {exc}"
    if any(mark in text for mark in ("OutOfMemoryError", "NODE_OUT_OF_MEMORY", "running low on memory")):
        return "its node ran out of memory, and Ray killed it"
    if re.search(r"node (has )?died|node is dead|Node failure|node .{0,80}terminated", text, re.IGNORECASE):
        return "its node is gone"
    return look(traces) or "its process was killed or exited without a word (kill -9, out of memory, os._exit)"


def _crash(log: str) -> str:
    try:
        with open(log, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - READ))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    if "*** SIGTERM received" in text:
        return "its process was told to end (SIGTERM)"
    name = next((words for signal, words in _SIGNALS.items() if f"*** {signal} received" in text), "")
    fatal = re.search(r"^Fatal Python error: (.+)$", text, re.MULTILINE)
    if not name and fatal is None:
        return ""
    frame = _FRAME.search(text, fatal.start() if fatal else 0)
    where = f" in {os.path.basename(frame['file'])}, line {frame['line']}, {frame['name']}" if frame else ""
    return f"it crashed ({name or (fatal[1].lower() if fatal else '')}){where}"
