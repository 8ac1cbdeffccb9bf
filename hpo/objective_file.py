"""Find the objective in a file: ``FILE`` or ``FILE:NAME``."""

from __future__ import annotations

import ast
import difflib
import hashlib
import importlib.util
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from hpo.errors import HpoError, ObjectiveError
from hpo.objectives import SPEC, ObjectiveSpec, spec_of
from hpo.wording import suggestion
from trackers.processes import APART
from trackers.wording import counted

_LOADED = "__hpo_digest__"
"""Set on a module that was imported from an objective file: the digest of the text it was imported from."""


@dataclass(frozen=True)
class LoadedObjective:
    """An objective and where it came from.

    *file* is absolute; *source* the whole text of the file; *digest* tells whether the code does something else than
    before: comments, docstrings, the decorator's own arguments and other objectives of the file do not count.
    """

    function: Callable[..., Any]
    spec: ObjectiveSpec
    file: str
    name: str
    source: str
    digest: str

    @property
    def reference(self) -> str:
        """``FILE:NAME``, as `load_objective` takes it."""
        return f"{self.file}:{self.name}"

    def record(self) -> dict[str, Any]:
        """Return what a study keeps of its objective, as JSON; secrets in the source are hidden."""
        from trackers.capture.secret import redact

        return {"file": self.file, "name": self.name, "digest": self.digest, "source": redact(self.source)}

    def difference(self, recorded: Mapping[str, Any]) -> str:
        """Say how the code differs from what `record` once returned; nothing where it does the same."""
        if not recorded.get("digest") or recorded["digest"] == self.digest:
            return ""
        old = _essence(str(recorded.get("source", "")), str(recorded.get("name", self.name))).splitlines()
        new = _essence(str(self.record()["source"]), self.name).splitlines()
        lines = [line for line in difflib.ndiff(old, new) if line[:2] in ("- ", "+ ")]
        added = sum(line.startswith("+ ") for line in lines)
        first = next((f": {line[2:].strip()[:60]}" for line in lines if line[2:].strip()), "")
        return f"the code of {Path(self.file).name} ({counted(added, 'line')} new, {len(lines) - added} gone{first})"


def load_objective(reference: str) -> LoadedObjective:
    """Import the file of *reference* (``FILE`` or ``FILE:NAME``) and return its objective.

    The file is imported as a module with its stem for a name and its folder on ``sys.path``, so that what it imports
    beside itself works, and so that a worker can import it the same way. Without a name: the one marked function, or
    the plain function called ``objective``. Raises: ObjectiveError, which says which names there are.
    """
    path, name = _split(reference)
    source = _text(path)
    module = _imported(path, source)
    name = _chosen(module, path, name)
    function = getattr(module, name)
    return LoadedObjective(
        function=function,
        spec=spec_of(function),
        file=str(path),
        name=name,
        source=source,
        digest=code_digest(source, name),
    )


def code_digest(source: str, name: str) -> str:
    """Digest what the code of objective *name* does (sha-256, hex)."""
    return hashlib.sha256(_essence(source, name).encode()).hexdigest()


# ---- the file


def _split(reference: str) -> tuple[Path, str | None]:
    file, colon, name = reference.rpartition(":")
    # A colon inside a path (a drive, say) is no separator: what follows it would be no identifier.
    if not colon or not name.isidentifier() or Path(reference).exists():
        file, name = reference.removesuffix(":"), ""
    return Path(file).expanduser().absolute(), name or None


def _text(path: Path) -> str:
    shown = _near(path)
    if path.is_dir():
        raise ObjectiveError(f"{shown} is a folder: name the .py file in it that holds the objective.")
    if not path.is_file():
        others = [p.name for p in path.parent.glob("*.py")] if path.parent.is_dir() else []
        raise ObjectiveError(f"There is no file {shown}{suggestion(path.name, others) or '.'}")
    if path.suffix != ".py":
        raise ObjectiveError(f"{shown} is not a .py file: an objective is a Python function in one.")
    if "." in path.stem or path.stem in sys.stdlib_module_names or path.stem in ("hpo", "trackers"):
        raise ObjectiveError(f"{shown} cannot be imported as a module called {path.stem}: rename the file.")
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "it is not UTF-8 text"
        raise ObjectiveError(f"{shown} cannot be read: {reason}.") from exc


