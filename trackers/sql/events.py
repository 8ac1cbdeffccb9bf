"""The recorded order of a study's events."""

from __future__ import annotations

from sqlalchemy import Connection, select

from trackers.sql import tables as t
from trackers.values import Event, to_datetime


def read(connection: Connection, study_id: int, since: int, limit: int) -> list[Event]:
    """Return at most *limit* events of a study with a sequence number over *since*, in order."""
    c = t.events.c
    query = select(c.seq, c.kind, c.number, c.data, c.time)
    query = query.where(c.study_id == study_id, c.seq > since).order_by(c.seq).limit(limit)
    found = []
    for seq, kind, number, data, time in connection.execute(query):
        moment = to_datetime(time)
        assert moment is not None  # the column is never NULL
        found.append(Event(seq, kind, number, data, moment))
    return found
