"""Statements of one transaction, sent to PostgreSQL without a pause between them.

A statement there costs more on the way than in the database, so those whose answers the next ones do not need go off
together (the driver's pipeline mode) and are looked at when all of them are done. On the other databases, which have no
such thing, each is looked at as it runs.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import lru_cache
from types import TracebackType
from typing import Any

from trackers.sql.statements import Statement

Look = Callable[[Any], None]
"""What looks at the answer of a statement, and raises where it is not what it should be."""

_HELD = {"sqlite": "", "postgresql": " FOR NO KEY UPDATE", "mysql": " FOR UPDATE"}


class Batch:
    """Statements on *connection*, the driver's own; inside ``with`` PostgreSQL's go off together.

    An answer is looked at before the ``with`` block is over, in the order of the statements. Where one of them fails,
    what was wrong before it is raised instead: the transaction is rolled back then.
    """

    def __init__(self, dialect: str, connection: Any) -> None:
        self.dialect = dialect
        self._connection = connection
        self._stack = ExitStack()
        self._together = False
        self._open: list[tuple[Any, Look | None]] = []

    def __enter__(self) -> Batch:
        if self.dialect == "postgresql" and _has_pipeline():
            self._stack.enter_context(self._connection.pipeline())
            self._together = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._together = False
        try:
            self._stack.__exit__(kind, exc, trace)
        except Exception as failure:
            exc = failure
            raise
        finally:
            opened, self._open = self._open, []
            if opened and not self._connection.closed:
                if exc is not None:
                    self._connection.rollback()  # one that has failed answers nothing more
                self._look(opened)

    def run(
        self, statement: Statement, rows: Sequence[Sequence[Any]], look: Callable[[int], None] | None = None
    ) -> None:
        """Run *statement* for *rows* (nothing where there are none); *look* gets how many rows of the table it wrote."""
        if not rows:
            return
        cursor = self._connection.cursor()
        statement.start(self.dialect, cursor, rows)
        self._started(cursor, None if look is None else lambda found: look(found.rowcount))

    def ask(self, text: str, values: Sequence[Any], look: Callable[[list[Any]], None]) -> None:
        """Run a query; *look* gets its rows. *text* is as that of ``execute``."""
        self._started(self._execute(text, values), lambda found: look(found.fetchall()))

    def execute(self, text: str, values: Sequence[Any], look: Callable[[int], None] | None = None) -> None:
        """Run one statement, with ``?`` for its values; ``{held}`` holds the rows it reads until the transaction ends."""
        self._started(self._execute(text, values), None if look is None else lambda found: look(found.rowcount))

    def fetch(self, text: str, values: Sequence[Any]) -> list[Any]:
        """Run a query and wait for its rows, and so for all that was sent before it."""
        cursor = self._execute(text, values)
        try:
            return list(cursor.fetchall())
        finally:
            cursor.close()

    def _execute(self, text: str, values: Sequence[Any]) -> Any:
        text = text.replace("{held}", _HELD[self.dialect])
        cursor = self._connection.cursor()
        cursor.execute(text if self.dialect == "sqlite" else text.replace("?", "%s"), values)
        return cursor

    def _started(self, cursor: Any, look: Look | None) -> None:
        if self._together:
            self._open.append((cursor, look))
            return
        self._look([(cursor, look)])

    def _look(self, opened: Sequence[tuple[Any, Look | None]]) -> None:
        for cursor, look in opened:
            if look is not None and (self.dialect != "postgresql" or cursor.pgresult is not None):
                look(cursor)
            cursor.close()


@lru_cache(maxsize=1)
def _has_pipeline() -> bool:
    from psycopg import Pipeline

    # The driver logs a second time, on everybody's terminal, what it raises to us when a connection is lost.
    logging.getLogger("psycopg").addFilter(lambda record: "error ignored terminating" not in str(record.msg))
    return bool(Pipeline.is_supported())
