"""A manager's right to write a study."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Guard:
    """The epoch that is checked in the transaction of each of a manager's writes; *user* and *host* are its own."""

    study_id: int
    epoch: int
    user: str
    host: str
