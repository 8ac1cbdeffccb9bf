"""Makes the worker processes of a Ray of our own by forking one that has imported what they need.

A Ray worker costs most of a second of a core before it does anything: imports, the same in each. The server does them
once, and a worker begins as a copy of it, as with ``multiprocessing.forkserver``. Ray's raylet starts ``launcher`` in
a worker's place, which hands its command line, environment and files over, and ends. A process with other threads
must not be copied: the server says no where an import left one running, or where a worker is to have an environment
that the imports did not see. Such a worker starts as Ray starts it, and so do all where the server is gone.

Run as a script: the file descriptor of its socket, then the modules to import. It ends with its standard input, or
with Ray's raylet, whichever ends first; the workers take it for their raylet, and end when it does.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

HARMLESS_THREADS = frozenset({"jemalloc_bg_thd"})
"""Threads that see to forks themselves: that of the allocator in pyarrow, which Ray imports where it is installed."""

OWN_SETTINGS = ("RAY_", "SPT_NOENV", "PYTHONBREAKPOINT")
"""Variables that Ray sets for its workers; any other that differs may have changed what the imports did."""

ALL_JOBS = "ffffffff"
"""Ray's id of the job of a worker that it starts before there is a job: it takes the first that comes."""

_READ_AT_IMPORT = ("RAY_RAYLET_PID", "RAY_JOB_ID", "OMP_NUM_THREADS")
_STDIN = 0


def available() -> bool:
    """Tell whether this system can do it: a fork is safe and the end of another process can be waited for."""
    return sys.platform == "linux" and hasattr(os, "pidfd_open")


@contextmanager
def forked_workers(modules: Sequence[str]) -> Iterator[Path]:
    """Have a fork server inside the block, which imports *modules* while the caller goes on; yield its socket's path."""
    with tempfile.TemporaryDirectory(prefix="hpo-fork-", ignore_cleanup_errors=True) as folder:
        path = Path(folder) / "socket"
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
            listener.listen(512)
            server = subprocess.Popen(
                [sys.executable, "-P", __file__, str(listener.fileno()), *modules],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[listener.fileno()],
                process_group=0,  # Ctrl-C is for the driver, as with Ray's own processes
            )
        with server:
            try:
                yield path
            finally:
                server.kill()


class Request:
    """A worker to be made: what a launcher sent, and its three standard files."""

    def __init__(self, connection: socket.socket) -> None:
        head, self.files, _, _ = socket.recv_fds(connection, 4, 3)
        text = b""
        length = int.from_bytes(head, "big")
        while len(text) < length:
            more = connection.recv(length - len(text))
            if not more:
                raise ConnectionError("a launcher went away")
            text += more
        told: dict[str, Any] = json.loads(text)
        self.argv: list[str] = told["argv"]
        self.environ: dict[str, str] = told["environ"]
        self.folder: str = told["cwd"]
        self.executable: str = told["executable"]
        self.nice: int = told["nice"]
        self.raylet: int = told["raylet"]


class Server:
    """One that has imported *modules* and copies itself."""

    def __init__(self, listener: socket.socket, modules: Sequence[str]) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # as in the processes that Ray starts
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for workers here: Ray watches them
        self._listener = listener
        self._given = dict(os.environ)
        self._raylets: dict[int, int] = {}
        os.environ["RAY_RAYLET_PID"] = str(os.getpid())
        os.environ["RAY_JOB_ID"] = ALL_JOBS
        os.environ.setdefault("OMP_NUM_THREADS", "1")  # what Ray sets for an actor of one CPU; NumPy reads it once
        gc.disable()  # imports leave no garbage worth looking for, and the copies shall share what they made
        for name in modules:
            with suppress(Exception):  # whoever needs it imports it again, and says what is wrong
                importlib.import_module(name)
        gc.freeze()
        gc.enable()
        self._able = forkable()

    def serve(self) -> Request:
        """Make a worker for each launcher that asks. Returns in the workers, never in the server."""
        while True:
            watched: list[Any] = [self._listener, _STDIN, *self._raylets.values()]
            ready, _, _ = select.select(watched, [], [])
            if ready != [self._listener]:
                os._exit(0)
            connection, _ = self._listener.accept()
            with connection, suppress(OSError, ValueError):
                connection.settimeout(5.0)
                request = Request(connection)
                if not self._fits(request):
                    connection.sendall(b"n")
                elif os.fork() == 0:
                    return self._become(request, connection)
                for file in request.files:
                    os.close(file)

    def _fits(self, request: Request) -> bool:
        """Tell whether a copy of this process is what the launcher would become; watch its raylet from now on."""
        differ = {name for name, _ in self._given.items() ^ request.environ.items()}
        if not self._able or request.executable != sys.executable:
            return False
        if any(not name.startswith(OWN_SETTINGS) for name in differ):
            return False
        if request.raylet not in self._raylets:
            self._raylets[request.raylet] = os.pidfd_open(request.raylet)
        return True

    def _become(self, request: Request, connection: socket.socket) -> Request:
        """Take the launcher's place in a new process, and tell it; end where that fails: then it does it itself."""
        try:
            self._take_over(request)
            connection.sendall(b"y")
        except BaseException:  # noqa: BLE001 - a second server must not come of it
            os._exit(1)
        return request

    def _take_over(self, request: Request) -> None:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._listener.close()
        for raylet in self._raylets.values():
            os.close(raylet)
        os.setpgid(0, 0)  # as the raylet does: what a worker starts ends with it
        for target, file in enumerate(request.files):
            os.dup2(file, target)
            os.close(file)
        made = {name: value for name, value in os.environ.items() if self._given.get(name) != value}
        os.environ.clear()
        os.environ |= {name: value for name, value in made.items() if name not in _READ_AT_IMPORT} | request.environ
        os.chdir(request.folder)
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, request.nice)
        with suppress(OSError):
            score = os.environ.get("RAY_worker_oom_score_adjustment", "1000")  # noqa: SIM112 - Ray's name
            Path("/proc/self/oom_score_adj").write_text(score, encoding="ascii")
        core: Any = sys.modules.get("ray._raylet")
        if core is not None:
            core.Config.initialize("")  # whether the cluster asks for a token: not known when Ray was imported
        numpy: Any = sys.modules.get("numpy")
        if numpy is not None:
            numpy.random.seed()  # two copies must not draw the same numbers; Python's own random sees to that itself
        sys.argv = request.argv
        sys.path.insert(0, os.path.dirname(request.argv[0]))


def forkable() -> bool:
    """Tell whether this process has no thread but one, or only such as a fork does not harm."""
    names = [
        (task / "comm").read_text(encoding="utf-8", errors="replace").strip()
        for task in Path("/proc/self/task").iterdir()
    ]
    return len([name for name in names if name not in HARMLESS_THREADS]) == 1


if __name__ == "__main__":
    asked = Server(socket.socket(fileno=int(sys.argv[1])), sys.argv[2:]).serve()
    runpy.run_path(asked.argv[0], run_name="__main__")
