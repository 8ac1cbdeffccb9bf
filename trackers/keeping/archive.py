"""``archive``: an experiment as Parquet files that any tool reads, and then, if so wished, out of the store."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trackers.errors import ArtifactError, InvalidValueError, StoreError
from trackers.sql import columnar
from trackers.sql.schema import HEAD
from trackers.wording import counted

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from trackers.store import Store

NAME = "archive.json"

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

    *problems* name files that could not be copied, with a run of each; the archive lacks them.
    """

    folder: str
    experiment: str
    rows: dict[str, int]
    files: int
    bytes: int
    removed: bool
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Named:
    """A file of a run, by the name that it has there."""

    run_id: int
    name: str
    size: int


def archive(
    store: Store, experiment: str | int, to: str | os.PathLike[str], *, files: bool = False, remove: bool = False
) -> Archived:
    """Write the runs of an experiment or study to Parquet files in the folder *to*, which must be new or empty.

    With *files* the bytes of artifacts and models are copied there too, by digest. What was written is read again and
    counted. With *remove* the experiment is deleted after that, unless a file could not be copied: ``gc`` removes it
    when its grace is over.

    Raises NotFoundError, InvalidValueError for a folder that holds something, StoreError where pyarrow is missing or
    the counts differ, StudyBusyError where *remove* meets a living manager.
    """
    arrow, parquet = _arrow()
    found = store.get_experiment(experiment)
    folder = Path(to)
    if folder.exists() and any(folder.iterdir()):
        raise InvalidValueError(f"{folder} holds something already: give an empty folder, or a new one")
    folder.mkdir(parents=True, exist_ok=True)
    named: dict[str, _Named] = {}
    with store.database.reading() as connection:
        rows = {
            name: _write(connection, name, found.id, folder, arrow, parquet, named if files else None)
            for name in columnar.TABLES
        }
    problems = _copy_files(store, named, folder / "files")
    copied = [one.size for digest, one in named.items() if digest not in problems]
    _verify(folder, rows, parquet)
    about = {
        "experiment": found.name,
        "kind": found.kind,
        "uid": found.uid,
        "description": found.description,
        "tags": dict(found.tags),
        "revision": HEAD,
        "rows": rows,
        "files": len(copied),
        "missing": sorted(problems),
    }
    (folder / NAME).write_text(json.dumps(about, indent=1), encoding="utf-8")
    removed = remove and not problems
    if removed:
        store.delete_experiment(found.id)
    return Archived(str(folder), found.name, rows, len(copied), sum(copied), removed, tuple(problems.values()))


def _copy_files(store: Store, named: dict[str, _Named], folder: Path) -> dict[str, str]:
    """Copy the files that can be read; return why the others could not be: digest -> sentence."""
    problems = {}
    for digest, one in sorted(named.items()):
        try:
            store.artifacts.get(digest, folder / digest[:2] / digest)
        except ArtifactError as exc:
            run = store.get_run(one.run_id).path
            problems[digest] = f"{run}: the file {one.name!r} is not in the archive: {exc}"
    return problems


def _write(
    connection: Connection,
    name: str,
    experiment_id: int,
    folder: Path,
    arrow: Any,
    parquet: Any,
    named: dict[str, _Named] | None,
) -> int:
    """Write one table and return its number of rows; files that it names are added to *named*."""
    types = {
        _WHOLE: arrow.int64(),
        _TEXT: arrow.string(),
        _NUMBER: arrow.float64(),
        _TIME: arrow.timestamp("us", "UTC"),
    }
    schema = arrow.schema([(column, types[kind]) for column, kind in COLUMNS[name].items()])
    count = 0
    with parquet.ParquetWriter(folder / f"{name}.parquet", schema, compression="zstd") as writer:
        for rows in columnar.read(connection, name, experiment_id):
            writer.write_table(arrow.Table.from_pylist(list(rows), schema=schema))
            count += len(rows)
            if named is not None and "digest" in COLUMNS[name]:
                named.update((row["digest"], _Named(row["run_id"], row["name"], row["size"])) for row in rows)
    return count


def _verify(folder: Path, rows: dict[str, int], parquet: Any) -> None:
    for name, count in rows.items():
        there = parquet.read_metadata(folder / f"{name}.parquet").num_rows
        if there != count:
            raise StoreError(
                f"{name}.parquet has {counted(there, 'row')}, not the {count} that were written: archive again, to another folder"
            )


def _arrow() -> tuple[Any, Any]:
    try:
        return import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError as exc:
        raise StoreError("Parquet needs the package pyarrow: pip install 'hpo[parquet]'") from exc
