"""``import archive``: an archived experiment, back in a store with everything that it had.

Runs and all they have keep their uids, times and states and get ids of this store. They are written a few hundred to a
transaction; points follow. A run that is here is left as it is, so that a second import adds nothing, and one after a
kill what is missing.
"""

from __future__ import annotations

import os
import struct
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trackers import changes as c
from trackers.clock import now_us
from trackers.errors import (
    AlreadyExistsError,
    ArtifactError,
    ConflictError,
)
from trackers.interop.outcome import Counted, Imported
from trackers.keeping.archive import ROWS, load_arrow
from trackers.keeping.archive_source import alone, check_values, read_archive, verify
from trackers.keeping.backup import file_of
from trackers.sql import archived
from trackers.sql.archived import Row
from trackers.sql.ids import take_block
from trackers.sql.intake import every_point
from trackers.wording import counted

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from trackers.store import Store

_RUNS_AT_ONCE = 200
_EVENTS_AT_ONCE = 10_000
_MANY_POINTS = 200_000
"""So many points wait for the writer before this waits for it."""

_MARK = struct.Struct("<qqqd").pack
_OWNER = ("owner_user", "owner_host", "owner_pid", "owner_started", "owner_since", "owner_ended")
_POINT = ("run_id", "key", "context", "step", "attempt", "time", "value")
_LOST = ("artifacts", "checkpoints", "model_files")
"""The tables whose rows are of no use without their file."""

Key = tuple[int, str, str]


def import_archive(store: Store, source: str | os.PathLike[str]) -> Imported:
    """Read the archive in the folder *source* back into *store*, and compare what is there with it.

    An experiment joins the one that has its name here; a study must find its name free. What is here already is left
    as it is. Files that neither the archive nor the store has are named in ``notes`` (or in ``problems``, where the
    archive was made with its files), and so is what was changed here since an earlier import. Values are those that
    were archived: states, times, attempts, hidden points and events too. Versions in the registry, pins and commands
    are no part of an archive.

    Raises NotFoundError where there is no archive, InvalidValueError for a newer or an older format, SchemaError for
    another schema, DigestError for a damaged one, AlreadyExistsError for a study whose name is taken, ConflictError
    for an experiment that is deleted here, StoreError without pyarrow, StoreBusyError while another process imports it.
    """
    folder = Path(source)
    manifest = read_archive(folder)
    _, parquet = load_arrow()
    with alone(folder):
        verify(folder, manifest)
        check_values(folder, manifest, parquet)
        return _Import(store, folder, manifest, parquet).run()


class _Table:
    """A table of the archive, held as columns; of its rows some at a time become values."""

    def __init__(self, folder: Path, name: str, parquet: Any) -> None:
        self._table = parquet.read_table(folder / ROWS / f"{name}.parquet")
        self._owner = "id" if name == "runs" else "run_id"
        self._owners = self._table.column(self._owner).to_numpy() if name in archived.OF_RUNS else None

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def rows(self, start: int = 0, count: int | None = None) -> list[Row]:
        return list(self._table.slice(start, count).to_pylist())

    def of_runs(self, first: int, last: int) -> list[Row]:
        """Return the rows of the runs from id *first* to id *last*: they lie together."""
        assert self._owners is not None  # only tables of runs are asked
        start, stop = self._owners.searchsorted(first, "left"), self._owners.searchsorted(last, "right")
        return self.rows(int(start), int(stop - start))


