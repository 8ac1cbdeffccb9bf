"""Commands: messages to the manager of a study, kept in the store until it answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, insert, select

from trackers.clock import now_us
from trackers.errors import ConflictError, InvalidValueError, NotFoundError
from trackers.names import clean_name
from trackers.sql import tables as t
from trackers.values import Command, to_datetime


def send(
    connection: Connection, command_id: int, study_id: int, kind: str, args: Mapping[str, Any], token: str, author: str
) -> Command:
    """Write a command and return it; one that was sent with the same *token* before is returned as it is.

    Raises NotFoundError when there is no such study and ConflictError when the token was another command's.
    """
    for what, text, longest in (("kind", kind, 32), ("token", token, 64)):
        if not 0 < len(clean_name(text, f"command's {what}")) <= longest:
            raise InvalidValueError(f"the {what} of a command may have {longest} characters, not {len(text)}")
    c = t.commands.c
    known = connection.execute(select(t.commands).where(c.token == token)).first()
    if known is not None:
        command = _command(known)
        if (command.study_id, command.kind, dict(command.args)) != (study_id, kind, dict(args)):
            raise ConflictError(f"the token {token!r} was used for another command ({command.kind}): choose a new one")
        return command
    if connection.execute(select(t.studies.c.id).where(t.studies.c.id == study_id)).first() is None:
        raise NotFoundError(f"there is no study with the id {study_id} in this store")
    values = {"id": command_id, "study_id": study_id, "token": token, "kind": kind, "args": dict(args)}
    connection.execute(insert(t.commands).values(**values, author=author, created_at=now_us()))
    return read(connection, command_id)


def read(connection: Connection, command_id: int) -> Command:
    """Return a command; raises NotFoundError."""
    row = connection.execute(select(t.commands).where(t.commands.c.id == command_id)).first()
    if row is None:
        raise NotFoundError(f"there is no command {command_id} in this store")
    return _command(row)


def unanswered(connection: Connection, study_id: int) -> list[Command]:
    """Return the commands of a study that nobody has answered, oldest first."""
    c = t.commands.c
    query = select(t.commands).where(c.study_id == study_id, c.answered_at.is_(None)).order_by(c.id)
    return [_command(row) for row in connection.execute(query)]


def _command(row: Any) -> Command:
    created_at = to_datetime(row.created_at)
    assert created_at is not None  # the column is never NULL
    return Command(
        row.id,
        row.study_id,
        row.token,
        row.kind,
        row.args,
        row.author,
        created_at,
        to_datetime(row.answered_at),
        row.answer,
    )
