"""Ray Tune: as shipped (a function, a new process for each trial) and with actors that are used again.

The pruner is ``AsyncHyperBandScheduler`` (ASHA), rungs at reports 1 and 4. Results lie where Ray Tune puts them: files
of the experiment's folder.
"""

from __future__ import annotations

import tempfile
import time
import warnings
from typing import Any

import ray
from ray import tune
from ray.tune.schedulers import AsyncHyperBandScheduler

from benchmarks import curve, sleeping
from benchmarks.measure import Answer, answer


def reporting(config: dict[str, Any]) -> None:
    for step in range(1, curve.REPORTS + 1):
        tune.report({"value": curve.value(step), "result": config["x"]})


class Reporting(tune.Trainable):
    """The same trial as a class, whose actor takes the next trial by ``reset_config``."""

    def setup(self, config: dict[str, Any]) -> None:
        self.x = config["x"]

    def step(self) -> dict[str, Any]:
        step = self.iteration + 1
        return {"value": curve.value(step), "result": self.x, "done": step >= curve.REPORTS}

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.x = new_config["x"]
        return True


def sleeper(config: dict[str, Any]) -> None:
    for step in sleeping.steps(config["diary"]):
        tune.report({"value": curve.value(step), "result": config["x"]})


class Sleeper(tune.Trainable):
    """The sleeping trial as a class: one ``step`` a report."""

    def setup(self, config: dict[str, Any]) -> None:
        self.diary, self.start = config["diary"], 0.0

    def step(self) -> dict[str, Any]:
        step = self.iteration + 1
        if step == 1:
            self.start = time.time()
        time.sleep(sleeping.SECONDS / sleeping.STEPS)
        done = step >= sleeping.STEPS
        if done:
            sleeping.note(self.diary, self.start, time.time())
        return {"value": curve.value(step), "result": 0.0, "done": done}

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.diary = new_config["diary"]
        return True


def throughput(trials: int, workers: int, sampler: str, reuse: bool) -> Answer:
    """Run *trials* empty trials on *workers* one-CPU slots; seconds from the call of ``fit`` to its return."""
    _, seconds, results = _fit(
        Reporting if reuse else reporting, {"x": tune.uniform(0.0, 1.0)}, trials, workers, sampler, reuse, curve.REPORTS
    )
    iterations = [result.metrics["training_iteration"] for result in results]
    return {"seconds": seconds, "trials": len(results), "reports": sum(iterations)}


def utilisation(trials: int, slots: int, diary: str, reuse: bool) -> Answer:
    """Run *trials* sleeping trials on *slots* one-CPU slots; *diary* has their spans afterwards."""
    begun = time.time()
    space = {"x": tune.uniform(0.0, 1.0), "diary": diary}
    called, _, results = _fit(Sleeper if reuse else sleeper, space, trials, slots, "random", reuse, sleeping.STEPS)
    return {"begun": begun, "called": called, "trials": len(results)}


def _fit(
    trainable: Any, space: dict[str, Any], trials: int, slots: int, sampler: str, reuse: bool, reports: int
) -> tuple[float, float, Any]:
    """Return when the tuner was asked for (seconds since the epoch), how many seconds ``fit`` took, its results."""
    warnings.filterwarnings("ignore")
    ray.init(address="local", num_cpus=slots, include_dashboard=False, log_to_driver=False)
    asked = time.time()
    with tempfile.TemporaryDirectory(prefix="hpo-bench-") as folder:
        tuner = tune.Tuner(
            tune.with_resources(trainable, {"cpu": 1}),
            param_space=space,
            tune_config=tune.TuneConfig(
                metric="value",
                mode="max",
                num_samples=trials,
                # One more than there are: the trial ends by itself, and is not stopped inside its last report.
                scheduler=AsyncHyperBandScheduler(max_t=reports + 1, grace_period=1, reduction_factor=4),
                search_alg=_search(sampler),
                reuse_actors=reuse,
            ),
            run_config=tune.RunConfig(
                storage_path=folder,
                verbose=0,
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            ),
        )
        called = time.monotonic()
        results = tuner.fit()
        seconds = time.monotonic() - called
        ray.shutdown()
    if results.num_errors:
        raise RuntimeError(f"{results.num_errors} of {trials} trials failed: {results.errors[0]}")
    return asked, seconds, results


def _search(sampler: str) -> Any:
    if sampler == "random":
        return None
    import optuna
    from ray.tune.search.optuna import OptunaSearch

    return OptunaSearch(sampler=optuna.samplers.TPESampler(seed=0))


def ask(measure: str, **question: Any) -> Answer:
    return throughput(**question) if measure == "throughput" else utilisation(**question)


if __name__ == "__main__":
    answer(ask)
