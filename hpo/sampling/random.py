"""Random search: every param drawn on its own, trial by trial, from streams that need no history."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hpo.sampling.sampler import Sampler, Spec
from hpo.sampling.seen import SeenSpace
from hpo.sampling.stream import Stream
from hpo.space import Categorical, Space, from_distribution
from trackers.states import RunState
from trackers.values import Trial


def draw_point(space: Space, stream: Stream, fixed: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return a random point of *space*, in which *fixed* params that turn out to be active have their value."""
    point: dict[str, Any] = {}
    for name in space.order:
        if space.met(name, point):
            if fixed is not None and name in fixed:
                point[name] = fixed[name]
            else:
                point[name] = space[name].from_unit(stream.uniform(name))
    return point


class RandomSampler(Sampler):
    """Uniform draws (on a log scale where the param has one).

    Trial *n*'s value for a param depends on the seed, *n*, the param's name and range, and on nothing else.
    (Bergstra & Bengio, "Random search for hyper-parameter optimization", JMLR 13, 2012.)
    """

    name = "random"

    def __init__(self, space: Space | None = None, *, seed: int = 0) -> None:
        self._space, self._seed = space, seed
        self._seen = SeenSpace()
        self._running: dict[int, _Running] = {}

    def ask(self, number: int, fixed: Mapping[str, Any] | None = None, *, attempt: int = 0) -> dict[str, Any]:
        stream = Stream(self._seed, number, attempt)
        if self._space is not None:
            return draw_point(self._space, stream, fixed)
        running = self._running.get(number)
        if running is None or attempt:
            running = self._running[number] = _Running(stream, dict(fixed or {}))
        return {name: self._value(running, name, spec) for name, spec in self._seen.common.items()}

    def suggest(self, number: int, name: str, distribution: Spec) -> Any:
        self._seen.check(name, distribution)
        if number not in self._running:
            self._running[number] = _Running(Stream(self._seed, number), {})
        return self._value(self._running[number], name, distribution)

    def _value(self, running: _Running, name: str, spec: Spec) -> Any:
        known = running.specs.get(name)
        if known is not None and (known == spec or from_distribution(spec).contains(running.params[name])):
            running.specs[name] = spec
            return running.params[name]
        param = from_distribution(spec)
        if name in running.fixed:
            # as with Optuna, an enqueued number may lie outside its range; a choice must be one
            value = running.fixed[name]
            running.params[name] = param.cast(value, name) if isinstance(param, Categorical) else value
        else:
            running.params[name] = param.from_unit(running.stream.uniform(name))
        running.specs[name] = spec
        return running.params[name]

    def discard(self, number: int, names: Iterable[str]) -> None:
        running = self._running.get(number)
        for name in names:
            if running is not None and running.specs.pop(name, None) is not None:
                del running.params[name]

    def tell(
        self,
        number: int,
        state: RunState,
        values: tuple[float, ...] | None,
        constraints: Mapping[str, float] | None = None,
    ) -> None:
        if state.is_finished():
            running = self._running.pop(number, None)
            if running is not None and state is not RunState.FAIL:
                self._seen.finished(running.specs)

    def add(self, trial: Trial) -> None:
        if self._space is not None:
            return
        for name, spec in trial.distribution_specs.items():
            self._seen.check(name, spec)
        if trial.state in (RunState.COMPLETE, RunState.PRUNED):
            self._seen.finished(trial.distribution_specs)
        elif not trial.state.is_finished() and trial.params:
            running = _Running(Stream(self._seed, trial.number), {})
            running.specs, running.params = dict(trial.distribution_specs), dict(trial.params)
            self._running[trial.number] = running


class _Running:
    """A running trial of a define-by-run study."""

    __slots__ = ("fixed", "params", "specs", "stream")

    def __init__(self, stream: Stream, fixed: dict[str, Any]) -> None:
        self.stream, self.fixed = stream, fixed
        self.specs: dict[str, Spec] = {}
        self.params: dict[str, Any] = {}
