"""What led to a version, a run or from data: read into a graph by a number of statements that its depth bounds."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, func, or_, select

from trackers.errors import NotFoundError
from trackers.lineage.graph import Graph, GraphBuilder, Node
from trackers.sql import tables as t
from trackers.sql.aliases import find_alias
from trackers.sql.metrics import read_inputs
from trackers.sql.registry import list_versions, read_run_code
from trackers.sql.run_pages import read_runs
from trackers.sql.runs import find_run
from trackers.values import ModelVersion, Run, RunInput
from trackers.wording import short_uid

MOST_RUNS = 100
"""How many runs that read the same data are shown; those that led to a version come first."""
SHORT = 12
_SHOWN = 3
_BEGINNING = re.compile(r"[0-9a-f]{8,31}")
_DIGEST = re.compile(r"[0-9a-f]{8,64}")


def of_version(connection: Connection, name: str, ref: int | str) -> Graph:
    """Return the lineage of a version, by its number or by an alias, which is the focus then."""
    number = ref if isinstance(ref, int) else find_alias(connection, name, ref)
    version = list_versions(connection, name, number)[0]
    lineage = _Lineage(connection)
    lineage.add_runs([version.run_id] if version.run_id is not None else [], versions=False)
    focus = lineage.add_version(version)
    if isinstance(ref, str):
        focus = f"alias:{name}@{ref}"
    return lineage.graph.build(focus)


def of_run(connection: Connection, ref: int | str) -> Graph:
    """Return the lineage of a run: what it read and ran, and what came of it. Raises NotFoundError."""
    try:
        run_id = find_run(connection, ref)
    except NotFoundError:
        if isinstance(ref, int) or not _BEGINNING.fullmatch(ref):
            raise
        raise nothing_there(connection, ref) from None
    lineage = _Lineage(connection)
    lineage.add_runs([run_id], versions=True)
    return lineage.graph.build(f"run:{run_id}")


def of_data(connection: Connection, digest: str) -> Graph | None:
    """Return what came of the data whose digest begins with *digest*; None where it is of no data that is known.

    Raises NotFoundError where several data sets begin so.
    """
    if not _DIGEST.fullmatch(digest):
        return None
    d, i, r = t.datasets.c, t.inputs.c, t.runs.c
    known = connection.execute(select(d.digest).where(d.digest.startswith(digest)).distinct().limit(2)).scalars().all()
    if len(known) > 1:
        raise NotFoundError(f"Several data sets have digests that begin with {digest}: give more of it.")
    if not known:
        return None
    reading = select(i.run_id).join(t.datasets, d.id == i.dataset_id).where(d.digest == known[0])
    registered = select(t.model_versions.c.run_id).where(t.model_versions.c.run_id == r.id).exists()
    query = select(r.id).where(r.id.in_(reading)).order_by(registered.desc(), r.id.desc()).limit(MOST_RUNS)
    run_ids = list(connection.execute(query).scalars())
    total = connection.execute(select(func.count()).select_from(reading.distinct().subquery())).scalar_one()
    lineage = _Lineage(connection)
    lineage.add_runs(run_ids, versions=True, only_data=known[0])
    return lineage.graph.build(f"data:{known[0]}", left_out=total - len(run_ids))


def nothing_there(connection: Connection, name: str) -> NotFoundError:
    """Return the error for a *name* that is of no version, run or data; a bare model's lacks a version or an alias."""
    a, m, v = t.aliases.c, t.registered_models.c, t.model_versions.c
    model_id = connection.execute(select(m.id).where(m.name == name)).scalar()
    if model_id is None:
        return NotFoundError(
            f"There is no version, run or data {name[:100]!r} here: write NAME@ALIAS, NAME/3, STUDY/17, the 32 hex "
            "digits of a run or at least 8 of their beginning, or at least 8 digits of the digest of data."
        )
    newest = connection.execute(select(func.max(v.version)).where(v.model_id == model_id)).scalar()
    aliases = connection.execute(
        select(a.alias).where(a.model_id == model_id).order_by(a.alias).limit(_SHOWN)
    ).scalars()
    ways = [*(f"{name}@{alias}" for alias in aliases), *([f"{name}/{newest}"] if newest else [])]
    do = f"write {' or '.join(ways)}" if ways else "it has no version yet"
    return NotFoundError(f"{name!r} is a model, and lineage is that of a version: {do}.")


