"""Zip archives inside a model: looked at before anything of them is read."""

from __future__ import annotations

import zipfile
from collections.abc import Collection
from pathlib import Path

from trackers.artifacts.names import check_name
from trackers.errors import InvalidValueError, ModelError

MAX_NPZ_BYTES = 2 << 30
"""What the arrays of a compressed file of inputs may take."""


def check_stored(path: Path, writer: str, names: Collection[str] | None = None, folder: str = "") -> None:
    """Raise ModelError unless *path* is a zip archive of plain members, as *writer* writes it.

    Compressed members may grow a thousandfold, and members that overlap likewise; both are refused. *names* (and what
    is below *folder*) are the members that may be there; None: any.
    """
    members = _members(path, f"a file that {writer} wrote")
    if packed := [m.filename for m in members if m.compress_type != zipfile.ZIP_STORED]:
        raise ModelError(f"{path.name} holds compressed members ({packed[0]}), which we never write: it is refused.")
    if sum(m.file_size for m in members) > path.stat().st_size or any(m.file_size != m.compress_size for m in members):
        raise ModelError(f"{path.name} says that it holds more than there is: it is refused.")
    for member in members:
        name = member.filename
        if names is not None and name not in names and not (folder and name.startswith(folder)):
            raise ModelError(f"{path.name} holds {name[:80]!r}, which {writer} does not write: it is refused.")


def check_npz(path: Path) -> None:
    """Raise InvalidValueError when the arrays of a ``.npz`` file would take more than 2 GiB."""
    try:
        size = sum(member.file_size for member in _members(path, "an .npz file"))
    except ModelError as exc:
        raise InvalidValueError(str(exc)) from exc
    if size > MAX_NPZ_BYTES:
        raise InvalidValueError(f"{path.name} unpacks to {size} bytes, more than {MAX_NPZ_BYTES}: split it.")


def _members(path: Path, what: str) -> list[zipfile.ZipInfo]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (OSError, zipfile.BadZipFile, NotImplementedError) as exc:
        raise ModelError(f"{path.name} is not {what}: it is damaged.") from exc
    names = [member.filename for member in members]
    if len(set(names)) < len(names):
        raise ModelError(f"{path.name} holds a member twice: it is refused.")
    for name in names:
        try:
            check_name(name.rstrip("/"))
        except InvalidValueError as exc:
            raise ModelError(f"{path.name} holds a member with the name {name[:80]!r}: it is refused.") from exc
    return members
