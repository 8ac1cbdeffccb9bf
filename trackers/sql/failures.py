"""What the drivers raise, said in one sentence each."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.exc import DBAPIError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from trackers.errors import InvalidValueError, StoreAwayError, StoreError, TrackersError
from trackers.sql.address import Address, lies_read_only

_LITE = (
    ("is not a database", "the file {store} is not a database: name another file"),
    ("malformed", "the database {store} is damaged: restore a copy, or repair it with sqlite3's .recover"),
    ("readonly", "the database {store} is read-only: make the file and its folder writable, or use a copy"),
    ("disk is full", "the disk of the store {store} is full: free some space and try again"),
    ("disk i/o error", "the disk of the store {store} cannot be read or written: check it"),
    ("locked", "the database {store} is locked by another process: wait until it is done, or end it"),
    ("busy", "the database {store} is locked by another process: wait until it is done, or end it"),
    (
        "unable to open",
        "the file {store} cannot be opened: check that it exists, who may read it, and who may write to its folder",
    ),
)
_MIXED_UP = ("26000", "42P05")
_PG = {
    "53100": "the disk of the server is full: free some space and try again ({store})",
    "53300": "the server, or the pool in front of it, has no connection left: raise max_connections (or the size of the "
    "pool), or close some clients ({store})",
    "25006": "the server is read-only: connect to the primary ({store})",
    "28P01": "the server refuses the password: check the user and the password in the URL {store}",
    "28000": "the server refuses the user: check the user in the URL {store}",
    "3D000": "the server has no such database: create it first (createdb), or check the URL {store}",
    "42501": "the user may not do that in this database: grant it the rights on the schema ({store})",
    **dict.fromkeys(
        _MIXED_UP,
        "a pooler in front of the server mixes up what its clients prepared: use its session mode, or connect to the "
        "server itself ({store})",
    ),
    "55P03": "another process holds a lock in the store for too long: wait until it is done, or end it ({store})",
}
_PG_WORDS = (
    ("too many", "53300"),  # of a role, too
    ("password", "28P01"),
    ("role ", "28000"),
    ("pg_hba", "28000"),
    ("query_wait_timeout", "53300"),
    ("no more connections", "53300"),
    ("remaining connection slots", "53300"),
    ("the database system is", "57P03"),
)
"""A connection that is refused has no code, or a pooler's only one, and words."""

_READ_ONLY = frozenset({"25006", 1290, 1792, 1836})
_DENIED = frozenset({"42501", 1044, 1142})
_RETRY = frozenset({"40001", "40P01"})

DUPLICATE = 1062
CHANGED = 1412
"""MariaDB: a table was made after the snapshot in which it is read."""
TOO_LARGE = 1153
_MARIADB = {
    1021: "the disk of the server is full: free some space and try again ({store})",
    1114: "the disk of the server is full, or a table is: free some space and try again ({store})",
    1040: "the server has no connection left: raise max_connections, or close some clients ({store})",
    1203: "the server has no connection left for this user: close some clients ({store})",
    1290: "the server is read-only: connect to the primary ({store})",
    1792: "the connection is for reading only: the store's writer is the one that writes ({store})",
    1836: "the server is read-only: connect to the primary ({store})",
    1045: "the server refuses the user or the password: check both in the URL {store}",
    1698: "the server refuses the user: check the user in the URL {store}",
    1044: "the user may not use this database: grant it the rights on it ({store})",
    1049: "the server has no such database: create it first (CREATE DATABASE), or check the URL {store}",
    1142: "the user may not do that in this database: grant it the rights on it ({store})",
    1419: "the user may not make triggers: grant it the right, or set log_bin_trust_function_creators ({store})",
    1205: "another process holds a lock in the store for too long: wait until it is done, or end it ({store})",
    1146: "a table of the store is missing: restore a copy of it ({store})",
}
_MARIADB_LOST = frozenset({0, 1053, 1080, 1152, 1158, 1159, 1160, 1161, 1927, 2002, 2003, 2006, 2013, 2014, 2055, 4031})
"""The connection or the server is gone; 0 is the driver's for a connection it has closed."""
_MARIADB_VALUES = frozenset({1153, 1264, 1265, 1366, 1367, 1406, 1300, 3140})
_MARIADB_RULES = frozenset({1048, 1062, 1451, 1452, 1216, 1217, 1364, 1557, 1569, 1586, 4025, 3819})
_MARIADB_DEADLOCK = 1213


class OfOneError(TrackersError):
    """The database did not take one entry in time, or from this user, and may take those behind it."""


def cause_of(exc: BaseException) -> BaseException:
    """Return the driver's own error inside SQLAlchemy's."""
    return exc.orig if isinstance(exc, DBAPIError) and exc.orig is not None else exc


