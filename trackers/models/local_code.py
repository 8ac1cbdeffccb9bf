"""Whether this process has the code that a model brings, to the last byte."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import sys
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

from trackers.artifacts.names import check_name
from trackers.errors import UntrustedError
from trackers.models.source import CODE
from trackers.models.trust import Trust

MAIN = "__main__"


@dataclass(frozen=True, slots=True)
class File:
    """A module of a model: its bytes, kept since the folder may be gone when it is first imported."""

    path: str
    inside: str | None
    data: bytes

    @property
    def is_package(self) -> bool:
        return self.inside is not None


def files_of(folder: Path, code: Sequence[str], sources: Mapping[str, str]) -> dict[str, File]:
    """Return the modules of these files and packages of a model's *folder*, by their full names."""
    found = {}
    for given in code:
        top = folder / check_name(given)
        for path in sorted(top.rglob("*.py")) if top.is_dir() else [top]:
            parts = (path.relative_to(top.parent) if top.is_dir() else Path(path.name)).with_suffix("").parts
            is_package = parts[-1] == "__init__"
            name = ".".join(parts[:-1] if is_package else parts)
            found[name] = File(str(path), str(path.parent) if is_package else None, path.read_bytes())
    for name, source in sources.items():
        path = folder / check_name(source)
        found[name] = File(str(path), None, path.read_bytes())
    return found


def is_here(name: str, file: File) -> bool:
    """Tell whether this process has the same module by itself, also as it was imported."""
    path = _place(name, file)
    if path is None or _digest_of(path) != _digest(file.data):
        return False
    module = sys.modules.get(name)
    loader = getattr(module, "__loader__", None)
    # what others change as they load it (pytest its assertions) is not what they wrote
    return module is None or name == MAIN or type(loader) is not SourceFileLoader or _was_made_of(module, file.data)


def check_local(folder: Path, sources: Mapping[str, str], trust: Trust, used: Collection[str] | None = None) -> None:
    """Raise UntrustedError where names are trusted, not files, and the modules here are not those that came with the model.

    Another file of that name may be anything; who trusts a name means what the model was saved with: its *sources*
    and whatever else of code lies in its *folder*. *used*: the names of all modules that the model needs; it is no
    matter where none of them is among those.
    """
    if trust.everything:
        return
    there = (folder / CODE).iterdir() if (folder / CODE).is_dir() else ()
    code = {f"{CODE}/{path.name}" for path in there} - set(sources.values())
    files = files_of(folder, sorted(code), sources)
    tops = {name.partition(".")[0] for name in files}
    if used is not None and not any(name.partition(".")[0] in tops for name in used):
        return
    for name, file in files.items():
        local = _place(name, file)
        differs = local is None or _digest_of(local) != _digest(file.data)
        if local is None or (differs and name == MAIN):
            raise UntrustedError(
                f"{name} cannot be imported here; the model brings its file: use trust=True to run it."
            )
        if differs:
            raise UntrustedError(
                f"{local} is not the code that the model was saved with, which is its "
                f"{Path(file.path).relative_to(folder).as_posix()}: use trust=True to run the model's own, or put that "
                f"in the place of {local.name}."
            )
        if not is_here(name, file):
            raise UntrustedError(
                f"{local} was changed after this process had imported it, which goes by the code of before: start it "
                "anew, or use trust=True to run the model's own."
            )


def _place(name: str, file: File) -> Path | None:
    """Return the file of this machine that *name* leads to; only its first part may be looked for, as nothing is run."""
    top, *below = name.split(".")
    loaded = sys.modules.get(top)
    spec = None if loaded is not None or _cannot_find(top) else importlib.util.find_spec(top)
    found = getattr(loaded, "__file__", None) or getattr(spec, "origin", None)
    if found is None:
        return None
    if not below:
        return Path(found)
    path = Path(found).parent.joinpath(*below)
    path = path / "__init__.py" if file.is_package else path.with_suffix(".py")
    return path if path.is_file() else None


def _cannot_find(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is None
    except (ImportError, ValueError):
        return True


def _was_made_of(module: ModuleType, data: bytes) -> bool:
    """Tell whether the functions and the plain values of *module* are those of this source: files change beneath a process."""
    path = str(getattr(module, "__file__", None))
    try:
        tree = ast.parse(data)
        codes = set(_codes(compile(data, path, "exec", dont_inherit=True)))
    except (SyntaxError, ValueError):
        return False
    of_it = [made.__code__ for made in _functions(module) if made.__code__.co_filename == path]
    return codes.issuperset(of_it) and all(
        type(have := vars(module).get(name)) is type(value) and have == value
        for name, value in _plain_values(tree).items()
    )


def _plain_values(tree: ast.Module) -> dict[str, object]:
    """Return the numbers and texts that names are assigned at the top of a file, once and for all."""
    found = {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and node.value.value is not None
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    stored = Counter(n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store))
    changed = {name for node in ast.walk(tree) if isinstance(node, ast.Global) for name in node.names}
    return {name: value for name, value in found.items() if stored[name] == 1 and name not in changed}


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _functions(module: ModuleType) -> Iterator[FunctionType]:
    """Yield the functions of a module and the methods of its classes."""
    for value in list(vars(module).values()):
        own: list[Any] = [value]
        if isinstance(value, type) and value.__module__ == module.__name__:
            own = [getattr(one, "__func__", getattr(one, "fget", one)) for one in vars(value).values()]
        yield from (one for one in own if isinstance(one, FunctionType))


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _digest_of(path: Path) -> str:
    try:
        return _digest(path.read_bytes())
    except OSError:
        return ""
