"""Modules that a model brings: they run apart from what else has their names here, and from those of other models.

Champion and challenger may bring a ``features.py`` each, and the process that compares them one of its own. While a
model is loaded, the names of what it brings lead to that; afterwards they lead again to what they led to before. What
its code imports later, inside of ``predict``, is found too: its modules have an ``__import__`` of their own.

The same modules with the same bytes are run once, however many models bring them, and not at all where this process
has them all itself.
"""

from __future__ import annotations

import builtins
import hashlib
import importlib
import importlib.util
import os
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from importlib.abc import MetaPathFinder, SourceLoader
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

from trackers.artifacts.names import check_name
from trackers.errors import ModelError, UntrustedError
from trackers.models.source import CODE
from trackers.models.trust import Trust
from trackers.processes import APART

_MAIN = "__main__"


@dataclass(frozen=True, slots=True)
class _File:
    """A module of a model: its bytes, kept since the folder may be gone when it is first imported."""

    path: str
    inside: str | None
    data: bytes

    @property
    def is_package(self) -> bool:
        return self.inside is not None


class Carried(MetaPathFinder):
    """The modules of one model, found by the names that its code imports them by."""

    def __init__(self, files: Mapping[str, _File], digest: str) -> None:
        self._files, self._digest = files, digest
        self._tops = {name.partition(".")[0] for name in files}
        self._free: set[str] = set()
        self._modules: dict[str, ModuleType] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._files

    @contextmanager
    def importable(self) -> Iterator[None]:
        """Let these modules be imported by their names inside the block; the lock of loads is held.

        Afterwards a name leads to what it led to before. One that led to nothing stays: pickles name it.
        """
        tops = self._tops - {_MAIN}
        before = _taken_out(tops)
        self._free = {top for top in tops if top not in before and _cannot_find(top)}
        sys.modules.update((name, module) for name, module in self._modules.items() if name != _MAIN)
        sys.meta_path.insert(0, self)
        try:
            yield
        finally:
            sys.meta_path.remove(self)
            now = _taken_out(tops)
            self._modules.update(now)
            sys.modules.update((name, module) for name, module in now.items() if name.partition(".")[0] in self._free)
            sys.modules.update(before)

    def module(self, name: str) -> ModuleType:
        """Import the module *name*, inside ``importable``. Where others have its name it gets one that nobody has."""
        if name not in self._modules:
            if name in self._free:
                return importlib.import_module(name)
            self._modules[name] = self._run_aside(name)
        return self._modules[name]

    def _run_aside(self, name: str) -> ModuleType:
        """Run the file of *name* under a name by which pickles of this process find it again."""
        own = f"trackers_model_code_{hashlib.sha256(f'{self._digest} {name}'.encode()).hexdigest()[:16]}"
        spec = importlib.util.spec_from_loader(own, _Loader(self, self._files[name]))
        assert spec is not None  # the loader is there
        module = importlib.util.module_from_spec(spec)
        here = [own] if name == _MAIN else [own, name]
        sys.modules.update(dict.fromkeys(here, module))
        try:
            spec.loader.exec_module(module)  # type: ignore[union-attr]
        except BaseException:
            for one in here:
                sys.modules.pop(one, None)
            raise
        return module

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Find what the model brings; what it does not, even below a package of its own, is others' to find."""
        file = self._files.get(fullname)
        if file is None or fullname == _MAIN:
            return None
        inside = None if file.inside is None else [file.inside]
        loader = _Loader(self, file)
        return importlib.util.spec_from_file_location(
            fullname, file.path, loader=loader, submodule_search_locations=inside
        )

    def import_(
        self, name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0
    ) -> ModuleType:
        """Import as ``__import__`` does, on behalf of a module that the model brings."""
        above = str((globals or {}).get("__package__") or "") if level else name
        if above.partition(".")[0] not in self._tops:
            return builtins.__import__(name, globals, locals, fromlist, level)
        if not level and (module := self._modules.get(name)) is not None:  # a predict that imports does so every time
            if fromlist and all(hasattr(module, one) for one in fromlist):
                return module
            if not fromlist and "." not in name:
                return module
        with _loads, nullcontext() if _loading and _loading[-1] is self else _entered(self):
            return builtins.__import__(name, globals, locals, fromlist, level)


class _Loader(SourceLoader):
    """Runs one file of a model, with the model's own import."""

    def __init__(self, own: Carried, file: _File) -> None:
        self._own, self._file = own, file

    def get_filename(self, fullname: str) -> str:
        return self._file.path

    def get_data(self, path: str | bytes) -> bytes:
        return self._file.data if path == self._file.path else Path(os.fsdecode(path)).read_bytes()

    def exec_module(self, module: ModuleType) -> None:
        module.__dict__["__builtins__"] = {**vars(builtins), "__import__": self._own.import_}
        setattr(module, APART, True)
        super().exec_module(module)


# --- loading ----------------------------------------------------------------------------------------------------

