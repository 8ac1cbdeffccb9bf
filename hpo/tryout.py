"""The use case behind ``hpo try``: one trial in this process, recorded nowhere."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hpo.distribution import Spec
from hpo.errors import SettingsError, SpaceError, UserError
from hpo.objective_file import LoadedObjective
from hpo.settings import Settings
from hpo.space import Categorical, Space, from_distribution
from hpo.trial import Assignment, StudyFacts, Trial, Verdict
from trackers.states import RunState

if TYPE_CHECKING:
    from hpo.sampling import Sampler
    from trackers.artifacts import ArtifactStore


@dataclass(frozen=True)
class Tryout:
    """What one unrecorded trial came to. *error* is a sentence, *traceback* the objective's own; *seconds* its time.

    *state* None means that somebody interrupted it; *unused* are given params that it never asked for.
    """

    state: RunState | None
    params: Mapping[str, Any]
    values: tuple[float, ...] | None
    seconds: float
    error: str | None = None
    traceback: str | None = None
    unused: tuple[str, ...] = ()


@dataclass
class _Channel:
    """Answers a trial in place of a service: samples what was not given, prunes nothing."""

    sampler: Sampler
    given: Mapping[str, Any]
    on_report: Callable[[int, float], None]
    number: int
    wrong: SpaceError | None = None

    def reported(self, trial: Trial) -> Verdict:
        step, value, _ = trial.reports[-1]
        self.on_report(step, value)
        return Verdict.CONTINUE

    def judged(self, trial: Trial) -> Verdict:
        return Verdict.CONTINUE

    def flush(self, trial: Trial) -> Verdict:
        return Verdict.CONTINUE

    def stop_study(self) -> None:
        pass  # there is no study

    def ask_study(self, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        raise UserError(f"trial.study.{name} asks a study, and a trial that is not recorded has none")

    def artifacts(self) -> ArtifactStore:
        raise UserError("a trial that is not recorded keeps no files")

    def suggest(self, trial: Trial, name: str, spec: Spec) -> Any:
        if name in self.given:
            param = from_distribution(dict(spec))
            try:
                return param.cast(self.given[name], name)
            except SpaceError:
                self.wrong = SpaceError(f"param {name} cannot be {self.given[name]!r}: it is {param}.")
                raise self.wrong from None
        return self.sampler.suggest(self.number, name, spec)


def try_once(
    objective: LoadedObjective,
    settings: Settings,
    params: Mapping[str, Any],
    *,
    number: int = 0,
    on_params: Callable[[Mapping[str, Any]], None],
    on_report: Callable[[int, float], None],
) -> Tryout:
    """Run *objective* once, here, with *params*; those left out are sampled at random from the settings' seed.

    *on_params* is called before it starts with the params that are known then, *on_report* with each step and value.
    Prints go where they always go. Raises: SpaceError for params that are not in a declared space.
    """
    from hpo.execution.attempt import run_attempt
    from hpo.execution.messages import News
    from hpo.sampling import make_sampler

    space = objective.spec.space
    given = dict(params) if space is None else space.check(params, partial=True)
    sampler = make_sampler("random", space=space, directions=settings.directions, seed=settings.seed)
    known = sampler.ask(number, given) if space is not None else {}
    facts = StudyFacts(
        settings.study_name or objective.spec.name,
        settings.directions,
        settings.metrics,
        settings.seed,
        {} if space is None else space.distributions(),
    )
    channel = _Channel(sampler, given, on_report, number)
    trial = Trial(Assignment(number, 0, -1, known), facts, channel)
    on_params(known or given)
    outcome = run_attempt(trial, objective.function, {}, lambda _: News(number, 0))
    if channel.wrong is not None:
        raise channel.wrong
    return Tryout(
        state=outcome.state,
        params=dict(trial.params),
        values=outcome.values,
        seconds=(outcome.ended - outcome.started) / 1e6,
        error=outcome.error,
        traceback=outcome.traceback,
        unused=tuple(name for name in given if name not in trial.params),
    )


def read_params(words: tuple[str, ...], space: Space | None) -> dict[str, Any]:
    """Read ``NAME=VALUE`` words: a choice by its text, anything else as JSON or as text.

    Raises: SettingsError for a word without ``=``.
    """
    found = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or not name:
            raise SettingsError(f"--param must be NAME=VALUE, not {word or 'nothing'}.")
        param = None if space is None else space.get(name)
        choices = param.choices if isinstance(param, Categorical) else ()
        by_text = {str(choice): choice for choice in choices}
        found[name] = by_text[text] if text in by_text else _value(text)
    return found


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return {"True": True, "False": False, "None": None}.get(text, text)
