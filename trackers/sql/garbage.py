"""What may go for good: rows of what was deleted long ago, and files that nothing refers to.

Every function that writes is one transaction of the store's writer. Files go in two steps: `mark` notes what nothing
refers to, and `sweep` deletes what was noted long enough ago and is still not referred to. While `sweep` looks and
deletes, no other transaction can add a row of ``blobs``, so that whoever refers to a file is seen, or comes after.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    delete,
    func,
    literal,
    not_,
    or_,
    select,
    text,
    update,
)

from trackers.clock import now_us
from trackers.errors import ArtifactError
from trackers.names import LONGEST
from trackers.sql import tables as t
from trackers.sql.blobs import REFERRING, is_needed, is_reachable, unreferenced
from trackers.sql.registry import source_by_uid
from trackers.sql.upsert import insert_new
from trackers.states import RunState

_BATCH = 500
_REMOVED = " (removed)"
RUNNING_GRACE = 30 * 86_400 * 1_000_000
"""Microseconds for which a deleted run that is not known to have ended stays, whatever grace is asked for."""


@dataclass(slots=True)
class Doomed:
    """What goes of one experiment: *runs* of it, and the *files* that only they refer to, of *bytes* in all.

    *whole*: the experiment itself goes too. *kept* are runs that stay, without their files, for registered versions.
    """

    experiment_id: int
    name: str
    kind: str
    whole: bool
    runs: int = 0
    kept: int = 0
    files: int = 0
    bytes: int = 0


@dataclass(slots=True)
class Swept:
    """What a step of `sweep` did: *kept* were stored again not long ago, *failed* say why they could not be deleted."""

    files: int = 0
    bytes: int = 0
    kept: int = 0
    failed: list[str] = field(default_factory=list)


# --- rows of what was deleted -------------------------------------------------------------------------------------


def _gone_experiments(cutoff: int) -> Select[int]:
    return select(t.experiments.c.id).where(t.experiments.c.deleted_at <= cutoff)


def _is_expired(cutoff: int) -> ColumnElement[bool]:
    """Return the condition that a run was deleted by *cutoff*, by itself or with its experiment, and is not pinned.

    One that never ended may still be logged to, and has the usual grace in any case.
    """
    ended = and_(t.runs.c.state != int(RunState.RUNNING), _was_deleted(cutoff))
    return and_(or_(ended, _was_deleted(min(cutoff, now_us() - RUNNING_GRACE))), not_(_is_pinned()))


def _is_pinned() -> ColumnElement[bool]:
    return select(t.pins.c.target).where(t.pins.c.kind == "run", t.pins.c.target == t.runs.c.uid).exists()


def _was_deleted(cutoff: int) -> ColumnElement[bool]:
    r = t.runs.c
    by_itself = and_(r.deleted_at.is_not(None), r.deleted_at <= cutoff)  # never NULL: "not deleted" is asked, too
    return or_(by_itself, r.experiment_id.in_(_gone_experiments(cutoff)))


def _has_needed_model() -> ColumnElement[bool]:
    return select(t.models.c.uid).where(t.models.c.run_id == t.runs.c.id, is_needed()).exists()


def remove_runs(connection: Connection, cutoff: int, limit: int) -> int:
    """Delete at most *limit* runs that were deleted by *cutoff*, the highest numbers first; return how many.

    What a registered or pinned model came from stays; a child that stays loses its parent.
    """
    r = t.runs.c
    connection.execute(_gone_experiments(cutoff).with_for_update()).all()  # nobody restores one in the meantime
    query = select(r.id).where(_is_expired(cutoff), not_(_has_needed_model()))
    query = query.order_by(r.experiment_id, r.number.desc(), r.id.desc()).limit(limit)
    ids = list(connection.execute(query.with_for_update(of=t.runs)).scalars())
    connection.execute(select(t.models.c.uid).where(t.models.c.run_id.in_(ids)).with_for_update()).all()
    # Looked at again now that nobody can register one of these models any more.
    ids = list(connection.execute(select(r.id).where(r.id.in_(ids), not_(_has_needed_model()))).scalars())
    connection.execute(update(t.runs).where(r.parent_id.in_(ids), r.id.not_in(ids)).values(parent_id=None))
    connection.execute(delete(t.runs).where(r.id.in_(ids)))
    return len(ids)


def strip_runs(connection: Connection, cutoff: int) -> int:
    """Delete files, checkpoints, logs and other models of runs that stay for a model's sake; return how many those are."""
    kept = select(t.runs.c.id).where(_is_expired(cutoff), _has_needed_model())
    for table in (t.artifacts, t.checkpoints, t.logs):
        connection.execute(delete(table).where(table.c.run_id.in_(kept)))
    m = t.models.c
    others = connection.execute(select(m.uid).where(m.run_id.in_(kept), not_(is_needed()))).scalars().all()
    for start in range(0, len(others), _BATCH):
        connection.execute(delete(t.models).where(m.uid.in_(others[start : start + _BATCH]), not_(is_needed())))
    return int(connection.execute(select(func.count()).select_from(kept.subquery())).scalar_one())


