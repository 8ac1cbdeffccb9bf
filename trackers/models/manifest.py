"""``model.json``: what a model folder says about itself, and the check that its files are those that were saved."""

from __future__ import annotations

import hashlib
import json
import platform
import stat
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from trackers.artifacts.names import check_name
from trackers.artifacts.store import walk_files
from trackers.errors import DigestError, InvalidValueError, ModelError
from trackers.models.schema import check_schema

NAME = "model.json"
FORMAT = 1
_MAX_BYTES = 16 << 20


def describe_model(*, flavor: str, kind: str, **rest: Any) -> dict[str, Any]:
    """Return what a manifest says about a model: flavour, type, time, Python, and whatever *rest* adds."""
    return {
        "format": FORMAT,
        "flavor": flavor,
        "class": kind,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        **rest,
    }


def seal(folder: Path, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Add the digests of the files of *folder* to *manifest*, and its own; write and return it.

    Its own digest shows a hand that changed ``model.json``, though not one that wrote a new digest too: the store
    knows the digest of each model that it keeps, and compares.
    """
    files = {}
    for path in walk_files(folder):
        with path.open("rb") as source:
            digest = hashlib.file_digest(source, "sha256").hexdigest()
        files[path.relative_to(folder).as_posix()] = {"sha256": digest, "size": path.stat().st_size}
    whole: dict[str, Any] = {**manifest, "files": files}
    whole = json.loads(json.dumps(whole))  # as it will be read: lists for tuples, text for keys
    whole["digest"] = manifest_digest(whole)
    (folder / NAME).write_text(json.dumps(whole, indent=1, sort_keys=True), encoding="utf-8")
    return whole


def versions(distributions: Sequence[str]) -> dict[str, str]:
    """Return the installed version of each package that is installed."""
    found = {}
    for name in distributions:
        try:
            found[name] = _version(name)
        except PackageNotFoundError:
            pass
    return found


# Reading one takes a millisecond; that a package is missing is not remembered.
_version = lru_cache(maxsize=1000)(version)


def manifest_digest(manifest: Mapping[str, Any]) -> str:
    """Return the sha-256 (hex) of a manifest, whatever the order and spacing of its JSON."""
    text = json.dumps(manifest, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def read_manifest(folder: Path, digest: str | None = None) -> dict[str, Any]:
    """Read ``model.json`` and refuse one that was changed, or that this release cannot understand.

    *digest*: the ``manifest_digest`` that it must have.
    """
    path = folder / NAME
    try:
        if not _is_small_file(path):
            raise ModelError(f"{path} is not a manifest that we wrote: it is no plain file, or far too large.")
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as exc:
        if not folder.exists():
            raise ModelError(f"There is no folder {str(folder)[:200]}: give the path of a model's folder.") from exc
        raise ModelError(f"{folder} is not a model folder: it has neither {NAME} nor MLmodel.") from exc
    except (OSError, ValueError, RecursionError) as exc:
        raise ModelError(f"{path} cannot be read as JSON: the model folder is damaged.") from exc
    check_manifest(manifest)
    own = {key: value for key, value in manifest.items() if key != "digest"}
    # Releases before this one wrote no digest of the manifest itself.
    changed = "digest" in manifest and manifest["digest"] != manifest_digest(own)
    if changed or (digest is not None and digest != manifest_digest(manifest)):
        raise DigestError(f"{NAME} of the model in {folder} was changed after the model was saved: fetch it again.")
    return dict(manifest)


def _is_small_file(path: Path) -> bool:
    """Tell whether *path* is a plain file that can be read whole: a pipe would be waited for."""
    found = path.lstat()
    return stat.S_ISREG(found.st_mode) and found.st_size <= _MAX_BYTES


def has_manifest(folder: Path) -> bool:
    """Tell whether ``model.json`` in *folder* is a manifest: XGBoost's own model may have that name."""
    path = folder / NAME
    try:
        if not _is_small_file(path):
            return False
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(content, dict) and "format" in content


def check_manifest(manifest: Any) -> None:
    """Raise ``ModelError`` unless *manifest* has the form that this release reads."""
    form = manifest.get("format") if isinstance(manifest, dict) else None
    if isinstance(form, int) and form > FORMAT:
        raise ModelError(f"The model was saved by a newer release (format {form}, we read {FORMAT}): update this one.")
    shape = {"flavor": str, "class": str, "libraries": dict, "details": dict, "files": dict}
    if form != FORMAT or any(not isinstance(manifest.get(key), kind) for key, kind in shape.items()):
        raise ModelError(f"{NAME} is not a manifest that we wrote: the model folder is damaged.")
    for name, entry in manifest["files"].items():
        try:
            check_name(name)
        except InvalidValueError as exc:
            raise ModelError(f"{NAME} names a file that no model has, the folder is damaged: {exc}") from exc
        if not isinstance(entry, dict) or not isinstance(entry.get("sha256"), str):
            raise ModelError(f"{NAME} names no digest for {name!r}: the model folder is damaged.")
    code = manifest.get("code") or []
    if not isinstance(code, list) or any(not isinstance(name, str) for name in code):
        raise ModelError(f"{NAME} does not say which code belongs to it: the model folder is damaged.")
    if manifest.get("input") is not None:
        try:
            check_schema(manifest["input"])
        except InvalidValueError as exc:
            raise ModelError(f"{NAME} does not say what the model takes, the folder is damaged: {exc}") from exc


def verify_files(folder: Path, manifest: Mapping[str, Any], beside: Collection[str] = ()) -> None:
    """Raise ``DigestError`` unless *folder* holds exactly the files of *manifest*, byte for byte.

    Files that *beside* names may be there too.
    """
    there = {path.relative_to(folder).as_posix(): path for path in walk_files(folder)}
    there.pop(NAME, None)
    if extra := sorted(there.keys() - manifest["files"].keys() - set(beside)):
        raise DigestError(f"The model folder {folder} holds {extra[0]!r}, which was not saved with it: remove it.")
    for name, entry in manifest["files"].items():
        if name not in there:
            raise DigestError(f"The model folder {folder} lacks the file {name!r}: fetch the model again.")
        with there[name].open("rb") as source:
            digest = hashlib.file_digest(source, "sha256").hexdigest()
        if digest != entry["sha256"]:
            raise DigestError(f"The file {name!r} of the model in {folder} was changed after the model was saved.")
