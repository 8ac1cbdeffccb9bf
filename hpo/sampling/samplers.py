"""Samplers by name."""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hpo.errors import SettingsError
from hpo.sampling.auto import choose, installed
from hpo.sampling.distinct import DistinctSampler
from hpo.sampling.grid import GridSampler
from hpo.sampling.random import RandomSampler
from hpo.sampling.sampler import Sampler
from hpo.space import Categorical, Space
from trackers.wording import suggestion

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler


@dataclass(frozen=True, slots=True)
class Order:
    """What a sampler is made for."""

    space: Space | None
    directions: tuple[str, ...]
    seed: int
    workers: int
    argument: str = ""
    note: str = ""


def make_sampler(
    spec: Any,
    *,
    space: Mapping[str, Any] | Space | None = None,
    directions: Sequence[str] = ("minimize",),
    seed: int = 0,
    total_trials: int | None = None,
    workers: int = 0,
) -> Sampler:
    """Return the sampler that *spec* names, over *space* (None: define-by-run).

    *spec* is one of ``SAMPLERS`` or ``"auto"``, ``"grid:5"`` for 5 levels of each continuous param, one of Optuna's
    samplers (or the user's own ``BaseSampler``; its random state is set from *seed* and each trial's number), or a
    ``Sampler``. Over a declared space none suggests a point twice before the space is exhausted.

    Raises: SettingsError for an unknown name (the known ones are listed), for a sampler that cannot do what the study
    needs, or that needs a package which is not installed.
    """
    space = Space.of(space)
    if isinstance(spec, Sampler):
        return spec
    if not isinstance(spec, str):
        return _distinct(_given(spec, space, tuple(directions), seed), space, seed)
    name, _, argument = spec.strip().lower().partition(":")
    name, note = name.replace("-", "_"), ""
    if name == "auto":
        name, why = choose(space, directions, total_trials, workers)
        note = f"auto chose {why}"
    if name not in SAMPLERS:
        known = ", ".join(sorted([*SAMPLERS, "auto"]))
        hint = suggestion(name, [*SAMPLERS, "auto"])
        raise SettingsError(f"there is no sampler {spec!r}{hint}; the samplers are {known}")
    if argument and name != "grid":
        raise SettingsError(f"sampler {spec!r}: {name} takes no argument, only grid does, as in 'grid:5'")
    sampler = SAMPLERS[name](Order(space, tuple(directions), seed, workers, argument, note))
    return _distinct(sampler, space, seed)


def _distinct(sampler: Sampler, space: Space | None, seed: int) -> Sampler:
    if space is None or isinstance(sampler, GridSampler):
        return sampler
    return DistinctSampler(sampler, space, seed=seed)


def _given(spec: Any, space: Space | None, directions: tuple[str, ...], seed: int) -> Sampler:
    """Wrap an Optuna sampler that the user made."""
    # nobody has one of Optuna's samplers without having imported Optuna
    optuna = sys.modules.get("optuna")
    if optuna is None or not isinstance(spec, optuna.samplers.BaseSampler):
        raise SettingsError(f"sampler={spec!r} is neither a sampler's name nor one of Optuna's samplers")
    from hpo.sampling.optuna_sampler import OptunaSampler

    return OptunaSampler(spec, space=space, directions=directions, seed=seed)


def _random(order: Order) -> Sampler:
    return _noted(RandomSampler(order.space, seed=order.seed), order)


def _grid(order: Order) -> Sampler:
    if order.space is None:
        raise SettingsError("the grid sampler needs a declared space: give space=, or use brute_force")
    levels = None
    if order.argument:
        if not order.argument.isdecimal() or int(order.argument) < 1:
            raise SettingsError(f"sampler 'grid:{order.argument}': the number of levels is a whole number from 1 up")
        levels = int(order.argument)
    return _noted(GridSampler(order.space, seed=order.seed, levels=levels), order)


