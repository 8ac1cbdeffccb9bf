"""The first lines of a study's leaderboard, read without what only the others have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpo.ranking.leaderboard import Ranking
from trackers.values import StudyRow

if TYPE_CHECKING:
    from trackers.store import Store


def board(store: Store, row: StudyRow, limit: int | None, *, archived: bool = True) -> Ranking:
    """Rank the trials of the study *row*; the first *limit* lines (None: all) are whole, the others outlines.

    Without *archived* the archived trials have no line.
    """
    if limit is None:
        trials = store.get_trials(row.id)
        return Ranking(row, trials, store.list_logged_models([trial.run_id for trial in trials]), archived=archived)
    outlines = Ranking(row, store.outline_trials(row.id), archived=archived)
    first = [standing.trial for standing in outlines[:limit]]
    whole = store.get_trials(row.id, numbers=[trial.number for trial in first])
    return outlines.detailed(whole, store.list_logged_models([trial.run_id for trial in first]))
