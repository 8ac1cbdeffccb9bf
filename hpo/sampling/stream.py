"""Random numbers by name: trial *n*'s draw for a param depends on (seed, n, name) and on nothing before it.

A draw is a hash of the three (the finalizer of SplitMix64: Steele, Lea & Flood, "Fast splittable pseudorandom number
generators", OOPSLA 2014), so it costs a microsecond, needs no state to resume and no order of calls.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b

MASK = 0xFFFFFFFFFFFFFFFF
GOLDEN = 0x9E3779B97F4A7C15


def mix(z: int) -> int:
    """Scramble 64 bits, one to one."""
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


@lru_cache(maxsize=65536)
def digest(name: str) -> int:
    """Return 64 bits that stand for *name*, the same in every process."""
    return int.from_bytes(blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


class Stream:
    """The draws of one trial; *attempt* tells a second try from the first."""

    __slots__ = ("_base",)

    def __init__(self, seed: int, number: int, attempt: int = 0) -> None:
        base = mix((seed + GOLDEN) & MASK) ^ mix((seed >> 64) & MASK)
        base = mix((base + GOLDEN * (number + 1)) & MASK)
        self._base = mix((base + GOLDEN * attempt) & MASK) if attempt else base

    def bits(self, name: str) -> int:
        """Return 64 uniform bits for *name*."""
        return mix(mix(self._base ^ digest(name)) + GOLDEN & MASK)

    def uniform(self, name: str) -> float:
        """Return a double in [0, 1) for *name*."""
        return (self.bits(name) >> 11) * 2.0**-53
