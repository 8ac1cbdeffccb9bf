"""A growing multiset of floats that names its k-th smallest quickly."""

from __future__ import annotations

from array import array
from bisect import bisect_left, insort
from collections.abc import Iterator

CHUNK = 4096
"""Most floats in one chunk: moving half of that is as cheap as finding the place."""


class Ranked:
    """Floats in ascending order (no NaN), eight bytes each, in sorted chunks.

    Adding, removing and reading by rank cost a binary search, a move inside one chunk and a walk over the chunks:
    a few microseconds from ten floats to a million.
    """

    __slots__ = ("_chunks", "_count", "_tops")

    def __init__(self) -> None:
        self._chunks: list[array[float]] = []
        self._tops: list[float] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[float]:
        for chunk in self._chunks:
            yield from chunk

    def __getitem__(self, rank: int) -> float:
        """Return the float at *rank*, 0 being the smallest; negative ranks count from the largest."""
        if rank < 0:
            rank += self._count
        if rank < 0:
            raise IndexError(f"there is no rank {rank - self._count} among {self._count} floats")
        for chunk in self._chunks:
            if rank < len(chunk):
                return chunk[rank]
            rank -= len(chunk)
        raise IndexError(f"there are only {self._count} floats")

    def add(self, value: float) -> None:
        """Put *value* in its place."""
        self._count += 1
        if not self._chunks:
            self._chunks.append(array("d", [value]))
            self._tops.append(value)
            return
        at = min(bisect_left(self._tops, value), len(self._tops) - 1)
        chunk = self._chunks[at]
        insort(chunk, value)
        if len(chunk) > CHUNK:
            half = len(chunk) // 2
            self._chunks[at : at + 1] = [chunk[:half], chunk[half:]]
            self._tops[at : at + 1] = [chunk[half - 1], chunk[-1]]
        else:
            self._tops[at] = chunk[-1]

    def remove(self, value: float) -> None:
        """Take one *value* out; LookupError if it is not there."""
        at = bisect_left(self._tops, value)
        chunk = self._chunks[at] if at < len(self._chunks) else array("d")
        place = bisect_left(chunk, value)
        if place == len(chunk) or chunk[place] != value:
            raise LookupError(f"{value!r} is not among the {self._count} floats")
        del chunk[place]
        self._count -= 1
        if chunk:
            self._tops[at] = chunk[-1]
        else:
            del self._chunks[at], self._tops[at]


def percentile(values: Ranked, q: float) -> float:
    """Return the *q*-th percentile (0 to 100) by linear interpolation; NaN if there are no values.

    Rounds as ``numpy.percentile`` does to the last bit (the interpolation starts from the nearer neighbour, and an
    infinite neighbour gives NaN), so that a comparison with it comes out the same.
    """
    count = len(values)
    if count == 0:
        return float("nan")
    place = (count - 1) * (q / 100.0)
    below = int(place)
    if below >= count - 1:
        top = values[-1]
        return top if top - top == 0.0 else float("nan")
    low, high, weight = values[below], values[below + 1], place - below
    if weight >= 0.5:
        return high - (high - low) * (1.0 - weight)
    return low + (high - low) * weight
