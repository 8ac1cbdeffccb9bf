"""Arguments of an objective in Ray's object store: they travel once, whatever the number of trials."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ObjectArg:
    """An argument that lies in Ray's object store."""

    reference: Any

    def fetch(self) -> Any:
        """Return it; arrays are read in place, not copied."""
        import ray

        return ray.get(self.reference)


def hold(args: Mapping[str, Any]) -> dict[str, ObjectArg]:
    """Put each of *args* into the object store."""
    import ray

    return {name: ObjectArg(ray.put(value)) for name, value in args.items()}
