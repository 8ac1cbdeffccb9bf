"""The leaderboard of a study."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, overload

from hpo.ranking.order import Group, Place, last_reported, order, violation
from hpo.ranking.table import NEVER_LOGGED
from trackers.collector import held_collector
from trackers.states import RunState
from trackers.values import LoggedModel, StudyRow, Trial

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Standing:
    """One line of the leaderboard.

    *rank* is None for a trial that is not ranked (infeasible, NaN, not completed); *group* says why. *steps* is how
    many steps it reported, *seconds* how long it ran over all attempts, *cost* its core-seconds (None where the store
    does not know them). *model* tells whether its model can be loaded, *model_reason* why not. *code* is the first
    digits of the commit, with a ``+`` where the tree was not clean.
    """

    rank: int | None
    group: Group
    trial: Trial
    steps: int
    last_value: float | None
    seconds: float | None
    cost: float | None
    violation: float
    model: bool
    model_reason: str
    code: str

    @property
    def note(self) -> str:
        """Why the trial has no rank, in a word or two; empty for a ranked one."""
        if self.group is Group.INFEASIBLE:
            return "infeasible"
        if self.group is Group.NAN:
            return "NaN"
        if self.group is Group.PRUNED:
            return f"pruned at step {self.trial.last_step}" if self.steps else "pruned"
        return {Group.FAIL: "failed", Group.RUNNING: "running", Group.WAITING: "waiting"}.get(self.group, "")


class Ranking(Sequence[Standing]):
    """The trials of a study, best first; see ``hpo.ranking.order`` for ties, NaN, infeasible, pruned and failed ones.

    It shows itself as a table in a terminal and in a notebook.
    """

    def __init__(
        self, row: StudyRow, trials: Iterable[Trial], models: Iterable[LoggedModel] = (), *, archived: bool = True
    ) -> None:
        """Rank *trials* of the study *row*; *models*, where given, tell why a model is not there any more.

        Without *archived* the archived trials have no line; ranks, the best and the front are those of the whole study.
        """
        self.row = row
        with held_collector():
            self._places = order(trials, row.directions)
            self._shown = [place for place in self._places if archived or not place.trial.archived]
        self._models = {model.run_id: model for model in models}

    @overload
    def __getitem__(self, index: int) -> Standing: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Standing, ...]: ...

    def __getitem__(self, index: int | slice) -> Standing | tuple[Standing, ...]:
        if isinstance(index, slice):
            return tuple(self._standing(place) for place in self._shown[index])
        return self._standing(self._shown[index])

    def __len__(self) -> int:
        return len(self._shown)

    def __iter__(self) -> Iterator[Standing]:
        return map(self._standing, self._shown)

    def detailed(self, trials: Iterable[Trial], models: Iterable[LoggedModel] = ()) -> Ranking:
        """Return this board with *trials* in the place of the outlines that were ranked (``Store.outline_trials``)."""
        found, whole = copy(self), {trial.number: trial for trial in trials}
        for name in ("_places", "_shown"):
            places = [replace(p, trial=whole.get(p.trial.number, p.trial)) for p in getattr(self, name)]
            setattr(found, name, places)
        found._models = {model.run_id: model for model in models}
        return found

    @property
    def states(self) -> Counter[RunState]:
        """How many of the lines are in each state."""
        return Counter(place.trial.state for place in self._shown)

    @property
    def hidden(self) -> int:
        """How many archived trials have no line."""
        return len(self._places) - len(self._shown)

    @property
    def best(self) -> Trial | None:
        """The first on the board; None while no trial completed feasibly with a number.

        With several objectives: the most balanced trial of the Pareto front.
        """
        first = self._places[0] if self._places else None
        return first.trial if first is not None and first.group is Group.RANKED else None

    @property
    def front(self) -> tuple[Trial, ...]:
        """The trials of rank 1: all that share the best value, or the Pareto front."""
        return tuple(place.trial for place in self._places if place.rank == 1)

    @property
    def ranked(self) -> tuple[Trial, ...]:
        """The trials that have a rank, best first."""
        return tuple(place.trial for place in self._places if place.group is Group.RANKED)

    @property
    def metric_names(self) -> tuple[str, ...]:
        """One name per objective."""
        if len(self.row.metric_names) == len(self.row.directions):
            return self.row.metric_names
        many = len(self.row.directions) > 1
        return tuple(f"value_{index}" if many else "value" for index in range(len(self.row.directions)))

    def to_rows(self, limit: int | None = None) -> list[dict[str, Any]]:
        """Return one dict a trial, best first; params and values are dicts inside it."""
        return [self._as_dict(standing) for standing in self[:limit]]

    def to_pandas(self) -> pd.DataFrame:
        """Return a DataFrame, best first: ``value`` (or ``values_NAME``) and ``params_NAME`` as Optuna names them."""
        import pandas as pd

        names = self.metric_names
        flat = []
        for row in self.to_rows():
            values, params = row.pop("values"), row.pop("params")
            results = {"value" if len(names) == 1 else f"values_{name}": values.get(name) for name in names}
            head = {"rank": row.pop("rank"), "number": row.pop("number")}
            flat.append(head | results | {f"params_{name}": value for name, value in params.items()} | row)
        return pd.DataFrame(flat)

    def to_text(self, limit: int | None = 20, width: int = 140) -> str:
        """Return the first *limit* lines as a table of plain text, no line longer than *width*."""
        from hpo.ranking.table import text

        return text(self, limit, width)

    def __repr__(self) -> str:
        return self.to_text()

    def to_html(self, limit: int | None = 20) -> str:
        """Return the first *limit* lines as an HTML table with inline styles only."""
        from hpo.ranking.table import html

        return html(self, limit)

    def _repr_html_(self) -> str:
        return self.to_html()

    def _standing(self, place: Place) -> Standing:
        trial = place.trial
        model, reason = self._model(trial)
        return Standing(
            rank=place.rank,
            group=place.group,
            trial=trial,
            steps=len(trial.intermediate_values),
            last_value=last_reported(trial),
            seconds=run_seconds(trial),
            cost=trial.cost if trial.attempts else None,
            violation=violation(trial),
            model=model,
            model_reason=reason,
            code=next((a.code for a in reversed(trial.attempts) if a.code), ""),
        )

    def _model(self, trial: Trial) -> tuple[bool, str]:
        logged = self._models.get(trial.run_id) if trial.run_id >= 0 else None
        if logged is not None and logged.deleted_at is not None:
            return False, logged.deleted_why or "deleted"
        if trial.model is not None or logged is not None:
            return True, ""
        return False, trial.model_error or (NEVER_LOGGED if trial.state.is_finished() else "")

    def _as_dict(self, standing: Standing) -> dict[str, Any]:
        trial = standing.trial
        return {
            "rank": standing.rank,
            "number": trial.number,
            "values": dict(zip(self.metric_names, trial.values or (), strict=False)),
            "params": dict(trial.params),
            "state": trial.state.name,
            "feasible": trial.feasible,
            "violation": standing.violation,
            "steps": standing.steps,
            "last_step": trial.last_step,
            "last_value": standing.last_value,
            "seconds": standing.seconds,
            "cost": standing.cost,
            "model": standing.model,
            "model_reason": standing.model_reason,
            "code": standing.code,
            "note": standing.note,
        }


def run_seconds(trial: Trial) -> float | None:
    """Return how long *trial* ran over all attempts, in seconds; None while that is not known."""
    if trial.attempts:
        return sum(attempt.seconds for attempt in trial.attempts)
    return None if trial.duration is None else trial.duration.total_seconds()