def _brute_force(order: Order) -> Sampler:
    if order.space is not None:
        return _noted(GridSampler(order.space, seed=order.seed, name="brute_force"), order)
    return _optuna("brute_force", order, lambda optuna: optuna.samplers.BruteForceSampler(seed=order.seed))


def _qmc(order: Order) -> Sampler:
    if not installed("scipy"):
        raise SettingsError("the qmc sampler needs scipy: `pip install scipy`")
    if order.space is not None:
        from hpo.sampling.qmc import QmcSampler

        return _noted(QmcSampler(order.space, seed=order.seed), order)
    options = {"warn_asynchronous_seeding": False, "warn_independent_sampling": False}
    return _optuna("qmc", order, lambda o: o.samplers.QMCSampler(scramble=True, seed=order.seed % 2**32, **options))


def _tpe(order: Order) -> Sampler:
    def make(optuna: Any) -> BaseSampler:
        from hpo.sampling.tpe import ColumnTPESampler

        return ColumnTPESampler(study_seed=order.seed)

    return _optuna("tpe", order, make)


def _nsga2(order: Order) -> Sampler:
    def make(optuna: Any) -> BaseSampler:
        from hpo.sampling.generations import GenerationNSGAIISampler

        return GenerationNSGAIISampler(seed=0)

    return _optuna("nsga2", order, make)


def _nsga3(order: Order) -> Sampler:
    def make(optuna: Any) -> BaseSampler:
        from hpo.sampling.generations import GenerationNSGAIIISampler

        return GenerationNSGAIIISampler(seed=0)

    return _optuna("nsga3", order, make)


def _gp(order: Order) -> Sampler:
    if not (installed("torch") and installed("scipy")):
        raise SettingsError('the gp sampler needs torch and scipy: `pip install "hpo[gp]"`, or use tpe')
    return _optuna("gp", order, lambda optuna: optuna.samplers.GPSampler(seed=0))


def _cmaes(order: Order) -> Sampler:
    if not installed("cmaes"):
        raise SettingsError('the cmaes sampler needs the package cmaes: `pip install "hpo[cmaes]"`, or use tpe')
    if len(order.directions) > 1:
        raise SettingsError(
            f"cmaes knows one objective, and the study has {len(order.directions)}: use tpe, nsga2 or nsga3"
        )
    popsize, note = None, order.note
    if order.space is not None:
        searched = [n for n, p in order.space.items() if not isinstance(p, Categorical) and not order.space.parents(n)]
        if len(searched) < len(order.space):
            left = ", ".join(repr(name) for name in order.space if name not in searched)
            note = f"CMA-ES: knows numbers without conditions, {left} is drawn at random"
        # a generation smaller than the workers would be over before its results are in
        popsize = max(4 + math.floor(3 * math.log(max(len(searched), 1))), order.workers)

    def make(optuna: Any) -> BaseSampler:
        from hpo.sampling.generations import GenerationCmaEsSampler

        return GenerationCmaEsSampler(seed=0, popsize=popsize, warn_independent_sampling=False)

    return _optuna("cmaes", order, make, note=note, constraints=False)


def _noted(sampler: Sampler, order: Order) -> Sampler:
    sampler.note = order.note
    return sampler


def _optuna(
    name: str, order: Order, make: Callable[[Any], BaseSampler], *, note: str | None = None, constraints: bool = True
) -> Sampler:
    import optuna

    from hpo.sampling.optuna_sampler import OptunaSampler

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        inner = make(optuna)
    note = order.note if note is None else note
    return OptunaSampler(
        inner,
        space=order.space,
        directions=order.directions,
        seed=order.seed,
        name=name,
        note=note,
        constraints=constraints,
    )


SAMPLERS: dict[str, Callable[[Order], Sampler]] = {
    "random": _random,
    "tpe": _tpe,
    "cmaes": _cmaes,
    "nsga2": _nsga2,
    "nsga3": _nsga3,
    "qmc": _qmc,
    "grid": _grid,
    "brute_force": _brute_force,
    "gp": _gp,
}
"""The samplers by name; ``"auto"`` chooses among them."""
