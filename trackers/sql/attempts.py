"""Attempts of runs, read: the columns of one, and all of a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection, select

from trackers.sql import tables as t
from trackers.sql.launches import read_version
from trackers.values import Attempt, to_datetime

COLUMNS = (
    *("number", "worker", "host", "pid", "started_at", "ended_at", "outcome", "reason", "counts"),
    *("cpus", "gpus", "launch_id"),
)
"""What ``as_attempt`` takes, in its order."""


def as_attempt(row: Sequence[Any], code_of: Callable[[int], str]) -> Attempt:
    """Return an attempt by its columns; *code_of* knows the version of the code of a launch."""
    number, worker, host, pid, start, end, *rest, launch = row
    outcome, reason, counts, cpus, gpus = rest
    times = to_datetime(start), to_datetime(end)
    code = "" if launch is None else code_of(launch)
    return Attempt(number, worker, host, pid, *times, outcome, reason, counts, cpus, gpus, code=code, launch=launch)


def read_attempts(connection: Connection, run_id: int) -> list[Attempt]:
    """Return the attempts of a run, the first one first."""
    c = t.attempts.c
    rows = connection.execute(select(*(c[name] for name in COLUMNS)).where(c.run_id == run_id).order_by(c.number))
    return [as_attempt(row, lambda launch: read_version(connection, launch)) for row in rows.all()]
