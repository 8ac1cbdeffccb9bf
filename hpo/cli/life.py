"""Whether a study is running, as far as this host can tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hpo.errors import UserError
from hpo.wording import quoted
from trackers.wording import counted

if TYPE_CHECKING:
    from trackers.errors import StudyBusyError
    from trackers.values import StudyRow


SHARED = "shared"
"""Run by any number of processes at once, through Optuna's storage: nobody tells when it is done."""


@dataclass(frozen=True, slots=True)
class Life:
    """*alive* None: another host runs it, and only its own renewals tell. *words* and *advice* are for people."""

    alive: bool | None
    words: str
    advice: str


def life_of(row: StudyRow, where: str = "") -> Life:
    """Judge from the study's row and, where this host runs it, from the process itself.

    *where* is the option that leads to the store, for the advice.
    """
    name = f"{quoted(row.name)}{where}"
    if standing(row) == SHARED:
        trials = counted(sum(row.counts.values()), "trial")
        ended_some = any(count and state.is_finished() for state, count in row.counts.items())
        return Life(False, f"{SHARED}, {trials}", f"hpo rank {name}" if ended_some else "")
    if row.status != "running" or row.owner is None:
        return Life(False, ended(row.status, row.reason), _advice(row, where))
    lives = row.owner.lives()
    if lives is False:
        return Life(False, f"interrupted: its process is gone ({row.owner})", f"hpo resume {name}")
    return Life(lives, f"running, by {row.owner}", f"hpo stop {name}")


def standing(row: StudyRow) -> str:
    """Return the status in a word; a shared study (an imported one is such) with trials is not new."""
    return SHARED if row.status == "new" and row.mode == SHARED and row.counts else row.status


def ended(status: str, reason: str) -> str:
    """Return the status with its reason, and no word twice: ``stopped by me@here``, not ``stopped: stopped by ...``."""
    if not reason or reason == status:
        return status
    return reason if reason.startswith((status, "interrupted")) else f"{status}: {reason}"


def busy(row_name: str, error: StudyBusyError, where: str = "") -> UserError:
    """Return what to say of a study that somebody runs."""
    if error.owner is None:
        return UserError(f"{row_name}: {error}.")
    stop = f"`hpo stop {quoted(row_name)}{where}`"
    return UserError(f"{row_name} is run by {error.owner}: wait, stop it with {stop}, or end that process.")


def _advice(row: StudyRow, where: str) -> str:
    name = quoted(row.name)
    if row.status == "complete":
        return f"hpo rank {name}{where}"
    if row.status == "failed" and row.counts:
        return f"hpo show {name}/0{where}"
    return f"hpo resume {name}{where}" if row.status in ("stopped", "interrupted", "failed") else ""
