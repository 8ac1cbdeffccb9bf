"""``hpo`` in a process (and session) of its own, for tests that kill, starve and interrupt it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

STUDY = """
import time
import hpo

@hpo.objective(space={"x": hpo.Float(0, 1)}, sampler="random", pruner="none", total_trials=40)
def sweep(trial):
    for step in range(4):
        time.sleep(0.05)
        trial.report(trial.params["x"], step=step)
    return trial.params["x"]

@hpo.objective(space={"x": hpo.Float(0, 1)}, sampler="random", pruner="none", total_trials=40)
def deaf(trial):
    while True:
        time.sleep(1)
"""
BECOME = "\nimport os, sys; os.execv(sys.argv[1], sys.argv[1:])"
CALL = "from hpo.cli import main; raise SystemExit(main())"


class Hpo(subprocess.Popen[str]):
    """A call of ``hpo`` in *folder*, its output in one stream; *before* is code that its process runs first."""

    def __init__(
        self,
        folder: Path,
        *args: str,
        env: Mapping[str, str] | None = None,
        before: str = "",
        pass_fds: Sequence[int] = (),
    ) -> None:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("HPO_", "RAY_"))}
        super().__init__(
            [sys.executable, "-c", before + BECOME, sys.executable, "-c", CALL, *args],
            cwd=folder,
            env={**clean, **(env or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            pass_fds=pass_fds,
        )

    def ended(self, seconds: float = 60.0) -> tuple[int, str]:
        """Wait for the end; return the exit code and what was printed."""
        output, _ = self.communicate(timeout=seconds)
        return self.returncode, output

    def left(self) -> list[str]:
        """Return the command lines of the processes of its session that still live."""
        found = []
        for pid, session, state in processes():
            if session == self.pid and pid != self.pid and state != "Z":
                found.append(command_line(pid))
        return found

    def kill_all(self) -> None:
        """Kill every process of its session."""
        for pid, session, _ in processes():
            if session == self.pid:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue


@contextmanager
def running(folder: Path, *args: str, **kwargs: Any) -> Iterator[Hpo]:
    """Run ``hpo`` beside the block; nothing of it is left afterwards."""
    process = Hpo(folder, *args, **kwargs)
    try:
        yield process
    finally:
        process.kill_all()
        if process.returncode is None:
            process.communicate()
        elif process.stdout is not None:
            process.stdout.close()


def called(folder: Path, *args: str, seconds: float = 90.0, **kwargs: Any) -> tuple[int, str]:
    """Call ``hpo`` and wait for it; return its exit code and what it printed."""
    with running(folder, *args, **kwargs) as process:
        return process.ended(seconds)


def processes() -> Iterator[tuple[int, int, str]]:
    """Yield the id, session and state of every process there is."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            yield int(entry.name), int(fields[3]), fields[0]


def command_line(pid: int) -> str:
    """Return a process's command line."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")[:200]
    except OSError:
        return ""


def until(condition: Callable[[], Any], seconds: float = 60.0) -> Any:
    """Wait for *condition*; return what it returns."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it never came"
        time.sleep(0.05)
    return found
