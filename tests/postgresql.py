"""The PostgreSQL server that tests use: the one that runs, else a cluster of their own where its programs are."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

GIVEN = "HPO_TEST_POSTGRESQL"
USUAL = "postgresql://postgres@127.0.0.1:5432/test"
"""The server on which tests create and drop databases of their own."""


class NoServerError(RuntimeError):
    """No PostgreSQL server answers, and none can be started; the message says why."""


@contextmanager
def server() -> Iterator[str]:
    """Yield the URL of a server; raises NoServerError."""
    url = os.environ.get(GIVEN, USUAL)
    if answers(url):
        yield url
        return
    if GIVEN in os.environ:
        raise NoServerError(f"no PostgreSQL server answers at {url}, which {GIVEN} names")
    programs = find_programs()
    if programs is None:
        raise NoServerError(f"no PostgreSQL server answers at {url} (set {GIVEN}), and its programs are not here")
    with cluster(programs) as own:
        yield own


def answers(url: str) -> bool:
    """Tell whether a server answers at *url*."""
    import psycopg

    try:
        psycopg.connect(url, connect_timeout=3).close()
    except psycopg.OperationalError:
        return False
    return True


def find_programs() -> Path | None:
    """Return the newest folder that has ``initdb`` and ``pg_ctl``; distributions keep it out of the path."""
    on_path = shutil.which("initdb")
    folders = [Path(on_path).parent] if on_path else []
    found = Path("/usr/lib/postgresql").glob("*/bin")
    folders += sorted(found, key=lambda folder: (len(folder.parent.name), folder.parent.name), reverse=True)
    return next((folder for folder in folders if (folder / "initdb").exists() and (folder / "pg_ctl").exists()), None)


@contextmanager
def cluster(programs: Path) -> Iterator[str]:
    """Run a cluster of the tests' own in a temporary folder, and yield its URL."""
    folder = Path(tempfile.mkdtemp(prefix="hpo-pg-"))
    user = "nobody" if os.geteuid() == 0 else None  # PostgreSQL refuses to run as root
    if user is not None:
        shutil.chown(folder, user)
    try:
        data, port = folder / "data", _free_port()
        _run(user, programs / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8")
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c max_connections=200"
        _run(user, programs / "pg_ctl", "-D", data, "-w", "-t", "60", "-l", folder / "log", "-o", options, "start")
        try:
            yield f"postgresql://postgres@127.0.0.1:{port}/postgres"
        finally:
            _run(user, programs / "pg_ctl", "-D", data, "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(user: str | None, *command: object) -> None:
    words = list(map(str, command))
    # The server that pg_ctl leaves behind must not hold this process's pipes: what is said goes to a file.
    with tempfile.TemporaryFile("w+") as said:
        code = subprocess.run(words, stdout=said, stderr=said, stdin=subprocess.DEVNULL, user=user, cwd="/").returncode
        if code != 0:
            said.seek(0)
            raise NoServerError(f"{words[0]} ended with {code}: {said.read()[-500:].strip()}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
