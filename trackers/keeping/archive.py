"""``archive``: an experiment as Parquet files that any tool reads, and then, if so wished, out of the store.

TO/runs.parquet, ...     what people and other tools read: see `COLUMNS`
TO/rows/TABLE.parquet    the rows as they are stored, for ``import archive``: see ``trackers.sql.archived``. The points
                         are in metrics.parquet alone
TO/files/ab/abcdef...    files by digest, where they were asked for
TO/archive.json          what is in it, written last: a folder without it is no archive
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trackers.clock import now_us
from trackers.errors import ArtifactError, StateError, StoreError
from trackers.keeping.archive_folder import NAME, begun, check_free
from trackers.keeping.room import is_full, write_json, writing_to
from trackers.processes import host_name, start_time
from trackers.sql import archived, columnar, settings
from trackers.sql.schema import HEAD
from trackers.wording import counted

if TYPE_CHECKING:
    from trackers.store import Store
    from trackers.values.runs import Experiment

FORMAT = 2
"""1 had neither the rows nor this number: it cannot be read back."""
ROWS = "rows"

_WHOLE, _TEXT, _NUMBER, _TIME = "int64", "string", "float64", "time"
COLUMNS: dict[str, dict[str, str]] = {
    "runs": {
        "id": _WHOLE,
        "uid": _TEXT,
        "number": _WHOLE,
        "parent_id": _WHOLE,
        "name": _TEXT,
        "state": _TEXT,
        "user": _TEXT,
        "host": _TEXT,
        "created_at": _TIME,
        "started_at": _TIME,
        "ended_at": _TIME,
        "archived_at": _TIME,
    },
    "params": {"run_id": _WHOLE, "name": _TEXT, "type": _TEXT, "number": _NUMBER, "value": _TEXT},
    "metrics": {
        "run_id": _WHOLE,
        "key": _TEXT,
        "context": _TEXT,
        "step": _WHOLE,
        "attempt": _WHOLE,
        "time": _TIME,
        "value": _NUMBER,
    },
    "results": {"run_id": _WHOLE, "objective": _WHOLE, "value": _NUMBER},
    "tags": {"run_id": _WHOLE, "name": _TEXT, "value": _TEXT},
    "artifacts": {"run_id": _WHOLE, "name": _TEXT, "digest": _TEXT, "size": _WHOLE, "created_at": _TIME},
    "model_files": {
        "run_id": _WHOLE,
        "model": _TEXT,
        "flavor": _TEXT,
        "name": _TEXT,
        "digest": _TEXT,
        "size": _WHOLE,
        "created_at": _TIME,
    },
}
"""The Parquet files of an archive and their columns; every ``run_id`` is the ``id`` of a row of ``runs``."""


@dataclass(frozen=True)
class Archived:
    """What an archive holds: *rows* of each table, *files* of *bytes*; *removed*: the experiment was deleted then.

    *problems* name files that could not be copied, with a run of each; the archive lacks them. *running* are the uids
    of runs that were still running: the archive has what they had logged. *unended* are those of runs that never ended,
    as their process, on this host, is gone.
    """

    folder: str
    experiment: str
    rows: dict[str, int]
    files: int
    bytes: int
    removed: bool
    problems: tuple[str, ...] = ()
    running: tuple[str, ...] = ()
    unended: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Named:
    """A file, by the name that a run has for it; None: it is a checkpoint, or captured code."""

    run_id: int | None
    name: str
    size: int


def archive(
    store: Store, experiment: str | int, to: str | os.PathLike[str], *, files: bool = False, remove: bool = False
) -> Archived:
    """Write the runs of an experiment or study to Parquet files in the folder *to*, which must be new or empty.

    What an archive that was killed left there is taken away.
    With *files* the bytes of artifacts, models, checkpoints and captured code are copied there too, by digest. What was
    written is read again and counted. With *remove* the experiment is deleted after that, unless a file could not be
    copied: ``gc`` removes it when its grace is over.

    Raises NotFoundError, InvalidValueError for a folder that holds something, StoreError where pyarrow is missing, the
    disk is full or the counts differ, StudyBusyError where *remove* meets a living manager, StateError where it meets
    a run that is still running.
    """
    arrow, parquet = load_arrow()
    found = store.get_experiment(experiment)
    folder = Path(to)
    check_free(folder)
    running, unended = _running(store, found.id)
    if remove:
        _check_removable(store, found, running)
    with writing_to(folder, "nothing was archived"), begun(folder):
        writer = _Writer(folder, arrow, parquet)
        named, parents = _write_tables(store, found.id, writer)
        problems = _copy_files(store, named if files else {}, folder / "files")
        copied = [one.size for digest, one in named.items() if files and digest not in problems]
        rows = {name: writer.rows[f"{name}.parquet"] for name in columnar.TABLES}
        about = {
            "format": FORMAT,
            "experiment": found.name,
            "kind": found.kind,
            "uid": found.uid,
            "description": found.description,
            "tags": dict(found.tags),
            "revision": HEAD,
            "archived_at": now_us(),
            "rows": rows,
            "parents": {str(number): uid for number, uid in parents.items()},
            "tables": writer.finish(),
            "files": len(copied),
            "missing": sorted(problems),
        }
        write_json(folder / NAME, about)
    removed = remove and not problems
    if removed:
        store.delete_experiment(found.id)
    told = tuple(problems.values())
    return Archived(str(folder), found.name, rows, len(copied), sum(copied), removed, told, running, unended)


def _write_tables(store: Store, experiment_id: int, writer: _Writer) -> tuple[dict[str, _Named], dict[int, str]]:
    """Write all rows of an experiment; return the files that they name, by digest, and the uids of parents outside."""
    named: dict[str, _Named] = {}
    with store.database.reading() as connection:
        for name in columnar.TABLES:
            parts = columnar.read(connection, name, experiment_id)
            writer.write(f"{name}.parquet", COLUMNS[name], _naming(parts, named))
        for name in archived.TABLES:
            kept = archived.read(connection, name, experiment_id)
            writer.write(f"{ROWS}/{name}.parquet", archived.columns_of(name), kept)
        for rows in archived.read(connection, "blobs", experiment_id):
            for row in rows:
                named.setdefault(row["digest"], _Named(None, "", row["size"]))
        return named, archived.outer_parents(connection, experiment_id)


def _running(store: Store, experiment_id: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the uids of runs (no trials) that somebody still writes to, and of others without an end, as this host sees."""
    here = host_name()
    with store.database.reading() as connection:
        found = settings.running_in(connection, experiment_id)
    running = {uid: host != here or start_time(pid) is not None for uid, host, pid in found}
    return tuple(uid for uid, is_so in running.items() if is_so), tuple(
        uid for uid, is_so in running.items() if not is_so
    )


