"""Whether a study is running, as far as this host can tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trackers.values import StudyRow


@dataclass(frozen=True, slots=True)
class Life:
    """*alive* None: another host runs it, and only its own renewals tell. *words* and *advice* are for people."""

    alive: bool | None
    words: str
    advice: str


def life_of(row: StudyRow) -> Life:
    """Judge from the study's row and, where this host runs it, from the process itself."""
    if row.status != "running" or row.owner is None:
        reason = f": {row.reason}" if row.reason else ""
        return Life(False, f"{row.status}{reason}", _advice(row))
    lives = row.owner.lives()
    if lives is False:
        return Life(False, f"interrupted: its process is gone ({row.owner})", f"hpo resume {row.name}")
    return Life(lives, f"running, by {row.owner}", f"hpo stop {row.name}")


def _advice(row: StudyRow) -> str:
    if row.status == "complete":
        return f"hpo rank {row.name}"
    return f"hpo resume {row.name}" if row.status in ("stopped", "interrupted", "failed") else ""
