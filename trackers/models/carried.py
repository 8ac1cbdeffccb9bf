"""Modules that a model brings: they run apart from what else has their names here, and from those of other models.

Champion and challenger may bring a ``features.py`` each, and the process that compares them one of its own. What a
model brings lies in a package of its own, named by the digest of it, so that each name there is unlike all others: its
code imports by the names that it was written with, since its modules have an ``__import__`` of their own. Nothing waits
for anything but Python's own locks.

Others that look for it by those names (pickle, skops, Keras, importlib) find it while the model is loaded, in the thread
that loads it; to every other thread a name means what it meant.

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
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder, SourceLoader
from importlib.machinery import ModuleSpec
from importlib.readers import FileReader
from pathlib import Path
from types import ModuleType
from typing import Any

from trackers.errors import ModelError
from trackers.models.flavor import APART_NAME
from trackers.models.local_code import MAIN, File, files_of, is_here
from trackers.models.trust import Trust
from trackers.processes import APART


class Carried:
    """The modules of one model, by the names that its code imports them by."""

    def __init__(self, package: str, files: Mapping[str, File]) -> None:
        self.package, self._files = package, files
        above = {name.rsplit(".", depth)[0] for name in files for depth in range(1, name.count(".") + 1)}
        self._names = above | files.keys()
        self._tops = {name.partition(".")[0] for name in self._names} - {MAIN}
        self._importlib = _Importlib(self)
        self.shown = frozenset(
            name for name in self._names if name.partition(".")[0] not in {MAIN, *sys.stdlib_module_names}
        )
        """What others find by these names while the model is loaded: a helper called queue is no concern of Python's own."""

    def brings(self, name: str) -> bool:
        """Tell whether there is a file for the module *name*."""
        return name in self._files

    def module(self, name: str) -> ModuleType:
        """Import the module *name* of this model."""
        return importlib.import_module(f"{self.package}.{name}")

    def find(self, name: str, fullname: str) -> ModuleSpec | None:
        """Return how *name* is loaded as *fullname*, None for what the model does not bring, even below its packages."""
        file = self._files.get(name)
        if file is not None:
            inside = None if file.inside is None else [file.inside]
            loader = _Loader(self, file)
            return importlib.util.spec_from_file_location(
                fullname, file.path, loader=loader, submodule_search_locations=inside
            )
        return ModuleSpec(fullname, None, is_package=True) if not name or name in self._names else None

    def import_(
        self, name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0
    ) -> ModuleType:
        """Import as ``__import__`` does, on behalf of a module that the model brings."""
        top = name.partition(".")[0]
        if top == "importlib" and not level:
            found = builtins.__import__(name, globals, locals, fromlist, 0)
            return self._importlib if found is importlib else found
        of_c = isinstance(fromlist, list) and not fromlist  # pickle: it takes what has the name in sys.modules then
        if level or of_c or top not in self._tops:
            return builtins.__import__(name, globals, locals, fromlist, level)
        try:
            found = builtins.__import__(f"{self.package}.{name}", globals, locals, fromlist, 0)
        except ModuleNotFoundError as exc:
            if exc.name is None or not exc.name.startswith(f"{self.package}."):
                raise
            own = exc.name.removeprefix(f"{self.package}.")
            raise ModuleNotFoundError(f"No module named {own!r}", name=own, path=exc.path) from None
        return found if fromlist else sys.modules[f"{self.package}.{top}"]

    def import_module(self, name: str, package: str | None = None) -> ModuleType:
        """Import as ``importlib.import_module`` does, likewise."""
        if name.startswith(".") or name.partition(".")[0] not in self._tops:
            return importlib.import_module(name, package)
        return self.import_(name, fromlist=("__name__",))


class _Importlib(ModuleType):
    """Python's ``importlib``, to the modules of one model."""

    def __init__(self, own: Carried) -> None:
        super().__init__("importlib", importlib.__doc__)
        self.import_module = own.import_module

    def __getattr__(self, name: str) -> Any:
        return getattr(importlib, name)


