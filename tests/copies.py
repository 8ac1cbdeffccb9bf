"""``hpo``, ``trackers`` and ``python`` as copies (fork) of one process that has imported what they import.

A command of a guide costs a second of the processor to start, and four where it loads a model; a copy of a process that
has done so costs a tenth. Each runs as it would by itself: its arguments, folder, environment and files are its own.
What starts them really is tested where the commands of the README are.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

IMPORTED = (
    *("hpo", "hpo.cli.app", "hpo.cli.run", "hpo.runner", "hpo.driver.cluster", "hpo.reports", "hpo.ranking"),
    *("trackers", "trackers.cli.app", "trackers.store", "trackers.sql.blobs", "trackers.registry", "trackers.models"),
    *("sqlalchemy.dialects.sqlite.pysqlite", "sqlalchemy.dialects.postgresql.psycopg"),
    *(
        "numpy",
        "scipy.stats",
        "sklearn.linear_model",
        "sklearn.ensemble",
        "sklearn.datasets",
        "sklearn.model_selection",
    ),
    *("skops.io", "optuna", "pandas", "rich.console", "rich.table", "rich.live", "jinja2"),
)
NAMES = ("hpo", "trackers", "python")
LAUNCHER = """#!{python} -IS
import json, os, signal, socket, sys
with socket.socket(socket.AF_UNIX) as link:
    link.connect({path!r})
    name = os.path.basename(sys.argv[0])
    told = json.dumps([name, sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
    socket.send_fds(link, [len(told).to_bytes(4, "big")], [0, 1, 2])
    link.sendall(told)
    pid = int.from_bytes(link.recv(4), "big")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, frame: os.kill(pid, number))
    code = int.from_bytes(link.recv(4), "big", signed=True)
sys.exit(code if code >= 0 else 128 - code)
"""


@contextmanager
def copies() -> Iterator[Path]:
    """Serve copies beside the block; yield the folder with the commands, to stand first in PATH."""
    with tempfile.TemporaryDirectory(prefix="hpo-copies-") as folder:
        place = Path(folder)
        for name in NAMES:
            command = place / name
            command.write_text(LAUNCHER.format(python=sys.executable, path=str(place / "socket")))
            command.chmod(0o755)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(place / "socket"))
            listener.listen()
            environment = {name: value for name, value in os.environ.items() if not name.startswith("HPO_")}
            server = subprocess.Popen(
                [sys.executable, __file__, str(listener.fileno())],
                stdin=subprocess.PIPE,
                pass_fds=[listener.fileno()],
                env={**environment, "OMP_NUM_THREADS": "1"},
                cwd=place,
            )
        try:
            yield place
        finally:
            server.communicate()


def _serve(listener: socket.socket) -> None:
    """Make a copy for each launcher that asks, until standard input ends."""
    import importlib

    from hpo.execution.ray.fork_server import forkable

    for name in IMPORTED:
        importlib.import_module(name)
    assert forkable(), "a process with threads is not copied"
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        ready = select.select([listener, 0], [], [])[0]
        if 0 in ready:
            return
        link, _ = listener.accept()
        with link:
            if os.fork() == 0:
                listener.close()
                _watch(link)


def _watch(link: socket.socket) -> None:
    """Copy this process once more, tell the launcher how that one ended, and end it where the launcher is gone."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    head, files, _, _ = socket.recv_fds(link, 4, 3)
    left, told = int.from_bytes(head, "big"), b""
    while len(told) < left:
        told += link.recv(left - len(told))
    pid = os.fork()
    if pid == 0:
        link.close()
        _become(files, *json.loads(told))
    for file in files:
        os.close(file)
    link.sendall(pid.to_bytes(4, "big"))
    ended = os.pidfd_open(pid)
    if link in select.select([link, ended], [], [])[0]:
        os.kill(pid, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    try:
        link.sendall(code.to_bytes(4, "big", signed=True))
    finally:
        os._exit(0)


def _become(files: list[int], name: str, args: list[str], folder: str, environment: dict[str, str]) -> None:
    """Run the command *name* with *args* in this process, and end it."""
    for target, file in enumerate(files):
        os.dup2(file, target)
        os.close(file)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.stdin = os.fdopen(0, closefd=False)
    sys.stdout, sys.stderr = (os.fdopen(n, "w", n, closefd=False) for n in (1, 2))
    code: Any = 0
    try:
        if name == "python":
            _interpret(args)
        else:
            program = os.path.join(os.path.dirname(sys.executable), name)
            sys.path[0], sys.argv = os.path.dirname(program), [program, *args]
            code = __import__(f"{name}.cli", fromlist=["main"]).main()
    except SystemExit as exc:
        code = exc.code if isinstance(exc.code, int) else 0 if exc.code is None else 1
    except BaseException as exc:
        code = 1
        sys.excepthook(type(exc), exc, exc.__traceback__)
    finally:
        import threading

        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _interpret(args: list[str]) -> None:
    """Do what ``python FILE ...`` or ``python -c CODE ...`` does."""
    sys.modules["__main__"] = main = ModuleType("__main__")
    if args[0] == "-c":
        sys.path[0], sys.argv = "", ["-c", *args[2:]]
        exec(compile(args[1], "<string>", "exec"), main.__dict__)
    else:
        sys.path[0], sys.argv = os.path.dirname(os.path.abspath(args[0])), args
        main.__file__ = args[0]
        exec(compile(Path(args[0]).read_bytes(), args[0], "exec"), main.__dict__)


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
