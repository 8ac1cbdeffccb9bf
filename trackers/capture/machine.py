"""Python, packages and hardware of this process."""

from __future__ import annotations

import json
import os
import platform
from functools import lru_cache
from pathlib import Path
from typing import Any

from trackers.capture.secret import clean_url


def environment() -> dict[str, Any]:
    """Return the Python, the platform, the installed packages with versions, and the hardware.

    *memory* is in bytes; *cpus* are those of the machine, *cpus_usable* those that this process may use; *gpus* are
    names. *direct* tells of packages that came from no index: where from, at which commit, whether they are editable.
    Gathered once a process; the answer is the caller's own copy.
    """
    facts = _environment()
    copied = {"packages": dict(facts["packages"]), "gpus": list(facts["gpus"])}
    return {**facts, **copied, "direct": {name: dict(found) for name, found in facts["direct"].items()}}


@lru_cache(maxsize=1)
def _environment() -> dict[str, Any]:
    packages, direct = _packages()
    return {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "platform": platform.platform(),
        "system": platform.system(),
        "machine": platform.machine(),
        "cpu": _cpu(),
        "cpus": os.cpu_count() or 1,
        "cpus_usable": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        "memory": _memory(),
        "gpus": _gpus(),
        "packages": packages,
        "direct": direct,
    }


def _packages() -> tuple[dict[str, str], dict[str, dict[str, Any]]]:
    """Return name -> version of what is installed, and where what came from no index came from (PEP 610)."""
    from importlib.metadata import distributions

    found: dict[str, str] = {}
    direct: dict[str, dict[str, Any]] = {}
    for distribution in distributions():
        # The name and version stand in the name of the folder: reading every METADATA file takes a second.
        folder = getattr(distribution, "_path", None)
        name, version = _split(Path(str(folder)).name) if folder is not None else ("", "")
        if not version:
            name, version = distribution.metadata["Name"] or "", distribution.version or ""
        name = name.replace("_", "-").lower()
        if name and name not in found:
            found[name] = version
            origin = _origin(folder)
            if origin is not None:
                direct[name] = origin
    return dict(sorted(found.items())), dict(sorted(direct.items()))


def _origin(folder: object) -> dict[str, Any] | None:
    """Return what ``direct_url.json`` beside a package says, without credentials; None where it came from an index."""
    if folder is None:
        return None
    try:
        told = json.loads((Path(str(folder)) / "direct_url.json").read_text(encoding="utf-8"))
        url = clean_url(str(told["url"]))
        vcs, archive = told.get("vcs_info") or {}, told.get("archive_info") or {}
        facts = {
            "url": url,
            "subdirectory": told.get("subdirectory"),
            "vcs": vcs.get("vcs"),
            "commit": vcs.get("commit_id"),
            "sha256": (archive.get("hashes") or {}).get("sha256"),
            "editable": bool((told.get("dir_info") or {}).get("editable")) or None,
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # there is none, or nobody can read it
    return {name: value for name, value in facts.items() if value}


def _split(folder: str) -> tuple[str, str]:
    stem, dot, _ = folder.rpartition(".dist-info")
    name, dash, version = stem.partition("-")
    return (name, version) if dot and dash else ("", "")


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass  # not Linux
    return platform.processor()


def _memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


def _gpus() -> list[str]:
    """Return what the NVIDIA driver says is there, without starting a program."""
    names = []
    for file in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
        try:
            text = file.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        names += [line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("Model:")]
    return names
