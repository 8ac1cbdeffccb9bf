"""What has to be installed to load a model: as pip, conda and MLflow read it, and what differs here."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from trackers.errors import InvalidValueError, ModelError
from trackers.models import manifest as manifests
from trackers.models.flavor import Flavor

REQUIREMENTS, CONDA, PYTHON_ENV = "requirements.txt", "conda.yaml", "python_env.yaml"


def requirement_lines(libraries: Mapping[str, str], given: Sequence[str] | None) -> list[str]:
    """Return the lines of ``requirements.txt``: *given*, else each library at its version.

    A local version such as ``2.13.0+cpu`` is named without its end, which no index knows.
    """
    if given is None:
        return [f"{name}=={version.partition('+')[0]}" for name, version in libraries.items()]
    if isinstance(given, str):
        raise InvalidValueError('pip_requirements must be a list such as ["numpy==2.5"].')
    for line in given:
        if not isinstance(line, str) or not line.strip() or not line.isprintable() or line.lstrip().startswith("-"):
            raise InvalidValueError(f"{str(line)[:80]!r} is no requirement: write one package a line, no options.")
    return list(given)


def write_requirements(folder: Path, lines: Sequence[str]) -> None:
    """Write ``requirements.txt``, and around it what MLflow makes environments from."""
    import yaml

    python = platform.python_version()
    (folder / REQUIREMENTS).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    conda = {
        "name": "model",
        "channels": ["conda-forge"],
        "dependencies": [f"python={python}", "pip", {"pip": list(lines)}],
    }
    env = {"python": python, "build_dependencies": ["pip"], "dependencies": [f"-r {REQUIREMENTS}"]}
    for name, content in ((CONDA, conda), (PYTHON_ENV, env)):
        (folder / name).write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


def check_installed(manifest: Mapping[str, Any], flavor: Flavor) -> None:
    """Raise ModelError with what to install when a package is missing without which nothing can be loaded."""
    _check_there(manifest, flavor.needs(manifest["details"]))


def check_libraries(manifest: Mapping[str, Any]) -> None:
    """Raise ModelError likewise where any of the packages is missing that the model was saved with."""
    _check_there(manifest, tuple(manifest["libraries"]))


def _check_there(manifest: Mapping[str, Any], needed: Sequence[str]) -> None:
    there = manifests.versions(needed)
    if missing := [name for name in needed if name not in there]:
        libraries = manifest["libraries"]
        pins = " ".join(f"{name}=={str(libraries.get(name, '')).partition('+')[0]}".rstrip("=") for name in missing)
        raise ModelError(f"Loading a {manifest['class']} needs {', '.join(missing)}: pip install {pins}")


def differences(manifest: Mapping[str, Any]) -> list[str]:
    """Say which versions are other ones here than when the model was saved."""
    saved: Mapping[str, Any] = manifest["libraries"]
    here = manifests.versions(tuple(saved))
    notes = [
        f"{name} is {here[name]} here and was {version} when the model was saved."
        if name in here
        else f"{name} {version} was there when the model was saved and is not installed here."
        for name, version in saved.items()
        if here.get(name) != version
    ]
    before, now = _minor(str(manifest.get("python", ""))), _minor(platform.python_version())
    if before and before != now:
        notes.append(f"Python is {now} here and was {before} when the model was saved.")
    return notes


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])


def unique(names: Iterable[str]) -> tuple[str, ...]:
    """Return *names* once each, in order."""
    return tuple(dict.fromkeys(names))
