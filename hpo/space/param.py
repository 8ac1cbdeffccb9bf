"""What a search space is made of: ``Float``, ``Int`` and ``Categorical``."""

from __future__ import annotations

import math
import sys
from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from decimal import Decimal
from numbers import Real
from typing import Any

from hpo import choice as choices_
from hpo.choice import Choice
from hpo.errors import SpaceError
from hpo.space.condition import When, read_condition

LARGEST_INT = 2**53
"""Beyond this a float (which samplers and Optuna's storages count in) skips integers."""


class Param(ABC):
    """One dimension of a space: frozen, hashable, picklable; equal where type, range and condition are."""

    __slots__ = ()
    when: When | None

    @abstractmethod
    def to_distribution(self) -> dict[str, Any]:
        """Return Optuna's JSON form: ``{"name": "FloatDistribution", "attributes": {...}}``."""

    @abstractmethod
    def cast(self, value: Any, name: str = "") -> Any:
        """Return *value* as this param has it (``3.0`` becomes ``3``, steps are met exactly).

        Raises: SpaceError, which begins with *name*, if the value lies outside.
        """

    @abstractmethod
    def cardinality(self) -> int | None:
        """Return how many values there are; None where they are not countable."""

    @abstractmethod
    def values(self, levels: int | None = None) -> Iterator[Any]:
        """Yield every value in order; a continuous range gives *levels* of them, evenly spread on its own scale.

        Raises: SpaceError for a continuous range without *levels*.
        """

    @abstractmethod
    def from_unit(self, u: float) -> Any:
        """Return the value at *u* of the way through the range, 0 <= u < 1; a uniform *u* samples the param."""

    @abstractmethod
    def key(self, value: Any) -> Hashable:
        """Return what tells *value*, one of this param's, from its others: the choice or step it is."""

    def single(self) -> bool:
        """Tell whether there is exactly one value."""
        return self.cardinality() == 1

    def contains(self, value: Any) -> bool:
        """Tell whether *value* is one of this param's."""
        try:
            self.cast(value)
        except SpaceError:
            return False
        return True

    @staticmethod
    def from_distribution(spec: Any, when: When | None = None) -> Param:
        """Return the param that one of Optuna's distributions, or its JSON form, describes."""
        return from_distribution(spec, when)

    def _identity(self) -> Hashable:
        shown = tuple((f.name, getattr(self, f.name)) for f in fields(self) if f.repr and f.name != "when")  # type: ignore[arg-type]
        return (type(self), shown, _condition_key(self.when))

    def __eq__(self, other: object) -> bool:
        return self._identity() == other._identity() if isinstance(other, Param) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._identity())


def _condition_key(condition: When | None) -> Hashable:
    if condition is None:
        return None
    return frozenset((parent, frozenset(map(choices_.key, values))) for parent, values in condition.items())


def _extras(param: Any, **defaults: Any) -> str:
    """Spell the arguments that are not at their default."""
    return "".join(f", {k}={getattr(param, k)!r}" for k, v in defaults.items() if getattr(param, k) != v)


