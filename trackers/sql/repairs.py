"""What can be put right without asking: each repair is one transaction, and says what it did ('' for nothing)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, and_, delete, insert, select, update

from trackers.clock import now_us
from trackers.processes import host_name, user_name
from trackers.sql import registry_notes
from trackers.sql import tables as t
from trackers.sql.aliases import Move, move_alias
from trackers.sql.audit_texts import mend_text, mend_words
from trackers.sql.chunks import COLUMNS, made_again
from trackers.sql.flaw import Flaw
from trackers.sql.fold import summary, visible
from trackers.sql.history import read_series
from trackers.sql.objects import make_object
from trackers.sql.registry_history import Actor
from trackers.sql.registry_notes import Target
from trackers.states import RunState

DAMAGED = "trackers.damaged"
"""The tag of runs and versions that need a file which is damaged or gone; its value names the files."""


def repair(connection: Connection, flaw: Flaw, size_of: Callable[[str], int | None]) -> str:
    """Put *flaw* right and say how; *size_of* tells the size of a file in the artifact store, None without one."""
    found = _REPAIRS.get(flaw.check)
    if found is None or not flaw.where:
        return ""
    return found(connection, flaw.where, size_of)


_LAUNCHED = frozenset(("launch_id", "code_id", "environment_id"))


def _reference(connection: Connection, where: Mapping[str, Any], size_of: Callable[[str], int | None]) -> str:
    table = t.metadata.tables[where["table"]]
    mine = and_(*(table.c[name] == value for name, value in where["key"].items()))
    if where["parent"] == t.blobs.name:
        digest = connection.execute(select(table.c[where["columns"][0]]).where(mine)).scalar_one()
        size = size_of(digest)
        if size is None:
            return ""
        known = connection.execute(select(t.blobs.c.digest).where(t.blobs.c.digest == digest)).first()
        if known is None:
            connection.execute(insert(t.blobs).values(digest=digest, size=size, created_at=now_us()))
        return "the file is there: noted again"
    if table is t.aliases:
        return _unset_alias(connection, where)
    if table is t.runs and where["columns"] == ["parent_id"]:
        connection.execute(update(t.runs).where(mine).values(parent_id=None))
        return "it has no parent now"
    if set(where["columns"]) <= _LAUNCHED:
        connection.execute(update(table).where(mine).values(dict.fromkeys(where["columns"])))
        return "what it names is forgotten; the rest of how it was launched stays"
    if table in (t.runs, t.models, t.model_versions, t.studies):
        return ""  # what a person made is not removed for what it lacks
    if table is t.model_files and _is_registered(connection, where["key"]["model_uid"]):
        return ""  # its files would go with these rows, and somebody relies on them
    connection.execute(delete(table).where(mine))
    return "removed, since it belongs to nothing"


def _is_registered(connection: Connection, model_uid: str) -> bool:
    query = select(t.model_versions.c.version).where(t.model_versions.c.model_uid == model_uid)
    return connection.execute(query).first() is not None


def _object(connection: Connection, where: Mapping[str, Any], size_of: Callable[[str], int | None]) -> str:
    make_object(connection, where["name"])
    return "made again"


def _unset_alias(connection: Connection, where: Mapping[str, Any]) -> str:
    model_id, alias = where["key"]["model_id"], where["key"]["alias"]
    query = select(t.registered_models.c.name).where(t.registered_models.c.id == model_id)
    name = connection.execute(query).scalar()
    if name is None:
        connection.execute(delete(t.aliases).where(t.aliases.c.model_id == model_id, t.aliases.c.alias == alias))
        return "removed, since its model is not there"
    move_alias(connection, Move(name, alias, None, action="unset", force=True), _actor())
    return "the alias was unset, with a line of history: promote a version that is there"


def _actor() -> Actor:
    return Actor(user_name(), host_name(), now_us(), "repaired by fsck")


def _attempt(connection: Connection, where: Mapping[str, Any], size_of: Any) -> str:
    a, r = t.attempts.c, t.runs.c
    state = RunState(where["state"])
    ended = connection.execute(select(r.ended_at).where(r.id == where["run_id"])).scalar()
    outcome = "lost" if state is RunState.WAITING else state.name.lower()
    mine = update(t.attempts).where(a.run_id == where["run_id"], a.number == where["number"], a.ended_at.is_(None))
    connection.execute(mine.values(ended_at=ended or now_us(), outcome=outcome, reason="closed by fsck"))
    return f"the attempt was ended as {outcome}"


def _end(connection: Connection, where: Mapping[str, Any], size_of: Any) -> str:
    r, a = t.runs.c, t.attempts.c
    value = None
    if where["ended"]:
        last = (
            select(a.ended_at).where(a.run_id == where["run_id"], a.ended_at.is_not(None)).order_by(a.ended_at.desc())
        )
        value = connection.execute(last.limit(1)).scalar()
        if value is None:
            query = select(r.started_at, r.created_at).where(r.id == where["run_id"])
            started, created = connection.execute(query).one()
            value = started or created
    connection.execute(update(t.runs).where(r.id == where["run_id"]).values(ended_at=value))
    return "its end is that of its last attempt" if where["ended"] else "the time was taken away"


def _series(connection: Connection, where: Mapping[str, Any], size_of: Any) -> str:
    s = t.series.c
    count = connection.execute(select(s["count"]).where(s.id == where["series_id"])).scalar_one()
    points, sealed, gap = read_series(connection, where["series_id"])
    if gap or len(points) < count:
        return ""  # the summary is the last that is known of what is missing
    if not points:
        connection.execute(delete(t.series).where(s.id == where["series_id"]))
        return "removed, since it has no points"
    values = {**_summed_up(points), "sealed": sealed or None}
    connection.execute(update(t.series).where(s.id == where["series_id"]).values(values))
    return "the summary was made again from the points"


def _chunk(connection: Connection, where: Mapping[str, Any], size_of: Any) -> str:
    c = t.chunks.c
    mine = and_(c.series_id == where["series_id"], c.ordinal == where["ordinal"])
    whole = made_again(connection.execute(select(*(c[name] for name in COLUMNS)).where(mine)).one())
    assert whole is not None  # the flaw says so
    connection.execute(update(t.chunks).where(mine).values(dict(zip(COLUMNS, whole, strict=True))))
    return "it was made again from the points"


def _summed_up(points: Sequence[tuple[int, int, int, float]]) -> dict[str, Any]:
    columns = ("last", "last_kind", "last_step", "last_attempt", "last_time", "min", "max")
    shown = visible(points)
    told = dict(zip(columns, summary(shown), strict=True))
    hidden = len(points) - len(shown)
    return {"count": len(points), **told, "since_step": _since(points), "hidden": hidden or None}


def _since(points: Sequence[tuple[int, int, int, float]]) -> int | None:
    """Return the smallest step of the newest attempt, None where there is one attempt only."""
    newest = max(attempt for _, attempt, _, _ in points)
    if all(attempt == newest for _, attempt, _, _ in points):
        return None
    return min(step for step, attempt, _, _ in points if attempt == newest)


def _parent(connection: Connection, where: Mapping[str, Any], size_of: Any) -> str:
    connection.execute(update(t.runs).where(t.runs.c.id == where["run_id"]).values(parent_id=None))
    return "it has no parent now"


def _name(connection: Connection, where: Mapping[str, Any], size_of: Any) -> str:
    e = t.experiments.c
    name, deleted_at = connection.execute(select(e.name, e.deleted_at).where(e.id == where["id"])).one()
    if deleted_at is None and connection.execute(select(e.id).where(e.live_name == name)).first() is not None:
        return ""
    live = name if deleted_at is None else None
    connection.execute(update(t.experiments).where(e.id == where["id"]).values(live_name=live))
    return "put right"


def _counter(connection: Connection, where: Mapping[str, Any], size_of: Any) -> str:
    c = t.counters.c
    # Blocks that processes hold were taken before: a margin keeps clear of them.
    following = where["next"] + 100_000
    done = connection.execute(update(t.counters).where(c.name == where["name"]).values(next=following))
    if done.rowcount == 0:
        connection.execute(insert(t.counters).values(name=where["name"], next=following))
    return f"it goes on from {following}"


def _model_size(connection: Connection, where: Mapping[str, Any], size_of: Any) -> str:
    connection.execute(update(t.models).where(t.models.c.uid == where["uid"]).values(size=where["size"]))
    return "the size of its files was noted"


_REPAIRS: dict[str, Callable[[Connection, Mapping[str, Any], Callable[[str], int | None]], str]] = {
    "schema": _object,
    "references": _reference,
    "attempts": _attempt,
    "ends": _end,
    "series": _series,
    "sealed series": _series,
    "chunks": _chunk,
    "parents": _parent,
    "names": _name,
    "counters": _counter,
    "texts": mend_text,
    "words": mend_words,
    "model sizes": _model_size,
}


def note_size(connection: Connection, digest: str, size: int) -> None:
    """Write the true size of a file."""
    connection.execute(update(t.blobs).where(t.blobs.c.digest == digest).values(size=size))


def mark_damaged(connection: Connection, users: Sequence[Mapping[str, Any]]) -> None:
    """Tag exactly the runs and versions in *users* (see ``audit.users_of``) as damaged, and no others any more."""
    runs: dict[int, set[str]] = {}
    versions: dict[tuple[str, int], set[str]] = {}
    for user in users:
        if "run_id" in user:
            runs.setdefault(user["run_id"], set()).add(user["name"])
        if "model" in user:
            versions.setdefault((user["model"], user["version"]), set()).add(user["name"])
    connection.execute(delete(t.tags).where(t.tags.c.name == DAMAGED))
    rows = [{"run_id": run_id, "name": DAMAGED, "value": ", ".join(sorted(names))} for run_id, names in runs.items()]
    if rows:
        connection.execute(insert(t.tags), rows)
    n, v = t.registered_models.c, t.model_version_tags.c
    query = select(n.name, v.version, v.value).join(t.registered_models, n.id == v.model_id).where(v.name == DAMAGED)
    before = {(name, version): value for name, version, value in connection.execute(query)}
    for (name, version), files in versions.items():
        value = ", ".join(sorted(files))
        if before.pop((name, version), None) != value:
            registry_notes.set_tag(connection, Target(name, version), DAMAGED, value, _actor())
    for name, version in before:
        registry_notes.set_tag(connection, Target(name, version), DAMAGED, None, _actor())
