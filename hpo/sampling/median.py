"""Stop a trial whose best value so far is worse than the median of the completed trials at the same step."""

from __future__ import annotations

from hpo.sampling.percentile import PercentilePruner


class MedianPruner(PercentilePruner):
    """Decide exactly as Optuna's ``MedianPruner``: the percentile rule at 50."""

    name = "median"

    def __init__(
        self,
        n_startup_trials: int = 5,
        n_warmup_steps: int = 0,
        interval_steps: int = 1,
        *,
        n_min_trials: int = 1,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            50.0, n_startup_trials, n_warmup_steps, interval_steps, n_min_trials=n_min_trials, maximize=maximize
        )
