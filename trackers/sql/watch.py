"""Looks after a writer's connection to a server: where no answer will come any more, it is cut.

A server that stands still, or whose answer was lost on the way, holds whoever waits for it for ever: the connection is
there, so no error comes. That a transaction takes long says nothing, since some do. So another connection asks the
server what it is doing for the first one; where it waits for us, who wait for it, or does not even let that other
connection in, the first is cut, and what was being written goes the way of what is written while the database is away.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from typing import Any

from trackers.errors import StoreError
from trackers.sql.engine import Database
from trackers.sql.failures import is_unreachable

SECONDS = 60.0
"""How long a transaction takes before the server is asked about it."""

_ASK = {
    "postgresql": (
        "SELECT state LIKE 'idle%%' AND clock_timestamp() - state_change > make_interval(secs => %s) "
        "FROM pg_stat_activity WHERE pid = %s"
    ),
    "mysql": "SELECT COMMAND = 'Sleep' AND TIME > %s FROM information_schema.PROCESSLIST WHERE ID = %s",
}

_log = logging.getLogger("trackers")


class Watch:
    """Watches the one connection of a writer, from the first transaction on, on a thread of its own.

    SQLite needs none: it waits for other processes alone, and for a time that it is told.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._busy: tuple[float, Any] | None = None
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self, raw: Any) -> None:
        """Note that a transaction begins on *raw*, the driver's connection."""
        if self._database.dialect == "sqlite":
            return
        self._busy = (time.monotonic(), raw)
        if self._thread is None:
            self._thread = threading.Thread(target=self._main, name="trackers-watch", daemon=True)
            self._thread.start()

    def end(self) -> None:
        """Note that it is over."""
        self._busy = None

    def close(self) -> None:
        """End the thread."""
        self._over.set()

    def _main(self) -> None:
        while not self._over.wait(SECONDS / 4):
            busy = self._busy
            if busy is None or time.monotonic() - busy[0] < SECONDS:
                continue
            if self._is_dead(busy[1]) and self._busy is busy and _waits(busy[1]):
                _log.warning(
                    "the store %s has not answered for %.0f s: its connection is given up",
                    self._database.address.safe,
                    time.monotonic() - busy[0],
                )
                _cut(busy[1])

    def _is_dead(self, raw: Any) -> bool:
        """Tell whether the server does nothing for *raw*, or answers nobody. Where it cannot say, it is not."""
        dialect = self._database.dialect
        try:
            if not _waits(raw):
                return False  # it is we who take so long
            pid = raw.thread_id() if dialect == "mysql" else raw.info.backend_pid
            with self._database.open_writer() as other:
                # a pooler has numbers of its own: then there is no such row
                return bool(other.exec_driver_sql(_ASK[dialect], (SECONDS / 2, pid)).scalar())
        except StoreError as exc:
            return exc.__cause__ is not None and is_unreachable(exc.__cause__)
        except Exception:  # noqa: BLE001 - it answers, if only with a refusal
            return False


def _waits(raw: Any) -> bool:
    """Tell whether an answer of the server is waited for."""
    if hasattr(raw, "pgconn"):
        from psycopg.pq import TransactionStatus

        return bool(raw.pgconn.transaction_status == TransactionStatus.ACTIVE)
    return bool(raw.waits)


def _cut(raw: Any) -> None:
    """Cut a connection off under whoever waits for its answer, who then sees that it is lost."""
    try:
        handle = os.dup(raw.pgconn.socket if hasattr(raw, "pgconn") else raw._sock.fileno())
        with socket.socket(fileno=handle) as one:
            one.shutdown(socket.SHUT_RDWR)
    except Exception:  # noqa: BLE001 - it is closed already
        pass
