"""Code that travels with a model: the one file that defines its class, where that is not installed."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import os
import sys
import sysconfig
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from importlib.metadata import packages_distributions
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from trackers.artifacts.names import check_name
from trackers.errors import ModelError, UntrustedError
from trackers.models.flavor import full_name
from trackers.processes import APART

CODE = "code"


def bring(source: Path, folder: Path) -> str:
    """Copy *source* into the model's *folder* and return its name there."""
    (folder / CODE).mkdir(exist_ok=True)
    (folder / CODE / source.name).write_bytes(source.read_bytes())
    return f"{CODE}/{source.name}"


def _defining_file(kind: type | FunctionType, module: ModuleType | None) -> Path | None:
    """Return the file of *module* if it is there that *kind* comes from, else the one that its code names.

    A class that came to this process by value (cloudpickle) says ``__main__``, which is another program's file here.
    """
    found: Any = module
    for part in kind.__qualname__.split("."):
        found = getattr(found, part, None)
    file = getattr(module, "__file__", None) if found is kind else None
    if file is None:
        code = getattr(kind if isinstance(kind, FunctionType) else vars(kind).get("save"), "__code__", None)
        file = getattr(code, "co_filename", None)
    return Path(file) if file is not None and Path(file).is_file() else None


def source_of(kind: type | FunctionType) -> Path | None:
    """Return the file that defines *kind*, or None when it belongs to something that is installed."""
    module = sys.modules.get(kind.__module__)
    file = _defining_file(kind, module)
    if file is None:
        raise ModelError(
            f"{full_name(kind)} is defined in no file (a notebook, an interactive session): move it into one, since "
            "loading the model needs its code."
        )
    path = file.resolve()
    paths = sysconfig.get_paths()
    installed = any(path.is_relative_to(Path(paths[key]).resolve()) for key in ("purelib", "platlib", "stdlib"))
    # One file of a package cannot run alone: the package has to be there.
    in_package = "." in kind.__module__ or bool(getattr(module, "__package__", None))
    if installed or in_package:
        return None
    return path


def check_script(kind: type | FunctionType, source: Path | None) -> None:
    """Raise ModelError where *kind* is of a script whose file, *source*, would do its work again when it is loaded."""
    if kind.__module__ != "__main__":
        return
    if source is None:
        raise ModelError(
            f"{full_name(kind)} is defined in a module that runs as a script (python -m), where no loader finds it: "
            "move it into a file of its own and import it."
        )
    tree = ast.parse(source.read_bytes())
    line = None if any(map(_is_guard, tree.body)) else next((n.lineno for n in tree.body if _works(n)), None)
    if line is not None:
        raise ModelError(
            f"{full_name(kind)} is defined in the script {source.name}, and loading the model would run the script "
            f"again (from its line {line}): move it into a file of its own and import it, or put what the script does "
            'below if __name__ == "__main__":.'
        )


def _is_guard(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and "__name__" in ast.unparse(node.test) and "__main__" in ast.unparse(node.test)


def _works(node: ast.stmt) -> bool:
    """Tell whether a statement does more than to define and import names."""
    if isinstance(node, ast.If | ast.Try):  # imports of what is optional, say
        parts = [*node.body, *node.orelse, *getattr(node, "finalbody", ())]
        handled = [part for handler in getattr(node, "handlers", ()) for part in handler.body]
        return any(map(_works, [*parts, *handled]))
    if isinstance(node, ast.Assign | ast.AnnAssign | ast.Expr):
        value = node.value
        return value is not None and any(isinstance(part, ast.Call | ast.Await) for part in ast.walk(value))
    quiet = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Pass)
    return not isinstance(node, quiet)


@lru_cache(maxsize=1)
def _distributions() -> dict[str, list[str]]:
    """Return the packages that bring each importable name; looked up once, since it reads every package's files."""
    return dict(packages_distributions())


