"""A store whose database goes away and comes back when a test says so."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import trackers
from tests.faults.proxy import proxied


class Outage:
    """A store whose database can be away: *url* is for who logs, *direct* is always there."""

    def __init__(self, url: str, direct: str, away: Callable[[], None], back: Callable[[], None]) -> None:
        self.url, self.direct, self.away, self.back = url, direct, away, back


@contextmanager
def locked(url: str) -> Iterator[Outage]:
    """Make a SQLite file that somebody else's transaction locks."""
    trackers.connect(url).close()
    holder = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None, check_same_thread=False)
    try:
        yield Outage(
            url, url, lambda: holder.execute("BEGIN IMMEDIATE") and None, lambda: holder.execute("ROLLBACK") and None
        )
    finally:
        holder.close()


@contextmanager
def cut(url: str) -> Iterator[Outage]:
    trackers.connect(url).close()
    with proxied(url) as proxy:
        yield Outage(proxy.url, url, proxy.cut, proxy.mend)
