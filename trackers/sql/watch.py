"""Looks after connections to a server: one on which no answer will come any more is cut.

A server that stands still, or whose answer was lost on the way, holds whoever waits for it for ever: the connection is
there, so no error comes. That a transaction takes long says nothing, since some do. So another connection asks the
server what it is doing for the first one; where it waits for us, who wait for it, or does not even let that other
connection in, the first is cut, and what was being written goes the way of what is written while the database is away.
"""

from __future__ import annotations

import fcntl
import logging
import socket
import struct
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from trackers.errors import StoreError
from trackers.sql.failures import is_unreachable
from trackers.sql.whole import say_aside

if TYPE_CHECKING:
    from trackers.sql.engine import Database

SECONDS = 60.0
"""How long a transaction takes before the server is asked about it."""

_ANSWER_SECONDS = 10.0
"""How long it may take to answer that."""

POOLED_SECONDS = 600.0
"""How long a transaction behind a pooler takes before its silence counts: it may have no connection free for us."""

_ASK = {
    "postgresql": (
        "SELECT CASE WHEN clock_timestamp() - state_change > make_interval(secs => %s) THEN CASE WHEN state LIKE 'idle%%' "
        "THEN 'waits' WHEN wait_event = 'ClientWrite' THEN 'sends' END END FROM pg_stat_activity WHERE pid = %s"
    ),
    "mysql": "SELECT CASE WHEN COMMAND = 'Sleep' AND TIME > %s THEN 'waits' END "
    "FROM information_schema.PROCESSLIST WHERE ID = %s",
}
"""What the server does for a connection: nothing, or it sends an answer that nobody takes."""

_TAKEN_AND_RECEIVED = 120
"""Where Linux tells, among what it knows of a TCP connection, how many bytes the other side took and how many arrived."""

_log = logging.getLogger("trackers")