def _number(value: Any, what: str, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise SpaceError(f"{where}: {what} is {value!r}, and must be a number")
    if not math.isfinite(value):
        raise SpaceError(f"{where}: {what} is {value!r}, and must be finite")
    return float(value)


def _whole(value: Any, what: str, where: str) -> int:
    number = _whole_or_none(value)
    if number is None:
        raise SpaceError(f"{where}: {what} is {value!r}, and must be a whole number")
    if abs(number) > LARGEST_INT:
        raise SpaceError(f"{where}: {what} is {value!r}, and lies beyond 2**53, where doubles skip integers")
    return number


def _whole_or_none(value: Any) -> int | None:
    is_number = isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    return int(value) if is_number and int(value) == value else None


@dataclass(frozen=True, eq=False, repr=False)
class Float(Param):
    """A number between *low* and *high*, both included.

    *log* searches it on a logarithmic scale; *step* makes it ``low, low + step, ...`` (*high* then comes down to the
    last of them). *when* makes it part of a point only where other params have given values.

    Raises: SpaceError for bounds that are no finite numbers or the wrong way round, ``log`` from 0 or below, a step
    of 0 or below, ``log`` with a step.

    >>> Float(1e-5, 1e-1, log=True)
    Float(1e-05, 0.1, log=True)
    """

    low: float
    high: float
    step: float | None = field(default=None, kw_only=True)
    log: bool = field(default=False, kw_only=True)
    when: When | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        where = f"Float({self.low!r}, {self.high!r}{_extras(self, step=None, log=False)})"
        low, high = _number(self.low, "low", where), _number(self.high, "high", where)
        if low > high:
            raise SpaceError(f"{where}: low is above high, swap them")
        if not math.isfinite(high - low):
            raise SpaceError(f"{where}: the range is wider than a double can hold, narrow it")
        if self.log and low <= 0:
            raise SpaceError(f"{where}: a log scale starts above 0, raise low or leave log out")
        step = None if self.step is None else _number(self.step, "step", where)
        if step is not None:
            if step <= 0:
                raise SpaceError(f"{where}: step must be above 0")
            if self.log:
                raise SpaceError(f"{where}: log and step exclude each other, leave one out")
            if 0 < high - low < step:
                raise SpaceError(f"{where}: step is larger than the range, which leaves {low!r} alone: narrow the step")
            if (high - low) / step > LARGEST_INT:
                raise SpaceError(f"{where}: step is too small for the range, leave it out")
            high = _at_step(low, step, int((Decimal(str(high)) - Decimal(str(low))) // Decimal(str(step))))
        for name, value in (("low", low), ("high", high), ("step", step), ("log", bool(self.log))):
            object.__setattr__(self, name, value)
        object.__setattr__(self, "when", read_condition(self.when, where))

    def __repr__(self) -> str:
        return f"Float({self.low!r}, {self.high!r}{_extras(self, step=None, log=False, when=None)})"

    def to_distribution(self) -> dict[str, Any]:
        attributes = {"step": self.step, "low": self.low, "high": self.high, "log": self.log}
        return {"name": "FloatDistribution", "attributes": attributes}

    def cast(self, value: Any, name: str = "") -> float:
        if isinstance(value, bool) or not isinstance(value, Real):
            raise SpaceError(f"{name or self}: {value!r} is not a number")
        number = float(value)
        if not self.low <= number <= self.high:
            raise SpaceError(f"{name or self}: {value!r} is outside {self.low!r}..{self.high!r}")
        if self.step is None:
            return number
        k = (number - self.low) / self.step
        if abs(k - round(k)) > 1e-8 * max(1.0, abs(k)):
            raise SpaceError(f"{name or self}: {value!r} is not a step of {self.step!r} from {self.low!r}")
        return _at_step(self.low, self.step, round(k))

    def cardinality(self) -> int | None:
        if self.low == self.high:
            return 1
        return None if self.step is None else round((self.high - self.low) / self.step) + 1

    def values(self, levels: int | None = None) -> Iterator[float]:
        count = self.cardinality()
        if count is not None:
            step = self.step or 0.0
            return (_at_step(self.low, step, k) if k else self.low for k in range(count))
        if levels is None:
            raise SpaceError(f"{self} is continuous and cannot be counted through: give it step=")
        return (self._at(k / (levels - 1) if levels > 1 else 0.5) for k in range(levels))

    def from_unit(self, u: float) -> float:
        if self.step is None:
            return self._at(u)
        return _at_step(self.low, self.step, int(u * (self.cardinality() or 1)))

    def key(self, value: Any) -> Hashable:
        number = float(value)
        return number if self.step is None else round((number - self.low) / self.step)

    def _at(self, u: float) -> float:
        if self.log:
            start = math.log(self.low)
            value = math.exp(start + u * (math.log(self.high) - start))
        else:
            value = self.low + u * (self.high - self.low)
        return min(max(value, self.low), self.high)


def _at_step(low: float, step: float, k: int) -> float:
    """Return ``low + k * step`` as it is written: 0.1 + 2 * 0.1 is 0.3."""
    return float(Decimal(str(low)) + k * Decimal(str(step)))


@dataclass(frozen=True, eq=False, repr=False)
class Int(Param):
    """A whole number between *low* and *high*, both included.

    *log* searches it on a logarithmic scale; *step* makes it ``low, low + step, ...`` (*high* then comes down to the
    last of them). *when* makes it part of a point only where other params have given values.

    Raises: SpaceError for bounds that are no whole numbers or the wrong way round, ``log`` from below 1, a step below
    1, ``log`` with a step.
    """

    low: int
    high: int
    step: int = field(default=1, kw_only=True)
    log: bool = field(default=False, kw_only=True)
    when: When | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        where = f"Int({self.low!r}, {self.high!r}{_extras(self, step=1, log=False)})"
        low, high, step = (_whole(getattr(self, name), name, where) for name in ("low", "high", "step"))
        if low > high:
            raise SpaceError(f"{where}: low is above high, swap them")
        if step < 1:
            raise SpaceError(f"{where}: step must be 1 or more")
        if 0 < high - low < step:
            raise SpaceError(f"{where}: step is larger than the range, which leaves {low!r} alone: narrow the step")
        if self.log and step != 1:
            raise SpaceError(f"{where}: log and step exclude each other, leave one out")
        if self.log and low < 1:
            raise SpaceError(f"{where}: a log scale starts at 1 or above, raise low or leave log out")
        high = low + (high - low) // step * step
        for name, value in (("low", low), ("high", high), ("step", step), ("log", bool(self.log))):
            object.__setattr__(self, name, value)
        object.__setattr__(self, "when", read_condition(self.when, where))

    def __repr__(self) -> str:
        return f"Int({self.low!r}, {self.high!r}{_extras(self, step=1, log=False, when=None)})"

    def to_distribution(self) -> dict[str, Any]:
        attributes = {"log": self.log, "step": self.step, "low": self.low, "high": self.high}
        return {"name": "IntDistribution", "attributes": attributes}

    def cast(self, value: Any, name: str = "") -> int:
        number = _whole_or_none(value)
        if number is None:
            raise SpaceError(f"{name or self}: {value!r} is not a whole number")
        if not self.low <= number <= self.high:
            raise SpaceError(f"{name or self}: {value!r} is outside {self.low}..{self.high}")
        if (number - self.low) % self.step:
            raise SpaceError(f"{name or self}: {value!r} is not a step of {self.step} from {self.low}")
        return number

    def cardinality(self) -> int:
        return (self.high - self.low) // self.step + 1

    def values(self, levels: int | None = None) -> Iterator[int]:
        return iter(range(self.low, self.high + 1, self.step))

    def from_unit(self, u: float) -> int:
        if not self.log:
            return self.low + int(u * self.cardinality()) * self.step
        start, end = math.log(self.low - 0.5), math.log(self.high + 0.5)
        return min(max(round(math.exp(start + u * (end - start))), self.low), self.high)

    def key(self, value: Any) -> Hashable:
        return int(value)


@dataclass(frozen=True, eq=False, repr=False)
class Categorical(Param):
    """One of *choices*: text, ints, floats, bools, None, or lists, tuples and dicts of them, without order.

    A choice is told by type and value, so ``[True, 1, 1.0]`` are three; a tuple comes back as a tuple. *when* makes the
    param part of a point only where other params have given values.

    Raises: SpaceError for no choices, two that are the same, or one of another type.
    """

    choices: Sequence[Choice]
    when: When | None = field(default=None, kw_only=True)
    _index: dict[choices_.Key, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if isinstance(self.choices, str | bytes) or not hasattr(self.choices, "__iter__"):
            raise SpaceError(f"Categorical({self.choices!r}): choices come as a list, as in Categorical(['a', 'b'])")
        given = list(self.choices)
        where = f"Categorical({given!r})"
        if not given:
            raise SpaceError(f"{where}: there are no choices, give at least one")
        choices = tuple(choices_.declared(value, where) for value in given)
        index: dict[choices_.Key, int] = {}
        for i, value in enumerate(choices):
            if index.setdefault(choices_.key(value), i) != i:
                raise SpaceError(f"{where}: {value!r} is there twice, leave one out")
        object.__setattr__(self, "choices", choices)
        object.__setattr__(self, "_index", index)
        object.__setattr__(self, "when", read_condition(self.when, where))

    def __repr__(self) -> str:
        return f"Categorical({list(self.choices)!r}{_extras(self, when=None)})"

    def _identity(self) -> Hashable:
        return (Categorical, tuple(self._index), _condition_key(self.when))

    def to_distribution(self) -> dict[str, Any]:
        read = [choices_.plain(choice, "") for choice in self.choices]
        spec: dict[str, Any] = {"name": "CategoricalDistribution", "attributes": {"choices": read}}
        tuples = choices_.tuples_in(self.choices)
        return {**spec, "tuples": tuples} if tuples else spec

    def cast(self, value: Any, name: str = "") -> Choice:
        at = self._at(value)
        if at is None:
            raise SpaceError(f"{name or 'Categorical'}: {value!r} is not among {list(self.choices)!r}")
        return self.choices[at]

    def cardinality(self) -> int:
        return len(self.choices)

    def values(self, levels: int | None = None) -> Iterator[Choice]:
        return iter(self.choices)

    def from_unit(self, u: float) -> Choice:
        return self.choices[int(u * len(self.choices))]

    def key(self, value: Any) -> Hashable:
        return self._at(value)

    def _at(self, value: Any) -> int | None:
        try:
            at = self._index.get(choices_.key(value))
            return at if at is not None else self._index.get(choices_.key(choices_.plain(value, "")))
        except (SpaceError, TypeError):  # a type that no choice has, hashable or not
            return None


def from_distribution(spec: Any, when: When | None = None) -> Param:
    """Return the param that *spec*, one of Optuna's distributions or its JSON form, describes, with the condition *when*.

    Raises: SpaceError for what is not one of Optuna's three.
    """
    if is_distribution(spec):
        import json

        spec = json.loads(sys.modules["optuna.distributions"].distribution_to_json(spec))
    try:
        name, attributes = spec["name"], dict(spec["attributes"])
        if name == "FloatDistribution":
            step, log = attributes.get("step"), attributes.get("log", False)
            return Float(attributes["low"], _highest(attributes, step), step=step, log=log, when=when)
        if name == "IntDistribution":
            step, log = attributes.get("step", 1), attributes.get("log", False)
            return Int(attributes["low"], _highest(attributes, step), step=step, log=log, when=when)
        if name == "CategoricalDistribution":
            return Categorical(choices_.read_choices(spec), when=when)
    except (KeyError, TypeError, IndexError) as exc:
        raise SpaceError(f"{spec!r} is not a distribution: it needs a name and its attributes") from exc
    raise SpaceError(
        f"{name!r} is not a distribution: use FloatDistribution, IntDistribution or CategoricalDistribution"
    )


def is_distribution(value: Any) -> bool:
    """Tell whether *value* is one of Optuna's distributions; Optuna is loaded where somebody has one."""
    found = sys.modules.get("optuna.distributions")
    return found is not None and isinstance(value, found.BaseDistribution)


def _highest(attributes: Mapping[str, Any], step: float | None) -> Any:
    """Return the upper bound; the lower one where the step leaves no other value (Optuna shortens such a range)."""
    low, high = attributes["low"], attributes["high"]
    return low if step and 0 < high - low < step else high
