"""Revisions on MariaDB and MySQL, where each change of the schema commits by itself.

A revision whose process was killed begins again at its first operation, and what has been done is passed over. What a
revision writes into rows must come to the same when it is written twice.
"""

from __future__ import annotations

from typing import Any

from alembic.ddl.mysql import MySQLImpl
from alembic.runtime.migration import MigrationContext
from sqlalchemy.exc import DBAPIError

from trackers.sql.failures import number_of

_DONE = frozenset({1050, 1051, 1060, 1061, 1091, 1826})
"""A table, column, index or key that is made is there, one that is dropped is not."""


class RestartableImpl(MySQLImpl):
    """Alembic's operations, which count as done where the database says that they are.

    It is not registered with alembic: others who use alembic in this process keep its own.
    """

    def _exec(self, *args: Any, **kwargs: Any) -> Any:  # what each of alembic's own adapts
        try:
            return super()._exec(*args, **kwargs)
        except DBAPIError as exc:
            if number_of(exc) not in _DONE:
                raise
            return None


def make_restartable(context: MigrationContext) -> None:
    """Let the operations of *context* be run again."""
    context.impl = RestartableImpl(context.dialect, context.connection, False, None, None, context.opts)
