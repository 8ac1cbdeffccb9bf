"""Python's garbage collector, held off while much is made that stays."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def held_collector() -> Iterator[None]:
    """Look for no garbage inside the block, which makes many objects and none: each look goes through all of them.

    Where several threads are inside, it is back with the first that leaves: that costs time, nothing else.
    """
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if on:
            gc.enable()
