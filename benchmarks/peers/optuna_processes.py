"""Optuna: processes that share a study through a database, each with its own ``study.optimize``.

The pruner is ``SuccessiveHalvingPruner``, rungs at reports 1 and 4. The clock starts when all processes have imported
Optuna and loaded the study, so their start costs Optuna nothing.
"""

from __future__ import annotations

import multiprocessing
import time
from multiprocessing.synchronize import Barrier
from typing import Any

import optuna

from benchmarks import curve
from benchmarks.measure import Answer, answer

STUDY = "throughput"


def objective(trial: optuna.Trial) -> float:
    x = trial.suggest_float("x", 0.0, 1.0)
    for step in range(1, curve.REPORTS + 1):
        trial.report(curve.value(step), step=step)
        if trial.should_prune():
            raise optuna.TrialPruned
    return x


def storage(url: str) -> optuna.storages.RDBStorage:
    """Open Optuna's storage; on SQLite a process waits a minute for the lock instead of failing after five seconds."""
    waiting = {"connect_args": {"timeout": 60}} if url.startswith("sqlite") else {}
    return optuna.storages.RDBStorage(url, engine_kwargs=waiting)


def worker(url: str, sampler: str, rank: int, trials: int, ready: Barrier) -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    make = {"random": optuna.samplers.RandomSampler, "tpe": optuna.samplers.TPESampler}[sampler]
    study = optuna.load_study(
        study_name=STUDY,
        storage=storage(url),
        sampler=make(seed=rank),
        pruner=optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=4),
    )
    ready.wait()
    study.optimize(objective, n_trials=trials)


def throughput(url: str, trials: int, workers: int, sampler: str) -> Answer:
    """Run *trials* empty trials in *workers* processes; seconds from when all are ready until the last has ended."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    optuna.create_study(study_name=STUDY, storage=storage(url), direction="maximize")
    spawn = multiprocessing.get_context("spawn")
    ready = spawn.Barrier(workers + 1)
    shares = [trials // workers + (rank < trials % workers) for rank in range(workers)]
    processes = [spawn.Process(target=worker, args=(url, sampler, rank, n, ready)) for rank, n in enumerate(shares)]
    for process in processes:
        process.start()
    ready.wait()
    called = time.monotonic()
    for process in processes:
        process.join()
    seconds = time.monotonic() - called
    done = optuna.load_study(study_name=STUDY, storage=storage(url)).trials
    reports = sum(len(trial.intermediate_values) for trial in done)
    return {"seconds": seconds, "trials": len(done), "reports": reports}


def ask(measure: str, **question: Any) -> Answer:
    assert measure == "throughput", measure
    return throughput(**question)


if __name__ == "__main__":
    answer(ask)
