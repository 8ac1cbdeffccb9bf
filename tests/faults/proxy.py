"""A server that can be taken away: a proxy before PostgreSQL which cuts its clients off when the test says so."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit


class Proxy:
    """Passes bytes between clients and a server until ``cut``; ``commits_to_lose`` cuts after the answer to a COMMIT.

    ``freeze`` keeps every connection and passes nothing more; ``thaw`` passes what came meanwhile.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._server = (parts.hostname or "127.0.0.1", parts.port or 5432)
        self._open = True
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._frozen: set[socket.socket] = set()
        self._all_frozen = False
        self._thawed = threading.Condition()
        self._lock = threading.Lock()
        self.commits_to_lose = 0
        self.freeze_after: int | None = None
        """Bytes of the server's after which the connections that are there are frozen."""
        self.lost = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        user = f"{parts.username}@" if parts.username else ""
        query = f"?{parts.query}" if parts.query else ""
        self.url = f"{parts.scheme}://{user}127.0.0.1:{self.port}{parts.path}{query}"
        self._start(self._accept)

    def _start(self, target: object, *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if not self._open:
                client.close()
                continue
            server = socket.create_connection(self._server)
            with self._lock:
                self._sockets += [client, server]
            lose = threading.Event()
            self._start(self._pass, client, server, lose, True)
            self._start(self._pass, server, client, lose, False)

    def _pass(self, source: socket.socket, target: socket.socket, lose: threading.Event, from_client: bool) -> None:
        try:
            while data := source.recv(1 << 16):
                if from_client and b"COMMIT" in data and self.commits_to_lose > 0:
                    self.commits_to_lose -= 1
                    lose.set()
                elif not from_client and lose.is_set():
                    self.lost += 1
                    break  # the server has committed, and nobody hears of it
                if not from_client and self.freeze_after is not None:
                    self.freeze_after -= len(data)
                    if self.freeze_after < 0:
                        self.freeze_after = None
                        self.freeze(new_ones=False)
                self._wait(source, target)
                target.sendall(data)
        except OSError:
            pass
        for one in (source, target):
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def _wait(self, *sockets: socket.socket) -> None:
        with self._thawed:
            while self._all_frozen or not self._frozen.isdisjoint(sockets):
                self._thawed.wait()

    def freeze(self, *, new_ones: bool) -> None:
        """Pass nothing more, with *new_ones* also for clients that come from now on."""
        with self._thawed, self._lock:
            self._all_frozen = new_ones
            self._frozen = set(self._sockets)

    def thaw(self) -> None:
        """Go on."""
        with self._thawed:
            self._all_frozen = False
            self._frozen.clear()
            self._thawed.notify_all()

    def cut(self) -> None:
        """Refuse every client from now on, and cut off those that are there."""
        self._open = False
        with self._lock:
            for one in self._sockets:
                try:
                    one.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def mend(self) -> None:
        """Let clients through again."""
        self._open = True

    def close(self) -> None:
        self.thaw()
        self.cut()
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._listener.close()
        for thread in self._threads:
            thread.join(5)
        for one in self._sockets:
            one.close()


@contextmanager
def proxied(url: str) -> Iterator[Proxy]:
    """Put a proxy before the server of *url*."""
    proxy = Proxy(url)
    try:
        yield proxy
    finally:
        proxy.close()