class _Lineage:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.graph = GraphBuilder()

    def add_runs(self, run_ids: Sequence[int], *, versions: bool, only_data: str | None = None) -> None:
        """Add runs with what they read and ran, their parents, and (with *versions*) what came of them.

        With *only_data* no other data, and no code, are shown.
        """
        connection, runs = self._connection, t.runs.c
        for run in read_runs(connection, run_ids):
            target = self._add_run(run)
            self._add_inputs(target, read_inputs(connection, run.id), only_data)
            if only_data is None:
                self._add_code(target, read_run_code(connection, run.id))
            if run.parent_id is not None and only_data is None:
                for parent in read_runs(connection, [run.parent_id]):
                    self.graph.link(self._add_run(parent), target)
                    self._add_inputs(f"run:{parent.id}", read_inputs(connection, parent.id), None)
        if not versions or not run_ids:
            return
        v, m = t.model_versions.c, t.registered_models.c
        query = select(m.name, v.version, v.run_id, runs.parent_id).join(t.registered_models, m.id == v.model_id)
        query = query.join(t.runs, runs.id == v.run_id)
        query = query.where(or_(v.run_id.in_(run_ids), runs.parent_id.in_(run_ids))).order_by(m.name, v.version)
        for name, number, run_id, parent_id in connection.execute(query).all():
            if run_id not in run_ids:
                for child in read_runs(connection, [run_id]):
                    self.graph.link(f"run:{parent_id}", self._add_run(child))
            self.add_version(list_versions(connection, name, number)[0], only_data)

    def add_version(self, version: ModelVersion, only_data: str | None = None) -> str:
        """Add a version, its aliases, and what its own record says of data and code."""
        label = f"{version.name}/{version.version}"
        facts = {"metrics": version.metrics, "created_at": version.created_at, "created_by": version.created_by}
        node = self.graph.add(Node(f"version:{label}", "version", label, _metrics(version), facts))
        origin = node
        for run in read_runs(self._connection, [] if version.run_id is None else [version.run_id]):
            origin = self._add_run(run)
            self.graph.link(origin, node)
            parent = f"run:{run.parent_id}"
            # what a refit came from stands in its version's record: it is its trial's
            origin = parent if version.lineage.get("refit") and self.graph.has(parent) else origin
        data = version.lineage.get("data")
        inputs = [
            RunInput(str(one.get("name")), str(one["digest"]), str(one.get("role", "")), one.get("rows"))
            for one in (data if isinstance(data, list) else ())
            if isinstance(one, Mapping) and one.get("digest")
        ]
        self._add_inputs(origin, inputs, only_data)
        code = version.lineage.get("code")
        if isinstance(code, Mapping) and only_data is None:
            self._add_code(origin, code)
        for alias in version.aliases:
            target = f"{version.name}@{alias}"
            self.graph.link(node, self.graph.add(Node(f"alias:{target}", "alias", target)))
        return node

    def _add_run(self, run: Run) -> str:
        facts = {
            "uid": run.uid,
            "name": run.name,
            "experiment": run.experiment,
            "state": run.state,
            "params": run.params,
        }
        label = run.path if run.number is not None else f"{run.experiment} {short_uid(run.uid)}"
        if run.is_deleted:
            label = f"{run.uid} (deleted)"
        note = f"{run.state.name}, {run.name}" if run.name else run.state.name  # a name may be cut at its end
        return self.graph.add(Node(f"run:{run.id}", "run", label, note, facts))

    def _add_inputs(self, target: str, inputs: Iterable[RunInput], only: str | None) -> None:
        for one in inputs:
            if only is None or one.digest == only:
                rows = f", {one.rows:,} rows" if one.rows is not None else ""
                label = f"{one.name} {one.digest[:SHORT]}"
                facts = {"digest": one.digest, "rows": one.rows, "source": one.source}
                source = self.graph.add(Node(f"data:{one.digest}", "data", label, rows.lstrip(", "), facts))
                self.graph.link(source, target, one.role)

    def _add_code(self, target: str, code: Mapping[str, Any]) -> None:
        commit, digest, version = code.get("commit"), code.get("digest"), code.get("version")
        if not commit and not digest:
            return
        dirty = {True: "uncommitted changes", False: "clean tree"}.get(code.get("dirty"), "")  # type: ignore[arg-type]
        short = str(version or str(digest)[:SHORT])  # the record of an old release has no version
        label = f"commit {str(commit)[:SHORT]}" if commit else f"{code.get('file') or 'source'} {short}"
        if dirty and version and code["dirty"]:
            dirty += f": {version}"  # the commit alone does not say which code it was
        note = f"{code['file']}, {dirty}".rstrip(", ") if commit and code.get("file") else dirty
        facts = {"version": version, "commit": commit, "dirty": code.get("dirty")}
        facts |= {"digest": digest, "file": code.get("file")}
        same = f"code:{version or f'{commit}:{digest}'}"
        self.graph.link(self.graph.add(Node(same, "code", label, note, facts)), target)


def _metrics(version: ModelVersion) -> str:
    return ", ".join(f"{key}={value:.4g}" for key, value in list(version.metrics.items())[:2])
