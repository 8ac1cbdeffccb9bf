"""Optuna's distributions for our specs, where ``True`` and ``1`` stay two choices, and a list may be one."""

from __future__ import annotations

import warnings
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution

from hpo.choice import NESTED, key
from hpo.sampling.sampler import Spec
from trackers.interop.optuna import to_distribution


class HashableList(list[Any]):
    """A list that is a choice: Optuna's samplers keep choices in sets and dicts."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(key(self))


class HashableDict(dict[str, Any]):
    """A mapping that is a choice."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(key(self))


def bare(value: Any) -> Any:
    """Return a param as everything but Optuna's samplers knows it."""
    if isinstance(value, HashableList):
        return list(value)
    return dict(value) if isinstance(value, HashableDict) else value


def _hashable(choice: Any) -> Any:
    if isinstance(choice, list | tuple):
        return HashableList(choice)
    return HashableDict(choice) if isinstance(choice, dict) else choice


class TypedCategorical(CategoricalDistribution):
    """Choices told apart by type and value (Optuna's own takes the first that compares equal, and hashes each)."""

    def to_internal_repr(self, param_value_in_external_repr: Any) -> float:
        wanted = key(param_value_in_external_repr)
        for i, choice in enumerate(self.choices):
            if key(choice) == wanted:
                return i
        return float(super().to_internal_repr(param_value_in_external_repr))

    def __hash__(self) -> int:
        return hash(tuple(key(choice) for choice in self.choices))


def optuna_distribution(spec: Spec) -> BaseDistribution:
    """Return Optuna's distribution for *spec*."""
    choices = spec["attributes"].get("choices")
    if choices is not None and _ambiguous(choices):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of lists as choices: they are kept all the same
            return TypedCategorical([_hashable(choice) for choice in choices])
    return to_distribution(spec)


def _ambiguous(choices: Any) -> bool:
    """Tell whether two choices are equal though their types differ, or one has no hash."""
    if any(isinstance(choice, NESTED) for choice in choices):
        return True
    return len({choice if choice == choice else "nan" for choice in choices}) < len({key(c) for c in choices})
