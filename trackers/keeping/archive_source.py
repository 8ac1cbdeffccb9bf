"""An archive in its folder, looked at before anything of it is written into a store."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from trackers.errors import DigestError, InvalidValueError, NotFoundError, SchemaError, StoreBusyError
from trackers.keeping.archive import FORMAT, ROWS
from trackers.keeping.archive_folder import NAME
from trackers.sql import archived
from trackers.sql import tables as t
from trackers.sql.audit_columns import wrong_with
from trackers.sql.columns import FileName, Kind, Name, Time
from trackers.sql.experiments import check_experiment
from trackers.sql.schema import HEAD, REVISIONS
from trackers.states import RunState


def read_archive(folder: Path) -> dict[str, Any]:
    path = folder / NAME
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        form = int(manifest.get("format", 1))
        if form == FORMAT:
            _check_form(manifest)
    except FileNotFoundError:
        raise NotFoundError(
            f"there is no archive in {folder}: it has no {NAME}, or was not written to its end"
        ) from None
    except (OSError, ValueError, AttributeError, TypeError, KeyError, RecursionError) as exc:
        raise InvalidValueError(f"{path} is damaged: use another copy of the archive") from exc
    if form > FORMAT:
        raise InvalidValueError(f"the archive in {folder} was written by a newer release (format {form}): install that")
    if form < FORMAT:
        raise InvalidValueError(
            f"the archive in {folder} is of a format that cannot be read back ({form}): its Parquet files are read by "
            "pandas and other tools"
        )
    if manifest["revision"] != HEAD:
        newer = manifest["revision"] not in REVISIONS
        what = "install a release that knows it" if newer else "import it with the release that wrote it, then upgrade"
        raise SchemaError(f"the archive in {folder} has schema {manifest['revision']}, this release {HEAD}: {what}")
    return dict(manifest)


def _check_form(manifest: Mapping[str, Any]) -> None:
    """Raise TypeError or KeyError for a manifest that is none: somebody may have written it by hand."""
    kinds = {"revision": str, "experiment": str, "tables": dict, "missing": list, "parents": dict, "files": int}
    for key, kind in kinds.items():
        if not isinstance(manifest[key], kind):
            raise TypeError(key)
    for table in manifest["tables"].values():
        if not isinstance(table["sha256"], str):
            raise TypeError("sha256")
    for number, uid in manifest["parents"].items():
        if not isinstance(uid, str) or int(number) < 0:
            raise TypeError("parents")


def verify(folder: Path, manifest: Mapping[str, Any]) -> None:
    wanted = {*(f"{ROWS}/{name}.parquet" for name in archived.TABLES), "metrics.parquet"}
    if lacking := wanted - manifest["tables"].keys():
        raise DigestError(
            f"{folder / NAME} is damaged: it does not name {min(lacking)}; use another copy of the archive."
        )
    for name in sorted(wanted):
        try:
            with (folder / name).open("rb") as source:
                digest = hashlib.file_digest(source, "sha256").hexdigest()
        except OSError as exc:
            raise DigestError(f"The archive in {folder} lacks {name}: use another copy of it.") from exc
        if digest != manifest["tables"][name]["sha256"]:
            raise DigestError(f"{folder / name} is damaged: use another copy of the archive.")


def check_values(folder: Path, manifest: Mapping[str, Any], parquet: Any) -> None:
    """Refuse what a store never writes: its digests are in the archive, so whoever made that could write anything."""
    for name, table in archived.TABLES.items():
        held = parquet.read_table(folder / ROWS / f"{name}.parquet")
        for column in table.columns:
            if column.name in held.schema.names and _is_checked(column):
                for value in held.column(column.name).unique().to_pylist():
                    if wrong := wrong_with(column, value) or _odd(column, value):
                        raise InvalidValueError(f"the archive in {folder} was not written by a store: {wrong}")
    title = parquet.read_table(folder / ROWS / "experiments.parquet", columns=["name"]).column("name").to_pylist()
    if title != [manifest["experiment"]]:
        raise InvalidValueError(f"{folder / NAME} is damaged: use another copy of the archive")


_KNOWN: dict[Any, frozenset[Any]] = {
    t.runs.c.state: frozenset(int(state) for state in RunState),
    t.experiments.c.kind: frozenset({"experiment", "study"}),
}


def _is_checked(column: Any) -> bool:
    return column in _KNOWN or column.type in (Time, Kind, Name) or isinstance(column.type, FileName)


def _odd(column: Any, value: Any) -> str:
    """Say what is wrong with a value by what its column alone may hold."""
    if value not in _KNOWN.get(column, (value,)):
        return f"{column.name} of {column.table.name} is {value!r:.40}"
    if column is t.experiments.c.name and value != "":  # Optuna lets a study have it
        try:
            check_experiment(value)
        except InvalidValueError as exc:
            return str(exc)
    return ""


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the archive, so that two imports do not write the same points at once."""
    descriptor = os.open(folder / NAME, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise StoreBusyError(f"another process imports the archive in {folder}: wait until it is done") from None
        yield
    finally:
        os.close(descriptor)
