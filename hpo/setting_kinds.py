"""What each kind of setting accepts.

A parser takes what any source may hold (TOML's values, text, Python objects) and raises ValueError with the end of the
sentence that the setting's name begins.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args

from hpo.wording import shown, suggestion

Direction = Literal["minimize", "maximize"]


def _number(value: Any, cast: Callable[[Any], Any]) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError
    if cast is int and isinstance(value, float) and not value.is_integer():
        raise ValueError
    return cast(value)


def whole(least: int) -> Callable[[Any], int]:
    def parse(value: Any) -> int:
        try:
            number = int(_number(value, int))
        except (ValueError, OverflowError):
            raise ValueError(f"must be a whole number of at least {least}, not {shown(value)}") from None
        if number < least:
            raise ValueError(f"must be at least {least}, not {number}")
        return number

    return parse


def amount(*, zero: bool, unit: str = "") -> Callable[[Any], float]:
    def parse(value: Any) -> float:
        wanted = f"must be a number{unit}, {'0 or more' if zero else 'more than 0'}, not {shown(value)}"
        try:
            number = float(_number(value, float))
        except (ValueError, OverflowError):
            raise ValueError(wanted) from None
        if not math.isfinite(number) or number < 0 or (number == 0 and not zero):
            raise ValueError(wanted)
        return number

    return parse


def text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"must be text that is not empty, not {shown(value)}")
    return value.strip()


def store(value: Any) -> Any:
    if isinstance(value, str):
        return text(value)
    return str(value) if hasattr(value, "__fspath__") else value  # a Store as it is


def method(value: Any) -> Any:
    """Take a sampler or pruner by name, or as the object itself."""
    if isinstance(value, str):
        return text(value)
    if value is None or isinstance(value, bool | int | float | list | tuple | Mapping):
        raise ValueError(f"must be a name or an object, not {shown(value)}")
    return value


def words(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        value = value.split(",")
    if not isinstance(value, list | tuple) or not value:
        raise ValueError(f"must be one name or several, not {shown(value)}")
    return tuple(text(word) for word in value)


def directions(value: Any) -> tuple[Direction, ...]:
    listed = [getattr(v, "name", v) for v in value] if _listed(value) else value  # Optuna's StudyDirection has a name
    ways = tuple(word.lower() for word in words(listed))
    for word in ways:
        if word not in get_args(Direction):
            raise ValueError(f"must be minimize or maximize, not {word}{suggestion(word, get_args(Direction))}")
    return ways  # type: ignore[return-value]  # checked above


def metrics(value: Any) -> tuple[str, ...]:
    names = words(value)
    if len(set(names)) < len(names):
        raise ValueError(f"must be different names, not {', '.join(names)}")
    return names


def exceptions(value: Any) -> tuple[str, ...]:
    if isinstance(value, type):
        value = [value]
    if _listed(value):
        if not value:
            return ()
        return words([_exception_name(item) if isinstance(item, type) else item for item in value])
    return words(value)


def _exception_name(kind: type) -> str:
    if not issubclass(kind, Exception):
        raise ValueError(f"must name exceptions, and {kind.__name__} is none")
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def resources(value: Any) -> dict[str, float]:
    if isinstance(value, str):
        value = value.split(",")
    if _listed(value):
        pairs = []
        for item in value:
            name, equals, quantity = str(item).partition("=")
            if not equals:
                raise ValueError(f"must be NAME=AMOUNT, not {shown(item)}")
            pairs.append((name, quantity))
        value = dict(pairs)
    if not isinstance(value, Mapping):
        raise ValueError(f"must map names to amounts, not be {shown(value)}")
    parse = amount(zero=False)
    try:
        return {text(name): parse(quantity) for name, quantity in value.items()}
    except ValueError as exc:
        raise ValueError(f"must be NAME=AMOUNT: an amount {exc}") from None


def keep(value: Any) -> int | Literal["all"]:
    if value == "all":
        return "all"
    try:
        return whole(0)(value)
    except ValueError:
        raise ValueError(f"must be a whole number of at least 0, or all, not {shown(value)}") from None


def _listed(value: Any) -> bool:
    return isinstance(value, list | tuple)
