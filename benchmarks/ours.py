"""Our own side of the benchmarks: the public API as a user calls it, on Ray workers, ASHA as the pruner.

The cluster is there before the call, as it is for Ray Tune; our workers are not, and their start is in the figures. It
is a cluster as ``optimize`` starts one, so that the process they are copied from belongs to it.
"""

from __future__ import annotations

import time
from typing import Any

import hpo
from benchmarks import curve, sleeping
from benchmarks.measure import Answer, answer
from hpo.driver.cluster import NEEDED, imported
from hpo.execution.ray.own import own_ray


def reporting(trial: hpo.Trial) -> float:
    for step in range(1, curve.REPORTS + 1):
        trial.report(curve.value(step), step=step)
        if trial.should_prune():
            raise hpo.TrialPruned
    return float(trial.params["x"])


class Sleeper:
    """The sleeping trial; *diary* is the file that takes its spans."""

    def __init__(self, diary: str) -> None:
        self.diary = diary

    def __call__(self, trial: hpo.Trial) -> float:
        for step in sleeping.steps(self.diary):
            trial.report(curve.value(step), step=step)
            if trial.should_prune():
                raise hpo.TrialPruned
        return float(trial.params["x"])


def throughput(url: str, trials: int, workers: int, sampler: str) -> Answer:
    """Run *trials* empty trials on *workers* workers; seconds from the call of ``optimize`` to its return."""
    _, seconds, study = _optimize(reporting, url, trials, workers, sampler)
    done = study.trials
    reports = sum(len(trial.intermediate_values) for trial in done)
    return {"seconds": seconds, "trials": len(done), "reports": reports}


def utilisation(url: str, trials: int, slots: int, diary: str) -> Answer:
    """Run *trials* sleeping trials on *slots* one-CPU slots; *diary* has their spans afterwards."""
    begun = time.time()
    called, _, study = _optimize(Sleeper(diary), url, trials, slots, "random")
    return {"begun": begun, "called": called, "trials": len(study.trials)}


def _optimize(objective: Any, url: str, trials: int, workers: int, sampler: str) -> tuple[float, float, hpo.Study]:
    """Return when the study was asked for (seconds since the epoch), how many seconds ``optimize`` took, the study."""
    with own_ray([*NEEDED, *imported()], num_cpus=workers, log_to_driver=False):
        asked = time.time()
        study = hpo.create_study(
            study_name="bench",
            storage=url,
            space={"x": hpo.Float(0.0, 1.0)},
            direction="maximize",
            sampler=sampler,
            pruner="asha",
            seed=0,
        )
        called = time.monotonic()
        study.optimize(objective, n_trials=trials, workers=workers)
        seconds = time.monotonic() - called
    return asked, seconds, study


def ask(measure: str, **question: Any) -> Answer:
    return throughput(**question) if measure == "throughput" else utilisation(**question)


if __name__ == "__main__":
    answer(ask)
