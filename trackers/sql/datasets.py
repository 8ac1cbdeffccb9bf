"""Data sets and who read them."""

from __future__ import annotations

import re

from sqlalchemy import Connection, func, or_, select

from trackers.errors import InvalidValueError, NotFoundError
from trackers.sql import tables as t
from trackers.sql.columns import escape
from trackers.values import DataSet
from trackers.wording import did_you_mean

_DIGEST = re.compile(r"[0-9a-f]{8,64}")


def read_datasets(connection: Connection, ref: str | None = None) -> list[DataSet]:
    """Read every data set, or those that *ref* names, with the number of runs that read each, newest first.

    *ref* is a name, a digest, or at least 8 digits of its start. Raises NotFoundError, which names close names.
    """
    d, i = t.datasets.c, t.inputs.c
    counted = select(func.count(i.run_id.distinct())).where(i.dataset_id == d.id).scalar_subquery()
    query = select(d.name, d.digest, d.rows, d.schema, d.source, counted).order_by(d.id.desc())
    if ref is not None:
        wanted = [d.name == escape(ref)]
        if _DIGEST.fullmatch(ref.lower()):
            low = ref.lower()
            wanted.append(d.digest.between(low, low + "g"))
        query = query.where(or_(*wanted))
    found = [DataSet(*row) for row in connection.execute(query)]
    if ref is not None and not found:
        names = connection.execute(select(d.name).distinct()).scalars().all()
        short = re.fullmatch("[0-9a-f]{1,7}", ref.lower()) is not None
        end = ": of a digest give 8 digits or more" if short else did_you_mean(ref, names)
        raise NotFoundError(f"no run read a data set {ref[:100]!r}{end}")
    return found


def runs_with(connection: Connection, digest: str, limit: int) -> list[int]:
    """Return the ids of the runs that read the data with this digest, newest first; deleted ones are left away."""
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest.lower()):
        raise InvalidValueError(f"{str(digest)[:80]!r} is no digest of data: give 8 to 64 hex digits")
    d, i, r, e = t.datasets.c, t.inputs.c, t.runs.c, t.experiments.c
    low = digest.lower()
    query = (
        select(r.id)
        .join(t.inputs, i.run_id == r.id)
        .join(t.datasets, d.id == i.dataset_id)
        .join(t.experiments, e.id == r.experiment_id)
        .where(
            d.digest.between(low, low + "g"), r.archived_at.is_(None), r.deleted_at.is_(None), e.deleted_at.is_(None)
        )
        .distinct()
        .order_by(r.id.desc())
        .limit(limit)
    )
    return list(connection.execute(query).scalars())