def imported_names(source: Path) -> set[str]:
    """Return the first parts of the modules that a source file imports at any place."""
    names = set()
    for node in ast.walk(ast.parse(source.read_bytes())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


def imported_packages(source: Path) -> list[str]:
    """Return the installed packages that a source file imports at any place."""
    return packages_of(imported_names(source))


def packages_of(modules: Iterable[str]) -> list[str]:
    """Return the installed packages that bring these modules, by the names that pip knows: ``imblearn`` has another."""
    known = _distributions()
    return sorted({package for name in modules for package in known.get(name, ())})


def run_source(folder: Path, source: str, name: str) -> ModuleType:
    """Import the file *source* of the model's *folder* as the module *name*.

    One of the same bytes that is imported already is used as it is.
    """
    path = folder / check_name(source)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    own_name = f"trackers_model_code_{digest[:16]}"
    for candidate in (sys.modules.get(name), sys.modules.get(own_name)):
        file = getattr(candidate, "__file__", None)
        if candidate is not None and file and _digest_of(Path(file)) == digest:
            return candidate
    # Under its first name where that is free, so that what the class's own files refer to by name is found.
    free = name != "__main__" and name not in sys.modules and _cannot_find(name)
    spec = importlib.util.spec_from_file_location(name if free else own_name, path)
    if spec is None or spec.loader is None:
        raise ModelError(f"The code that came with the model, {path.name}, is not a Python file.")
    module = importlib.util.module_from_spec(spec)
    setattr(module, APART, True)
    sys.modules[spec.name] = module
    try:
        with no_bytecode():
            spec.loader.exec_module(module)
    except BaseException as exc:
        del sys.modules[spec.name]
        if isinstance(exc, Exception):
            raise ModelError(f"The code that came with the model fails: {type(exc).__name__}: {exc}") from exc
        raise
    return module


_standing_in = threading.RLock()


def _renew_lock() -> None:
    global _standing_in
    _standing_in = threading.RLock()


os.register_at_fork(after_in_child=_renew_lock)


@contextmanager
def standing_in(modules: Mapping[str, ModuleType]) -> Iterator[None]:
    """Have *modules* imported by these names inside the block, whatever else has them here."""
    if not modules:
        yield
        return
    with _standing_in:
        before = {name: sys.modules.get(name) for name in modules}
        sys.modules.update(modules)
        try:
            yield
        finally:
            for name, module in before.items():
                if module is not None:
                    sys.modules[name] = module
                elif (
                    name in sys.modules and sys.modules[name].__name__ != name
                ):  # it has a name of its own: the first import finds what is here
                    del sys.modules[name]


def check_local(folder: Path, source: str, name: str) -> None:
    """Raise UntrustedError unless the module *name* of this machine has the code that came with the model.

    Another file of that name may be anything; who trusts a name means what the model was saved with.
    """
    carried = folder / check_name(source)
    loaded = sys.modules.get(name)
    spec = None if loaded is not None or _cannot_find(name) else importlib.util.find_spec(name)
    local = getattr(loaded, "__file__", None) or getattr(spec, "origin", None)
    differs = local is None or _digest_of(Path(local)) != _digest_of(carried)
    if local is None or (differs and name == "__main__"):
        raise UntrustedError(f"{name} cannot be imported here; the model brings its file: use trust=True to run it.")
    if differs:
        raise UntrustedError(
            f"{local} is not the code that the model was saved with, which is its {source}: use trust=True to run the "
            f"model's own, or put that in the place of {Path(local).name}."
        )


@contextmanager
def no_bytecode() -> Iterator[None]:
    """Write no ``__pycache__`` inside the block: it would be a file that the model's folder did not have."""
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield
    finally:
        sys.dont_write_bytecode = before


def needed_packages(kind: type | FunctionType) -> list[str]:
    """Return the package that brings the module of *kind*, and those that its file imports."""
    module = sys.modules.get(kind.__module__)
    own = _distributions().get(kind.__module__.partition(".")[0], [])
    file = _defining_file(kind, module)
    return sorted({*own, *(imported_packages(file) if file is not None and file.suffix == ".py" else [])})


def _cannot_find(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is None
    except (ImportError, ValueError):
        return True


def _digest_of(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""
