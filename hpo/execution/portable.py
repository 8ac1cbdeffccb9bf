"""Exceptions on their way to another process."""

from __future__ import annotations

from hpo.errors import HpoError


def portable(failure: BaseException, prefix: str = "") -> BaseException:
    """Return *failure*, or where it cannot be copied what it says, behind *prefix*."""
    import cloudpickle

    try:
        cloudpickle.loads(cloudpickle.dumps(failure))  # some pickle and cannot be read again
    except Exception:  # noqa: BLE001 - a member that is a lock, an __init__ that wants more
        return HpoError(f"{prefix}{type(failure).__name__}: {failure}")
    return failure
