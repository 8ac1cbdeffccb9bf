"""Code that travels with a model: the one file that defines its class, where that is not installed."""

from __future__ import annotations

import ast
import sys
import sysconfig
from collections.abc import Iterable
from functools import lru_cache
from importlib.metadata import packages_distributions
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from trackers.errors import ModelError
from trackers.models.flavor import full_name, own_name

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
    in_package = "." in own_name(kind.__module__) or bool(own_name(getattr(module, "__package__", None) or ""))
    if installed or in_package:
        return None
    return path


def check_script(kind: type | FunctionType, source: Path | None) -> None:
    """Raise ModelError where *kind* is of a script whose file, *source*, would do its work again when it is loaded."""
    if own_name(kind.__module__) != "__main__":
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


def needed_packages(kind: type | FunctionType) -> list[str]:
    """Return the package that brings the module of *kind*, and those that its file imports."""
    module = sys.modules.get(kind.__module__)
    own = _distributions().get(own_name(kind.__module__).partition(".")[0], [])
    file = _defining_file(kind, module)
    return sorted({*own, *(imported_packages(file) if file is not None and file.suffix == ".py" else [])})
