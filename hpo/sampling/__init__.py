"""Where the params of a trial come from, and which running trials are hopeless: samplers and pruners.

Nothing heavy is imported here: a worker takes its pruning rule (``hpo.sampling.rules``) from this package without
Optuna and numpy; the names below load their modules where they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hpo.sampling.pruner import Pruner
    from hpo.sampling.pruners import make_pruner
    from hpo.sampling.rules import Rule
    from hpo.sampling.sampler import Sampler
    from hpo.sampling.samplers import make_sampler

__all__ = ["Pruner", "Rule", "Sampler", "make_pruner", "make_sampler"]

_HOMES = {
    "Pruner": "pruner",
    "Rule": "rules",
    "Sampler": "sampler",
    "make_pruner": "pruners",
    "make_sampler": "samplers",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
