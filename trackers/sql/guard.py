"""The right to write a study's trials."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Guard:
    """What is checked in the transaction of each write to a study; *user* and *host* are the writer's own.

    *epoch* is that of a manager's lease. None: one of the processes that share the study, which hold its row while
    they write.
    """

    study_id: int
    epoch: int | None
    user: str
    host: str
