"""Times, as they are stored and as they are handed out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime.fromtimestamp(0, UTC)


def to_datetime(microseconds: int | None) -> datetime | None:
    """Turn a stored time (integer microseconds since the epoch, UTC) into an aware datetime."""
    if microseconds is None:
        return None
    return _EPOCH + timedelta(microseconds=microseconds)
