"""PostgreSQL: how a connection is set up, with or without a pooler in front of the server.

Our settings go along when a connection is opened. A pooler may refuse them, or drop them without a word, and in
transaction mode hands each transaction to whatever server process is free, with what another client prepared there.
So behind one the settings go with each transaction, and no statement is prepared. It is told by the process ids that it
gives its clients, which are not the server's.
"""

from __future__ import annotations

import re
import selectors
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, create_engine, event

if TYPE_CHECKING:
    from trackers.sql.address import Address

_SETTINGS = {
    "timezone": "UTC",
    "client_min_messages": "warning",
    "synchronous_commit": "on",
    # what a search looks at is bounded: to start workers, or to compile, takes longer than to do it
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
}
_ARGUMENTS: dict[str, Any] = {
    "connect_timeout": 10,
    "application_name": "trackers",
    "client_encoding": "utf8",  # a database without an encoding would answer with bytes
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
_GIVEN = re.compile(r"(?:-c\s*|--)([\w.-]+)=((?:\\.|\S)*)")
"""A setting among libpq's ``options``."""
_AT_THE_START = {"ignore_system_indexes", "jit_debugging_support", "jit_profiling_support", "log_connections"}
_AT_THE_START |= {"log_disconnections", "post_auth_delay"}
"""What holds from a connection's start on or not at all, so that a pooler's server process has its own."""
_ESCAPED = re.compile(r"\\(.)")
_SECONDS = 5.0
"""How long a pooler may take to find a second process of the server."""
_ANSWER_SECONDS = 30.0
"""How long a server that has let one in may take for its first answer."""


def make_engine(address: Address, *, writes: bool, busy_seconds: float, pool: dict[str, Any]) -> Engine:
    """Make the engine of the writer or of the readers, whose transactions are snapshots and cannot write."""
    settings = {"lock_timeout": str(int(busy_seconds * 1000)), **_SETTINGS}
    arguments = {**_ARGUMENTS, **_of_url(address)}
    given = arguments.get("options", "")
    given = given if isinstance(given, str) else " ".join(given)
    arguments["options"] = " ".join((*(f"-c {name}={value}" for name, value in settings.items()), given)).strip()
    settings |= {name.replace("-", "_").lower(): _ESCAPED.sub(r"\1", value) for name, value in _GIVEN.findall(given)}
    settings = {name: value for name, value in settings.items() if name not in _AT_THE_START}
    engine = create_engine(address.url, connect_args=arguments, **pool)

    @event.listens_for(engine, "do_connect")
    def _connect(dialect: Any, _record: Any, positional: Any, named: Any) -> Any:
        connection = _let_in(dialect, positional, named)
        try:
            connection.trackers_pooled, connection.trackers_server = _look(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, record: Any) -> None:
        from psycopg import IsolationLevel

        if connection.trackers_pooled:
            record.info["pooled"] = True
            connection.prepare_threshold = None
        if not writes:
            connection.isolation_level = IsolationLevel.REPEATABLE_READ
            connection.read_only = True

    calls = ", ".join(["set_config(%s, %s, true)"] * len(settings))
    values = tuple(part for setting in settings.items() for part in setting)

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        if connection.info.get("pooled"):
            connection.exec_driver_sql(f"SELECT {calls}", values)

    return engine


def _let_in(dialect: Any, positional: Any, named: Any) -> Any:
    try:
        return dialect.connect(*positional, **named)
    except dialect.loaded_dbapi.OperationalError as exc:
        if "unsupported startup parameter" not in str(exc):
            raise
    return dialect.connect(*positional, **{name: value for name, value in named.items() if name != "options"})


def _look(connection: Any) -> tuple[bool, str]:
    """Return whether a pooler lies between, and which server is behind, since when.

    That is the first answer, which is waited for a bounded time.
    """
    from psycopg import OperationalError

    found = _answer_soon(connection, b"SELECT pg_backend_pid(), pg_postmaster_start_time()", _ANSWER_SECONDS)
    if found is None:  # a pooler lets one in by itself
        raise OperationalError(
            f"it lets one in, and has not answered for {_ANSWER_SECONDS:.0f} s: a pool may have no connection free"
        )
    return int(found[0]) != connection.info.backend_pid, found[1]


def _of_url(address: Address) -> dict[str, Any]:
    """Return what the URL says besides the server, for the driver; several hosts are the dialect's to read."""
    given: dict[str, Any] = {key: value for key, value in address.url.query.items() if key not in {"host", "port"}}
    if isinstance(threshold := given.get("prepare_threshold"), str):
        given["prepare_threshold"] = int(threshold) if threshold.isdigit() else None
    return given


def pooler_mode(address: Address) -> str:
    """Return the mode of a pooler such as PgBouncer between here and the server, ``""`` where there is none.

    It is ``"statement"`` where no transaction gets through, and ``"transaction"`` where a second client is handed the
    server's process that the first one, still connected, has just used; else ``"session"``.
    """
    import psycopg

    _, server = address.url.get_dialect()().create_connect_args(address.url)
    given = {**server, **_of_url(address), "autocommit": True, "prepare_threshold": None, "connect_timeout": 10}
    given.pop("options", None)  # it may refuse them
    with closing(psycopg.connect(**given)) as first, closing(psycopg.connect(**given)) as second:
        mine = _process(first)
        if mine == first.info.backend_pid:
            return ""
        try:
            first.execute("BEGIN")
            first.execute("ROLLBACK")
        except psycopg.Error:
            return "statement"
        found = _answer_soon(second, b"SELECT pg_backend_pid()", _SECONDS)
        return "transaction" if found is not None and int(found[0]) == mine else "session"


def _process(connection: Any) -> int:
    return int(connection.execute("SELECT pg_backend_pid()").fetchone()[0])


def _answer_soon(connection: Any, question: bytes, seconds: float) -> list[str] | None:
    """Return the row that answers *question*; None where none comes in so many seconds. Raises what is said instead."""
    from psycopg.errors import error_from_result

    pgconn, end = connection.pgconn, time.monotonic() + seconds
    pgconn.send_query(question)
    with selectors.DefaultSelector() as arrivals:
        arrivals.register(pgconn.socket, selectors.EVENT_READ)
        while pgconn.is_busy():  # what comes first may be no answer yet: a ticket of TLS
            if not arrivals.select(max(0.0, end - time.monotonic())):
                return None
            pgconn.consume_input()
    result = pgconn.get_result()
    while pgconn.get_result() is not None:
        pass
    if result is None:
        return None
    if result.ntuples != 1:
        raise error_from_result(result)
    return [(result.get_value(0, column) or b"").decode() for column in range(result.nfields)]
