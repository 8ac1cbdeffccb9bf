"""``STUDY`` and ``STUDY/17``, as people write them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpo.errors import UserError
from trackers.wording import counted

if TYPE_CHECKING:
    from trackers.store import Store
    from trackers.values import StudyRow, Trial


def split(reference: str) -> tuple[str, int | None]:
    """Return the study and the number of the trial, None where the study itself is meant.

    Raises: UserError for something else than a number behind the slash, which no study's name holds.
    """
    study, slash, number = reference.rpartition("/")
    if not slash:
        return reference, None
    if not (number.isdecimal() and number.isascii()):
        raise UserError(f"{number or 'nothing'!r} is no number of a trial: write {study}/17, or {study} alone.")
    return study, int(number)


def find_trial(store: Store, row: StudyRow, number: int) -> Trial:
    """Return a trial of *row*. Raises: UserError that says how many there are."""
    count = sum(row.counts.values())
    if number >= count:
        has = f"it has {counted(count, 'trial')}, 0 to {count - 1}" if count else "it has no trials yet"
        raise UserError(f"There is no trial {row.name}/{number}: {has}.")
    return store.get_trial(row.id, number)
