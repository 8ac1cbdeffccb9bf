"""Stop a trial whose value leaves a fixed range."""

from __future__ import annotations

from dataclasses import replace

from hpo.errors import SettingsError
from hpo.sampling.curve import Curve
from hpo.sampling.percentile import check_pace
from hpo.sampling.pruner import CurvePruner
from hpo.sampling.rules import Rule, ThresholdRule


class ThresholdPruner(CurvePruner):
    """Decide exactly as Optuna's ``ThresholdPruner``: stop below *lower*, above *upper*, and at NaN."""

    name = "threshold"

    def __init__(
        self,
        lower: float | None = None,
        upper: float | None = None,
        n_warmup_steps: int = 0,
        interval_steps: int = 1,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(maximize=maximize)
        if lower is None and upper is None:
            raise SettingsError('the threshold pruner needs lower, upper or both, for example "threshold(upper=1.0)"')
        low = float("-inf") if lower is None else float(lower)
        high = float("inf") if upper is None else float(upper)
        if low > high:
            raise SettingsError(f"the threshold pruner needs lower at most upper, not {lower} and {upper}")
        check_pace(self.name, n_warmup_steps, interval_steps)
        self._live = ThresholdRule(0, low, high, n_warmup_steps, interval_steps)

    def _decide(self, number: int, curve: Curve) -> bool:
        return self._live.judge(curve)

    def _freeze(self) -> Rule:
        return replace(self._live, version=self.version)
