"""Launches: which code, in which environment, by which call; kept once for all processes that are alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table, desc, select, update

from trackers.clock import now_us
from trackers.sql import tables as t
from trackers.sql.ids import take_block
from trackers.sql.upsert import insert_unless_there
from trackers.values import CodeVersion, Launch


@dataclass(frozen=True, slots=True)
class NewLaunch:
    """What is to be kept: digests say what is there already.

    *bundle* and *size*, *commits* and *commits_size* name files in the artifact store. Without *code_digest* nothing is
    known of the code.
    """

    digest: str
    code_digest: str | None
    version: str
    content: Mapping[str, Any]
    bundle: str | None
    size: int
    environment_digest: str
    environment: Mapping[str, Any]
    branch: str | None
    entry_point: str
    arguments: tuple[str, ...]
    commits: str | None = None
    commits_size: int = 0
    remote: str | None = None


def keep(connection: Connection, new: NewLaunch) -> int:
    """Write what is not there yet and return the id of the launch."""
    found = _find(connection, t.launches, new.digest)
    if found is not None:
        return found
    now = now_us()
    for digest, size in ((new.bundle, new.size), (new.commits, new.commits_size)):
        if digest is not None:
            insert_unless_there(connection, t.blobs, {"digest": digest, "size": size, "created_at": now})
    code = {
        "digest": new.code_digest,
        "version": new.version,
        "commit": new.content.get("commit"),
        "dirty": new.content.get("dirty"),
        "content": dict(new.content),
        "bundle": new.bundle,
        "commits": new.commits,
        "created_at": now,
    }
    code_id = None if new.code_digest is None else _keep(connection, t.code_versions, code)
    environment_id = _keep(
        connection,
        t.environments,
        {
            "digest": new.environment_digest,
            "python": str(new.environment.get("python") or "")[:64],
            "content": dict(new.environment),
            "created_at": now,
        },
    )
    return _keep(
        connection,
        t.launches,
        {
            "digest": new.digest,
            "code_id": code_id,
            "environment_id": environment_id,
            "branch": new.branch,
            "remote": new.remote,
            "entry_point": new.entry_point,
            "arguments": list(new.arguments),
            "created_at": now,
        },
    )


def _find(connection: Connection, table: Table, digest: str) -> int | None:
    found: int | None = connection.execute(select(table.c.id).where(table.c.digest == digest)).scalar()
    return found


def _keep(connection: Connection, table: Table, row: Mapping[str, Any]) -> int:
    """Return the id of the row with this digest, which another process may have made a moment ago."""
    found = _find(connection, table, row["digest"])
    if found is not None:
        return found
    new_id = take_block(connection, "ids", 1)[0]
    insert_unless_there(connection, table, {"id": new_id, **row})
    found = _find(connection, table, row["digest"])
    assert found is not None  # written just now, by this process or another
    return found


def read_launch(connection: Connection, launch_id: int | None) -> Launch | None:
    """Read a launch with its code and its environment; None where there is none."""
    if launch_id is None:
        return None
    n, c, e = t.launches.c, t.code_versions.c, t.environments.c
    query = (
        select(n.branch, n.entry_point, n.arguments, n.remote, e.content.label("environment"), n.code_id)
        .select_from(t.launches)
        .outerjoin(t.environments, e.id == n.environment_id)
        .where(n.id == launch_id)
    )
    row = connection.execute(query).first()
    if row is None:
        return None
    columns = (c.digest, c.version, c.commit, c.dirty, c.content, c.bundle, c.commits)
    code = connection.execute(select(*columns).where(c.id == row.code_id)).first()
    version = None if code is None else CodeVersion(*code)
    call = (row.branch, row.entry_point, tuple(row.arguments), row.remote)
    return Launch(launch_id, version, row.environment, *call)


def last_launch(connection: Connection, run_id: int) -> int | None:
    """Return the id of the launch of a run's newest attempt that has one."""
    a = t.attempts.c
    query = select(a.launch_id).where(a.run_id == run_id, a.launch_id.is_not(None)).order_by(desc(a.number)).limit(1)
    found: int | None = connection.execute(query).scalar()
    return found


def follow_launch(connection: Connection, run_id: int, attempt: int, launch: int) -> None:
    """Note that an attempt ran other code in the end than was known when it began."""
    a = t.attempts.c
    connection.execute(update(t.attempts).where(a.run_id == run_id, a.number == attempt).values(launch_id=launch))


def read_version(connection: Connection, launch_id: int) -> str:
    """Return the short version of the code of a launch, empty where there is none."""
    n, c = t.launches.c, t.code_versions.c
    query = select(c.version).join(t.launches, n.code_id == c.id).where(n.id == launch_id)
    return str(connection.execute(query).scalar() or "")
