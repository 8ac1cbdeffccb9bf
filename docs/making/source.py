"""What a name in an annotation means, which members a class has and under which comment each of them stands."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any

OURS = ("hpo", "trackers")
_HEAD = re.compile(r"\s*# -{2,4} (?P<title>[^-\n].*?)(?: -+)?\s*$")


@dataclass(frozen=True)
class Member:
    """A public method or property: *owner* is the class that writes it, *section* the comment above it there ('': none)."""

    name: str
    owner: type
    section: str
    value: Any

    @property
    def is_method(self) -> bool:
        """Whether it is called."""
        return self.function is not None

    @property
    def function(self) -> Any:
        """What is called, None for a property."""
        value = self.value.__func__ if isinstance(self.value, staticmethod | classmethod) else self.value
        return value if inspect.isfunction(value) else None

    @property
    def returns(self) -> Any:
        """The annotation of what it is or returns, None where there is none."""
        getter = self.function or getattr(self.value, "fget", None) or getattr(self.value, "func", None)
        return getattr(getter, "__annotations__", {}).get("return")


def is_ours(thing: Any) -> bool:
    """Tell whether a class or function is of these packages."""
    return str(getattr(thing, "__module__", "")).partition(".")[0] in OURS


def members(cls: type) -> list[Member]:
    """Return the public members of a class and of what it is made of, in the order in which they are written."""
    found: dict[str, Member] = {}
    for owner in cls.__mro__:
        if is_ours(owner):
            for member in _own(owner):
                found.setdefault(member.name, member)
    return list(found.values())


def _own(cls: type) -> Iterator[Member]:
    tree, lines = _parsed(cls.__module__)
    node = next(node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name == cls.__name__)
    heads = [(i, match["title"]) for i, line in enumerate(lines, 1) if (match := _HEAD.match(line))]
    names = dict.fromkeys(one.name for one in node.body if isinstance(one, ast.FunctionDef))
    start = {one.name: one.lineno for one in node.body if isinstance(one, ast.FunctionDef)}
    for name in names:
        if not name.startswith("_"):
            above = [title for line, title in heads if node.lineno < line < start[name]]
            yield Member(name, cls, above[-1] if above else "", vars(cls)[name])


@cache
def _parsed(module: str) -> tuple[ast.Module, list[str]]:
    text = inspect.getsource(importlib.import_module(module))
    return ast.parse(text), text.splitlines()


def resolve(name: str, module: str) -> Any:
    """Return what *name* means in a module's annotations, None where that is nothing of ours."""
    home = importlib.import_module(module)
    if name in vars(home):
        return vars(home)[name]
    target = _imports(module).get(name)
    if target is None or target[0].partition(".")[0] not in OURS:
        return None
    found = importlib.import_module(target[0])
    return getattr(found, target[1], None)


@cache
def _imports(module: str) -> dict[str, tuple[str, str]]:
    """Return what a module imports for its types alone: name -> (module, name there)."""
    tree, _ = _parsed(module)
    return {
        alias.asname or alias.name: (node.module or "", alias.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def constant_name(value: Any, module: str) -> str | None:
    """Return the name of the module's constant that *value* is."""
    home: ModuleType = importlib.import_module(module)
    return next((name for name, one in vars(home).items() if one is value and name.isupper()), None)


def definition(module: str, name: str) -> tuple[str, str]:
    """Return the right side of an assignment in a module, as it is written, and the docstring under it."""
    tree, _ = _parsed(module)
    for node, after in zip(tree.body, [*tree.body[1:], None], strict=True):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            doc = after.value.value if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) else ""
            return ast.unparse(node.value), str(doc)
    raise LookupError(f"{module} does not define {name}")
