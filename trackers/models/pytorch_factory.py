"""What makes a PyTorch module anew: a callable that is named by its import path, with arguments that JSON can hold."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trackers.errors import ModelError
from trackers.models.flavor import Saving
from trackers.models.source import check_local, run_source
from trackers.models.trust import Trust


def name_factory(model: Any, how: Saving) -> tuple[str, dict[str, Any]]:
    kind = type(model)
    factory = how.factory or f"{kind.__module__}:{kind.__qualname__}"
    module, colon, name = factory.partition(":")
    if not colon or not name or not all(part.isidentifier() for part in (*module.split("."), *name.split("."))):
        raise ModelError(f"The factory {factory[:80]!r} must be module:callable, such as mypkg.nets:make_net.")
    kwargs = dict(how.factory_kwargs)
    try:
        if json.loads(json.dumps(kwargs, allow_nan=False)) != kwargs:
            raise TypeError("it would come back as something else")
    except (TypeError, ValueError) as exc:
        raise ModelError(f"The factory_kwargs must be what JSON can hold: {exc}.") from exc
    return factory, kwargs


def find_factory(factory: str) -> Any:
    module, _, name = factory.partition(":")
    try:
        found: Any = importlib.import_module(module)
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


def carried_factory(folder: Path, factory: str, source: Any, trust: Trust) -> Any:
    module, _, name = factory.partition(":")
    if not source:
        return find_factory(factory)
    if not trust.everything:
        check_local(folder, str(source), module)
        return find_factory(factory)
    found: Any = run_source(folder, str(source), module)
    for part in name.split("."):
        found = getattr(found, part)
    return found
