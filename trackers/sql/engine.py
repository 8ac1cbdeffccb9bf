"""Connections: one to write with, a pool to read with."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.pool import NullPool, QueuePool

from trackers.errors import StoreError
from trackers.sql.address import Address, lies_read_only
from trackers.sql.failures import may_retry, translated
from trackers.sql.watch import Watch

BUSY_SECONDS = 30.0
"""How long a writer waits for another process's transaction before it says that the store is locked."""

_READERS = 5

T = TypeVar("T")


class Database:
    """A database as the store uses it: ``reading()`` hands out snapshots, ``open_writer()`` the writer's connection.

    Thread-safe. Not usable in a forked child: connect again there.
    """

    def __init__(self, address: Address) -> None:
        self.address = address
        self.dialect = address.dialect
        self._pid = os.getpid()
        self._closed = False
        self.watch = Watch(self)
        with translated(address):
            self._reader = _make_engine(address, writes=False)
            self._writer = _make_engine(address, writes=True)
        if self.dialect != "sqlite":
            _ask_before_use(self._reader, self.watch)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Hand out a connection in a read-only transaction: everything read in it is of one moment."""
        if os.getpid() != self._pid:
            raise StoreError("a store does not survive a fork: connect again in the child process")
        if self._closed:
            raise StoreError("the store is closed: connect again")
        with translated(self.address):
            connection = self._reader.connect()
            with self.watch.over(connection.connection.dbapi_connection), connection:
                try:
                    with connection.begin():
                        yield connection
                finally:
                    if self._closed and not connection.invalidated:  # meanwhile: no pool shall keep it
                        connection.detach()

    def read(self, work: Callable[[Connection], T]) -> T:
        """Return what *work* reads of one moment.

        Where the connection is lost on the way, or a standby has to take it back, it is done again, once.
        """
        try:
            with self.reading() as connection:
                return work(connection)
        except StoreError as exc:
            cause = exc.__cause__
            if cause is None or not (getattr(cause, "connection_invalidated", False) or may_retry(cause)):
                raise  # it was never there: another try would only take the same time
        with self.reading() as connection:
            return work(connection)

    def open_writer(self) -> Connection:
        """Open a connection that may write; a transaction on it takes SQLite's write lock at once."""
        with translated(self.address):
            return self._writer.connect()

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Open a connection of its own for one transaction (the schema's); everything else goes by the writer."""
        with translated(self.address):
            connection = self._writer.connect()
            with self.watch.over(connection.connection.dbapi_connection), connection, connection.begin():
                yield connection

    def close(self) -> None:
        """Close every pooled connection; nothing is read or written afterwards."""
        self._closed = True
        self.watch.close()
        self.release()

    def release(self) -> None:
        """Close every pooled connection; others are opened when they are needed."""
        self._reader.dispose()
        self._writer.dispose()


class Away(Database):
    """The database of a store that is offline: it is never opened, whatever is asked of it raises StoreError."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.dialect = address.dialect

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Refuse."""
        raise self._refusal()
        yield  # a generator, as contextmanager needs it

    def open_writer(self) -> Connection:
        """Refuse."""
        raise self._refusal()

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Refuse."""
        raise self._refusal()
        yield  # a generator, as contextmanager needs it

    def close(self) -> None:
        """Close nothing."""

    def release(self) -> None:
        """Close nothing."""

    def _refusal(self) -> StoreError:
        return StoreError(
            f"the store {self.address.safe} is offline here: only runs can be started and logged to; run `trackers sync`, "
            "then connect without offline (HPO_OFFLINE)"
        )


def _make_engine(address: Address, *, writes: bool) -> Engine:
    if address.dialect == "sqlite":
        return _sqlite_engine(address, writes)
    if address.dialect == "mysql":
        from trackers.sql import mariadb

        return mariadb.make_engine(address, writes=writes, busy_seconds=BUSY_SECONDS, pool=_pool(writes))
    from trackers.sql import postgresql

    return postgresql.make_engine(address, writes=writes, busy_seconds=BUSY_SECONDS, pool=_pool(writes))


def _ask_before_use(engine: Engine, watch: Watch) -> None:
    """Let a pooled connection be asked whether it lives, under the *watch*, before it is used again."""

    @event.listens_for(engine, "checkout")
    def _ask(raw: Any, record: Any, _proxy: Any) -> None:
        if not record.info.get("used"):
            record.info["used"] = True  # it was opened just now
            return
        try:
            with watch.over(raw):
                engine.dialect.do_ping(raw)
        except engine.dialect.loaded_dbapi.Error as exc:
            raise DisconnectionError from exc


def _pool(writes: bool) -> dict[str, Any]:
    if writes:
        return {"poolclass": NullPool}
    return {"poolclass": QueuePool, "pool_size": _READERS, "max_overflow": 2 * _READERS, "pool_timeout": BUSY_SECONDS}


def _sqlite_engine(address: Address, writes: bool) -> Engine:
    arguments: dict[str, Any] = {
        "timeout": BUSY_SECONDS,
        "check_same_thread": False,
        "isolation_level": None,
        "cached_statements": 256,
    }
    pool = _pool(writes)
    if address.path is not None and not writes and lies_read_only(address.path):
        # Where nothing changes SQLite needs neither a lock nor its -shm file, which it could not make.
        still = f"file:{quote(str(address.path))}?immutable=1"
        engine = create_engine("sqlite://", creator=lambda: sqlite3.connect(still, uri=True, **arguments), **pool)
    else:
        engine = create_engine(address.url, connect_args=arguments, **pool)

    @event.listens_for(engine, "connect")
    def _prepare(connection: sqlite3.Connection, _record: Any) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.execute("PRAGMA cache_size=-16000")
        if writes:
            cursor.execute("PRAGMA journal_mode=WAL")
            cursor.execute("PRAGMA synchronous=FULL")
        else:
            cursor.execute("PRAGMA query_only=ON")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine
