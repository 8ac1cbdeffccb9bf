"""Optuna's distributions for our specs, where ``True`` and ``1`` stay two choices."""

from __future__ import annotations

from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution

from hpo.sampling.sampler import Spec
from hpo.space.choice import key
from trackers.interop.optuna import to_distribution


class TypedCategorical(CategoricalDistribution):
    """Choices told apart by type and value (Optuna's own takes the first that compares equal)."""

    def to_internal_repr(self, param_value_in_external_repr: Any) -> float:
        wanted = key(param_value_in_external_repr)
        for i, choice in enumerate(self.choices):
            if key(choice) == wanted:
                return i
        return float(super().to_internal_repr(param_value_in_external_repr))


def optuna_distribution(spec: Spec) -> BaseDistribution:
    """Return Optuna's distribution for *spec*."""
    choices = spec["attributes"].get("choices")
    if choices is not None and _ambiguous(choices):
        return TypedCategorical(choices)
    return to_distribution(spec)


def _ambiguous(choices: Any) -> bool:
    """Tell whether two choices are equal though their types differ."""
    return len({choice if choice == choice else "nan" for choice in choices}) < len({key(c) for c in choices})
