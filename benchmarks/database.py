"""An empty database for one measurement, removed after it."""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

DEFAULT_SERVER = "postgresql+psycopg://postgres@127.0.0.1:5432/postgres"
"""Where PostgreSQL is looked for; ``HPO_BENCH_POSTGRES`` names another one."""


def server() -> str:
    """Return the URL of the PostgreSQL database from which others are created."""
    return os.environ.get("HPO_BENCH_POSTGRES", DEFAULT_SERVER)


def reachable() -> bool:
    """Tell whether the PostgreSQL server answers."""
    engine = sa.create_engine(server(), connect_args={"connect_timeout": 3})
    try:
        with engine.connect():
            return True
    except sa.exc.OperationalError:
        return False
    finally:
        engine.dispose()


@contextmanager
def fresh(kind: str) -> Iterator[str]:
    """Give the URL of an empty database of *kind*: ``sqlite`` or ``postgresql``."""
    if kind == "sqlite":
        with tempfile.TemporaryDirectory(prefix="hpo-bench-") as folder:
            yield f"sqlite:///{Path(folder) / 'bench.db'}"
        return
    name = f"hpo_bench_{uuid.uuid4().hex[:12]}"
    engine = sa.create_engine(server(), isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            connection.execute(sa.text(f'CREATE DATABASE "{name}"'))
        yield engine.url.set(database=name).render_as_string(hide_password=False)
    finally:
        with engine.connect() as connection:
            connection.execute(sa.text(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'))
        engine.dispose()
