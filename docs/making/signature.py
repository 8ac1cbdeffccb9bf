"""Signatures as they are read: types without their modules, a long one with a parameter a line."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import json
import re
import types
from collections.abc import Callable
from datetime import timedelta
from enum import Enum
from typing import Any, ForwardRef

from making.source import constant_name, resolve

_PLACE = re.compile(r"\b(?:[a-z_]\w*\.)+(?=[A-Za-z_])")
_NAME = re.compile(r"\b[A-Z]\w*\b")
LONGEST = 100


def shown(function: Callable[..., Any], name: str, *, bound: bool = False) -> str:
    """Return the signature of a function as Python, ``def name(...) -> ...: ...``; *bound* leaves ``self`` out."""
    module = inspect.unwrap(function).__module__
    signature = inspect.signature(function)
    parameters = list(signature.parameters.values())[1 if bound else 0 :]
    returns = annotation(signature.return_annotation, module)
    return _definition(name, _written(parameters, module), f" -> {returns}" if returns else "")


def constructor(cls: type) -> str:
    """Return the call that makes an instance of a class, with types."""
    parameters = list(inspect.signature(cls).parameters.values())
    home = next(owner for owner in cls.__mro__ if "__init__" in vars(owner)).__module__
    written = _written(parameters, home)
    wide = f"{cls.__name__}({', '.join(written)})"
    return wide if len(wide) <= LONGEST else f"{cls.__name__}(\n" + "".join(f"    {one},\n" for one in written) + ")"


def _definition(name: str, parameters: list[str], returns: str) -> str:
    wide = f"def {name}({', '.join(parameters)}){returns}: ..."
    if len(wide) <= LONGEST:
        return wide
    return f"def {name}(\n" + "".join(f"    {one},\n" for one in parameters) + f"){returns}: ..."


def _written(parameters: list[inspect.Parameter], module: str) -> list[str]:
    lines: list[str] = []
    for i, one in enumerate(parameters):
        kinds = [other.kind for other in parameters[:i]]
        if one.kind is one.KEYWORD_ONLY and one.KEYWORD_ONLY not in kinds and one.VAR_POSITIONAL not in kinds:
            lines.append("*")
        lines.append(_parameter(one, module))
        if one.kind is one.POSITIONAL_ONLY and (
            i + 1 == len(parameters) or parameters[i + 1].kind is not one.POSITIONAL_ONLY
        ):
            lines.append("/")
    return lines


def _parameter(one: inspect.Parameter, module: str) -> str:
    text = {one.VAR_POSITIONAL: "*", one.VAR_KEYWORD: "**"}.get(one.kind, "") + one.name
    kind = annotation(one.annotation, module)
    text += f": {kind}" if kind else ""
    if one.default is one.empty:
        return text
    return f"{text}{' = ' if kind else '='}{default(one.default, module)}"


def annotation(given: Any, module: str) -> str:
    """Return an annotation without the modules of its types; a name for a list of something is spelled out."""
    if given is inspect.Signature.empty:
        return ""
    given = given.__forward_arg__ if isinstance(given, ForwardRef) else given
    text = given if isinstance(given, str) else inspect.formatannotation(given)
    text = _PLACE.sub("", text)
    return _NAME.sub(lambda match: _spelled(match[0], module), text).replace('"', "")


def types_in(given: Any, module: str) -> dict[str, Any]:
    """Return the types of ours that an annotation names: name -> type."""
    text = given if isinstance(given, str) else ("" if given is None else inspect.formatannotation(given))
    text = _NAME.sub(lambda match: _spelled(match[0], module), text)
    found = {name: resolve(name, module) for name in re.findall(r"(?<![.\w])[A-Z]\w*", text)}
    return {name: thing for name, thing in found.items() if thing is not None}


def _spelled(name: str, module: str) -> str:
    found = resolve(name, module)
    return _PLACE.sub("", repr(found)) if isinstance(found, types.GenericAlias) else name


def default(value: Any, module: str) -> str:
    """Return a default as it is written; raises TypeError for what has no short form."""
    named = constant_name(value, module) if not isinstance(value, str | int | float | None) else None
    if named is not None:
        return named
    if isinstance(value, Enum):
        return f"{type(value).__name__}.{value.name}"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, tuple) and value:
        parts = [default(one, module) for one in value]
        return f"({', '.join(parts)}{',' * (len(parts) == 1)})"
    if isinstance(value, timedelta) and value == timedelta(days=value.days):
        return f"timedelta(days={value.days})"
    if isinstance(value, int | float | bytes | tuple | frozenset | None):
        return repr(value)
    if isinstance(value, type):
        return value.__name__
    raise TypeError(f"the default {value!r} of something in {module} has no short form")


def fields(cls: type) -> list[tuple[str, str, str]]:
    """Return the public fields of a dataclass or a named tuple: name, type and default ('': none)."""
    if not dataclasses.is_dataclass(cls):
        return [
            (name, annotation(cls.__annotations__[name], cls.__module__), "") for name in getattr(cls, "_fields", ())
        ]
    rows = []
    for one in dataclasses.fields(cls):
        if not one.name.startswith("_"):
            home = next(c for c in cls.__mro__ if one.name in vars(c).get("__annotations__", {})).__module__
            rows.append((one.name, annotation(one.type, home), _default_of(one, home)))
    return rows


def _default_of(one: dataclasses.Field[Any], module: str) -> str:
    if one.default is not dataclasses.MISSING:
        return default(one.default, module)
    if one.default_factory is not dataclasses.MISSING:
        return repr(one.default_factory())
    return ""


def found_at(path: str) -> Any:
    """Return what ``module:name`` names."""
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)