def _check_removable(store: Store, found: Experiment, running: Sequence[str]) -> None:
    """Raise, before anything is written, where the experiment cannot be deleted afterwards."""
    if running:
        raise StateError(
            f"{found.name} is not removed, since the run {running[0]} is still running: end it first (where its process "
            "is gone with store.resume_run(UID).end()), or archive without remove; nothing was archived"
        )
    if found.kind == "study":
        store.await_study(found.id)


def _naming(parts: Iterable[Sequence[Mapping[str, Any]]], named: dict[str, _Named]) -> Iterator[Sequence[Any]]:
    """Yield *parts*, and add the files that they name to *named*."""
    for rows in parts:
        named.update(
            (row["digest"], _Named(row["run_id"], row["name"], row["size"])) for row in rows if "digest" in row
        )
        yield rows


def _copy_files(store: Store, named: dict[str, _Named], folder: Path) -> dict[str, str]:
    """Copy the files that can be read; return why the others could not be: digest -> sentence."""
    problems = {}
    for digest, one in sorted(named.items()):
        try:
            store.artifacts.get(digest, folder / digest[:2] / digest)
        except ArtifactError as exc:
            if is_full(exc):
                raise exc.__cause__ from exc  # type: ignore[misc]  # it is an OSError
            if one.run_id is None:
                problems[digest] = f"a checkpoint or captured code is not in the archive: {exc}"
            else:
                run = store.get_run(one.run_id).path
                problems[digest] = f"{run}: the file {one.name!r} is not in the archive: {exc}"
    return problems


class _Writer:
    """Writes the Parquet files of an archive, and reads them again."""

    def __init__(self, folder: Path, arrow: Any, parquet: Any) -> None:
        self._folder, self._arrow, self._parquet = folder, arrow, parquet
        self._types = {
            _WHOLE: arrow.int64(),
            _TEXT: arrow.string(),
            _NUMBER: arrow.float64(),
            _TIME: arrow.timestamp("us", "UTC"),
            "bool": arrow.bool_(),
        }
        self.rows: dict[str, int] = {}

    def write(self, name: str, columns: Mapping[str, str], parts: Iterable[Sequence[Mapping[str, Any]]]) -> None:
        """Write one file."""
        schema = self._arrow.schema([(column, self._types[kind]) for column, kind in columns.items()])
        path, count = self._folder / name, 0
        path.parent.mkdir(exist_ok=True)
        with path.open("xb") as sink, self._parquet.ParquetWriter(sink, schema, compression="zstd") as writer:
            for rows in parts:
                writer.write_table(self._arrow.Table.from_pylist(list(rows), schema=schema))
                count += len(rows)
        self.rows[name] = count

    def finish(self) -> dict[str, dict[str, Any]]:
        """Return the rows and the digest of each file; raises StoreError where one does not have what was written."""
        found = {}
        for name, count in self.rows.items():
            path = self._folder / name
            there = self._parquet.read_metadata(path).num_rows
            if there != count:
                raise StoreError(
                    f"{name} has {counted(there, 'row')}, not the {count} that were written: archive again, to another folder"
                )
            with path.open("rb+") as source:
                digest = hashlib.file_digest(source, "sha256").hexdigest()
                os.fsync(source.fileno())
            found[name] = {"rows": count, "sha256": digest}
        return found


def load_arrow() -> tuple[Any, Any]:
    """Return the modules ``pyarrow`` and ``pyarrow.parquet``; raises StoreError where they are not installed."""
    try:
        return import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError as exc:
        raise StoreError("Parquet needs the package pyarrow: pip install 'hpo[parquet]'") from exc
