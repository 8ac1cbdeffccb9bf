"""Optuna's side of the suggest benchmark: ``ask`` and every ``suggest_*`` of a study in memory."""

from __future__ import annotations

from typing import Any

import optuna

from benchmarks.measure import Answer, answer
from benchmarks.suggesting import SPACE, past, timed, values
from trackers.interop.optuna import to_distribution


def ask(sampler: str, objectives: int, history: int, suggestions: int, seconds: float) -> Answer:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    samplers = {"random": optuna.samplers.RandomSampler, "tpe": optuna.samplers.TPESampler}
    study = optuna.create_study(directions=["minimize"] * objectives, sampler=samplers[sampler](seed=0))
    space = {name: to_distribution(spec) for name, spec in SPACE.distributions().items()}
    for _, point in past(history):
        used = {name: space[name] for name in point}
        study.add_trial(optuna.trial.create_trial(params=point, distributions=used, values=values(point, objectives)))

    def suggest() -> Any:
        trial = study.ask()
        for name in SPACE.order:
            if SPACE.met(name, trial.params):
                trial._suggest(name, space[name])
        return trial

    return timed(suggest, lambda trial: study.tell(trial, values(trial.params, objectives)), suggestions, seconds)


if __name__ == "__main__":
    answer(ask)