def remove_experiments(connection: Connection, cutoff: int) -> int:
    """Delete the experiments that were deleted by *cutoff* and have no run left; return how many.

    A study whose runs stay for a model's sake is a study no longer, since its trials are not all there: it becomes an
    experiment ``NAME (removed)``, and they go by their uids.
    """
    e = t.experiments.c
    held = list(connection.execute(_gone_experiments(cutoff).with_for_update()).scalars())
    removed = 0
    for experiment_id in held:
        going = select(t.runs.c.id).where(t.runs.c.experiment_id == experiment_id, _is_expired(cutoff))
        left = select(t.runs.c.id).where(t.runs.c.experiment_id == experiment_id)
        if connection.execute(left.limit(1)).first() is None:
            connection.execute(delete(t.experiments).where(e.id == experiment_id))
            removed += 1
        elif connection.execute(going.where(not_(_has_needed_model())).limit(1)).first() is None:
            _end_study(connection, experiment_id)
    return removed


def _end_study(connection: Connection, experiment_id: int) -> None:
    e, r, v, parent = t.experiments.c, t.runs.c, t.model_versions.c, t.runs.alias()
    query = select(e.name).where(e.id == experiment_id, e.kind == "study").with_for_update()
    name = connection.execute(query).scalar()
    if name is None:
        return  # it was none, or is one no more
    sources = select(v.model_id, v.version, v.source, r.uid, parent.c.uid).select_from(t.model_versions)
    sources = sources.join(t.runs, r.id == v.run_id).outerjoin(parent, parent.c.id == r.parent_id)
    for model_id, version, source, uid, parent_uid in connection.execute(
        sources.where(r.experiment_id == experiment_id)
    ).all():
        mine = update(t.model_versions).where(v.model_id == model_id, v.version == version)
        connection.execute(mine.values(source=source_by_uid(source, uid, parent_uid)))
    connection.execute(delete(t.studies).where(t.studies.c.id == experiment_id))
    connection.execute(update(t.runs).where(r.experiment_id == experiment_id).values(number=None))
    change = update(t.experiments).where(e.id == experiment_id)
    connection.execute(change.values(kind="experiment", name=removed_name(name)))


def removed_name(name: str) -> str:
    """Return what a study is called of which only what versions need is left."""
    return name[: LONGEST - len(_REMOVED)] + _REMOVED


def forget_dropped(connection: Connection, cutoff: int) -> None:
    """Forget the names of files of models that were dropped by *cutoff*, and data sets that no run has read."""
    m = t.models.c
    dropped = select(m.uid).where(m.deleted_at <= cutoff, not_(is_needed()))
    connection.execute(delete(t.model_files).where(t.model_files.c.model_uid.in_(dropped)))
    hold_alone(connection, "datasets")
    read = select(t.inputs.c.dataset_id).where(t.inputs.c.dataset_id == t.datasets.c.id)
    connection.execute(delete(t.datasets).where(not_(read.exists())))


def forget_launches(connection: Connection, cutoff: int) -> None:
    """Delete the launches from before *cutoff* that no attempt and no study names, with code and environments of nobody.

    A process notes its launch first and names it when it starts a run: that is why a young one stays.
    """
    n = t.launches.c
    attempt = select(t.attempts.c.run_id).where(t.attempts.c.launch_id == n.id)
    study = select(t.studies.c.id).where(t.studies.c.launch_id == n.id)
    hold_alone(connection, "launches")
    old = delete(t.launches).where(n.created_at <= cutoff)
    connection.execute(old.where(not_(attempt.exists()), not_(study.exists())))
    for table, column in ((t.code_versions, n.code_id), (t.environments, n.environment_id)):
        used = select(n.id).where(column == table.c.id)
        connection.execute(delete(table).where(table.c.created_at <= cutoff, not_(used.exists())))


