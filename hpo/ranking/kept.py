"""Whose models are kept: the best *k* on the leaderboard, whatever the number of trials.

A model costs disk space, so a study keeps ``keep_models`` of them (3 by default) and deletes the others as soon as
they are beaten:

- A finished trial's model is kept while fewer than *k* finished trials **that have a model** stand before it on the
  leaderboard (``hpo.ranking.order``: ranked ones first, then infeasible, NaN, PRUNED, FAIL). So a pruned trial's
  model fills a free place until a completed one claims it, and a study in which nothing completed still has models.
- A RUNNING or WAITING trial's model is neither dropped nor counted: it may yet become the best.
- On a tie the earlier trial keeps its model.
- With one objective the outcome is the same in whatever order the trials finish: what *k* others beat stays beaten.
  With several objectives the order within a front depends on who else is on it; a model that was dropped is not
  brought back, and a front of more than *k* trials keeps its *k* most balanced ones. Use ``"all"`` to keep each.
- ``keep_models=0`` keeps none; ``"all"`` drops none.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from hpo.errors import SettingsError
from hpo.ranking.order import order
from trackers.values import Trial


def beaten(trials_with_models: Iterable[Trial], keep: int | Literal["all"], directions: Sequence[str]) -> list[int]:
    """Return the numbers, ascending, of the trials whose models are to be dropped.

    *trials_with_models* are the trials whose model exists now; *keep* is how many stay. The cost grows with their
    number only: a caller that drops what it is told asks about *keep* + 1 trials. Raises SettingsError when *keep* is
    neither a count nor ``"all"``.
    """
    if keep == "all":
        return []
    if isinstance(keep, bool) or not isinstance(keep, int) or keep < 0:
        raise SettingsError(f"keep_models is {keep!r}: give a number from 0 on, or 'all'")
    finished = [trial for trial in trials_with_models if trial.state.is_finished()]
    return sorted(place.trial.number for place in order(finished, directions)[keep:])
