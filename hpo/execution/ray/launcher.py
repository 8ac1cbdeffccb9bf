"""What a Ray of our own starts as a worker: it has the fork server make the worker, and is gone after milliseconds.

Run as a script, with a worker's command line; see ``fork_server``. It imports next to nothing, since it is started once
a worker. Where there is no server that can make this worker, it becomes that worker itself, as Ray would have it.
"""

import contextlib
import json
import os
import resource
import socket
import sys

SERVER = "HPO_FORK_SERVER"
"""Names the server's socket in the environment of whoever starts this."""

DEFAULT_WORKER = "HPO_DEFAULT_WORKER"
"""Names the script that Ray starts its workers with."""

ANSWER_SECONDS = 20.0
"""How long the server may take, its imports included; Ray itself waits for a worker for a minute."""


def asked(path: str, script: str) -> bool:
    """Ask the server at *path* for a worker like this process; return whether it made one."""
    request = {
        "argv": [script, *sys.argv[1:]],
        "environ": {os.fsdecode(key): os.fsdecode(value) for key, value in os.environb.items()},
        "cwd": os.getcwd(),
        "executable": sys.executable,
        "nice": os.getpriority(os.PRIO_PROCESS, 0),
        "open files": resource.getrlimit(resource.RLIMIT_NOFILE),
    }
    text = json.dumps(request).encode("ascii")
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(ANSWER_SECONDS)
            connection.connect(path)
            socket.send_fds(connection, [len(text).to_bytes(4, "big")], [0, 1, 2])
            connection.sendall(text)
            return connection.recv(1) == b"y"
    except TimeoutError:
        with contextlib.suppress(OSError):
            os.unlink(path)  # an import hangs there: nobody else waits for it
        return False
    except OSError:
        return False


def main() -> None:
    """Ask, or become the worker: not where Ray's raylet ended meanwhile, and the server with it."""
    raylet = os.getppid()
    script = os.environ.pop(DEFAULT_WORKER)
    path = os.environ.pop(SERVER, "")
    if not (path and asked(path, script)) and os.getppid() == raylet:
        os.execv(sys.executable, [sys.executable, script, *sys.argv[1:]])


if __name__ == "__main__":
    main()
