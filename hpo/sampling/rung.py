"""The rungs of successive halving: what each trial had when it got there."""

from __future__ import annotations

from hpo.sampling.ranked import Ranked


class Rungs:
    """The values that trials brought to each rung, ranked with the best first, one a trial and rung.

    Values are kept with their sign turned where the direction is to maximize, and NaN as the worst there is. Entries
    of a trial that is not finished can be withdrawn.
    """

    def __init__(self, *, maximize: bool) -> None:
        self._maximize = maximize
        self._ranked: list[Ranked] = []
        self._entries: dict[int, dict[int, float]] = {}

    def __len__(self) -> int:
        """Return how many rungs somebody has reached."""
        return len(self._ranked)

    def __getitem__(self, rung: int) -> Ranked:
        return self._ranked[rung]

    def top(self, number: int) -> int:
        """Return the highest rung of an unfinished trial; -1 if it has none."""
        return max(self._entries.get(number, ()), default=-1)

    def enter(self, number: int, rung: int, value: float) -> None:
        """Record that trial *number* reached *rung* with *value*, instead of what it brought there before."""
        key = self._key(value)
        while len(self._ranked) <= rung:
            self._ranked.append(Ranked())
        mine = self._entries.setdefault(number, {})
        if rung in mine:
            self._ranked[rung].remove(mine[rung])
        mine[rung] = key
        self._ranked[rung].add(key)

    def replace(self, number: int, entries: list[tuple[int, float]]) -> list[int]:
        """Give a trial these entries, (rung, value), instead of what it has; return the rungs that changed."""
        if {rung: self._key(value) for rung, value in entries} == self._entries.get(number, {}):
            return []
        gone = self.withdraw(number)
        for rung, value in entries:
            self.enter(number, rung, value)
        return sorted({*gone, *(rung for rung, _ in entries)})

    def withdraw(self, number: int, *, above: int = -1) -> list[int]:
        """Take out what a trial brought to the rungs higher than *above*, and return these rungs."""
        mine = self._entries.get(number, {})
        gone = [rung for rung in mine if rung > above]
        for rung in gone:
            self._ranked[rung].remove(mine.pop(rung))
        return gone

    def _key(self, value: float) -> float:
        if value != value:
            return float("inf")
        return -value if self._maximize else value

    def settle(self, number: int) -> None:
        """Keep the entries of a finished trial for good."""
        self._entries.pop(number, None)
