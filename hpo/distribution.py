"""Distributions of params in Optuna's JSON form, made and read without importing Optuna."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hpo.choice import is_one_of, key, plain
from hpo.errors import SpaceError

Spec = Mapping[str, Any]
"""``{"name": "FloatDistribution", "attributes": {"low": ..., "high": ..., "step": ..., "log": ...}}`` and its kin."""


def floating(name: str, low: float, high: float, *, step: float | None = None, log: bool = False) -> Spec:
    """Return the spec of a float in [*low*, *high*]; SpaceError where it makes no sense."""
    low, high = float(low), float(high)
    _check_range(name, low, high, log)
    if step is not None and (log or not step > 0):
        raise SpaceError(f"param {name!r}: step must be above 0 and cannot be combined with log")
    attributes = {"step": None if step is None else float(step), "low": low, "high": high, "log": bool(log)}
    return {"name": "FloatDistribution", "attributes": attributes}


def integer(name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> Spec:
    """Return the spec of an integer in [*low*, *high*]; SpaceError where it makes no sense."""
    low, high = int(low), int(high)
    _check_range(name, low, high, log)
    if step < 1 or (log and step != 1):
        raise SpaceError(f"param {name!r}: step must be 1 or more, and 1 with log")
    attributes = {"log": bool(log), "step": int(step), "low": low, "high": high}
    return {"name": "IntDistribution", "attributes": attributes}


def categorical(name: str, choices: Sequence[Any]) -> Spec:
    """Return the spec of one of *choices*; SpaceError where there are none, or JSON cannot hold one."""
    if len(choices) == 0:
        raise SpaceError(f"param {name!r} has no choices: give at least one")
    read = [plain(choice, f"param {name!r}") for choice in choices]
    return {"name": "CategoricalDistribution", "attributes": {"choices": read}}


def _check_range(name: str, low: float, high: float, log: bool) -> None:
    if not low <= high:  # also refuses NaN
        raise SpaceError(f"param {name!r} has low={low} above high={high}")
    if log and low <= 0:
        raise SpaceError(f"param {name!r} has log=True and low={low}: a log scale starts above 0")


def same_kind(a: Spec, b: Spec) -> bool:
    """Tell whether two specs may carry one name in a study: the same class, and the same choices."""
    if a["name"] != b["name"]:
        return False
    return a["name"] != "CategoricalDistribution" or _same(a["attributes"]["choices"], b["attributes"]["choices"])


def _same(a: Sequence[Any], b: Sequence[Any]) -> bool:
    return len(a) == len(b) and all(key(x) == key(y) for x, y in zip(a, b, strict=True))


def contains(spec: Spec, value: Any) -> bool:
    """Tell whether *value* lies in the distribution (its range; the grid of steps is not checked)."""
    attributes = spec["attributes"]
    if spec["name"] == "CategoricalDistribution":
        return is_one_of(value, attributes["choices"])
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    if spec["name"] == "IntDistribution" and not float(value).is_integer():
        return False
    return bool(attributes["low"] <= value <= attributes["high"])
