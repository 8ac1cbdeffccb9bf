"""Python, packages and hardware of this process."""

from __future__ import annotations

import os
import platform
from functools import lru_cache
from pathlib import Path
from typing import Any


def environment() -> dict[str, Any]:
    """Return the Python, the platform, the installed packages with versions, and the hardware.

    *memory* is in bytes; *cpus* are those of the machine, *cpus_usable* those that this process may use; *gpus* are
    names. Gathered once a process; the answer is the caller's own copy.
    """
    facts = _environment()
    return {**facts, "packages": dict(facts["packages"]), "gpus": list(facts["gpus"])}


@lru_cache(maxsize=1)
def _environment() -> dict[str, Any]:
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
        "packages": _packages(),
    }


def _packages() -> dict[str, str]:
    from importlib.metadata import distributions

    found: dict[str, str] = {}
    for distribution in distributions():
        # The name and version stand in the name of the folder: reading every METADATA file takes a second.
        folder = getattr(distribution, "_path", None)
        name, version = _split(Path(str(folder)).name) if folder is not None else ("", "")
        if not version:
            name, version = distribution.metadata["Name"] or "", distribution.version or ""
        if name:
            found.setdefault(name.replace("_", "-").lower(), version)
    return dict(sorted(found.items()))


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