class Watch:
    """Watches the connections of a database that are in a transaction, from the first one on, on a thread of its own.

    SQLite needs none: it waits for other processes alone, and for a time that it is told.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._busy: dict[int, tuple[float, Any]] = {}
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._looked: dict[tuple[float, int], tuple[int, int, int] | None] = {}
        """What had gone to and fro on the old ones when they were last looked at."""

    @contextmanager
    def over(self, raw: Any) -> Iterator[None]:
        """Watch *raw*, the driver's connection, while a transaction goes on."""
        if self._database.dialect == "sqlite":
            yield
            return
        mine = (time.monotonic(), raw)
        try:
            with self._lock:
                self._busy[id(raw)] = mine
                self._start()
            yield
        finally:
            with self._lock:
                if self._busy.get(id(raw)) is mine:  # else it went back to the pool, and another thread has it
                    del self._busy[id(raw)]

    def _start(self) -> None:
        if self._thread is not None and self._thread.is_alive():
            return
        thread = threading.Thread(target=self._main, name="trackers-watch", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the process may have no more threads: nobody watches until it may
            return
        self._thread = thread

    def close(self) -> None:
        """End the thread."""
        self._over.set()

    def _main(self) -> None:
        while not self._over.wait(SECONDS / 4):
            try:
                self._look()
            except Exception as exc:  # noqa: BLE001 - the next look may do
                safe = self._database.address.safe
                say_aside(partial(_log.warning, "the connections to %s could not be looked at", safe, exc_info=exc))

    def _look(self) -> None:
        """Look at the connections that have been in a transaction for long, and cut those that nothing comes on."""
        with self._lock:
            old = [one for one in self._busy.values() if time.monotonic() - one[0] >= SECONDS]
        before, self._looked = self._looked, {(since, id(raw)): _traffic(raw) for since, raw in old}
        for since, raw in old:
            traffic = self._looked[since, id(raw)]
            if traffic is not None and (traffic[0] or traffic != before.get((since, id(raw)))):
                continue  # it is we who take so long, or it goes on, if slowly; or it was not looked at before
            if self._is_dead(raw, time.monotonic() - since) and self._give_up(since, raw):
                words = "the store %s has not answered for %.0f s: its connection is given up"
                say_aside(partial(_log.warning, words, self._database.address.safe, time.monotonic() - since))

    def _give_up(self, since: float, raw: Any) -> bool:
        """Cut *raw* if it is in that transaction still, and tell whether it was."""
        with self._lock:  # its owner lets go of it under this lock: it is nobody else's yet
            return self._busy.get(id(raw)) == (since, raw) and _waits(raw) and _cut(raw)

    def _is_dead(self, raw: Any, seconds: float) -> bool:
        """Tell whether the server does nothing for *raw*, or answers nobody. Where it cannot say, it is not.

        *seconds*: how long its transaction has taken.
        """
        dialect, silent = self._database.dialect, threading.Event()
        try:
            if not _waits(raw):
                return False  # it is we who take so long
            if getattr(raw, "trackers_pooled", False) and seconds < POOLED_SECONDS:
                return False
            pid = raw.thread_id() if dialect == "mysql" else raw.info.backend_pid
            other = self._database.open_writer()
            probe = other.connection.dbapi_connection
            with _cut_after(_ANSWER_SECONDS, probe, silent), other:
                if _server(probe) != _server(raw) or getattr(raw, "trackers_pooled", False):
                    return False  # it knows nothing of the first one: of several, or since it began anew
                row = other.exec_driver_sql(_ASK[dialect], (SECONDS / 2, pid)).first()
                if row is None:
                    return True  # the server has ended it, and we did not hear of that
                return row[0] == "waits" or (row[0] == "sends" and _traffic(raw) is not None)
        except StoreError as exc:
            return exc.__cause__ is not None and is_unreachable(exc.__cause__)
        except Exception:  # noqa: BLE001 - it answers, if only with a refusal
            return silent.is_set()


def _server(raw: Any) -> tuple[Any, ...]:
    """Return which server a connection leads to, as far as it knows."""
    if hasattr(raw, "pgconn"):
        return raw.info.hostaddr, raw.info.port, raw.trackers_server
    return tuple(raw.server)


def _traffic(raw: Any) -> tuple[int, int, int] | None:
    """Return how many bytes lie unread on a connection, have arrived, and got there; None where that is not known."""
    try:
        with _socket_of(raw) as one:
            unread = struct.unpack("i", fcntl.ioctl(one, termios.FIONREAD, bytes(4)))[0]
            info = one.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 192)
    except Exception:  # noqa: BLE001 - no TCP, no Linux, or the driver closed it meanwhile
        return None
    if len(info) < _TAKEN_AND_RECEIVED + 16:
        return None
    taken, received = struct.unpack_from("QQ", info, _TAKEN_AND_RECEIVED)
    return unread, received, taken


@contextmanager
def _socket_of(raw: Any) -> Iterator[socket.socket]:
    """Hand out the socket of a connection, which stays its own."""
    one = socket.socket(fileno=raw.pgconn.socket if hasattr(raw, "pgconn") else raw._sock.fileno())
    try:
        yield one
    finally:
        one.detach()


@contextmanager
def _cut_after(seconds: float, raw: Any, silent: threading.Event) -> Iterator[None]:
    """Cut *raw* where it has no answer in so many seconds, and set *silent*."""

    def cut() -> None:
        silent.set()
        _cut(raw)

    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _waits(raw: Any) -> bool:
    """Tell whether an answer of the server is waited for."""
    if hasattr(raw, "pgconn"):
        from psycopg.pq import TransactionStatus

        return bool(raw.pgconn.transaction_status == TransactionStatus.ACTIVE)
    return bool(raw.waits)


def _cut(raw: Any) -> bool:
    """Cut a connection off under whoever waits for its answer, who then sees that it is lost; tell whether it is."""
    try:
        with _socket_of(raw) as one:
            one.shutdown(socket.SHUT_RDWR)
    except Exception:  # noqa: BLE001 - it is closed already
        return False
    return True
