"""Whose models are kept: those of the best *k* on the leaderboard, whatever the number of trials.

A model costs disk space, so a study keeps ``keep_models`` of them (3 by default) and deletes the others as soon as
they are beaten:

- A finished trial's model is kept while fewer than *k* finished trials **that logged one** stand before it on the
  leaderboard (``hpo.ranking.order``: ranked ones first, then infeasible, NaN, PRUNED, FAIL). So a pruned trial's
  model fills a free place until a completed one claims it, and a study in which nothing completed still has models.
- A RUNNING or WAITING trial's model is neither dropped nor counted: it may yet become the best.
- On a tie the earlier trial keeps its model.
- With one objective the outcome is the same in whatever order the trials finish: what *k* others beat stays beaten.
- With several objectives a later trial may shift the order: it pushes back what it dominates, and it moves the ideal
  point that the trials of a front are sorted by. A model that was deleted cannot come back, so up to ``RESERVE`` more
  are kept, in the leaderboard's order, of trials that may yet become one of the best *k*. Those that never can be, since
  *k* trials that logged a model dominate them (or equal them, and came earlier), lose theirs at once.
- So after every commit each of the best *k* has its model, unless it once stood behind *k* + ``RESERVE`` others that
  could all still become the best. No bounded number of models excludes that: on a front, everybody may.
- ``keep_models=0`` keeps none; ``"all"`` drops none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from hpo.errors import SettingsError
from hpo.ranking.field import Field
from hpo.ranking.order import Group, Place, group_of, losses, order, signs_of
from hpo.ranking.pareto import Point
from trackers.values import Trial

RESERVE = 12
"""Models beyond *k* that a study with several objectives keeps at most: see docs/design/0009."""


class Keeper:
    """Tells, as trials finish, whose models are to be dropped.

    *keep* is how many stay, *directions* are the study's. Raises SettingsError when *keep* is neither a count nor
    ``"all"``. A call costs as much as sorting the models that are kept, and with several objectives one pass over the
    values of all trials.
    """

    def __init__(self, keep: int | Literal["all"], directions: Sequence[str]) -> None:
        if keep != "all" and (isinstance(keep, bool) or not isinstance(keep, int) or keep < 0):
            raise SettingsError(f"keep_models is {keep!r}: give a number from 0 on, or 'all'")
        self._keep, self._directions = keep, directions
        self._signs = signs_of(directions)
        self._held: dict[int, Trial] = {}
        self._field = Field(len(directions)) if len(directions) > 1 and keep not in ("all", 0) else None

    def add(self, trial: Trial, model: bool) -> None:
        """Take a finished trial; *model*: it has one."""
        if model and self._keep != "all":
            self._held[trial.number] = trial
        if self._field is not None and group_of(trial, len(self._directions)) is Group.RANKED:
            self._field.add(trial, self._point(trial), model)

    def beaten(self) -> list[int]:
        """Return the numbers, ascending, of the trials whose models are to be dropped now; they are held no longer."""
        if self._keep == "all" or len(self._held) <= self._keep:
            return []
        behind = self._places()[self._keep :]
        if self._field is not None:
            may = [place.trial.number for place in behind if self._may_return(place)]
            spared = set(may[:RESERVE])
            behind = [place for place in behind if place.trial.number not in spared]
        gone = sorted(place.trial.number for place in behind)
        for number in gone:
            del self._held[number]
        return gone

    def _places(self) -> list[Place]:
        """Return the held trials in the order in which the leaderboard of all has them."""
        trials = dict(self._held)
        if self._field is not None:
            points = [self._point(t) for t in trials.values() if group_of(t, len(self._directions)) is Group.RANKED]
            trials |= {trial.number: trial for trial in self._field.around(points)}
        return [place for place in order(trials.values(), self._directions) if place.trial.number in self._held]

    def _may_return(self, place: Place) -> bool:
        """Tell whether a trial that is not among the best *k* may be later; outside the ranked ones nothing moves."""
        if place.group is not Group.RANKED or self._field is None or self._keep == "all":
            return False
        return self._field.ahead(place.trial, self._point(place.trial)) < self._keep

    def _point(self, trial: Trial) -> Point:
        return losses(trial.values or (), self._signs)