class _Import:
    def __init__(self, store: Store, folder: Path, manifest: Mapping[str, Any], parquet: Any) -> None:
        self._store, self._folder, self._manifest, self._parquet = store, folder, manifest, parquet
        self._name = str(manifest["experiment"])
        self._outcome, self._counted = Imported(), Counted(self._name)
        self._outcome.experiments.append(self._counted)
        self._files: dict[str, int] = {}
        """Files that the store has, of those that the archive names: digest -> size."""

        self._ids: dict[int, int] = {}
        """The archive's ids of runs -> ours."""

        self._made: set[int] = set()
        """Our ids of runs that this import wrote."""

    def _table(self, name: str) -> _Table:
        return _Table(self._folder, name, self._parquet)

    def run(self) -> Imported:
        if self._manifest["missing"]:
            self._outcome.problem(f"the archive was made without {len(self._manifest['missing'])} of its files", None)
        self._take_files()
        self._home, self._is_new = self._store.writer.call(self._keep_home)
        self._events()
        tables = {name: self._table(name) for name in archived.OF_RUNS}
        runs = tables["runs"].rows()
        for start in range(0, len(runs), _RUNS_AT_ONCE):
            self._take(runs[start : start + _RUNS_AT_ONCE], tables)
        self._nest(runs)
        self._points()
        self._counted.runs, self._counted.added = len(self._ids), len(self._made)
        self._store.intake.finish()
        return self._outcome

    # --- files -------------------------------------------------------------------------------------------------

    def _take_files(self) -> None:
        """Store the files of the archive, and find out which others are here."""
        artifacts = self._store.artifacts
        for row in self._table("blobs").rows():
            digest, path = row["digest"], file_of(self._folder, row["digest"])
            try:
                if path.is_file():
                    stored, size = artifacts.put_file(path)
                    self._outcome.compared(size)
                    if stored != digest:
                        self._outcome.problem(f"{path} is damaged: use another copy of the archive", self._counted)
                        continue
                elif artifacts.size(digest) != row["size"]:
                    continue
                else:
                    self._outcome.compared(row["size"], by_digest=False)
            except ArtifactError:
                if path.is_file():
                    raise
                continue  # it is not here
            self._files[digest] = row["size"]

    # --- the experiment, and what its runs share -----------------------------------------------------------------

    def _keep_home(self, connection: Connection) -> tuple[int, bool]:
        """Write the experiment or study where it is new, and what its runs share; return its id, and whether it was."""
        archived.keep_blobs(connection, self._files, now_us())
        versions = self._table("code_versions").rows()
        files = ("bundle", "commits")
        bundles = [{**row, **{name: self._file(row[name]) for name in files}} for row in versions]
        lost = sum(any(old[name] != new[name] for name in files) for old, new in zip(versions, bundles, strict=True))
        if lost:
            said = f"the sources and changes of {counted(lost, 'version')} of the code are in neither archive nor store"
            (self._outcome.problem if self._manifest.get("files") else self._outcome.note)(said)
        codes = archived.keep_by(connection, "code_versions", bundles, "digest")
        environments = archived.keep_by(connection, "environments", self._table("environments").rows(), "digest")
        launches = [
            {**row, "code_id": codes.get(row["code_id"]), "environment_id": environments.get(row["environment_id"])}
            for row in self._table("launches").rows()
        ]
        self._launches = archived.keep_by(connection, "launches", launches, "digest")
        self._datasets = archived.keep_by(connection, "datasets", self._table("datasets").rows(), "name", "digest")
        (row,) = self._table("experiments").rows()
        found = archived.find_experiment(connection, row["uid"], row["name"])
        is_new = found is None
        home = self._meet(found, row) if found is not None else self._make(connection, row)
        known = archived.tag_names(connection, home)
        tags = [{**tag, "experiment_id": home} for tag in self._table("experiment_tags").rows()]
        archived.put(connection, "experiment_tags", [tag for tag in tags if tag["name"] not in known])
        return home, is_new

    def _file(self, digest: str | None) -> str | None:
        return digest if digest in self._files else None

    def _meet(self, found: Any, row: Row) -> int:
        """Return the id of an experiment that is here; raise where the archive cannot join it."""
        if found.uid == row["uid"]:
            if found.deleted_at is not None:
                raise ConflictError(
                    f"{self._name} is here, deleted: bring it back with `trackers restore {self._name}`, then import "
                    "again; or import it after gc has removed it"
                )
        elif (found.kind, row["kind"]) != ("experiment", "experiment"):
            raise AlreadyExistsError(
                f"there is another {found.kind} named {self._name!r} in this store: rename it before {self._name!r} of "
                "the archive is imported"
            )
        return int(found.id)

    def _make(self, connection: Connection, row: Row) -> int:
        home = take_block(connection, "ids", 1)[0]
        archived.put(connection, "experiments", [{**row, "id": home, "live_name": row["name"], "deleted_at": None}])
        for study in self._table("studies").rows():
            # whoever managed it did so in another store
            changed = {"id": home, "launch_id": self._launches.get(study["launch_id"]), **dict.fromkeys(_OWNER)}
            if study["status"] == "running":
                changed |= {"status": "interrupted", "reason": "it was running when it was archived"}
            archived.put(connection, "studies", [{**study, **changed}])
            for name in archived.OF_STUDIES.keys() - {"events"}:
                archived.put(connection, name, [{**one, "study_id": home} for one in self._table(name).rows()])
        return home

    def _events(self) -> None:
        """Write the events that come after the last one that is here."""
        events = self._table("events")

        def write(connection: Connection, rows: list[Row]) -> None:
            last = archived.last_event(connection, self._home)
            if last is not None:
                new = [{**row, "study_id": self._home} for row in rows if row["seq"] > last]
                archived.put(connection, "events", new)

        for start in range(0, len(events), _EVENTS_AT_ONCE):
            self._store.writer.call(partial(write, rows=events.rows(start, _EVENTS_AT_ONCE)))

    # --- runs --------------------------------------------------------------------------------------------------

    def _take(self, runs: list[Row], tables: Mapping[str, _Table]) -> None:
        """Write those of *runs* that are not here, with all they have but points, and compare all of them."""
        uids = {run["uid"]: run["id"] for run in runs}
        known = {uid: found.run_id for uid, found in self._store.intake.find_runs(list(uids), "").items()}
        fresh = self._store.allocate_ids(max(1, len(runs) - len(known)))
        ids = {uids[uid]: run_id for uid, run_id in known.items()}
        ids |= zip((run["id"] for run in runs if run["uid"] not in known), fresh, strict=False)
        first, last = runs[0]["id"], runs[-1]["id"]
        wanted = {name: self._ours(name, table.of_runs(first, last), ids) for name, table in tables.items()}
        self._drop_lost(wanted)
        made = self._store.writer.call(
            partial(self._write, wanted=wanted, fresh=ids.keys() - {uids[u] for u in known}, ids=ids)
        )
        self._made |= made
        here = {*known.values(), *made}
        self._ids |= {theirs: ours for theirs, ours in ids.items() if ours in here}
        self._compare({ours: uid for uid, theirs in uids.items() if (ours := ids[theirs]) in here}, wanted)

    def _ours(self, name: str, rows: list[Row], ids: Mapping[int, int]) -> list[Row]:
        """Return *rows* with the ids that things have here."""
        for row in rows:
            if name == "runs":
                row |= {"id": ids[row["id"]], "experiment_id": self._home, "parent_id": None}
            else:
                row["run_id"] = ids[row["run_id"]]
            if "launch_id" in row:
                row["launch_id"] = self._launches.get(row["launch_id"])
            if "dataset_id" in row:
                row["dataset_id"] = self._datasets[row["dataset_id"]]
        return rows

    def _drop_lost(self, wanted: dict[str, list[Row]]) -> None:
        """Take away what is of no use without a file that is nowhere, and say so."""
        dropped = {row["uid"] for row in wanted["models"] if row["deleted_at"] is not None}
        lost: dict[str, list[Row]] = {
            name: [
                row for row in wanted[name] if row["digest"] not in self._files and row.get("model_uid") not in dropped
            ]
            for name in _LOST
        }
        models = {row["model_uid"] for row in lost["model_files"]}
        for name, gone in lost.items():
            there = {id(row) for row in gone}
            wanted[name] = [row for row in wanted[name] if id(row) not in there and row["digest"] in self._files]
        wanted["model_files"] = [row for row in wanted["model_files"] if row["model_uid"] not in models]
        wanted["models"] = [row for row in wanted["models"] if row["uid"] not in models]
        uids = {row["id"]: row["uid"] for row in wanted["runs"]}
        say = self._outcome.problem if self._manifest["files"] or self._manifest["missing"] else self._outcome.note
        for name, gone in lost.items():
            for row in gone:
                what = {"checkpoints": "the checkpoint"}.get(name) or f"the file {row['name']!r}"
                say(f"run {uids[row['run_id']]}: {what} is neither in the archive nor in this store")

    def _write(
        self, connection: Connection, wanted: Mapping[str, list[Row]], fresh: set[int], ids: Mapping[int, int]
    ) -> set[int]:
        """Write what is new, and return the ids of the runs that are."""
        mine = {ids[theirs] for theirs in fresh}
        numbers = [row["number"] for row in wanted["runs"] if row["id"] in mine and row["number"] is not None]
        taken = archived.numbers_taken(connection, self._home, numbers)
        for row in wanted["runs"]:
            if row["id"] in mine and row["number"] in taken:
                mine.remove(row["id"])
                self._outcome.problem(f"{self._name}/{row['number']} is another trial here", self._counted)
        uids = [row["uid"] for row in wanted["models"] if row["run_id"] in mine]
        others = archived.models_there(connection, uids)
        for uid in sorted(others):
            self._outcome.problem(f"the model {uid} is that of another run here", self._counted)
        for name, rows in wanted.items():
            owner = "id" if name == "runs" else "run_id"
            uid_of = {"models": "uid", "model_files": "model_uid"}.get(name, "")
            archived.put(connection, name, [r for r in rows if r[owner] in mine and r.get(uid_of) not in others])
        return mine

    def _nest(self, runs: list[Row]) -> None:
        """Say whose children the runs are, once all of them are here."""
        outside = {int(number): uid for number, uid in self._manifest["parents"].items()}
        found = self._store.intake.find_runs(list(set(outside.values())), "")
        ids = {number: found[uid].run_id for number, uid in outside.items() if uid in found} | self._ids
        pairs = [
            (self._ids[run["id"]], ids[run["parent_id"]])
            for run in runs
            if run["id"] in self._ids and run["parent_id"] in ids
        ]
        for start in range(0, len(pairs), _RUNS_AT_ONCE):
            part = dict(pairs[start : start + _RUNS_AT_ONCE])
            self._store.writer.call(partial(archived.nest, parents=part))
        for number in sorted(outside.keys() - ids.keys()):
            self._outcome.note(f"the parent {outside[number]} of runs of {self._name} is not in this store")

    def _compare(self, uids: Mapping[int, str], wanted: Mapping[str, list[Row]]) -> None:
        """Read runs (id -> uid) back and say where they are not as they were archived."""
        unlike: dict[int, list[str]] = defaultdict(list)
        with self._store.database.reading() as connection:
            for name, rows in wanted.items():
                here = _by_run(name, archived.read_of_runs(connection, name, list(uids)))
                there = _by_run(name, rows)
                for run_id in uids:
                    if here.get(run_id) != there.get(run_id):
                        unlike[run_id].append(name.replace("_", " "))
        for name, field in (("artifacts", "files"), ("models", "models")):
            total = getattr(self._counted, field) + sum(row["run_id"] in uids for row in wanted[name])
            setattr(self._counted, field, total)
        for run_id, names in sorted(unlike.items()):
            if run_id in self._made:
                self._outcome.problem(f"run {uids[run_id]} differs: {', '.join(names)}", self._counted)
            else:
                self._outcome.note(f"run {uids[run_id]} was here and has other {', '.join(names)} than the archive")

    # --- points ------------------------------------------------------------------------------------------------

    def _points(self) -> None:
        """Write the points that are not here: those of a series come in their order, so the first ones are."""
        with self._store.database.reading() as connection:
            here = archived.series_counts(connection, list(self._ids.values()))
        sums: dict[Key, list[int]] = defaultdict(lambda: [0, 0])
        commits: list[Any] = []
        waiting = 0
        for key, points in self._series():
            found = sums[key]
            skipped = max(0, here.get(key, 0) - found[0])
            _add(found, points)
            if new := points[skipped:]:
                commits.append(self._store.intake.submit([c.PointsLogged(key[0], key[1], tuple(new), key[2])]))
                self._counted.points += len(new)
                waiting += len(new)
            if waiting > _MANY_POINTS:
                while commits:
                    commits.pop(0).wait()
                waiting = 0
        for commit in commits:
            commit.wait()
        self._compare_points(sums)

    def _series(self) -> Iterator[tuple[Key, list[tuple[int, int, int, float]]]]:
        """Yield the archived points of runs that are here, some of one series at a time."""
        for batch in self._parquet.ParquetFile(self._folder / "metrics.parquet").iter_batches(columns=list(_POINT)):
            columns = dict(zip(batch.schema.names, batch.columns, strict=True))
            columns["time"] = columns["time"].cast("int64")
            rows = zip(*(columns[name].to_pylist() for name in _POINT), strict=True)
            for (run_id, key, context), group in groupby(rows, key=itemgetter(0, 1, 2)):
                if run_id in self._ids:
                    yield (self._ids[run_id], key, context), [row[3:] for row in group]

    def _compare_points(self, wanted: Mapping[Key, list[int]]) -> None:
        sums: dict[Key, list[int]] = defaultdict(lambda: [0, 0])
        with self._store.database.reading() as connection:
            for run_id, metric, context, point in every_point(connection, list(self._ids.values())):
                _add(sums[run_id, metric, context], [point])
        for key, there in wanted.items():
            if sums[key] == there:
                continue
            what = f"run {key[0]}: the metric {key[1]!r} has {sums[key][0]} points, {there[0]} in the archive"
            if key[0] in self._made or sums[key][0] < there[0]:
                self._outcome.problem(what, self._counted)
            else:
                self._outcome.note(what)


def _add(found: list[int], points: list[tuple[int, int, int, float]]) -> None:
    """Count points, and add up the marks that tell them apart within this process."""
    found[0] += len(points)
    for step, attempt, time, value in points:
        found[1] += hash(_MARK(step, attempt, time, value if value == value else float("nan")))


def _by_run(name: str, rows: list[Row]) -> dict[int, list[Any]]:
    """Return rows by run, in an order of their own; who is whose child is said later."""
    found: dict[int, list[Any]] = defaultdict(list)
    for row in rows:
        shown = {key: value for key, value in row.items() if key != "parent_id"}
        found[row["id" if name == "runs" else "run_id"]].append(sorted(shown.items()))
    return {run_id: sorted(held, key=repr) for run_id, held in found.items()}
