"""``sampler="auto"``: one table of rules, read once, before the first trial."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import NamedTuple

from hpo.space import Space
from trackers.wording import counted

GP_TRIALS = 250
"""Above this a Gaussian process costs more per suggestion (cubic in trials) than it gains."""

GP_WORKERS = 8
"""A Gaussian process fits itself anew for each suggestion: more workers than this would wait for it."""

CMA_TRIALS = 1000
"""CMA-ES learns a covariance over tens of generations: below this TPE has found more."""

GENETIC_TRIALS = 250
"""With several objectives: from here on generations pay, and TPE's hypervolumes cost too much."""

MANY_OBJECTIVES = 4
"""From here on NSGA-III's reference points tell solutions apart where nearly none dominates another."""


class Choice(NamedTuple):
    """A sampler's name and the sentence that says why."""

    name: str
    note: str


def choose(space: Space | None, directions: Sequence[str], total_trials: int | None = None, workers: int = 0) -> Choice:
    """Choose a sampler from what is declared: the space, the number of objectives, the budget, the workers.

    The history is not looked at: a study that is resumed with the same settings goes on with the same sampler.
    *total_trials* None: no limit on trials.
    """
    if space is not None and total_trials is not None:
        size = space.cardinality()
        if size is not None and size <= total_trials:
            return Choice("grid", f"grid: the space has {_points(size)}, and the budget covers them all")
    if len(directions) > 1:
        return _several(space, len(directions), total_trials)
    return _single(space, total_trials, workers)


def _points(size: int) -> str:
    return "1 point" if size == 1 else f"{size} points"


def _several(space: Space | None, objectives: int, total_trials: int | None) -> Choice:
    if space is not None and space.conditional:
        return Choice("tpe", f"TPE: {objectives} objectives over a conditional space")
    if total_trials is not None and total_trials < GENETIC_TRIALS:
        return Choice("tpe", f"TPE: {objectives} objectives and fewer than {GENETIC_TRIALS} trials")
    if objectives >= MANY_OBJECTIVES:
        return Choice("nsga3", f"NSGA-III: {objectives} objectives and {GENETIC_TRIALS} trials or more")
    return Choice("nsga2", f"NSGA-II: {objectives} objectives and {GENETIC_TRIALS} trials or more")


def _single(space: Space | None, total_trials: int | None, workers: int) -> Choice:
    if space is None:
        return Choice("tpe", "TPE: the space is not declared, it shows as the objective runs")
    if space.conditional:
        return Choice("tpe", "TPE: conditional space")
    if not space.numeric:
        return Choice("tpe", "TPE: the space has categorical params")
    if total_trials is None:
        return Choice("tpe", "TPE: numeric space, no limit on trials")
    if total_trials < GP_TRIALS and workers <= GP_WORKERS:
        if installed("torch") and installed("scipy"):
            return Choice("gp", f"GP: numeric space and fewer than {GP_TRIALS} trials")
        return Choice("tpe", f"TPE: numeric space and {counted(total_trials, 'trial')} (a GP would need hpo[gp])")
    if total_trials >= CMA_TRIALS and len(space) > 1 and installed("cmaes"):
        return Choice("cmaes", f"CMA-ES: numeric space and {CMA_TRIALS} trials or more")
    return Choice("tpe", f"TPE: numeric space and {counted(total_trials, 'trial')}")


def installed(module: str) -> bool:
    """Tell whether *module* could be imported."""
    return find_spec(module) is not None
