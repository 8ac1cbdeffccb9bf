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

from trackers.artifacts.names import check_name
from trackers.errors import DigestError, InvalidValueError, NotFoundError, SchemaError, StoreBusyError
from trackers.keeping.archive import FORMAT, NAME, ROWS
from trackers.sql import archived
from trackers.sql.audit import LATEST
from trackers.sql.columns import BOOL, FLOAT, INT, JSON, NONE, STR
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


def check_values(folder: Path, parquet: Any) -> None:
    """Refuse what a store never writes: its digests are in the archive, so whoever made that could write anything."""
    for table, check in (("experiments", check_experiment), ("artifacts", check_name), ("model_files", check_name)):
        names = parquet.read_table(folder / ROWS / f"{table}.parquet", columns=["name"]).column("name").unique()
        for name in names.to_pylist():
            if name == "" and table == "experiments":
                continue  # Optuna lets a study have it
            try:
                check(name)
            except InvalidValueError as exc:
                raise InvalidValueError(f"the archive in {folder} was not written by a store: {exc}") from exc
    kinds: dict[tuple[str, str], set[Any]] = {
        ("runs", "state"): {int(state) for state in RunState},
        ("params", "kind"): {NONE, BOOL, INT, FLOAT, STR, JSON},
        ("experiments", "kind"): {"experiment", "study"},
    }
    for (table, column), known in kinds.items():
        values = parquet.read_table(folder / ROWS / f"{table}.parquet", columns=[column]).column(column).unique()
        if odd := [value for value in values.to_pylist() if value not in known]:
            raise InvalidValueError(
                f"the archive in {folder} was not written by a store: {column} of {table} is {odd[0]!r:.40}"
            )
    times = ["created_at", "started_at", "ended_at", "deleted_at", "archived_at"]
    held = parquet.read_table(folder / ROWS / "runs.parquet", columns=times)
    for column in times:
        if odd := [
            time for time in held.column(column).unique().to_pylist() if time is not None and not 0 <= time <= LATEST
        ]:
            raise InvalidValueError(
                f"the archive in {folder} was not written by a store: {column} of runs is {odd[0]!r:.40}"
            )


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
