"""Files and packages that a model needs and that are installed nowhere: brought along."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from trackers.errors import InvalidValueError
from trackers.models.source import CODE, imported_names, imported_packages, packages_of


def bring_code(paths: Sequence[str | os.PathLike[str]], folder: Path) -> tuple[list[str], list[str]]:
    """Copy Python files and packages into the model's *folder*; return their names there, and what they import."""
    if isinstance(paths, str | os.PathLike):
        raise InvalidValueError('code must be a list of files or packages, such as ["features.py"].')
    names, packages = [], set()
    for given in paths:
        path = Path(given).resolve()
        is_package = path.is_dir() and (path / "__init__.py").is_file()
        if not is_package and not (path.is_file() and path.suffix == ".py"):
            raise InvalidValueError(f"{os.fspath(given)} is neither a Python file nor a package's folder.")
        if not path.stem.isidentifier():
            raise InvalidValueError(f"{path.name} cannot be imported by its name: rename it.")
        files = [p for p in sorted(path.rglob("*.py")) if not p.is_symlink()] if is_package else [path]
        for file in files:
            target = folder / CODE / path.name / file.relative_to(path) if is_package else folder / CODE / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.exists() and target.read_bytes() != file.read_bytes():
                raise InvalidValueError(
                    f"{os.fspath(given)}: the model brings another {file.name} already: rename one."
                )
            shutil.copyfile(file, target)
            packages |= set(imported_packages(file))
        names.append(f"{CODE}/{path.name}")
    return names, sorted(packages)


def left_behind(folder: Path) -> list[str]:
    """Return the modules that the code in the model's *folder* imports here, and that would be missing elsewhere."""
    files = sorted((folder / CODE).rglob("*.py"))
    there = {path.stem for path in (folder / CODE).iterdir()} if files else set()
    names = set().union(*map(imported_names, files)) - there - sys.stdlib_module_names
    names.discard("__main__")
    return sorted(name for name in names if not packages_of([name]) and importlib.util.find_spec(name) is not None)