def _imported(path: Path, source: str) -> ModuleType:
    text_digest = hashlib.sha256(source.encode()).hexdigest()
    there = sys.modules.get(path.stem)
    if there is not None:
        ours = getattr(there, _LOADED, None)
        if ours == text_digest and getattr(there, "__file__", None) == str(path):
            return there
        if ours is None and Path(getattr(there, "__file__", None) or "").absolute() != path:
            raise ObjectiveError(f"{_near(path)} has the name of a module in use ({path.stem}): rename the file.")
    folder = str(path.parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    return _executed(path, text_digest)


class _FromSource(SourceFileLoader):
    """Reads the source each time: bytecode kept from before is taken for that of a file changed within a second."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


def _executed(path: Path, text_digest: str) -> ModuleType:
    found = importlib.util.spec_from_file_location(path.stem, path, loader=_FromSource(path.stem, str(path)))
    if found is None or found.loader is None:
        raise ObjectiveError(f"{_near(path)} cannot be imported.")
    module = importlib.util.module_from_spec(found)
    before = sys.modules.get(path.stem)
    sys.modules[path.stem] = module
    try:
        found.loader.exec_module(module)
    except (Exception, SystemExit) as exc:
        if before is None:
            del sys.modules[path.stem]
        else:
            sys.modules[path.stem] = before
        raise ObjectiveError(f"{_near(path)} cannot be imported: {_cause(exc, path)}") from exc
    setattr(module, _LOADED, text_digest)
    setattr(module, APART, True)  # another study's objective is none of this one's code
    return module


def _cause(exc: BaseException, path: Path) -> str:
    """Return ``line 12: NameError: name 'x' is not defined`` for what importing *path* raised."""
    if isinstance(exc, SyntaxError) and exc.filename == str(path):
        return f"line {exc.lineno}: SyntaxError: {exc.msg}."
    lines = [f.lineno for f in traceback.extract_tb(exc.__traceback__) if f.filename == str(path)]
    where = f"line {lines[-1]}: " if lines else ""
    if isinstance(exc, HpoError):
        return f"{where}{exc}"
    last = traceback.format_exception_only(exc)[-1].strip()
    hint = ""
    if isinstance(exc, ModuleNotFoundError):
        hint = f" (install {exc.name}, or start where it can be imported)"
    return f"{where}{last}{hint}" if last.endswith((".", "?", "!")) else f"{where}{last}{hint}."


def _near(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


# ---- the objective in it


def _chosen(module: ModuleType, path: Path, name: str | None) -> str:
    marked, plain = _candidates(module)
    file = _near(path)
    if name is not None:
        if not callable(getattr(module, name, None)):
            near = suggestion(name, marked + plain)
            known = f" (it has {', '.join(marked + plain)})" if marked + plain else ""
            raise ObjectiveError(f"{file} has no function {name}{known}{near or '.'}")
        return name
    if len(marked) == 1:
        return marked[0]
    if marked:
        raise ObjectiveError(
            f"{file} holds {len(marked)} objectives: say which, {' or '.join(f'{file}:{n}' for n in marked)}."
        )
    if "objective" in plain:
        return "objective"
    seen = f"; its functions: {', '.join(plain)}" if plain else ""
    raise ObjectiveError(f"{file} holds no objective: mark one with @hpo.objective or name it, {file}:NAME{seen}.")


def _candidates(module: ModuleType) -> tuple[list[str], list[str]]:
    """Return the names of the marked and of the plain functions: the module's own, imported marks where it has none."""
    own: list[str] = []
    imported: list[str] = []
    plain: list[str] = []
    seen: set[int] = set()
    for name, value in vars(module).items():
        if not callable(value) or isinstance(value, type) or id(value) in seen:
            continue
        seen.add(id(value))
        mine = getattr(value, "__module__", None) == module.__name__
        if isinstance(getattr(value, SPEC, None), ObjectiveSpec):
            (own if mine else imported).append(name)
        elif mine and not name.startswith("_"):
            plain.append(name)
    return own or imported, plain


# ---- what the code does


def _essence(source: str, name: str) -> str:
    """Return *source* without what does not change what objective *name* computes."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return source
    tree.body = [node for node in tree.body if not _foreign(node, name)]
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.decorator_list = [d for d in node.decorator_list if not _is_mark(d)]
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module):
            _undocument(node)
    return ast.unparse(tree)


def _foreign(node: ast.stmt, name: str) -> bool:
    if isinstance(node, ast.FunctionDef):
        return node.name != name and any(_is_mark(d) for d in node.decorator_list)
    return isinstance(node, ast.If) and "__name__" in ast.unparse(node.test) and "__main__" in ast.unparse(node.test)


def _is_mark(decorator: ast.expr) -> bool:
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    return ast.unparse(called) in ("hpo.objective", "objective")


def _undocument(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module) -> None:
    first = node.body[0] if node.body else None
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        node.body = node.body[1:] or [ast.Pass()]
