"""Settings kept in a file: ``hpo.toml``, or ``[tool.hpo]`` of ``pyproject.toml``, with named profiles."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hpo.errors import SettingsError
from hpo.settings import Settings
from hpo.wording import suggestion


def read_profile(folder: str | Path = ".", name: str | None = None) -> Settings:
    """Read the settings of *folder*'s ``hpo.toml`` (or its ``pyproject.toml``), with profile *name* over them.

    Returns what nobody gave (all defaults) where neither file is there. Raises: SettingsError, which names the file
    and the key, for a file that is no TOML, an unknown key, a wrong value or an unknown profile.
    """
    source, table = _table(Path(folder))
    profiles = table.pop("profiles", {})
    if not isinstance(profiles, Mapping) or not all(isinstance(p, Mapping) for p in profiles.values()):
        raise SettingsError(f"profiles in {source} must be tables, such as [profiles.cluster].")
    settings = Settings.of(table, source=source)
    # All of them are read, so that a wrong one shows before the night when it is wanted.
    read = {key: Settings.of(profile, source=f"profile {key} of {source}") for key, profile in profiles.items()}
    if name is None:
        return settings
    if not source:
        raise SettingsError(
            f"There is no profile {name}: this folder has no hpo.toml, and no [tool.hpo] in a pyproject.toml."
        )
    if name not in profiles:
        known = ", ".join(profiles) or "none"
        raise SettingsError(
            f"There is no profile {name} in {source} (there: {known}){suggestion(name, profiles) or '.'}"
        )
    return settings.merge(read[name])


def _table(folder: Path) -> tuple[str, dict[str, Any]]:
    own = folder / "hpo.toml"
    if own.is_file():
        return "hpo.toml", _read(own)
    project = folder / "pyproject.toml"
    if project.is_file():
        table = _read(project).get("tool", {}).get("hpo")
        if table is not None:
            if not isinstance(table, Mapping):
                raise SettingsError("tool.hpo in pyproject.toml must be a table: [tool.hpo].")
            return "[tool.hpo] of pyproject.toml", dict(table)
    return "", {}


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise SettingsError(f"{path.name} cannot be read as TOML: {exc}.") from None
    except OSError as exc:
        raise SettingsError(f"{path.name} cannot be read: {exc.strerror}.") from None
