"""Processes that run a piece of Python with the store loaded already: forked in milliseconds from one that imported it.

``start`` answers what ``subprocess.Popen([sys.executable, "-c", code, ...])`` would, as far as tests use it; starting
that way costs most of a second of the processor, and the suite starts hundreds.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from multiprocessing import forkserver
from multiprocessing.reduction import DupFd
from types import ModuleType, TracebackType
from typing import Any, AnyStr, TextIO

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    [
        "trackers.store",
        "trackers.sql.blobs",
        "trackers.sql.garbage",
        "trackers.interop.optuna",
        "sqlalchemy.dialects.sqlite.pysqlite",
        "sqlalchemy.dialects.postgresql.psycopg",
        "sqlalchemy.dialects.mysql.pymysql",
    ]
)


class Beside(subprocess.Popen[AnyStr]):
    """A process that is ended with its block where that raises: waiting for one that hangs would hang as well."""

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        if kind is not None:
            self.kill()
        super().__exit__(kind, exc, tb)


class Process:
    """A process that runs *code*, its standard input and output text streams here."""

    def __init__(self, code: str, args: Sequence[str]) -> None:
        its_in, to_it = os.pipe()
        from_it, its_out = os.pipe()
        ends = tuple(map(_Descriptor, (its_in, its_out, 2)))
        given = (code, args, dict(os.environ), os.getcwd(), *ends)
        self._process = _CONTEXT.Process(target=_run, args=given, daemon=True)
        try:
            self._process.start()
        finally:
            os.close(its_in)
            os.close(its_out)
        self.stdin: TextIO = os.fdopen(to_it, "w")
        self.stdout: TextIO = os.fdopen(from_it)
        assert self._process.pid is not None
        self.pid: int = self._process.pid

    def __enter__(self) -> Process:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        if kind is not None:
            self.kill()
        self.communicate()

    @property
    def returncode(self) -> int | None:
        """The exit code, negative where a signal ended it; None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """Return the exit code, None while it runs."""
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end; raises subprocess.TimeoutExpired."""
        self._process.join(timeout)
        if (code := self.returncode) is None:
            assert timeout is not None
            raise subprocess.TimeoutExpired("code", timeout)
        return code

    def line(self) -> str:
        """Return the next line that it prints, without its end; empty where there is none."""
        return self.stdout.readline().strip()

    def tell(self, text: str = "") -> None:
        """Give it a line to read."""
        self.stdin.write(f"{text}\n")
        self.stdin.flush()

    def communicate(self, text: str = "", timeout: float | None = None) -> tuple[str, None]:
        """Give it *text* and no more, wait for its end, and return what it printed (little: all of it is read after)."""
        try:
            if not self.stdin.closed:
                self.stdin.write(text)
                self.stdin.close()
        except BrokenPipeError:
            pass
        if timeout is not None:
            self.wait(timeout)
        said = "" if self.stdout.closed else self.stdout.read()
        self.stdout.close()
        self.wait()
        return said, None

    def send_signal(self, number: int) -> None:
        """Send it a signal, if it lives."""
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)


def start(code: str, *args: object) -> Process:
    """Run *code* in a process of its own, with *args* in ``sys.argv[1:]`` and this process's environment and folder."""
    return Process(code, [str(arg) for arg in args])


def server() -> int | None:
    """Return the id of the process that the others are forked from, None where none was needed yet."""
    found: int | None = forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined]
    return found


class _Descriptor:
    """A file descriptor that arrives in the new process as its number there."""

    def __init__(self, number: int) -> None:
        self._number = number

    def __reduce__(self) -> tuple[Any, ...]:
        return _taken, (DupFd(self._number),)


def _taken(descriptor: Any) -> int:
    return int(descriptor.detach())


def _run(
    code: str, args: Sequence[str], environment: Mapping[str, str], folder: str, stdin: int, stdout: int, stderr: int
) -> None:
    for number, standard in ((stdin, 0), (stdout, 1), (stderr, 2)):
        os.dup2(number, standard)
        os.close(number)
    sys.stdin, sys.stdout = os.fdopen(0, closefd=False), os.fdopen(1, "w", closefd=False)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = ["-c", *args]
    sys.modules["__main__"] = main = ModuleType("__main__")
    try:
        exec(compile(code, "<code>", "exec"), main.__dict__)
    finally:
        sys.stdout.flush()
        atexit._run_exitfuncs()