class _Loader(SourceLoader):
    """Runs one file of a model, with the model's own import."""

    def __init__(self, own: Carried, file: File) -> None:
        self._own, self._file, self.path = own, file, file.path

    def get_filename(self, fullname: str) -> str:
        return self._file.path

    def get_data(self, path: str | bytes) -> bytes:
        return self._file.data if path == self._file.path else Path(os.fsdecode(path)).read_bytes()

    def get_resource_reader(self, fullname: str) -> FileReader:
        return FileReader(self)  # type: ignore[arg-type]  # it needs a path and no more

    def exec_module(self, module: ModuleType) -> None:
        module.__dict__["__builtins__"] = {**vars(builtins), "__import__": self._own.import_}
        setattr(module, APART, True)
        super().exec_module(module)


class _Finder(MetaPathFinder):
    """Finds what models bring: by the names that it has here, and, in a thread that loads a model, by those of its code."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        package, _, name = fullname.partition(".")
        if (known := _known.get(package)) is not None:
            return known.find(name, fullname)
        own = _being_loaded()
        if own is not None and fullname in own.shown:
            return ModuleSpec(fullname, _SplitLoader(None))
        if any(fullname in one.shown for one in list(_active)):  # another thread's: it shall find it all the same
            others = _find_for_others(fullname, path)
            return None if others is None else ModuleSpec(fullname, _SplitLoader(others))
        return None


# --- names that mean something else in each thread ---------------------------------------------------------------


class _Split(ModuleType):
    """Stands for a name while models that bring it are loaded: it is the model's to the thread that loads it.

    To all others it is what had the name *before*.
    """

    def __init__(self, name: str, before: ModuleType | None) -> None:
        super().__init__(name)
        _facts(self).update(before=before, own=None)

    def __getattribute__(self, attribute: str) -> Any:
        return getattr(_meant(self, attribute), attribute)

    def __setattr__(self, attribute: str, value: Any) -> None:
        if attribute not in _OF_AN_IMPORT and type(value) is not _Split:
            setattr(_meant(self, attribute), attribute, value)

    def __delattr__(self, attribute: str) -> None:
        delattr(_meant(self, attribute), attribute)


class _SplitLoader(Loader):
    """Makes a split name, for a thread that loads a model or, by its spec, for one of the *others*."""

    def __init__(self, others: ModuleSpec | None) -> None:
        self._others = others

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _Split(spec.name, None)

    def exec_module(self, module: ModuleType) -> None:
        """Import what it is to the others; what it is to a model is imported when something of it is asked for."""
        if self._others is not None and isinstance(module, _Split):
            _import_for_others(_facts(module), self._others)


_OF_AN_IMPORT = frozenset({"__name__", "__loader__", "__package__", "__spec__", "__path__", "__file__", "__cached__"})
"""What importlib sets of a module that it made: each side of a split name has its own."""


def _facts(split: _Split) -> dict[str, Any]:
    facts: dict[str, Any] = object.__getattribute__(split, "__dict__")
    return facts


def _meant(split: _Split, attribute: str) -> ModuleType:
    """Return the module that *split* stands for in this thread; raises AttributeError where that is none."""
    facts = _facts(split)
    own, name = _being_loaded(), facts["__name__"]
    if own is not None and name in own.shown:
        facts["own"] = own
        return own.module(name)
    if facts["before"] is None and attribute == "__spec__":  # what an import asks first
        parent = name.rpartition(".")[0]
        spec = _find_for_others(name, getattr(sys.modules.get(parent), "__path__", ()) if parent else None)
        if spec is not None:
            _import_for_others(facts, spec)
    before: ModuleType | None = facts["before"]
    if before is not None:
        return before
    if facts["own"] is None:
        raise AttributeError(f"module {name!r} is a model's that is being loaded in another thread")
    kept: ModuleType = facts["own"].module(name)  # by what was made of a pickle, say
    return kept


def _find_for_others(name: str, path: Sequence[str] | None) -> ModuleSpec | None:
    """Return how *name* is loaded outside of the models that have it."""
    specs = (finder.find_spec(name, path) for finder in sys.meta_path if not isinstance(finder, _Finder))
    return next((spec for spec in specs if spec is not None and spec.loader is not None), None)


def _import_for_others(facts: dict[str, Any], spec: ModuleSpec) -> None:
    """Import by *spec* what a split name means outside of the model that took it first."""
    assert spec.loader is not None  # it was looked for
    facts["before"] = importlib.util.module_from_spec(spec)
    vars(spec)["_initializing"] = True  # as importlib says it: other threads wait until it is imported
    try:
        spec.loader.exec_module(facts["before"])
    except BaseException:
        facts["before"] = None
        raise
    finally:
        vars(spec)["_initializing"] = False
    parent, _, last = spec.name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], last, facts["before"])


# --- loading ----------------------------------------------------------------------------------------------------

_known: dict[str, Carried] = {}
_finder = _Finder()
_here = threading.local()
_lock = threading.Lock()
"""Held while names are split or whole again, for no longer than that."""
_active: Counter[Carried] = Counter()


def _being_loaded() -> Carried | None:
    """Return what the model brings that this thread loads, None where it loads none or one that brings nothing."""
    stack: list[Carried | None] = getattr(_here, "stack", [])
    return stack[-1] if stack else None


@contextmanager
def carrying(folder: Path, code: Sequence[str], sources: Mapping[str, str], trust: Trust) -> Iterator[None]:
    """Let a model be loaded inside the block with what it brings in its *folder*, where *trust* covers that.

    *code*: files and packages in it, imported by their own names; *sources*: files in it, by the names of the modules
    that they are.
    """
    with _entered(None):  # names mean what this process has, to the look for it too
        own = _carried(folder, code, sources) if trust.everything and (code or sources) else None
        with _entered(own):
            yield


@contextmanager
def _entered(own: Carried | None) -> Iterator[None]:
    if not hasattr(_here, "stack"):
        _here.stack = []
    _here.stack.append(own)
    if own is not None:
        _split_names(own)
    try:
        yield
    finally:
        _here.stack.pop()
        if own is not None:
            with _lock:
                _active[own] -= 1
                _make_whole(own)


def _split_names(own: Carried) -> None:
    """Split those of its names that something has already; the others are when they are imported."""
    with _lock:
        if _finder not in sys.meta_path:
            sys.meta_path.insert(0, _finder)
        _active[own] += 1
        for name in own.shown:
            before = sys.modules.get(name)
            if before is not None and type(before) is not _Split:
                sys.modules[name] = _Split(name, before)


def _make_whole(own: Carried) -> None:
    """Give back the names that no model has that is still loaded; the lock is held."""
    if not _active[own]:
        del _active[own]
    for name in own.shown:
        split = sys.modules.get(name)
        if type(split) is _Split and not any(name in one.shown for one in _active):
            before = _facts(split)["before"]
            if before is None:
                del sys.modules[name]
            else:
                sys.modules[name] = before


def _forget_other_threads() -> None:
    """Let only what this thread loads count, in a child process: the other threads are not there."""
    global _lock
    _lock = threading.Lock()
    others = list(_active)
    _active.clear()
    _active.update(own for own in getattr(_here, "stack", []) if own is not None)
    for own in others:
        _make_whole(own)


os.register_at_fork(after_in_child=_forget_other_threads)


def carried_module(name: str) -> ModuleType:
    """Return the module *name* as the model that is being loaded has it: its own, or one of this process.

    Raises ModelError where its code fails.
    """
    own = _being_loaded()
    if own is None or not own.brings(name):
        return sys.modules[MAIN] if name == MAIN else importlib.import_module(name)
    try:
        return own.module(name)
    except ModelError:
        raise
    except Exception as exc:
        raise ModelError(f"The code that came with the model fails: {type(exc).__name__}: {exc}") from exc


def _carried(folder: Path, code: Sequence[str], sources: Mapping[str, str]) -> Carried | None:
    """Return what the model brings, or None where this process has all of it, to the last byte."""
    files = files_of(folder, code, sources)
    if all(is_here(name, file) for name, file in files.items()):
        return None
    digest = hashlib.sha256()
    for name, file in sorted(files.items()):
        digest.update(f"{name} {file.is_package} {hashlib.sha256(file.data).hexdigest()}\n".encode())
    package = APART_NAME + digest.hexdigest()[:32]
    return _known.setdefault(package, Carried(package, files))
