"""What lies at a URL, looked at before other tools open it: they make what they miss, and change what they find."""

from __future__ import annotations

import os
import socket
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from sqlalchemy import NullPool, create_engine, inspect
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from trackers.errors import InvalidValueError, NotFoundError, StoreError

OURS = "trackers_store"
KINDS = {
    "MLflow": frozenset(("experiments", "runs", "registered_models")),
    "Optuna": frozenset(("studies", "trials", "version_info")),
}
"""The tables by which a database of each tool is known."""

KNOCK_SECONDS = 5.0


def check_source(url: str, kind: str, shown: str) -> None:
    """Refuse a database at *url* that is not one of *kind*, ``"MLflow"`` or ``"Optuna"``; *shown* is how it is named.

    Other URLs than a database's pass. Raises InvalidValueError, NotFoundError for a file that is not there.
    """
    tables = tables_at(url, shown)
    if tables is None or KINDS[kind] <= tables:
        return
    if OURS in tables:
        raise InvalidValueError(f"{shown} is a store of trackers itself, and holds nothing of {kind}'s")
    what = f"it has the table {min(tables)!r}" if tables else "it has no table"
    raise InvalidValueError(f"{shown} is no database of {kind}: {what}")


def check_target(url: str, kind: str, shown: str) -> None:
    """Refuse a database at *url* into which *kind* would put its tables beside others that have nothing to do with it."""
    try:
        tables = tables_at(url, shown)
    except NotFoundError:
        return
    if not tables or KINDS[kind] <= tables:
        return
    whose = "is a store of trackers itself" if OURS in tables else f"has the table {min(tables)!r}"
    raise InvalidValueError(f"{shown} {whose}: {kind} needs a database of its own")


def tables_at(url: str, shown: str) -> set[str] | None:
    """Return the tables of the database at *url*; None where *url* is no database's.

    Raises NotFoundError for a SQLite file that is not there, StoreError for a server that does not answer.
    """
    scheme, separator, _ = url.partition("://")
    if not separator or scheme.partition("+")[0] not in ("sqlite", "postgresql", "mysql", "mariadb", "mssql", "oracle"):
        return None
    try:
        place = make_url(url)
    except ArgumentError:
        return None  # who opens it says so
    if place.get_backend_name() == "sqlite":
        if place.database in (None, "", ":memory:"):
            return None
        if not os.path.isfile(str(place.database)):
            raise NotFoundError(f"there is no file {place.database}")
    try:
        engine = create_engine(place, poolclass=NullPool)
        return set(inspect(engine).get_table_names())
    except ImportError:
        return None  # a driver that is missing: who opens it says which
    except SQLAlchemyError as exc:
        why = str(getattr(exc, "orig", None) or exc).strip().splitlines()[0]
        raise StoreError(f"{shown} cannot be read: {why}") from exc


def knock(url: str, shown: str) -> None:
    """Find out quickly whether a server answers at an ``http`` URL: others try for minutes, without a word.

    Raises InvalidValueError for a port that is none. Behind a proxy nobody knocks: it is the proxy that would answer.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError as exc:
        raise InvalidValueError(f"{shown} is no URL of a server: {exc}") from exc
    if parts.scheme in getproxies() and not proxy_bypass(parts.hostname):
        return
    try:
        socket.create_connection((parts.hostname, port), timeout=KNOCK_SECONDS).close()
    except OSError as exc:
        raise StoreError(f"nothing answers at {shown} ({exc.strerror or exc})") from exc
