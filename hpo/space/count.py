"""How many points a space with conditions has, without counting them one by one where it can be helped.

Params that are joined by conditions form a family; families multiply. Inside a family only parents branch, and the
values of a parent that no condition tells apart are one branch of that many values.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from math import prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hpo.space.space import Space

MOST_PARENTS = 200
"""A family with more parents than this is not counted: it passes for infinite."""

Branch = tuple[Hashable, int]
"""A key (None: any value that no condition names) and how many values it stands for."""


def count_points(space: Space, limit: int, levels: int | None = None) -> int | None:
    """Return the number of distinct points of *space*; None if it is infinite, above *limit* or past counting."""
    sizes: dict[str, int] = {}
    for name in space:
        size = space[name].cardinality() or levels
        sizes[name] = limit + 1 if size is None else size
    always = prod(size for name, size in sizes.items() if not space.parents(name))
    if always > limit:
        return None
    total = 1
    for family in _families(space):
        if len({parent for name in family for parent in space.parents(name)}) > MOST_PARENTS:
            return None
        total *= _Family(space, family, sizes, limit).count()
        if total > limit:
            return None
    return total


def _families(space: Space) -> list[list[str]]:
    """Group the names that conditions join, each group in the order of the space."""
    family_of: dict[str, list[str]] = {}
    for name in space.order:
        merged: list[str] = []
        for parent in space.parents(name):
            if family_of[parent] is not merged:
                merged = _merge(merged, family_of[parent], family_of)
        merged.append(name)
        family_of[name] = merged
    place = {name: i for i, name in enumerate(space.order)}
    groups = {id(group): sorted(group, key=place.__getitem__) for group in family_of.values()}
    return list(groups.values())


def _merge(one: list[str], other: list[str], family_of: dict[str, list[str]]) -> list[str]:
    one, other = (one, other) if len(one) >= len(other) else (other, one)
    for name in other:
        one.append(name)
        family_of[name] = one
    return one


class _Family:
    """Counts the points of one family; gives up above *limit* (the count is then any number above it)."""

    def __init__(self, space: Space, names: list[str], sizes: Mapping[str, int], limit: int) -> None:
        self.space, self.names, self.sizes, self.limit = space, names, sizes, limit
        named: dict[str, set[Hashable]] = {}
        for name in names:
            for parent, keys in space.parents(name).items():
                named.setdefault(parent, set()).update(keys)
        self.branches = {name: self._branches(name, keys) for name, keys in named.items()}

    def _branches(self, name: str, keys: set[Hashable]) -> list[Branch]:
        rest = self.sizes[name] - len(keys)
        branches: list[Branch] = [((key,), 1) for key in keys]
        return [*branches, (None, rest)] if rest else branches

    def count(self) -> int:
        return self._from(0, {}, self.limit)

    def _from(self, at: int, chosen: dict[str, Hashable], left: int) -> int:
        """Count the points of the names from *at* on, given the branches chosen for parents before."""
        factor = 1
        for i in range(at, len(self.names)):
            name = self.names[i]
            if not self._met(name, chosen):
                continue
            if name not in self.branches:
                factor *= self.sizes[name]
                if factor > left:
                    return factor
                continue
            total = 0
            for key, weight in self.branches[name]:
                chosen[name] = key
                total += weight * self._from(i + 1, chosen, left // factor // weight)
                if total * factor > left:
                    break
            del chosen[name]
            return factor * total
        return factor

    def _met(self, name: str, chosen: Mapping[str, Hashable]) -> bool:
        for parent, keys in self.space.parents(name).items():
            branch = chosen.get(parent)
            if not isinstance(branch, tuple) or branch[0] not in keys:
                return False
        return True
