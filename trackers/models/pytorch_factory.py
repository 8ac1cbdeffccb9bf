"""What makes a PyTorch module anew: a callable that is named by its import path, with arguments that JSON can hold."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from trackers.errors import ModelError
from trackers.models.carried import carried_module
from trackers.models.flavor import Saving, full_name


def name_factory(model: Any, how: Saving) -> tuple[str, dict[str, Any]]:
    """Return the import path of what makes *model* anew, and its arguments."""
    kind = type(model)
    if how.factory is None and "<locals>" in kind.__qualname__:
        raise ModelError(
            f"{full_name(kind)} is defined inside a function: define it at the top of its file, or give "
            'factory="module:callable".'
        )
    given = how.factory or f"{kind.__module__}:{kind.__qualname__}"
    factory = given if isinstance(given, str) else _path_of(given)
    module, colon, name = factory.partition(":")
    if not colon or not name or not all(part.isidentifier() for part in (*module.split("."), *name.split("."))):
        raise ModelError(f"The factory {factory[:80]!r} must be module:callable, such as mypkg.nets:make_net.")
    kwargs = dict(how.factory_kwargs)
    if tuples := [name for name, value in kwargs.items() if _holds_tuple(value)]:
        raise ModelError(f"{tuples[0]} in factory_kwargs holds a tuple, which would come back as a list: give a list.")
    try:
        if json.loads(json.dumps(kwargs, allow_nan=False)) != kwargs:
            raise TypeError("it would come back as something else")
    except (TypeError, ValueError) as exc:
        raise ModelError(f"The factory_kwargs must be what JSON can hold: {exc}.") from exc
    return factory, kwargs


def _path_of(factory: Any) -> str:
    module, name = getattr(factory, "__module__", None), getattr(factory, "__qualname__", None)
    path = f"{module}:{name}"
    if not module or not name or "<" in name or find_factory(path) != factory:
        raise ModelError(
            f"The factory {str(name or type(factory).__name__)[:80]} cannot be found by its name (a lambda, a partial, a "
            "function inside another): define it at the top of a file."
        )
    return path


def _holds_tuple(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(_holds_tuple, value.values()))
    return isinstance(value, tuple) or (isinstance(value, list) and any(map(_holds_tuple, value)))


def find_factory(factory: str) -> Any:
    """Return what the factory's path names, which the model that is being loaded may bring."""
    module, _, name = factory.partition(":")
    try:
        found: Any = carried_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as exc:
        raise ModelError(f"The factory {factory} cannot be imported here: install or name it. ({exc})") from exc
    if not callable(found):
        raise ModelError(f"The factory {factory} is not callable.")
    return found


def call_factory(make: Any, kwargs: Mapping[str, Any]) -> Any:
    """Return what *make* makes. Its first weights are random and thrown away: no other random number changes by it."""
    import torch

    with torch.random.fork_rng(devices=[]):
        return make(**kwargs)


def is_layer(factory: str) -> bool:
    """Tell whether *factory* is a layer of PyTorch itself, which only makes numbers."""
    import torch

    module, _, name = factory.partition(":")
    if not (module == "torch.nn" or module.startswith("torch.nn.modules.")) or not name.isidentifier():
        return False
    found = getattr(sys.modules.get(module), name, None)
    return isinstance(found, type) and issubclass(found, torch.nn.Module) and found.__module__.startswith("torch.nn.")


def sources_of(factory: str, source: Any) -> dict[str, str]:
    """Return the file of the factory in the model's folder, by its module's name, where the model brings one."""
    return {factory.partition(":")[0]: str(source)} if source else {}
