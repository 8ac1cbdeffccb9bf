"""Models that are instances of a user's own class.

The class has ``save(folder)``, a classmethod ``load(folder)`` and ``predict(X)``. The manifest names it by import
path. A class of a single file that is not installed (a study file, a script) brings that file along. Loading imports
or runs the user's code either way, so that it always needs the caller's trust: the name of the class is enough for
one that can be imported here, ``trust=True`` is needed to run the file that came with the model.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.metadata import packages_distributions
from pathlib import Path
from types import ModuleType
from typing import Any

from trackers.errors import ModelError, UntrustedError
from trackers.models.flavor import full_name
from trackers.models.trust import Trust

DATA, CODE = "data", "code"


class PythonFlavor:
    """Instances of a class with ``save``, ``load`` and ``predict``. Implements ``Flavor``."""

    name = "python"
    distributions: tuple[str, ...] = ()

    def accepts(self, model: object) -> bool:
        kind = type(model)
        methods = all(callable(getattr(kind, name, None)) for name in ("save", "load", "predict"))
        return methods and _is_bound_to_class(kind, "load")

    def save(self, model: Any, folder: Path, trusted: Sequence[str] | None) -> dict[str, Any]:
        kind = type(model)
        if not self.accepts(model):
            raise ModelError(f"{full_name(kind)} needs save(folder), a classmethod load(folder), and predict(X).")
        if "<locals>" in kind.__qualname__:
            raise ModelError(f"{full_name(kind)} is defined inside a function: define it at the top of its file.")
        source = _source_to_bring(kind)
        (folder / DATA).mkdir()
        model.save(str(folder / DATA))
        details: dict[str, Any] = {"module": kind.__module__, "name": kind.__qualname__, "source": None}
        if source is not None:
            text = source.read_bytes()
            (folder / CODE).mkdir()
            (folder / CODE / source.name).write_bytes(text)
            details |= {"source": f"{CODE}/{source.name}", "packages": _imported_packages(text)}
        return details

    def load(self, folder: Path, details: Mapping[str, Any], trust: Trust) -> Any:
        name = f"{details['module']}.{details['name']}"
        if not trust.allows(name):
            raise UntrustedError(
                f"Loading this model runs the code of {name}: if you trust it, load it with "
                f"{'trust=True' if details['source'] else f'trust=[{name!r}]'}."
            )
        module = self._module(folder, details, trust, name)
        found: Any = module
        for part in str(details["name"]).split("."):
            found = getattr(found, part, None)
        if not isinstance(found, type) or not _is_bound_to_class(found, "load"):
            raise ModelError(f"{name} is not a class with a classmethod load(folder) any more: use its older version.")
        (folder / DATA).mkdir(exist_ok=True)
        load: Any = found.load  # type: ignore[attr-defined]
        return load(str(folder / DATA))

    def describe_input(self, model: Any) -> dict[str, Any] | None:
        return None

    def _module(self, folder: Path, details: Mapping[str, Any], trust: Trust, name: str) -> ModuleType:
        module_name = str(details["module"])
        if details["source"] and trust.everything:
            return _run_source(folder / str(details["source"]), module_name)
        if module_name == "__main__":
            raise UntrustedError(f"{name} comes from a script, whose file must run to load it: use trust=True.")
        try:
            return importlib.import_module(module_name)
        except ImportError as exc:
            if details["source"]:
                raise UntrustedError(
                    f"{module_name} cannot be imported here; the model brings its file: use trust=True to run it."
                ) from exc
            raise ModelError(
                f"The model needs {module_name}, which cannot be imported here: install it. ({exc})"
            ) from exc


def _is_bound_to_class(kind: type, name: str) -> bool:
    for base in kind.__mro__:
        if name in vars(base):
            return isinstance(vars(base)[name], classmethod | staticmethod)
    return False


def _defining_file(kind: type, module: ModuleType | None) -> Path | None:
    """Return the file of *module* if it is there that *kind* comes from, else the one that its code names.

    A class that came to this process by value (cloudpickle) says ``__main__``, which is another program's file here.
    """
    found: Any = module
    for part in kind.__qualname__.split("."):
        found = getattr(found, part, None)
    file = getattr(module, "__file__", None) if found is kind else None
    if file is None:
        method = getattr(vars(kind).get("save"), "__code__", None)
        file = getattr(method, "co_filename", None)
    return Path(file) if file is not None and Path(file).is_file() else None


def _source_to_bring(kind: type) -> Path | None:
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


@lru_cache(maxsize=1)
def _distributions() -> dict[str, list[str]]:
    """Return the packages that bring each importable name; looked up once, since it reads every package's files."""
    return dict(packages_distributions())


def _imported_packages(text: bytes) -> list[str]:
    """Return the installed packages that the source imports at any place."""
    names = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    known = _distributions()
    return sorted({package for name in names for package in known.get(name, ())})


def _run_source(path: Path, name: str) -> ModuleType:
    """Import the file that came with the model; one of the same bytes that is imported already is used as it is."""
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
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException as exc:
        del sys.modules[spec.name]
        if isinstance(exc, Exception):
            raise ModelError(f"The code that came with the model fails: {type(exc).__name__}: {exc}") from exc
        raise
    return module


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
