"""A search space: named params, in an order in which every parent comes before its children."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from typing import Any

from hpo.errors import SpaceError
from hpo.space import condition as conditions
from hpo.space.count import count_points
from hpo.space.name import check_name
from hpo.space.param import Float, Param, from_distribution, is_distribution
from trackers.wording import suggestion

LARGEST_FINITE = 10**6
"""A space with more points counts as infinite."""


class Space(Mapping[str, Param]):
    """A mapping of names to params, checked when it is made; immutable and picklable.

    *order* has the names with parents before children and as declared otherwise. A *point* is a dict with a value for
    every active param and for no other.

    Raises: SpaceError, which names the param, for a name that cannot be one, a value that is no param, a condition on
    an unknown param or on a value it does not have, a cycle of conditions.

    >>> Space({"optimizer": Categorical(["adam", "sgd"]), "momentum": Float(0.0, 0.99, when={"optimizer": "sgd"})})
    Space({'optimizer': ..., 'momentum': ...})
    """

    def __init__(self, params: Mapping[str, Param]) -> None:
        if not isinstance(params, Mapping):
            raise SpaceError(f"a space is a dict of names to params, this is {type(params).__name__}")
        self._params = {check_name(name): _param(name, value) for name, value in params.items()}
        if not self._params:
            raise SpaceError("the space is empty: declare at least one param, or leave it out for define-by-run")
        self._wanted = {name: self._read(name) for name in self._params}
        self.order: tuple[str, ...] = self._sorted()
        self.conditional: bool = any(self._wanted.values())
        self.numeric: bool = all("choices" not in p.to_distribution()["attributes"] for p in self._params.values())
        self._cardinality: dict[int | None, int | None] = {}

    @staticmethod
    def of(space: Mapping[str, Param] | Space | None) -> Space | None:
        """Return *space* as a ``Space``; None and an empty mapping (define-by-run) give None."""
        if space is None or isinstance(space, Space):
            return space
        if isinstance(space, Mapping) and not space:
            return None
        return Space(space)

    def __getitem__(self, name: str) -> Param:
        return self._params[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._params)

    def __len__(self) -> int:
        return len(self._params)

    def __repr__(self) -> str:
        return f"Space({self._params!r})"

    def _read(self, name: str) -> dict[str, frozenset[Hashable]]:
        """Return the condition of *name* as keys of its parents' values."""
        wanted: dict[str, frozenset[Hashable]] = {}
        for parent, values in (self._params[name].when or {}).items():
            if parent not in self._params:
                hint = suggestion(parent, self._params) or ": declare it, or correct the name"
                raise SpaceError(f"{name}: when= names {parent!r}, which is not in the space{hint}")
            param = self._params[parent]
            if isinstance(param, Float) and param.cardinality() is None:
                raise SpaceError(
                    f"{name}: when= compares {parent!r}, which is continuous and never exactly {values[0]!r}: give it step="
                )
            for value in values:
                if not param.contains(value):
                    raise SpaceError(f"{name}: when= wants {parent} to be {value!r}, which {parent} = {param} never is")
            wanted[parent] = frozenset(param.key(param.cast(value)) for value in values)
        return wanted

    def _sorted(self) -> tuple[str, ...]:
        order: dict[str, None] = {}
        for start in self._params:
            # a walk with its own stack: a chain of conditions may be longer than Python's
            path: dict[str, Iterator[str]] = {}
            if start not in order:
                path[start] = iter(self._wanted[start])
            while path:
                name = next(reversed(path))
                parent = next((p for p in path[name] if p not in order), None)
                if parent is None:
                    path.popitem()
                    order[name] = None
                elif parent in path:
                    circle = [*list(path)[list(path).index(parent) :], parent]
                    raise SpaceError(f"{parent}: the conditions go round in a circle, {' -> '.join(circle)}: break it")
                else:
                    path[parent] = iter(self._wanted[parent])
        return tuple(order)

    def parents(self, name: str) -> Mapping[str, frozenset[Hashable]]:
        """Return the condition of *name*: each parent with the keys (``Param.key``) that switch it on."""
        return self._wanted[name]

    def met(self, name: str, params: Mapping[str, Any]) -> bool:
        """Tell whether the condition of *name* holds where *params* has active params only."""
        return all(
            parent in params and self._params[parent].key(params[parent]) in keys
            for parent, keys in self._wanted[name].items()
        )

    def active(self, name: str, params: Mapping[str, Any]) -> bool:
        """Tell whether *name* is part of the point that *params* (which may hold more) describes."""
        return all(self.active(parent, params) for parent in self._wanted[name]) and self.met(name, params)

    def active_names(self, params: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the names that are part of the point that *params* describes, parents first."""
        found: dict[str, Any] = {}
        for name in self.order:
            if self.met(name, found):
                found[name] = params.get(name)
        return tuple(found)

    def check(self, params: Mapping[str, Any], *, partial: bool = False) -> dict[str, Any]:
        """Return the point that *params* describes, cast and in order.

        *partial* allows that some are missing, as in a trial that is enqueued with a few params: what is left out is
        sampled later.

        Raises: SpaceError names the first param that is unknown, missing, inactive or outside its range.
        """
        for name in params:
            if name not in self._params:
                raise SpaceError(
                    f"{name!r} is not in the space{suggestion(str(name), self._params) or _has(self._params)}"
                )
        point: dict[str, Any] = {}
        open_: set[str] = set()
        for name in self.order:
            undecided = any(parent in open_ for parent in self._wanted[name])
            if not undecided and not self.met(name, point):
                if name in params:
                    raise SpaceError(
                        f"{name}: is given, but it is active only when {self._condition(name)}: leave it out"
                    )
            elif name in params:
                point[name] = self._params[name].cast(params[name], name)
            elif partial:
                open_.add(name)
            else:
                raise SpaceError(f"{name}: has no value: give one, {self._params[name]}")
            if undecided:
                open_.add(name)
        return point

    def _condition(self, name: str) -> str:
        return conditions.describe(self._params[name].when or {})

    def key(self, point: Mapping[str, Any]) -> tuple[Hashable, ...]:
        """Return what tells *point* from every other: one entry a param, None where it is inactive."""
        params = self._params
        return tuple((params[name].key(point[name]),) if name in point else None for name in self.order)

    def cardinality(self, levels: int | None = None) -> int | None:
        """Return the exact number of distinct points; None if infinite or above ``LARGEST_FINITE``.

        *levels* counts that many values for each continuous param.
        """
        if levels not in self._cardinality:
            self._cardinality[levels] = count_points(self, LARGEST_FINITE, levels)
        return self._cardinality[levels]

    def points(self, levels: int | None = None) -> Iterator[dict[str, Any]]:
        """Yield every point once; the last param in order changes fastest.

        Raises: SpaceError, before the first point, if a param is continuous and no *levels* are given.
        """
        values = {name: list(param.values(levels)) for name, param in self._params.items()}
        return self._walk(values, 0, {})

    def _walk(self, values: Mapping[str, list[Any]], at: int, point: dict[str, Any]) -> Iterator[dict[str, Any]]:
        while at < len(self.order) and not self.met(self.order[at], point):
            at += 1
        if at == len(self.order):
            yield dict(point)
            return
        name = self.order[at]
        for value in values[name]:
            point[name] = value
            yield from self._walk(values, at + 1, point)
        del point[name]

    def distributions(self) -> dict[str, dict[str, Any]]:
        """Return Optuna's JSON form of every param, by name."""
        return {name: param.to_distribution() for name, param in self._params.items()}

    def to_json(self) -> dict[str, Any]:
        """Return a form that ``json`` can write: each param's distribution, with ``when`` where it has a condition."""
        form = {}
        for name, param in self._params.items():
            form[name] = param.to_distribution()
            if param.when:
                form[name]["when"] = {parent: list(values) for parent, values in param.when.items()}
        return form

    @classmethod
    def from_json(cls, form: Mapping[str, Any]) -> Space:
        """Return the space that ``to_json`` wrote.

        Raises: SpaceError for anything else.
        """
        params = {}
        for name, spec in form.items():
            if not isinstance(spec, Mapping):
                raise SpaceError(f"{name}: {spec!r} is not a distribution: it needs a name and its attributes")
            params[name] = from_distribution(spec, spec.get("when"))
        return cls(params)


def _has(params: Mapping[str, Param]) -> str:
    """Return ``": it has lr, layers"``, not more than a line of it."""
    names = list(params)
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return f": it has {', '.join(names[:8])}{more}" if names else ", which is empty"


def _param(name: str, value: Any) -> Param:
    if isinstance(value, Param):
        return value
    if is_distribution(value):
        return from_distribution(value)
    hint = "use Categorical([...])" if isinstance(value, list | tuple | set) else "use Float, Int or Categorical"
    if isinstance(value, type) and issubclass(value, Param):
        hint = f"call it, as in {value.__name__}(...)"
    raise SpaceError(f"{name}: {value!r} is not a param: {hint}")