def is_driver_error(exc: BaseException) -> bool:
    """Tell whether *exc* comes from the database or its driver."""
    cause = cause_of(exc)
    names = {f"{kind.__module__.partition('.')[0]}.{kind.__name__}" for kind in type(cause).__mro__}
    return isinstance(cause, (sqlite3.Error, SQLAlchemyError)) or not names.isdisjoint(
        {"psycopg.Error", "pymysql.Error"}
    )


def number_of(exc: BaseException) -> int | None:
    """Return the number of an error of MariaDB or MySQL, None for any other."""
    cause = cause_of(exc)
    if type(cause).__module__.partition(".")[0] != "pymysql" or not cause.args:
        return None
    return cause.args[0] if isinstance(cause.args[0], int) else None


def is_lost(exc: BaseException) -> bool:
    """Tell whether MariaDB or its driver says that the connection is gone."""
    return number_of(exc) in _MARIADB_LOST


def is_everyones(exc: BaseException) -> bool:
    """Tell whether *exc* is about the database itself (gone, full, locked), not about what was written."""
    if isinstance(exc, StoreError):
        return True
    cause = cause_of(exc)
    if isinstance(cause, sqlite3.Error):
        text = str(cause).lower()
        return any(word in text for word, _ in _LITE)
    number = number_of(exc)
    if number is not None:
        return number in _MARIADB or number in _MARIADB_LOST
    state = _state(cause)
    if state is not None:
        return state[:2] in {"08", "53", "57", "58", "XX"} or state in {"25006", "42501", "55P03", *_MIXED_UP}
    return is_driver_error(cause) and type(cause).__name__ in {"OperationalError", "InterfaceError", "AdminShutdown"}


def is_away(exc: BaseException) -> bool:
    """Tell whether the database may be there in a while: its server is gone, or another process holds it."""
    if isinstance(exc, StoreError):
        return isinstance(exc, StoreAwayError)
    cause = cause_of(exc)
    if isinstance(cause, sqlite3.Error):
        return any(word in str(cause).lower() for word in ("locked", "busy"))
    number = number_of(exc)
    if number is not None:
        return number in _MARIADB_LOST or number in {1040, 1203, 1205}
    state = _state(cause)
    if state is not None:
        return state[:2] in {"08", "57"} or state in {"53300", "55P03"}
    return is_driver_error(cause) and type(cause).__name__ in {"OperationalError", "InterfaceError", "AdminShutdown"}


def why_not_written(exc: TrackersError) -> str:
    """Return ``"read-only"`` where the server takes no writes, ``"denied"`` where this user may not; else ``""``."""
    if exc.__cause__ is None:
        return ""
    code = number_of(exc.__cause__) or _state(cause_of(exc.__cause__))
    return "read-only" if code in _READ_ONLY else "denied" if code in _DENIED else ""


def may_be_of_one(exc: BaseException) -> bool:
    """Tell whether one part of a transaction may have failed all of it: it took too long, or its user may not do it."""
    return (number_of(exc) or _state(cause_of(exc))) in {"57014", *_DENIED}


def is_slow(exc: BaseException) -> bool:
    """Tell whether the server ended a statement that took too long."""
    return _state(cause_of(exc)) == "57014"


def is_unreachable(exc: BaseException) -> bool:
    """Tell whether the server did not answer at all, not even with a refusal."""
    number, cause = number_of(exc), cause_of(exc)
    if number is not None:
        return number in _MARIADB_LOST
    return (_state(cause) or "08")[:2] == "08" and "FATAL:" not in str(cause)


def is_value_error(exc: BaseException) -> bool:
    """Tell whether a value is too large or too long for its column, or not what the column holds."""
    cause = cause_of(exc)
    if isinstance(cause, (OverflowError, UnicodeError)) or number_of(exc) in _MARIADB_VALUES:
        return True
    return (_state(cause) or "").startswith("22")


def may_retry(exc: BaseException) -> bool:
    """Tell whether the same transaction may succeed when it is tried again (a deadlock)."""
    return _state(cause_of(exc)) in _RETRY or number_of(exc) == _MARIADB_DEADLOCK


def is_integrity(exc: BaseException) -> bool:
    """Tell whether a constraint of the schema refused what was written."""
    cause = cause_of(exc)
    if isinstance(cause, sqlite3.IntegrityError) or number_of(exc) in _MARIADB_RULES:
        return True
    return (_state(cause) or "").startswith("23")