_loads = threading.RLock()
"""Held while names lead to what a model brings: what a process has by a name is one for all of its threads."""
_loading: list[Carried | None] = []
_known: dict[str, Carried] = {}


def _renew_lock() -> None:
    global _loads
    _loads = threading.RLock()


os.register_at_fork(after_in_child=_renew_lock)


@contextmanager
def carrying(folder: Path, code: Sequence[str], sources: Mapping[str, str], trust: Trust) -> Iterator[None]:
    """Let a model be loaded inside the block with what it brings in its *folder*, where *trust* covers that.

    *code*: files and packages in it, imported by their own names; *sources*: files in it, by the names of the modules
    that they are.
    """
    if not code and not sources:
        yield
        return
    with _loads, _entered(_carried(folder, code, sources) if trust.everything else None):
        yield


@contextmanager
def _entered(own: Carried | None) -> Iterator[None]:
    _loading.append(own)
    try:
        with nullcontext() if own is None else own.importable():
            yield
    finally:
        _loading.pop()


def carried_module(name: str) -> ModuleType:
    """Return the module *name* as the model that is being loaded has it: its own, or one of this process.

    Raises ModelError where its code fails.
    """
    with _loads:  # another thread's load is over then: what is being loaded is this thread's
        own = _loading[-1] if _loading else None
        try:
            if own is not None and name in own:
                return own.module(name)
            return sys.modules[_MAIN] if name == _MAIN else importlib.import_module(name)
        except Exception as exc:
            if own is None or isinstance(exc, ModelError):
                raise
            raise ModelError(f"The code that came with the model fails: {type(exc).__name__}: {exc}") from exc


def _carried(folder: Path, code: Sequence[str], sources: Mapping[str, str]) -> Carried | None:
    """Return what the model brings, or None where this process has all of it, to the last byte."""
    files = _files_of(folder, code, sources)
    digest = hashlib.sha256()
    for name, file in sorted(files.items()):
        digest.update(f"{name} {file.is_package} {hashlib.sha256(file.data).hexdigest()}\n".encode())
    if all(_is_here(name, file) for name, file in files.items()):
        return None
    key = digest.hexdigest()
    return _known.setdefault(key, Carried(files, key))


def _is_here(name: str, file: _File) -> bool:
    """Tell whether this process has the same module by itself, and not since another model brought it."""
    brought = getattr(sys.modules.get(name.partition(".")[0]), "__loader__", None)
    return not isinstance(brought, _Loader) and _digest_of(_here(name, file)) == _digest(file.data)


def _files_of(folder: Path, code: Sequence[str], sources: Mapping[str, str]) -> dict[str, _File]:
    """Return the modules of these files and packages of a model's *folder*, by their full names."""
    found = {}
    for given in code:
        top = folder / check_name(given)
        for path in sorted(top.rglob("*.py")) if top.is_dir() else [top]:
            parts = (path.relative_to(top.parent) if top.is_dir() else Path(path.name)).with_suffix("").parts
            is_package = parts[-1] == "__init__"
            name = ".".join(parts[:-1] if is_package else parts)
            found[name] = _File(str(path), str(path.parent) if is_package else None, path.read_bytes())
    for name, source in sources.items():
        path = folder / check_name(source)
        found[name] = _File(str(path), None, path.read_bytes())
    return found


def check_local(folder: Path, sources: Mapping[str, str]) -> None:
    """Raise UntrustedError unless the modules of this machine are those that came with the model.

    Another file of that name may be anything; who trusts a name means what the model was saved with: its *sources*
    and whatever else of code lies in its *folder*.
    """
    there = (folder / CODE).iterdir() if (folder / CODE).is_dir() else ()
    code = {f"{CODE}/{path.name}" for path in there} - set(sources.values())
    for name, file in _files_of(folder, sorted(code), sources).items():
        local = _here(name, file)
        differs = local is None or _digest_of(local) != _digest(file.data)
        if local is None or (differs and name == _MAIN):
            raise UntrustedError(
                f"{name} cannot be imported here; the model brings its file: use trust=True to run it."
            )
        if differs:
            raise UntrustedError(
                f"{local} is not the code that the model was saved with, which is its "
                f"{Path(file.path).relative_to(folder).as_posix()}: use trust=True to run the model's own, or put that "
                f"in the place of {local.name}."
            )


def _here(name: str, file: _File) -> Path | None:
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


def _taken_out(tops: set[str]) -> dict[str, ModuleType]:
    """Take the modules of these names, and those below them, out of what this process has imported; return them."""
    found = {name: module for name, module in list(sys.modules.items()) if name.partition(".")[0] in tops}
    for name in found:
        del sys.modules[name]
    return found


def _cannot_find(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is None
    except (ImportError, ValueError):
        return True


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _digest_of(path: Path | None) -> str:
    try:
        return "" if path is None else _digest(path.read_bytes())
    except OSError:
        return ""
