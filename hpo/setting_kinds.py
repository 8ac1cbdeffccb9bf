"""What each kind of setting accepts.

A parser takes what any source may hold (TOML's values, text, Python objects) and raises ValueError with the end of the
sentence that the setting's name begins.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, get_args

from hpo.wording import shown, suggestion

Direction = Literal["minimize", "maximize"]

SAMPLERS = ("auto", "random", "tpe", "cmaes", "nsga2", "nsga3", "qmc", "grid", "brute_force", "gp")
PRUNERS = (
    "auto",
    "none",
    "asha",
    "median",
    "percentile",
    "successive_halving",
    "hyperband",
    "threshold",
    "patient",
    "wilcoxon",
)
"""The names that ``hpo.sampling`` knows, told here so that a wrong one is refused before anything is loaded."""


def _number(value: Any, cast: Callable[[Any], Any]) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError
    if cast is int and isinstance(value, float) and not value.is_integer():
        raise ValueError
    return cast(value)


def whole(least: int, most: int = 2**31 - 1) -> Callable[[Any], int]:
    def parse(value: Any) -> int:
        try:
            number = int(_number(value, int))
        except (ValueError, OverflowError):
            raise ValueError(f"must be a whole number of at least {least}, not {shown(value)}") from None
        if number < least:
            raise ValueError(f"must be at least {least}, not {number}")
        if number > most:
            raise ValueError(f"must be at most {most}, not {shown(number)}")
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
    if hasattr(value, "__fspath__"):
        return str(value)
    stores = sys.modules.get("trackers.store")  # nobody has a Store without having imported it
    if stores is None or not isinstance(value, stores.Store):
        raise ValueError(f"must be a URL, a path or a trackers.Store, not {shown(value)}")
    return value


def sampler(value: Any) -> Any:
    """Take a sampler by name (``"grid:5"`` too), or as the object itself."""
    return _method(value, SAMPLERS, ":", "samplers", "Sampler")


def pruner(value: Any) -> Any:
    """Take a pruner by name (``"median(n_startup_trials=3)"`` too), as a mapping with its name, or as the object."""
    if isinstance(value, Mapping) and isinstance(value.get("name"), str):
        _method(value["name"], PRUNERS, "(", "pruners", "Pruner")
        return dict(value)
    return _method(value, PRUNERS, "(", "pruners", "Pruner")


def _method(value: Any, known: Sequence[str], end: str, package: str, base: str) -> Any:
    if isinstance(value, str):
        name = text(value).partition(end)[0].strip().lower().replace("-", "_")
        if name not in known:
            near = suggestion(name, known)
            raise ValueError(f"must be one of {', '.join(known)}, not {shown(value)}{near}")
        return value.strip()
    for module, kind in (("optuna", f"Base{base}"), (f"hpo.sampling.{base.lower()}", base)):
        home = sys.modules.get(module)  # nobody has one of its objects without having imported it
        home = getattr(home, package, None) if module == "optuna" else home
        if home is not None and isinstance(value, getattr(home, kind)):
            return value
    raise ValueError(f"must be a name or one of Optuna's {package}, not {shown(value)}")


def arguments(value: Any) -> dict[str, Any]:
    """Take the further arguments of an objective: names and values."""
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise ValueError(f"must map the names of the objective's arguments to their values, not be {shown(value)}")
    return dict(value)


def functions(value: Any) -> tuple[Callable[..., Any], ...]:
    """Take several functions."""
    if isinstance(value, str | Mapping) or not isinstance(value, Iterable):
        raise ValueError(f"must be a list of functions, not {shown(value)}")
    listed = tuple(value)
    for one in listed:
        function(one)
    return listed


def function(value: Any) -> Callable[..., Any]:
    """Take something that can be called."""
    if not callable(value):
        raise ValueError(f"must be a function, not {shown(value)}")
    return value  # type: ignore[no-any-return]


def jobs(value: Any) -> int:
    """Take a number of threads; -1 means one per CPU."""
    return -1 if value == -1 else whole(1)(value)


def flag(value: Any) -> bool:
    """Take True or False."""
    if not isinstance(value, bool):
        raise ValueError(f"must be True or False, not {shown(value)}")
    return value


def words(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        value = value.split(",")
    if not isinstance(value, list | tuple) or not value:
        raise ValueError(f"must be one name or several, not {shown(value)}")
    return tuple(text(word) for word in value)


def directions(value: Any) -> tuple[Direction, ...]:
    # Optuna's StudyDirection has a name
    listed = [getattr(v, "name", v) for v in value] if _listed(value) else getattr(value, "name", value)
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
    if isinstance(value, set | frozenset):
        value = list(value)
    if not isinstance(value, str | type) and not _listed(value):
        raise ValueError(f"must be exceptions or their names, not {shown(value)}")
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
