"""The rules a policy can have, and their form as JSON."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from trackers.errors import InvalidValueError
from trackers.query import Field, Node, fields_of, parse_flat
from trackers.query.parser import Parser
from trackers.wording import counted

_BYTES = re.compile(r"(\d+(?:\.\d+)?)\s*([kKMGT]?)(i?)[bB]?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Require:
    """The version matches *filter*, in the language of ``search_runs``.

    ``metrics.`` and ``params.`` are those it was registered with or that were measured of it since, and else its
    run's; ``tags.`` are its own, and else its run's; ``attributes.`` are its run's.
    """

    filter: str
    kind: ClassVar[str] = "require"

    def __post_init__(self) -> None:
        if (node := parse_flat(self.filter)) is None:
            raise InvalidValueError("A filter is expected, as in metrics.auc >= 0.9.")
        if any(field.kind == "dataset" for field in fields_of(node)):
            raise InvalidValueError(
                "A policy's filter asks for no data sets: whether they are equal is a rule of its own."
            )

    @property
    def node(self) -> Node:
        """The filter's tree."""
        node = parse_flat(self.filter)
        assert node is not None  # __post_init__ refuses an empty filter
        return node

    def __str__(self) -> str:
        return self.filter


@dataclass(frozen=True, slots=True)
class Better:
    """The version beats the champion at *metric*, on the same data, by more than noise.

    *metric* is a key, with a context where it has one: ``auc{split=val}``. The champion is what the alias *than* points
    at (None: the alias that is to be moved, which may have been removed: then what it pointed at last); where nothing
    was ever at it the rule holds. The gain must reach *margin*, the part *relative* of the champion's value, and
    *sigmas* standard errors, whichever is largest. The data are equal when the digests of the inputs in *role* are
    (None: all inputs).
    """

    metric: str
    direction: str = "maximize"
    margin: float = 0.0
    relative: float = 0.0
    sigmas: float = 2.0
    than: str | None = None
    role: str | None = None
    kind: ClassVar[str] = "better"

    def __post_init__(self) -> None:
        if self.direction not in {"maximize", "minimize"}:
            raise InvalidValueError(f"A direction is 'maximize' or 'minimize', not {self.direction!r}.")
        for name in ("margin", "relative", "sigmas"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
                raise InvalidValueError(f"{name} is a number from 0 on, not {value!r}.")
        if self.field.aggregate != "last":
            raise InvalidValueError(f"{self.metric!r} is no metric of a version: give its key, as in auc.")

    @property
    def field(self) -> Field:
        """The metric as a field of the filter language."""
        if not isinstance(self.metric, str) or not self.metric:
            raise InvalidValueError(f"A metric is named by its key, as in auc, not by {self.metric!r}.")
        text = self.metric if self.metric.startswith("metrics.") else f"metrics.{self.metric}"
        parser = Parser(text)
        field = parser.field()
        if parser.token.kind != "end":
            parser.fail("a metric is one key, as in auc or auc{split=val}")
        return field

    def __str__(self) -> str:
        asked = [f"{self.sigmas:g} standard errors"] if self.sigmas else []
        asked += [f"{self.margin:g}"] if self.margin else []
        asked += [f"{self.relative * 100:g} %"] if self.relative else []
        than = f"@{self.than}" if self.than else "the champion"
        word = "higher" if self.direction == "maximize" else "lower"
        by = f" by {' and '.join(asked)}" if asked else ""
        return f"{self.metric} {word} than {than}'s{by}, on the same {self.role + ' ' if self.role else ''}data"


@dataclass(frozen=True, slots=True)
class MaxSize:
    """The model's files have at most *bytes* bytes; text such as ``"100MB"`` is read too."""

    bytes: int
    kind: ClassVar[str] = "max_size"

    def __post_init__(self) -> None:
        object.__setattr__(self, "bytes", read_bytes(self.bytes))

    def __str__(self) -> str:
        return f"at most {show_bytes(self.bytes)}"


@dataclass(frozen=True, slots=True)
class Committed:
    """The version was made by committed code: its commit is known, and the tree was clean."""

    kind: ClassVar[str] = "committed"

    def __str__(self) -> str:
        return "code committed"


@dataclass(frozen=True, slots=True)
class Approvals:
    """*count* users approved the version: of those in *by*, or (empty) anybody but who registered it."""

    count: int = 1
    by: tuple[str, ...] = ()
    kind: ClassVar[str] = "approvals"

    def __post_init__(self) -> None:
        object.__setattr__(self, "by", _users(self.by))
        if isinstance(self.count, bool) or not isinstance(self.count, int) or self.count < 1:
            raise InvalidValueError(f"The number of approvals is 1 or more, not {self.count!r}.")
        if self.by and self.count > len(self.by):
            raise InvalidValueError(f"{self.count} approvals of {counted(len(self.by), 'user')} can never be had.")

    def __str__(self) -> str:
        return f"{self.count} approval{'s' * (self.count > 1)}{' of ' + ', '.join(self.by) if self.by else ''}"


@dataclass(frozen=True, slots=True)
class Only:
    """Only these *users* may move the alias, whatever is forced."""

    users: tuple[str, ...]
    kind: ClassVar[str] = "only"

    def __post_init__(self) -> None:
        object.__setattr__(self, "users", _users(self.users))
        if not self.users:
            raise InvalidValueError("Name at least one user who may move the alias.")

    def __str__(self) -> str:
        return f"moved by {', '.join(self.users)} only"


Rule = Require | Better | MaxSize | Committed | Approvals | Only
"""What a policy asks for; ``Store.registry.set_policy`` also takes the filter of a ``Require`` as text."""

_KINDS: dict[str, type[Rule]] = {rule.kind: rule for rule in (Require, Better, MaxSize, Committed, Approvals, Only)}


def rule_to_json(rule: Rule) -> dict[str, Any]:
    """Return *rule* as JSON holds it, with its kind."""
    return {"kind": rule.kind, **dataclasses.asdict(rule)}


def rule_from_json(value: Mapping[str, Any]) -> Rule:
    """Return the rule that ``rule_to_json`` wrote. Raises InvalidValueError for one of a newer release."""
    kind = _KINDS.get(value.get("kind", ""))
    details = {name: tuple(v) if isinstance(v, list) else v for name, v in value.items() if name != "kind"}
    known = set() if kind is None else {field.name for field in dataclasses.fields(kind)}
    if kind is None or not set(details) <= known:
        raise InvalidValueError(f"This release knows no such rule: {dict(value)!r}.")
    made: Any = kind  # whose fields the names are
    rule: Rule = made(**details)
    return rule


def read_bytes(value: object) -> int:
    """Return a number of bytes: an integer, or text such as ``"100MB"`` (1000s) or ``"2GiB"`` (1024s)."""
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    if isinstance(value, str) and (found := _BYTES.fullmatch(value.strip())):
        number, unit, binary = found.groups()
        size = int(float(number) * (1024 if binary else 1000) ** " KMGT".index(unit.upper() or " "))
        if size > 0:
            return size
    raise InvalidValueError(f"A size is a number of bytes, or text such as 100MB, not {value!r}.")


def show_bytes(size: int) -> str:
    """Write a number of bytes for people."""
    number, unit = float(size), "bytes"
    for larger in ("kB", "MB", "GB", "TB"):
        if number < 1000:
            break
        number, unit = number / 1000, larger
    return f"{number:.4g} {unit}"


def _users(users: object) -> tuple[str, ...]:
    if isinstance(users, str):
        users = (users,)
    if not isinstance(users, tuple | list | set | frozenset) or not all(
        isinstance(user, str) and user for user in users
    ):
        raise InvalidValueError(f"Users are named by text, not by {users!r}.")
    return tuple(sorted(set(users)))
