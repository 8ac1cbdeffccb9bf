"""Files and packages that a model needs and that are installed nowhere: brought along, and imported when trusted."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from trackers.artifacts.names import check_name
from trackers.errors import InvalidValueError
from trackers.models.source import CODE, imported_names, imported_packages, no_bytecode, packages_of
from trackers.processes import APART


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
            shutil.copyfile(file, target)
            packages |= set(imported_packages(file))
        names.append(f"{CODE}/{path.name}")
    return names, sorted(packages)


def left_behind(folder: Path) -> list[str]:
    """Return the modules that the code in the model's *folder* imports here, and that would be missing elsewhere."""
    files = sorted((folder / CODE).rglob("*.py"))
    there = {path.stem for path in (folder / CODE).iterdir()} if files else set()
    names = set().union(*map(imported_names, files)) - there - sys.stdlib_module_names
    return sorted(name for name in names if not packages_of([name]) and importlib.util.find_spec(name) is not None)


@contextmanager
def importable(folder: Path, names: Sequence[str]) -> Iterator[None]:
    """Let what the model brings be imported inside the block, before anything of the same name that is installed.

    A module of that name which other code uses already is put back afterwards, so that two models may bring two.
    """
    finder = _Finder({Path(name).stem: folder / check_name(name) for name in names})
    before = {name: module for name, module in sys.modules.items() if name.partition(".")[0] in finder.files}
    for name in before:
        del sys.modules[name]
    sys.meta_path.insert(0, finder)
    try:
        with no_bytecode():
            yield
    finally:
        sys.meta_path.remove(finder)
        for name, module in list(sys.modules.items()):
            if name.partition(".")[0] in finder.files:
                setattr(module, APART, True)
        _put_back(before, finder)


def _put_back(before: dict[str, ModuleType], finder: _Finder) -> None:
    if before:
        for name in [name for name in sys.modules if name.partition(".")[0] in finder.files]:
            del sys.modules[name]
        sys.modules.update(before)


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the top-level modules and packages of a model; what is below a package is found by its path."""

    def __init__(self, files: dict[str, Path]) -> None:
        self.files = files

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        where = self.files.get(fullname)
        if where is None:
            return None
        if where.is_dir():
            inside = [str(where)]
            return importlib.util.spec_from_file_location(
                fullname, where / "__init__.py", submodule_search_locations=inside
            )
        return importlib.util.spec_from_file_location(fullname, where)
