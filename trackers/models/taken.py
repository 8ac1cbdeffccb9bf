"""Models that are folders already, ours and those that MLflow wrote: their files are stored as they are."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from trackers.artifacts import ArtifactStore
from trackers.artifacts.names import LEFT_BY_MLFLOW
from trackers.artifacts.store import walk_files
from trackers.errors import DigestError, ModelError
from trackers.models import manifest as manifests
from trackers.models import mlmodel
from trackers.models.flavor import find_flavor
from trackers.models.loaded import LoadedModel

Files = dict[str, tuple[str, int]]
"""Name -> (digest, size)."""


def take(model: str | os.PathLike[str] | LoadedModel, artifacts: ArtifactStore) -> tuple[dict[str, Any], Files]:
    """Store the files of a model folder, or of the one that *model* was loaded from; return its manifest and them.

    Nothing is loaded. Of a folder of ours every digest is verified, and the manifest is its own; one of MLflow's has
    no digests. Raises ModelError for what is no such folder, DigestError where a file was changed.
    """
    if isinstance(model, LoadedModel):
        if model.folder is None:
            raise ModelError("It is not known which folder the model was loaded from: log its unwrap().")
        return _take(model.folder, artifacts, manifests.manifest_digest(model.manifest))
    return _take(_named(model), artifacts)


def describe(
    flavor: str, kind: str, created: str, files: Mapping[str, tuple[str, int]], told: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the manifest of a model that another tool saved; *told* is what its own files say."""
    return {
        "format": manifests.FORMAT,
        "flavor": flavor,
        "class": kind,
        "created": created,
        "python": "",
        "libraries": {},
        "details": {},
        **told,
        "files": {name: {"sha256": digest, "size": size} for name, (digest, size) in files.items()},
    }


def _named(text: str | os.PathLike[str]) -> Path:
    """Return the folder that *text* names; raises ModelError where there is none."""
    folder = Path(text)
    if isinstance(text, str):
        if text.startswith(("models:/", "runs:/")):
            raise ModelError(f"{text[:200]!r} names a model and is none: log trackers.load_model({text[:200]!r}).")
        folder = folder.expanduser() if text.startswith("~") else folder
    try:
        there = folder.exists()
    except (OSError, ValueError):  # too long, or with a NUL: it is no path
        there = False
    if not there:
        raise ModelError(f"There is no folder {str(text)[:200]!r}: give a model, or the path of a model's folder.")
    return folder


def _take(folder: Path, artifacts: ArtifactStore, digest: str | None = None) -> tuple[dict[str, Any], Files]:
    if (folder / mlmodel.NAME).exists() and not manifests.has_manifest(folder):
        return _take_mlflow(folder, artifacts)
    manifest = manifests.read_manifest(folder, digest)
    find_flavor(manifest["flavor"])  # one that is not known could never be loaded here
    manifests.verify_files(folder, manifest, LEFT_BY_MLFLOW)
    artifacts.refuse_own(folder)
    files = {name: artifacts.put_file(folder / name) for name in (*manifest["files"], manifests.NAME)}
    for name, entry in manifest["files"].items():
        if files[name][0] != entry["sha256"]:
            raise DigestError(f"The file {name!r} of the model in {folder} was changed while it was stored.")
    return manifest, files


def _take_mlflow(folder: Path, artifacts: ArtifactStore) -> tuple[dict[str, Any], Files]:
    walk_files(folder)  # links, devices and pipes are refused before anything is read
    content = mlmodel.read_mlmodel(folder)
    mlmodel.refuse_ours(folder, content)
    files = artifacts.put_folder(folder)
    # By what the folder says, and not by the clock: the same folder is the same model, whenever it is taken.
    told = mlmodel.read_signature(content)
    return describe("mlflow", "model of MLflow", _created(content), files, told), files


def _created(content: Mapping[str, Any]) -> str:
    try:
        made = datetime.fromisoformat(str(content.get("utc_time_created", "")))
    except ValueError:
        return ""
    return made.replace(tzinfo=None).isoformat(timespec="seconds") + "+00:00"
