"""What another tracker recorded, taken into a store as it was there: its times, ids and version numbers."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trackers.capture.process import content_digest
from trackers.capture.secret import clean_url
from trackers.capture.state import state_digest, unkept_digest, version_of
from trackers.clock import now_us
from trackers.errors import TrackersError
from trackers.models import manifest as manifests
from trackers.models import mlmodel
from trackers.models.manifest import manifest_digest
from trackers.models.taken import describe
from trackers.processes import host_name, user_name
from trackers.sql import intake as rows
from trackers.sql import statistics
from trackers.sql.intake import Found
from trackers.sql.launches import NewLaunch
from trackers.sql.launches import keep as keep_launch
from trackers.sql.registry import NewVersion
from trackers.sql.registry_history import Actor
from trackers.sql.run_pages import read_runs
from trackers.states import RunState
from trackers.values import Run

if TYPE_CHECKING:
    from trackers.changes import Change, PastRun
    from trackers.sql.commit import Commit
    from trackers.store import Store

Point = tuple[int, str, str, int, int, float]
"""Run, key, context, step, time (microseconds) and value."""

LONGEST = 16 << 20
"""Bytes of a model's description that are read."""


class Intake:
    """The door of a store for what was recorded elsewhere. Thread-safe.

    Runs are written by ``add_runs``, and what they hold by the records of ``trackers.changes`` (``submit``), whose
    times are given: nothing here reads the clock for them.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def keep_experiment(self, name: str, description: str, tags: Mapping[str, str], created_at: int) -> int:
        """Return the id of an experiment, made where it is new; raises AlreadyExistsError for the name of a study."""
        keep = partial(rows.keep_experiment, name=name, description=description, tags=dict(tags), created_at=created_at)
        return self._store.writer.call(keep)

    def finish(self) -> None:
        """Let a server look at its tables, which are filled otherwise now: it plans queries by what it knows of them."""
        statistics.gather(self._store.database)

    def find_runs(self, uids: Sequence[str], origin: str) -> dict[str, Found]:
        """Return those of the runs *uids* that are here, with their system attribute *origin*."""
        return self._store.database.read(lambda connection: rows.find_runs(connection, uids, origin))

    def add_runs(self, runs: Sequence[PastRun]) -> None:
        """Write runs in one transaction; one whose uid is here already is left as it is."""
        self._store.writer.call(partial(rows.insert_runs, runs=list(runs)))

    def nest_runs(self, parents: Mapping[int, int]) -> None:
        """Say whose children these runs are: child -> parent."""
        self._store.writer.call(partial(rows.nest_runs, parents=dict(parents)))

    def follow_run(self, run_id: int, old: RunState, **columns: Any) -> None:
        """Write columns of an imported run that went on elsewhere after it had ended; raises ConflictError."""
        self._store.writer.call(partial(rows.follow_run, run_id=run_id, old=old, **columns))

    def keep_launch(self, commit: str, branch: str | None, entry_point: str, remote: str | None = None) -> int:
        """Keep which code a run ran, as far as another tool knows it, and return the id that an attempt names it by.

        Whether the tree was clean is not known, and nothing of what was changed.
        """
        record = {"commit": commit, "unkept": unkept_digest(commit, None, {})}
        digest = state_digest(record)
        remote = clean_url(remote) if remote else None
        call = [branch, remote, entry_point]
        new = NewLaunch(
            digest=content_digest([digest, {}, *call]),
            code_digest=digest,
            version=version_of(record, digest),
            content=record,
            bundle=None,
            size=0,
            environment_digest=content_digest({}),
            environment={},
            branch=branch,
            entry_point=entry_point,
            arguments=(),
            remote=remote,
        )
        return self._store.writer.call(partial(keep_launch, new=new))

    def submit(self, changes: Sequence[Change]) -> Commit:
        """Hand what runs hold to the writer."""
        return self._store.writer.submit(changes)

    def read_runs(self, run_ids: Sequence[int]) -> list[Run]:
        """Return runs in the order of their ids, by a constant number of statements for each 500."""
        return self._store.database.read(lambda connection: read_runs(connection, run_ids))

    def points(self, run_ids: Sequence[int]) -> Iterator[Point]:
        """Yield every point of these runs, series by series, without holding more than some thousand of them."""
        with self._store.database.reading() as connection:
            yield from rows.iterate_points(connection, run_ids)

    def describe_model(
        self, flavor: str, kind: str, files: Mapping[str, tuple[str, int]], created_at: int, details: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return the manifest of a model that another tool saved: its files are those in the artifact store.

        Of a model that was ours once, and of one of MLflow's, it says what these say.
        """
        told = self._told(files)
        told["details"] = {**told.get("details", {}), **details}
        created = datetime.fromtimestamp(created_at / 1e6, UTC).isoformat(timespec="seconds")
        return describe(flavor, kind, created, files, told)

    def _told(self, files: Mapping[str, tuple[str, int]]) -> dict[str, Any]:
        with tempfile.TemporaryDirectory(prefix="trackers-model-") as temporary:
            folder = Path(temporary, "model")
            said = {name: files[name][0] for name in (manifests.NAME, mlmodel.NAME) if name in files}
            if not said or any(files[name][1] > LONGEST for name in said):
                return {}
            self._store.artifacts.get_files(said, folder)
            try:
                if manifests.has_manifest(folder):
                    own = manifests.read_manifest(folder)
                    kept = ("flavor", "class", "python", "libraries", "input", "output", "details")
                    return {key: own[key] for key in kept if key in own}
                return dict(mlmodel.read_signature(mlmodel.read_mlmodel(folder)))
            except TrackersError:  # it is told when it is loaded
                return {}

    def register(
        self,
        name: str,
        number: int,
        model_uid: str,
        *,
        created_at: int,
        created_by: str,
        source: str,
        description: str = "",
        tags: Mapping[str, str] | None = None,
        metrics: Mapping[str, float] | None = None,
        lineage: Mapping[str, Any] | None = None,
        reason: str = "",
    ) -> bool:
        """Make a model of this store version *number* of *name*; tell whether it was not that already.

        Raises ConflictError where another model is that version, ModelError for a model without files.
        """
        model = self._store.find_logged_model(model_uid)
        origin = {**(lineage or {}), "manifest": None if model is None else manifest_digest(model.manifest)}
        new = NewVersion(model_uid, description, source, metrics, origin, tags or {})
        actor = Actor(user_name(), host_name(), now_us(), reason)
        write = partial(
            rows.register, name=name, number=number, new=new, actor=actor, created_at=created_at, created_by=created_by
        )
        return self._store.writer.call(write)
