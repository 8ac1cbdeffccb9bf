"""MariaDB and MySQL: how a connection is set up, and what its driver lacks.

Text is compared byte by byte and without padding (``'a'`` is not ``'a '``), by a collation that each of the two calls
by a name of its own. Names in quotation marks are SQL's own, and what does not fit is refused, whatever the server's
configuration says. Rows that an UPDATE found count as updated, which the guarded statements rely on.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, Table, create_engine, event, insert, make_url
from sqlalchemy.exc import IntegrityError

from trackers.sql.columns import COLLATION
from trackers.sql.failures import DUPLICATE, TOO_LARGE, number_of

if TYPE_CHECKING:
    from trackers.sql.address import Address

_SETTINGS = "STRICT_ALL_TABLES,ANSI_QUOTES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION"
_LOOK_UP = " /*M!100200 , SESSION optimizer_switch = 'exists_to_in=off' */"
"""Lets MariaDB look up what EXISTS asks for, row by row as searches mean it, and gather no set of it."""
_GREETING_SECONDS = 10
"""How long a server may take to let one in: one that accepts a connection and says nothing is given up after that."""
_ANSWER_SECONDS = 600
"""How long a statement may take; a server that is gone without a word is given up after that."""


_HEADER = 16
"""What a statement's packet holds besides its text, and some more."""


def make_engine(address: Address, *, writes: bool, busy_seconds: float, pool: dict[str, Any]) -> Engine:
    """Make the engine of the writer or of the readers, whose transactions are snapshots and cannot write."""
    import pymysql

    arguments: dict[str, Any] = {
        "connect_timeout": _GREETING_SECONDS,
        "read_timeout": _GREETING_SECONDS,  # the driver has no other for the greeting; from then on it is longer
        "write_timeout": _ANSWER_SECONDS,
        "cursorclass": _cursor_class(pymysql),
        "init_command": f"SET NAMES utf8mb4 COLLATE {COLLATION}, SESSION sql_mode = '{_SETTINGS}', "
        f"SESSION innodb_lock_wait_timeout = {int(busy_seconds)}, SESSION lock_wait_timeout = {int(busy_seconds)}, "
        "SESSION group_concat_max_len = 1048576"  # to which MariaDB cuts a list of JSON, without a word
        f"{'' if writes else _LOOK_UP}",
    }
    url = make_url(address.url).set(drivername="mysql+pymysql").update_query_dict({"charset": "utf8mb4"})
    level = "READ COMMITTED" if writes else "REPEATABLE READ"
    engine = create_engine(url, connect_args=arguments, isolation_level=level, pool_reset_on_return=None, **pool)

    @event.listens_for(engine, "reset")
    def _reset(connection: Any, record: Any, _state: Any) -> None:
        try:
            connection.rollback()
        except Exception:  # noqa: BLE001 - the server is gone: SQLAlchemy's own reset would print a traceback
            if record is not None:
                record.invalidate()

    connection_class = _connection_class(pymysql)

    @event.listens_for(engine, "do_connect")
    def _connect(_dialect: Any, _record: Any, positional: Any, named: Any) -> Any:
        return connection_class(*positional, **named)

    @event.listens_for(engine, "connect")
    def _measure(connection: Any, _record: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT @@max_allowed_packet, @@hostname, @@port, CONNECTION_ID()")
            largest, *server = cursor.fetchone()
        connection.largest_packet, connection.server = int(largest), server[:2]
        if server[2] != connection.thread_id():
            connection.server = [object()]  # a proxy's number: nobody can be asked about it
        connection._read_timeout = _ANSWER_SECONDS

    if not writes:

        @event.listens_for(engine, "begin")
        def _begin(connection: Connection) -> None:
            connection.exec_driver_sql("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")

    return engine


def insert_unless_there(connection: Connection, table: Table, row: Mapping[str, Any]) -> bool:
    """Insert *row* unless its key is taken, and tell whether it was: here a refusal ends no transaction."""
    try:
        connection.execute(insert(table).values(**row))
    except IntegrityError as exc:
        if number_of(exc) != DUPLICATE:
            raise
        return False
    return True


@cache
def _connection_class(pymysql: Any) -> Any:
    class Connection(pymysql.connections.Connection):  # type: ignore[misc]
        """Makes what encryption needs once a process where the URL asks for nothing special.

        The driver encrypts then where the server can, and checks no certificate; yet for each connection it reads all
        certificates that the machine trusts, which takes thirty milliseconds. *waits* tells whether an answer is
        waited for.
        """

        usual: Any = None
        waits = False

        def query(self, *args: Any, **options: Any) -> Any:
            return self._waiting(super().query, *args, **options)

        def ping(self, *args: Any, **options: Any) -> Any:
            return self._waiting(super().ping, *args, **options)

        def commit(self) -> None:
            self._waiting(super().commit)

        def rollback(self) -> None:
            self._waiting(super().rollback)

        def _waiting(self, ask: Any, *args: Any, **options: Any) -> Any:
            self.waits = True
            try:
                return ask(*args, **options)
            finally:
                self.waits = False

        def _create_ssl_ctx(self, given: Any) -> Any:
            if given:
                return super()._create_ssl_ctx(given)
            if Connection.usual is None:
                Connection.usual = super()._create_ssl_ctx(given)
            return Connection.usual

    return Connection


@cache
def _cursor_class(pymysql: Any) -> Any:
    class Cursor(pymysql.cursors.Cursor):  # type: ignore[misc]
        """Refuses a statement that the server would end the connection for, and cuts one of many rows in time."""

        def __init__(self, connection: Any) -> None:
            super().__init__(connection)
            if (largest := getattr(connection, "largest_packet", None)) is not None:
                self.max_stmt_length = min(pymysql.cursors.Cursor.max_stmt_length, largest // 2)

        def execute(self, query: Any, args: Any = None) -> int:
            text = query if args is None else self.mogrify(query, args)
            largest = getattr(self._get_db(), "largest_packet", None)
            if largest is not None and 4 * len(text) >= largest and _size(text) >= largest - _HEADER:
                raise pymysql.err.DataError(
                    TOO_LARGE, f"what is written is larger than the server's max_allowed_packet ({largest:,} bytes)"
                )
            count: int = super().execute(text)
            return count

    return Cursor


def _size(text: str | bytes | bytearray) -> int:
    return len(text.encode()) if isinstance(text, str) else len(text)
