"""Bring the folder of a model here, as it was saved."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from trackers.errors import AlreadyExistsError, ArtifactError
from trackers.models.manifest import read_manifest, verify_files
from trackers.models.reference import check_kept, find_here, known_digest, opened
from trackers.values import LoggedModel

if TYPE_CHECKING:
    from trackers.artifacts import ArtifactStore
    from trackers.store import Store


def download_model(
    ref: str, folder: str | os.PathLike[str], *, store: str | os.PathLike[str] | Store | None = None
) -> Path:
    """Copy the files of the model that *ref* names into *folder*, new or empty, and return its path.

    *ref* and *store* are those of ``load_model``. Nothing is loaded or trusted: digests are checked, and the folder is
    there when it is whole. ``trackers.models.load`` reads it, and it is one of MLflow's models as well. Raises
    AlreadyExistsError for a folder that holds something, NotFoundError with close matches, DigestError for a damaged
    file, ModelError where the files are gone.
    """
    with opened(store) as there:
        return write_folder(there.artifacts, find_here(there, ref)[0], folder)


def write_folder(artifacts: ArtifactStore, model: LoggedModel, folder: str | os.PathLike[str]) -> Path:
    """Write the files of *model* into *folder*; see ``download_model``."""
    target = Path(folder)
    place = target.resolve()  # the folder that a link names, or the current one
    _refuse_full(target)
    there = place.exists()
    check_kept(artifacts, model)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        # A folder that is there may be a disk of its own, or lie in one that is not ours to write in.
        with tempfile.TemporaryDirectory(prefix=".model-", dir=place if there else place.parent) as temporary:
            whole = artifacts.get_files(model.files, Path(temporary, "model"))
            if known := known_digest(model):
                verify_files(whole, read_manifest(whole, known))
            _refuse_full(target, Path(temporary).name)
            if not there:
                whole.replace(place)
                return target
            for part in whole.iterdir():
                part.replace(place / part.name)
    except OSError as exc:
        raise ArtifactError(f"The model cannot be written to {target}: {exc.strerror or exc}.") from exc
    return target


def _refuse_full(target: Path, own: str = "") -> None:
    """Raise AlreadyExistsError where *target* is no folder, or holds more than *own*."""
    if target.exists() and not (target.is_dir() and {entry.name for entry in target.iterdir()} <= {own}):
        raise AlreadyExistsError(f"{target} is there already, and is no empty folder: give a new one.")
