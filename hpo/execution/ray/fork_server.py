"""Makes the worker processes of a Ray of our own by forking one that has imported what they need.

A Ray worker costs most of a second of a core before it does anything: imports, the same in each. The server does them
once, and a worker begins as a copy of it, as with ``multiprocessing.forkserver``. Ray's raylet starts ``launcher`` in
a worker's place, which hands its command line, environment and files over, and ends. A process with other threads
must not be copied: the server says no where an import left one running, or where a worker is to have an environment
that the imports did not see. Such a worker starts as Ray starts it, and so do all where the server is gone.

A worker ends with its server: Ray's raylet, which ends those that it starts, does not know one that has not called yet.

Run as a script: the file descriptor of its socket; the modules to import come as JSON on its standard input, which it
ends with.
"""

from __future__ import annotations

import os
import sys

if __name__ == "__main__" and sys.path[:1] == [os.path.dirname(__file__)]:
    del sys.path[0]  # the driver finds no modules here

import ctypes
import fcntl
import gc
import importlib
import importlib.util
import json
import resource
import runpy
import select
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
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
_PRCTL = ctypes.CDLL(None).prctl
_SET_DEATH_SIGNAL = 1


@contextmanager
def forked_workers(modules: Sequence[str]) -> Iterator[Path]:
    """Have a fork server inside the block, which imports *modules* while the caller goes on; yield its socket's path.

    Of a package that this process has, it imports the same or nothing. Raises OSError where it cannot be started.
    """
    tops = {name.partition(".")[0] for name in modules}
    wanted = {"modules": list(modules), "files": {name: _file(name) for name in tops if name in sys.modules}}
    with tempfile.TemporaryDirectory(prefix="hpo-fork-", ignore_cleanup_errors=True) as folder:
        path = Path(folder) / "socket"
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
            listener.listen(512)
            server = subprocess.Popen(
                [sys.executable, __file__, str(listener.fileno())],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[listener.fileno()],
                env=dict(os.environ),  # as Ray starts its own: without what C code has set besides
                process_group=0,  # Ctrl-C is for the driver, as with Ray's own processes
            )
        assert server.stdin is not None
        try:
            server.stdin.write(json.dumps(wanted).encode() + b"\n")
            server.stdin.flush()
            yield path
        finally:
            server.kill()
            server.wait()
            with suppress(OSError):
                server.stdin.close()


def _file(module: str) -> str | None:
    return getattr(sys.modules[module], "__file__", None)


class Request:
    """A worker to be made: what a launcher sent, and its three standard files."""

    def __init__(self, connection: socket.socket) -> None:
        head, self.files, _, _ = socket.recv_fds(connection, 4, 3)
        try:
            told = self._told(connection, int.from_bytes(head, "big"))
            self.argv: list[str] = told["argv"]
            self.environ: dict[str, str] = told["environ"]
            self.folder: str = told["cwd"]
            self.executable: str = told["executable"]
            self.nice: int = told["nice"]
            self.open_files: tuple[int, int] = tuple(told["open files"])
        except BaseException:
            self.close()
            raise

    @staticmethod
    def _told(connection: socket.socket, length: int) -> Mapping[str, Any]:
        text = b""
        while len(text) < length:
            more = connection.recv(length - len(text))
            if not more:
                raise ConnectionError("a launcher went away")
            text += more
        told: Mapping[str, Any] = json.loads(text)
        return told

    def close(self) -> None:
        """Close the files: they are the worker's."""
        for file in self.files:
            os.close(file)


class Server:
    """One that has imported *modules* and copies itself; of the packages in *files* only those that are these."""

    def __init__(self, listener: socket.socket, modules: Sequence[str], files: Mapping[str, str | None]) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # as in the processes that Ray starts
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for workers here: Ray watches them
        self._listener = listener
        self._pid = os.getpid()
        self._given = dict(os.environ)
        os.environ["RAY_RAYLET_PID"] = str(os.getpid())
        os.environ["RAY_JOB_ID"] = ALL_JOBS
        os.environ.setdefault("OMP_NUM_THREADS", "1")  # what Ray sets for an actor of one CPU; NumPy reads it once
        gc.disable()  # imports leave no garbage worth looking for, and the copies shall share what they made
        with _ended_with_stdin():
            for name in modules:
                with suppress(Exception):  # whoever needs it imports it again, and says what is wrong
                    if _is_same(name.partition(".")[0], files):
                        importlib.import_module(name)
        gc.freeze()
        gc.enable()
        self._able = forkable()

    def serve(self) -> Request:
        """Make a worker for each launcher that asks. Returns in the workers, never in the server."""
        waiting = select.poll()
        waiting.register(self._listener, select.POLLIN)
        waiting.register(_STDIN, select.POLLIN)
        while True:
            if any(file == _STDIN for file, _ in waiting.poll()):
                self._clear_up()
                os._exit(0)
            connection, _ = self._listener.accept()
            with connection, suppress(OSError, ValueError, KeyError):
                connection.settimeout(5.0)
                request = Request(connection)
                try:
                    if not self._fits(request):
                        connection.sendall(b"n")
                    elif os.fork() == 0:
                        return self._become(request, connection)
                finally:
                    request.close()

    def _clear_up(self) -> None:
        """Remove the socket's folder: a driver that was killed cannot."""
        path = Path(self._listener.getsockname())
        with suppress(OSError):
            path.unlink(missing_ok=True)
            path.parent.rmdir()

    def _fits(self, request: Request) -> bool:
        """Tell whether a copy of this process is what the launcher would become."""
        differ = {name for name, _ in self._given.items() ^ request.environ.items()}
        same = self._able and request.executable == sys.executable
        return same and all(name.startswith(OWN_SETTINGS) for name in differ)

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
        _PRCTL(_SET_DEATH_SIGNAL, signal.SIGKILL)
        if os.getppid() != self._pid:
            raise ChildProcessError("the server is gone")
        self._listener.close()
        os.setpgid(0, 0)  # as the raylet does: what a worker starts ends with it
        for target, file in enumerate(request.files):
            os.dup2(file, target)
        made = {name: value for name, value in os.environ.items() if self._given.get(name) != value}
        os.environ.clear()
        os.environ |= {name: value for name, value in made.items() if name not in _READ_AT_IMPORT} | request.environ
        os.chdir(request.folder)
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, request.open_files)  # Ray raises it while it starts
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


def _is_same(package: str, files: Mapping[str, str | None]) -> bool:
    """Tell whether the *package* that is found here is the driver's, where that has one."""
    if package not in files:
        return True
    spec = importlib.util.find_spec(package)
    return spec is not None and spec.origin == files[package]


@contextmanager
def _ended_with_stdin() -> Iterator[None]:
    """End the process when its standard input ends, also in the middle of an import that never does."""
    flags = fcntl.fcntl(_STDIN, fcntl.F_GETFL)
    fcntl.fcntl(_STDIN, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(_STDIN, fcntl.F_SETFL, flags | os.O_ASYNC)  # SIGIO, whose default is to end the process
    if select.select([_STDIN], [], [], 0)[0]:
        os._exit(0)
    try:
        yield
    finally:
        fcntl.fcntl(_STDIN, fcntl.F_SETFL, flags)


def _line() -> bytes:
    text = b""
    while not text.endswith(b"\n"):
        more = os.read(_STDIN, 65536)
        if not more:
            os._exit(0)
        text += more
    return text


if __name__ == "__main__":
    wanted = json.loads(_line())
    asked = Server(socket.socket(fileno=int(sys.argv[1])), wanted["modules"], wanted["files"]).serve()
    runpy.run_path(asked.argv[0], run_name="__main__")
