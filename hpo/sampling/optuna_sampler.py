"""Any of Optuna's samplers behind our port, on a private study in memory."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, BruteForceSampler, GridSampler
from optuna.samplers._lazy_random_state import LazyRandomState
from optuna.search_space import IntersectionSearchSpace
from optuna.trial import FrozenTrial, TrialState

from hpo.errors import SpaceError, SpaceExhausted
from hpo.sampling.mirror import STUDY_ID, STUDY_NAME, MirrorStorage, new_record
from hpo.sampling.sampler import Sampler, Spec
from hpo.sampling.seen import SeenSpace
from hpo.sampling.spec import TypedCategorical, bare, optuna_distribution
from hpo.sampling.stream import Stream
from hpo.space import Space
from trackers.interop.optuna import CONSTRAINT_PREFIX
from trackers.states import RunState
from trackers.values import Trial

_TAKEN = (RunState.RUNNING, RunState.WAITING)


class MirrorStudy(optuna.Study):
    """Optuna's study over the mirror: reads go straight to it, and a sampler's ``stop()`` is noted, not raised.

    Optuna keeps the list of trials per thread and trial, and filters it anew at each read; the mirror has each list
    ready, so that a read is a copy of it and never stale.
    """

    stopped = False

    def _get_trials(self, deepcopy: bool = True, states: Any = None, use_cache: bool = False) -> list[FrozenTrial]:
        return self._storage.get_all_trials(STUDY_ID, deepcopy=deepcopy, states=states)

    def _get_best_trial(self, deepcopy: bool) -> FrozenTrial:
        best = self._storage.best_trial() if isinstance(self._storage, MirrorStorage) else None
        if best is None:  # none is there, or there is no such thing: Optuna says which
            return super()._get_best_trial(deepcopy)
        return copy.deepcopy(best) if deepcopy else best

    def stop(self) -> None:
        """Note that the sampler has nothing more to suggest."""
        self.stopped = True


class KnownSpace(IntersectionSearchSpace):
    """The params that all trials share, known beforehand or kept up as trials finish.

    Optuna's own reads every trial since the oldest that runs; one trial that hangs makes each suggestion as slow as
    the study is long.
    """

    def __init__(self, always: dict[str, BaseDistribution] | None, seen: SeenSpace) -> None:
        super().__init__()
        self._always, self._seen = always, seen
        self._specs: Mapping[str, Spec] | None = None
        self._shared: dict[str, BaseDistribution] = {}

    def calculate(self, study: optuna.Study, use_cache: bool = False) -> dict[str, BaseDistribution]:
        """Return the shared params, sorted by name."""
        if self._always is not None:
            return dict(self._always)
        if self._specs is not self._seen.common:
            self._specs = self._seen.common
            self._shared = {name: optuna_distribution(spec) for name, spec in sorted(self._specs.items())}
        return dict(self._shared)


class OptunaSampler(Sampler):
    """Asks *sampler* (an instance of one of Optuna's, or of the user's own) trial by trial.

    Its random states are set anew before each suggestion, from the study's seed and the trial's number: a seed that
    the sampler was made with does not count. With *constraints* False the sampler is not shown the constraints of
    trials (CMA-ES warns of each).
    """

    def __init__(
        self,
        sampler: BaseSampler,
        *,
        space: Space | None,
        directions: Iterable[str],
        seed: int = 0,
        name: str = "",
        note: str = "",
        constraints: bool = True,
    ) -> None:
        self.name, self.note = name or type(sampler).__name__, note
        self._space, self._seed, self._constraints = space, seed, constraints
        self._seen = SeenSpace()
        self._mirror = MirrorStorage(tuple(directions))
        self._study = MirrorStudy(STUDY_NAME, self._mirror, sampler, optuna.pruners.NopPruner())
        self._trials: dict[int, optuna.Trial] = {}
        self._resumed = False
        self._declared = {
            name: optuna_distribution(spec) for name, spec in (space.distributions() if space else {}).items()
        }
        always = None
        if space is not None:
            always = {name: self._declared[name] for name in sorted(space) if not space.parents(name)}
        self._random_states = list(_adopt(sampler, KnownSpace(always, self._seen), set()))

    # -- asking ----------------------------------------------------------------------------------------------------

    def ask(self, number: int, fixed: Mapping[str, Any] | None = None, *, attempt: int = 0) -> dict[str, Any]:
        if not fixed:  # an enqueued point needs no suggestion
            self._check_not_exhausted()
        self._mirror.start(number, fixed)
        self._reseed(Stream(self._seed, number, attempt))
        try:
            trial = self._trials[number] = self._trial(number)
            return self._declared_point(trial) if self._space is not None else self._shared_params(trial)
        except BaseException as exc:
            self._trials.pop(number, None)
            self._mirror.withdraw(number)
            if fixed and isinstance(exc, ValueError) and not isinstance(exc, SpaceError):
                raise SpaceError(f"the enqueued params {dict(fixed)} cannot be taken: {exc}") from exc
            raise

    def _trial(self, number: int) -> optuna.Trial:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return optuna.Trial(self._study, number)

    def _declared_point(self, trial: optuna.Trial) -> dict[str, Any]:
        space = self._space
        assert space is not None
        point: dict[str, Any] = {}
        for name in space.order:
            if space.met(name, point):
                value = trial._suggest(name, self._declared[name])
                point[name] = space[name].cast(value, name)
        # what is stored is what a resumed study will learn from: steps are met exactly here, too
        # (a choice that is a list stays as Optuna's samplers need it)
        numbers = {name: value for name, value in point.items() if isinstance(value, float)}
        self._mirror.records[trial.number].params.update(numbers)
        return point

    def _shared_params(self, trial: optuna.Trial) -> dict[str, Any]:
        if isinstance(self._study.sampler, BruteForceSampler):
            return {}  # its tree has the params in the order in which the objective asks for them
        common = self._seen.common.items()
        return {name: bare(trial._suggest(name, optuna_distribution(spec))) for name, spec in common}

    def suggest(self, number: int, name: str, distribution: Spec) -> Any:
        self._seen.check(name, distribution)
        self._reseed(Stream(self._seed, number), name)
        if number not in self._trials:
            self._trials[number] = self._trial(number)
        wanted = optuna_distribution(distribution)
        record = self._mirror.records[number]
        if name in record.params and record.distributions[name] != wanted:
            value = record.params[name]
            if wanted._contains(wanted.to_internal_repr(value)):
                record.distributions[name] = wanted
                return bare(value)
            self._mirror.drop_params(number, [name])
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # an enqueued number may lie outside its range
                return bare(self._trials[number]._suggest(name, wanted))
        except ValueError as exc:
            raise SpaceError(f"{name}: the sampler {self.name} has no value for it: {exc}") from exc

    def discard(self, number: int, names: Iterable[str]) -> None:
        self._mirror.drop_params(number, names)

    def _reseed(self, stream: Stream, name: str = "") -> None:
        for i, state in enumerate(self._random_states):
            state.seed(stream.bits(f"{name}\0{i}") & 0xFFFFFFFF)

    def _check_not_exhausted(self) -> None:
        """Raise SpaceExhausted if the sampler said that it has nothing left."""
        if self._resumed:
            self._resumed = False
            if isinstance(self._study.sampler, GridSampler | BruteForceSampler):  # the two that stop their study
                finished = [t for t in self._mirror.records if t.state.is_finished()]
                if finished:
                    last = finished[-1]
                    self._after_trial(last, last.state, last.values)
        if self._study.stopped:
            raise SpaceExhausted

    # -- learning --------------------------------------------------------------------------------------------------

    def report(self, number: int, step: int, value: float) -> None:
        self._mirror.set_trial_intermediate_value(number, step, value)

    def tell(
        self,
        number: int,
        state: RunState,
        values: tuple[float, ...] | None,
        constraints: Mapping[str, float] | None = None,
    ) -> None:
        if not state.is_finished():
            return
        record = self._mirror.records[number]
        final = TrialState(int(state))
        kept = _values(record, final, values)
        if self._constraints:
            record.system_attrs.update({CONSTRAINT_PREFIX + key: value for key, value in (constraints or {}).items()})
        try:
            self._after_trial(record, final, kept)
        finally:
            self._mirror.finish(number, final, kept)
            self._trials.pop(number, None)
        if self._space is None and final is not TrialState.FAIL:
            self._seen.finished({name: self._spec(d) for name, d in record.distributions.items()})

    def _after_trial(self, record: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        nothing = not record.params and state is TrialState.FAIL
        if nothing and isinstance(self._study.sampler, BruteForceSampler):
            return  # it failed before it asked for anything: to its tree that is a space without params, all tried
        self._study.sampler.after_trial(self._study, record, state, values)

    @staticmethod
    def _spec(distribution: BaseDistribution) -> Spec:
        attributes = dict(distribution.__dict__)
        if "choices" in attributes:
            return {"name": "CategoricalDistribution", "attributes": {"choices": list(attributes["choices"])}}
        return {"name": type(distribution).__name__, "attributes": attributes}

    def add(self, trial: Trial) -> None:
        self._resumed = True
        record = new_record(trial.number, TrialState(int(trial.state)))
        for name, value in trial.params.items():
            distribution = self._distribution(name, trial)
            if distribution is not None:
                if isinstance(distribution, TypedCategorical):
                    value = distribution.to_external_repr(distribution.to_internal_repr(value))
                record.params[name], record.distributions[name] = value, distribution
        record.intermediate_values.update(trial.intermediate_values)
        record.system_attrs.update({key: value for key, value in trial.system_attrs.items() if value is not None})
        if self._constraints:
            record.system_attrs.update({CONSTRAINT_PREFIX + key: value for key, value in trial.constraints.items()})
        if trial.state in _TAKEN:
            # a trial that went back to the queue runs again with what it has
            record.state = TrialState.RUNNING if trial.params or trial.attempts else TrialState.WAITING
        else:
            values = _values(record, record.state, trial.values)
            record.values = None if values is None else list(values)
        self._mirror.put(record)
        if self._space is None and record.state in (TrialState.COMPLETE, TrialState.PRUNED):
            self._seen.finished({name: self._spec(d) for name, d in record.distributions.items()})

    def _distribution(self, name: str, trial: Trial) -> BaseDistribution | None:
        if name in self._declared:
            return self._declared[name]
        spec = trial.distribution_specs.get(name)
        if spec is None:
            return None
        self._seen.check(name, spec)
        return optuna_distribution(spec)

    def drain(self) -> tuple[dict[int, dict[str, Any]], dict[str, Any]]:
        return self._mirror.drain()

    def load_study_attrs(self, attrs: Mapping[str, Any]) -> None:
        self._mirror.load_study_attrs(attrs)


def _values(record: FrozenTrial, state: TrialState, values: tuple[float, ...] | None) -> list[float] | None:
    """Return the values a finished trial counts with: a pruned one with the last it reported, unless NaN."""
    if state is TrialState.COMPLETE:
        return None if values is None else [float(v) for v in values]
    if state is TrialState.PRUNED and record.intermediate_values:
        last = float(record.intermediate_values[max(record.intermediate_values)])
        return None if math.isnan(last) else [last]
    return None


def _adopt(sampler: BaseSampler, space: KnownSpace, seen: set[int]) -> Iterator[np.random.RandomState]:
    """Give *sampler*, and those inside it, *space* where they keep their own; yield their random states."""
    seen.add(id(sampler))
    for name, value in sorted(getattr(sampler, "__dict__", {}).items()):
        if id(value) in seen:
            continue
        if isinstance(value, IntersectionSearchSpace):
            setattr(sampler, name, space)
        elif isinstance(value, LazyRandomState):
            seen.add(id(value))
            yield value.rng
        elif isinstance(value, np.random.RandomState):
            seen.add(id(value))
            yield value
        elif isinstance(value, BaseSampler):
            yield from _adopt(value, space, seen)