def _state(cause: BaseException) -> str | None:
    if number_of(cause) is not None:
        return None  # the states of MariaDB say less than its numbers
    state = getattr(cause, "sqlstate", None)
    text, state = str(cause), state if isinstance(state, str) else None
    if state not in {None, "08P01"} or (state is None and "FATAL:" not in text):  # a pooler has one for all it says
        return state
    if 'database "' in text and "does not exist" in text:
        return "3D000"
    return next((code for word, code in _PG_WORDS if word in text), state)


def translate(exc: BaseException, address: Address) -> TrackersError:
    """Return *exc* as an error of ours: one sentence, no SQL, no password."""
    for own in (exc, getattr(exc, "orig", None)):  # a value that no column of ours takes: raised while it was bound
        if isinstance(own, TrackersError):
            return own
    if is_value_error(exc):
        return InvalidValueError(f"a value does not fit in the store: {_first_line(cause_of(exc), address)}")
    cause = cause_of(exc)
    kind = StoreAwayError if is_away(exc) else StoreError
    if isinstance(cause, sqlite3.Error):
        return _of_sqlite(cause, address, kind)
    if isinstance(cause, (NoSuchModuleError, ImportError)):
        if address.dialect == "mysql":
            return StoreError("the driver of MariaDB and MySQL is not installed: pip install 'hpo[mysql]'")
        return StoreError("the driver of PostgreSQL is not installed: pip install 'hpo[postgres]'")
    if isinstance(cause, PoolTimeoutError):
        return StoreError(f"every connection to the store is in use: read with fewer threads ({address.safe})")
    state, number = _state(cause), number_of(exc)
    if "statement pooling mode" in str(cause):
        return StoreError(
            f"a pooler in statement mode lets no transaction through: use its transaction or session mode ({address.safe})"
        )
    if "conflict with recovery" in str(cause):
        return StoreAwayError(
            "the standby took back what was being read: raise its max_standby_streaming_delay, or set "
            f"hot_standby_feedback = on ({address.safe})"
        )
    if any(words in str(cause) for words in ("invalid connection option", "for connection option", "invalid sslmode")):
        return InvalidValueError(f"the URL of the store has an option that is wrong: {_first_line(cause, address)}")
    if state in _PG or number in _MARIADB:
        sentence = _PG[state] if state in _PG else _MARIADB[number or 0]
        return kind(sentence.format(store=address.safe))
    if state == "57014":
        return StoreAwayError(
            f"the server ended a statement that took longer than it allows: raise its statement_timeout ({address.safe})"
        )
    if (state is None and number is None) or number in _MARIADB_LOST or (state or "")[:2] in {"08", "57"}:
        return StoreAwayError(
            f"the store {address.safe} cannot be reached: check that the server runs and that the URL is right"
            f" ({_first_line(cause, address)})"
        )
    return StoreError(f"the store {address.safe} refused: {_first_line(cause, address)}")


def _of_sqlite(cause: sqlite3.Error, address: Address, kind: type[StoreError]) -> StoreError:
    text = str(cause).lower()
    if text.startswith("could not decode"):
        return StoreError(
            f"a text in the store {address.path} is no UTF-8: run `trackers fsck`, which says where it is"
        )
    cannot = any(word in text for word in ("unable to open", "readonly"))
    if cannot and address.path is not None and lies_read_only(address.path):
        return StoreError(
            f"the store {address.path} lies on a read-only file system: it can be read, and to write copy it to a "
            "folder that can be written"
        )
    if "disk i/o error" in text and address.path is not None and _is_full(address.path.parent):
        text = "disk is full"
    for word, sentence in _LITE:
        if word in text:
            return kind(sentence.format(store=address.path))
    return StoreError(f"the database {address.path} refused: {cause}")


def _is_full(folder: Path) -> bool:
    """Tell whether next to nothing is free where a file lies: SQLite calls that an I/O error where it maps memory."""
    try:
        return shutil.disk_usage(folder).free < _NOTHING
    except OSError:
        return False


_NOTHING = 64 * 1024
"""Bytes free with which SQLite can do nothing: a file of shared memory has 32 KiB."""


def _first_line(cause: BaseException, address: Address) -> str:
    words = cause.args[1] if number_of(cause) is not None and len(cause.args) > 1 else cause
    line = (str(words).strip().splitlines() or [type(cause).__name__])[0]
    password = address.url.password
    return line.replace(str(password), "***") if password else line


@contextmanager
def translated(address: Address) -> Iterator[None]:
    """Raise what the drivers raise as errors of ours."""
    try:
        yield
    except (SQLAlchemyError, ImportError) as exc:
        raise translate(exc, address) from exc
    except Exception as exc:
        if not is_driver_error(exc):
            raise
        raise translate(exc, address) from exc
