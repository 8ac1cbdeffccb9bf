"""Stop a trial whose best value so far is worse than a percentile of the completed trials at the same step."""

from __future__ import annotations

from dataclasses import replace

from hpo.errors import SettingsError
from hpo.sampling.curve import Curve
from hpo.sampling.pruner import CurvePruner
from hpo.sampling.ranked import Ranked, percentile
from hpo.sampling.rules import PercentileRule, Rule
from trackers.states import RunState

RULE_STEPS = 4096
"""Where completed trials have more distinct steps than this, workers ask the manager: the rule would not be small."""


def check_pace(name: str, n_warmup_steps: int, interval_steps: int) -> None:
    """Raise SettingsError unless the warm-up and the interval of pruner *name* make sense."""
    if n_warmup_steps < 0:
        raise SettingsError(f"the {name} pruner needs n_warmup_steps of 0 or more, not {n_warmup_steps}")
    if interval_steps < 1:
        raise SettingsError(f"the {name} pruner needs interval_steps of 1 or more, not {interval_steps}")


class PercentilePruner(CurvePruner):
    """Decide exactly as Optuna's ``PercentilePruner`` (Golovin et al., "Google Vizier", KDD 2017, section 3.2.2).

    Keeps the values of each step ranked and the cut of each step at hand: a report costs constant time, a completed
    trial O(log n) a step. *percentile* is that of the best trials to keep, 0 to 100.
    """

    name = "percentile"

    def __init__(
        self,
        percentile: float,
        n_startup_trials: int = 5,
        n_warmup_steps: int = 0,
        interval_steps: int = 1,
        *,
        n_min_trials: int = 1,
        maximize: bool = False,
    ) -> None:
        super().__init__(maximize=maximize)
        if not 0.0 <= percentile <= 100.0:
            raise SettingsError(f"the {self.name} pruner needs a percentile from 0 to 100, not {percentile}")
        if n_startup_trials < 0:
            raise SettingsError(f"the {self.name} pruner needs n_startup_trials of 0 or more, not {n_startup_trials}")
        if n_min_trials < 1:
            raise SettingsError(f"the {self.name} pruner needs n_min_trials of 1 or more, not {n_min_trials}")
        check_pace(self.name, n_warmup_steps, interval_steps)
        self._q = 100 - percentile if maximize else percentile
        self._startup = max(n_startup_trials, 1)
        self._min_trials = n_min_trials
        self._completed = 0
        self._ranked: dict[int, Ranked] = {}
        self._nans: dict[int, int] = {}
        self._cuts: dict[int, float] = {}
        self._live = PercentileRule(0, maximize, n_warmup_steps, interval_steps, False, self._cuts)

    def _decide(self, number: int, curve: Curve) -> bool:
        return self._live.judge(curve)

    def _learn(self, number: int, state: RunState, curve: Curve) -> None:
        if state != RunState.COMPLETE:
            return
        self._completed += 1
        for step, value in curve:
            ranked = self._ranked.setdefault(step, Ranked())
            if value == value:
                ranked.add(value)
            else:
                self._nans[step] = self._nans.get(step, 0) + 1
        if self._live.is_open:
            changed = [self._cut(step) for step in curve.steps]
        elif self._completed >= self._startup:
            self._live = replace(self._live, is_open=True)
            changed = [True, *(self._cut(step) for step in self._ranked)]
        else:
            changed = []
        if any(changed):
            self._changed()

    def _cut(self, step: int) -> bool:
        """Work out the cut at *step*; True if it is another one now."""
        ranked = self._ranked[step]
        if len(ranked) + self._nans.get(step, 0) < self._min_trials:
            return False
        old = self._cuts.pop(step, None)
        cut = percentile(ranked, self._q)
        if cut == cut:
            self._cuts[step] = cut
            return cut != old
        return old is not None

    def _freeze(self) -> Rule | None:
        if len(self._cuts) > RULE_STEPS:
            return None
        return replace(self._live, version=self.version, cuts=dict(self._cuts))
