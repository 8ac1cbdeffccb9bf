"""What a report is made of, read once."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from hpo.ranking import Group, Ranking, Standing
from hpo.refitted import newest_refit
from trackers.errors import TrackersError
from trackers.states import RunState
from trackers.values import LoggedModel, ModelVersion, StudyRow, Trial

if TYPE_CHECKING:
    from trackers.store import Store


@dataclass(frozen=True)
class StudyView:
    """A study at one moment: its row, its trials by number, and what belongs to them.

    *models* are those that its trials logged, dropped ones included; *versions* the registered ones among them;
    *storage* the store's URL without its password; *only* the params to draw (None: all of them);
    *refit* the run of the newest refit that has a model. Everything else is worked out from these, once.
    """

    row: StudyRow
    trials: tuple[Trial, ...]
    models: tuple[LoggedModel, ...] = ()
    versions: tuple[ModelVersion, ...] = ()
    storage: str = ""
    made_at: datetime | None = None
    diff: str = ""
    only: tuple[str, ...] | None = None
    refit: str | None = None

    @cached_property
    def ranking(self) -> Ranking:
        """The leaderboard."""
        return Ranking(self.row, self.trials, self.models)

    @cached_property
    def counts(self) -> Counter[RunState]:
        """How many trials are in which state."""
        return Counter(trial.state for trial in self.trials)

    @property
    def objectives(self) -> int:
        """How many objectives there are."""
        return len(self.row.directions)

    @property
    def metric_names(self) -> tuple[str, ...]:
        """One name per objective."""
        return self.ranking.metric_names

    @cached_property
    def completed(self) -> tuple[Standing, ...]:
        """Completed trials whose values are all finite, feasible or not, best first."""
        board = (place for place in self.ranking if place.group in (Group.RANKED, Group.INFEASIBLE))
        return tuple(place for place in board if all(math.isfinite(value) for value in place.trial.values or ()))

    @cached_property
    def best(self) -> Standing | None:
        """The first on the leaderboard, where a trial is ranked."""
        return self.ranking[0] if self.ranking.best is not None else None

    @cached_property
    def specs(self) -> dict[str, Mapping[str, Any]]:
        """Every param with its distribution in Optuna's JSON form (empty where it is not known)."""
        declared = (self.row.space or {}).items()
        found: dict[str, Mapping[str, Any]] = {name: spec for name, spec in declared if isinstance(spec, Mapping)}
        for name, spec in self.row.distributions.items():
            found.setdefault(name, spec)
        for trial in self.trials:
            for name in trial.params:
                if name not in found:
                    found[name] = trial.distribution_specs.get(name, {})
        return found

    @cached_property
    def importances(self) -> dict[str, float]:
        """The share of each param (PED-ANOVA), largest first; empty where it cannot be told."""
        from hpo.sampling.importance import importances

        try:
            return importances(self.row, self.trials)
        except Exception:  # noqa: BLE001  ranges that changed in mid-study defeat the estimator, not the report
            return {}

    @cached_property
    def params(self) -> tuple[str, ...]:
        """The params that were tried, the most important first; or *only* those, as they were named."""
        if self.only is not None:
            return self.only
        used = Counter(name for trial in self.trials for name in trial.params)
        known = [name for name in self.importances if name in used]
        return (*known, *(name for name in self.specs if name in used and name not in self.importances))


def view_of(store: Store, row: StudyRow) -> StudyView:
    """Read what a report of the study *row* needs, each table once."""
    trials = tuple(store.get_trials(row.id))
    models = _models(store, trials)
    logged = {model.uid for model in models}
    versions = tuple(
        version
        for registered in (store.registry.list() if logged else ())
        for version in store.registry.versions(registered.name)
        if version.model_uid in logged
    )
    return StudyView(
        row,
        trials,
        models,
        versions,
        store.safe_url,
        datetime.now(UTC),
        _diff(store, trials, row),
        refit=newest_refit(store, row.name),
    )


def _diff(store: Store, trials: Sequence[Trial], row: StudyRow) -> str:
    """Return what was changed since the commit when the last trial started."""
    launch = store.get_launch(
        next((a.launch for t in reversed(trials) for a in reversed(t.attempts) if a.launch), None)
    )
    if launch is None or launch.code is None:
        old = (row.code or {}).get("diff")
        return old if isinstance(old, str) else ""
    try:
        return store.code_diff(launch.code)
    except TrackersError as exc:
        return f"it cannot be read: {exc}"


def _models(store: Store, trials: Sequence[Trial]) -> tuple[LoggedModel, ...]:
    return tuple(store.list_logged_models([trial.run_id for trial in trials], dropped=True))