def hold_alone(connection: Connection, table: str) -> None:
    """Keep other transactions from adding rows to *table* until this one ends; SQLite has but one writer anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"LOCK TABLE {t.PREFIX}{table} IN SHARE ROW EXCLUSIVE MODE"))
    elif connection.dialect.name == "mysql":
        # Who refers to a row locks it: none gets a new reference now. Rows that are new are of no concern.
        connection.execute(text(f"SELECT count(*) FROM {t.PREFIX}{table} FOR UPDATE"))


# --- what would go -----------------------------------------------------------------------------------------------


def forecast(connection: Connection, cutoff: int) -> list[Doomed]:
    """Return what `remove_runs` and its mates would take, by experiment."""
    r, e = t.runs.c, t.experiments.c
    found = {
        row.id: Doomed(row.id, row.name, row.kind, row.deleted_at is not None and row.deleted_at <= cutoff)
        for row in connection.execute(
            select(e.id, e.name, e.kind, e.deleted_at).where(
                or_(e.deleted_at <= cutoff, e.id.in_(select(r.experiment_id).where(_is_expired(cutoff))))
            )
        )
    }
    needed = _has_needed_model()
    for experiment_id, is_kept, count in connection.execute(
        select(r.experiment_id, needed, func.count()).where(_is_expired(cutoff)).group_by(r.experiment_id, needed)
    ):
        line = found[experiment_id]
        line.runs, line.kept = (line.runs, count) if is_kept else (count, line.kept)
    staying = select(r.experiment_id, func.count()).where(not_(and_(_is_expired(cutoff), not_(needed))))
    for experiment_id, _ in connection.execute(staying.group_by(r.experiment_id)):
        if experiment_id in found:
            found[experiment_id].whole = False
    for digest, (experiment_id, size) in _files_going(connection, cutoff).items():
        del digest
        found[experiment_id].files += 1
        found[experiment_id].bytes += size
    return sorted(found.values(), key=lambda line: (-line.bytes, -line.runs, line.experiment_id))


def never_ended(connection: Connection, cutoff: int) -> tuple[int, int | None]:
    """Return how many runs that were deleted by *cutoff* stay since they never ended, and until when the last of them."""
    r, e = t.runs.c, t.experiments.c
    deleted = func.coalesce(r.deleted_at, e.deleted_at)
    runs = select(func.count(), func.max(deleted)).select_from(t.runs).join(t.experiments, e.id == r.experiment_id)
    stays = (_was_deleted(cutoff), not_(_was_deleted(now_us() - RUNNING_GRACE)), not_(_is_pinned()))
    count, last = connection.execute(runs.where(r.state == int(RunState.RUNNING), *stays)).one()
    return count, None if last is None else last + RUNNING_GRACE


def _files_going(connection: Connection, cutoff: int) -> dict[str, tuple[int, int]]:
    """Return the files that only what goes refers to: digest -> (one experiment that has it, its size)."""
    r, b, m = t.runs.c, t.blobs.c, t.models.c
    by_run = [
        (table, select(table.c.digest, r.experiment_id, b.size).select_from(table).join(t.runs, r.id == table.c.run_id))
        for table in (t.artifacts, t.checkpoints)
    ]
    files = t.model_files
    of_models = (
        select(files.c.digest, r.experiment_id, b.size).select_from(files).join(t.models, m.uid == files.c.model_uid)
    )
    of_models = of_models.join(t.runs, r.id == m.run_id)
    expired = _is_expired(cutoff)
    going: dict[str, tuple[int, int]] = {}
    for table, query in by_run:
        rows = query.join(t.blobs, b.digest == table.c.digest).where(expired)
        going |= {digest: (experiment, size) for digest, experiment, size in connection.execute(rows)}
    rows = of_models.join(t.blobs, b.digest == files.c.digest).where(expired, not_(is_needed()))
    going |= {digest: (experiment, size) for digest, experiment, size in connection.execute(rows)}
    return {digest: going[digest] for digest in _without_stayers(connection, cutoff, sorted(going))}


def _without_stayers(connection: Connection, cutoff: int, digests: Sequence[str]) -> Iterable[str]:
    r, m, files = t.runs.c, t.models.c, t.model_files.c
    expired = _is_expired(cutoff)
    for start in range(0, len(digests), _BATCH):
        batch = digests[start : start + _BATCH]
        stays: set[str] = set()
        for column in REFERRING:
            query = select(column).where(column.in_(batch))
            if column.table in (t.artifacts, t.checkpoints):
                query = query.join(t.runs, r.id == column.table.c.run_id).where(not_(expired))
            elif column.table is t.model_files:
                query = query.join(t.models, m.uid == files.model_uid).join(t.runs, r.id == m.run_id)
                query = query.where(or_(is_needed(), and_(m.deleted_at.is_(None), not_(expired))))
            stays.update(connection.execute(query.distinct()).scalars())
        pinned = select(t.pins.c.target).where(t.pins.c.kind == "file", t.pins.c.target.in_(batch))
        stays.update(connection.execute(pinned).scalars())
        yield from (digest for digest in batch if digest not in stays)


# --- files -------------------------------------------------------------------------------------------------------


def mark(connection: Connection, orphans: Iterable[tuple[str, int]], now: int) -> None:
    """Note at *now* what nothing refers to, and forget what something refers to again.

    *orphans* are files (digest, size) of the artifact store that ``blobs`` does not name.
    """
    g, b = t.garbage.c, t.blobs.c
    connection.execute(delete(t.garbage).where(is_reachable(g.digest)))
    noted = select(g.digest).where(g.digest == b.digest).exists()
    new = select(b.digest, b.size, literal(now)).where(not_(noted), not_(is_reachable(b.digest)))
    insert_new(connection, t.garbage, new)  # another gc may note the same at once
    sizes = dict(orphans)
    digests = sorted(sizes)
    for start in range(0, len(digests), _BATCH):
        batch = digests[start : start + _BATCH]
        free = unreferenced(connection, batch)
        free.difference_update(connection.execute(select(g.digest).where(g.digest.in_(batch))).scalars())
        if free:
            rows = [{"digest": digest, "size": sizes[digest], "marked_at": now} for digest in sorted(free)]
            insert_new(connection, t.garbage, rows)


def find_orphans(connection: Connection, digests: Sequence[str]) -> list[str]:
    """Return those of *digests* that ``blobs`` does not name."""
    known = set(connection.execute(select(t.blobs.c.digest).where(t.blobs.c.digest.in_(digests))).scalars())
    return [digest for digest in digests if digest not in known]


def unreachable(connection: Connection) -> tuple[int, int]:
    """Return how many rows of ``blobs`` nothing refers to, and their bytes."""
    b = t.blobs.c
    query = select(func.count(), func.coalesce(func.sum(b.size), 0)).where(not_(is_reachable(b.digest)))
    count, size = connection.execute(query).one()
    return int(count), int(size)


def waiting(connection: Connection, cutoff: int) -> tuple[int, int, int | None]:
    """Return how many marked files were marked after *cutoff*, their bytes, and when the first of them was."""
    g = t.garbage.c
    query = select(func.count(), func.coalesce(func.sum(g.size), 0), func.min(g.marked_at))
    count, size, first = connection.execute(query.where(g.marked_at > cutoff)).one()
    return int(count), int(size), first


def ripe_now(connection: Connection, cutoff: int) -> tuple[int, int, int | None]:
    """Return how many files that were marked by *cutoff* are still unreachable, their bytes, and when the next one was marked."""
    g = t.garbage.c
    query = select(func.count(), func.coalesce(func.sum(g.size), 0)).where(g.marked_at <= cutoff)
    count, size = connection.execute(query.where(not_(is_reachable(g.digest)))).one()
    first = connection.execute(select(func.min(g.marked_at)).where(g.marked_at > cutoff)).scalar()
    return int(count), int(size), first


def ripe(connection: Connection, cutoff: int, after: str, limit: int) -> list[str]:
    """Return at most *limit* files that were marked by *cutoff*, by digest, behind *after*."""
    g = t.garbage.c
    query = select(g.digest).where(g.marked_at <= cutoff, g.digest > after).order_by(g.digest).limit(limit)
    return list(connection.execute(query).scalars())


def sweep(connection: Connection, digests: Sequence[str], remove: Callable[[str], bool]) -> Swept:
    """Delete those of *digests* that are still marked and not referred to; *remove* deletes a file and tells whether it is gone."""
    g, b = t.garbage.c, t.blobs.c
    hold_alone(connection, "blobs")
    marked = {row.digest: row.size for row in connection.execute(select(t.garbage).where(g.digest.in_(digests)))}
    free = unreferenced(connection, list(marked))
    done, gone = Swept(), []
    for digest in sorted(free):
        try:
            if remove(digest):
                gone.append(digest)
            else:
                done.kept += 1
        except ArtifactError as exc:
            done.failed.append(str(exc))
    named = or_(*(select(column).where(column == b.digest).exists() for column in REFERRING))
    connection.execute(delete(t.blobs).where(b.digest.in_(gone), not_(named)))
    connection.execute(delete(t.garbage).where(g.digest.in_([*gone, *(marked.keys() - free)])))
    done.files, done.bytes = len(gone), sum(marked[digest] for digest in gone)
    return done
