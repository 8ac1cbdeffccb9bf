"""What an objective receives: Optuna's ``Trial`` in a worker that has neither sampler nor database."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol

from hpo.choice import as_given, plain, read_choices
from hpo.distribution import Spec, categorical, contains, floating, integer, same_kind
from hpo.errors import ResultError, TrialStopped, UnknownParamError, UserError
from hpo.logbook import Logbook, as_step
from hpo.trial_study import TrialStorage, TrialStudy
from trackers.changes import clean_name
from trackers.clock import now_us

if TYPE_CHECKING:
    import optuna

    from trackers.artifacts import ArtifactStore


class Verdict(Enum):
    """What the service answers to a report."""

    CONTINUE = "continue"
    PRUNE = "prune"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class StudyFacts:
    """What a worker knows of its study: sent once, when the worker joins.

    *distributions* has Optuna's JSON form of each param of the declared space (empty: define-by-run). *artifacts* is
    the root of the artifact store (None: the trial is not recorded), *store_uid* the store it belongs to.
    """

    name: str
    directions: tuple[str, ...]
    metric_names: tuple[str, ...]
    seed: int = 0
    distributions: Mapping[str, Spec] = field(default_factory=dict)
    artifacts: str | None = None
    store_uid: str = ""


@dataclass(frozen=True, slots=True)
class Assignment:
    """One attempt of one trial, as handed to a worker.

    *params* are those that are known already (all of a declared space's active ones); *checkpoint* is the digest of the
    newest checkpoint of an earlier attempt, *models* has the value and the step of the best report for which an earlier
    attempt saved a model, by the model's name.
    """

    number: int
    attempt: int
    run_id: int
    params: Mapping[str, Any]
    checkpoint: str | None = None
    user_attrs: Mapping[str, Any] = field(default_factory=dict)
    models: Mapping[str, tuple[float, int]] = field(default_factory=dict)


class Channel(Protocol):
    """How a trial reaches the service. Called from the objective's thread only."""

    def reported(self, trial: Trial) -> Verdict:
        """Take notice of a new report; may send what is new."""

    def judged(self, trial: Trial) -> Verdict:
        """Say whether the trial is hopeless, as of its last report."""

    def suggest(self, trial: Trial, name: str, spec: Spec) -> Any:
        """Return a value for a param that the dispatch did not carry."""

    def flush(self, trial: Trial) -> Verdict:
        """Send everything that is new, and wait until it was received."""

    def stop_study(self) -> None:
        """Ask that no more trials start."""

    def ask_study(self, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Return an attribute of the study, or what its method returns; raise what it raises."""

    def artifacts(self) -> ArtifactStore:
        """Return the artifact store, as this process reaches it."""


class Output(Protocol):
    """What a trial printed and logged so far: its tail, and how much it was in all."""

    @property
    def written(self) -> int: ...

    def text(self) -> str:
        """Return the tail."""


class Params(dict[str, Any]):
    """The params of a trial; a name that is not there raises an error that says which are."""

    def __missing__(self, name: str) -> Any:
        known = ", ".join(self) or "none yet"
        raise UnknownParamError(f"this trial has no param {name!r}: it has {known}")


def seed_of(study_seed: int, number: int) -> int:
    """Derive the 32-bit seed of trial *number* from the study's seed."""
    digest = hashlib.blake2b(f"{study_seed}/{number}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big")


class Trial(Logbook):
    """A running trial.

    What Optuna's ``Trial`` has works as there. *number* is its number in the study, *attempt* counts its starts from 0.
    *params* are a dict: with a declared space complete from the start, without one it grows with each ``suggest_*``.
    *study* says what the study is called and which way is better, and answers ``best_value``, ``trials`` and their kin.
    Everything logged is sent with the next report, at the latest with the result; the calls return at once and never
    touch a database.

    >>> from hpo import FixedTrial
    >>> trial = FixedTrial({"lr": 0.1})
    >>> trial.suggest_float("lr", 1e-3, 1.0, log=True)
    0.1
    """

    def __init__(self, assignment: Assignment, facts: StudyFacts, channel: Channel | None) -> None:
        super().__init__(assignment.run_id, assignment.attempt, _opener(facts, channel))
        self.number, self.attempt = assignment.number, assignment.attempt
        self.facts = facts
        # What is not declared becomes a param when this attempt asks for it, whatever an earlier one did.
        self.params: Params = Params({n: v for n, v in assignment.params.items() if n in facts.distributions})
        for name in self.params:
            self.params[name] = _as_declared(self.params[name], facts.distributions[name])
        self.searched = self.params
        self.specs: dict[str, Spec] = {n: facts.distributions[n] for n in self.params}
        self.new_params: dict[str, Any] = {}
        self.output: Output | None = None
        self.reports: list[tuple[int, float, int]] = []
        self.started = datetime.now(UTC)
        self.storage = TrialStorage(self)
        self.study = TrialStudy(facts, channel, self.storage)
        self._known = dict(assignment.params)
        self._channel = channel
        self._checkpoint = assignment.checkpoint
        self._user_attrs: dict[str, Any] = dict(assignment.user_attrs)
        self._steps: set[int] = set()
        self._earlier_models = assignment.models
        self._best_models: dict[str, float] = {}

    def __repr__(self) -> str:
        return f"Trial(number={self.number}, params={dict(self.params)})"

    # ---- params

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """Suggest a float in [*low*, *high*], as Optuna does."""
        return float(self._suggest(name, floating(name, low, high, step=step, log=log)))

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """Suggest an integer in [*low*, *high*], as Optuna does."""
        return int(self._suggest(name, integer(name, low, high, step=step, log=log)))

    def suggest_uniform(self, name: str, low: float, high: float) -> float:
        """Suggest a float: Optuna's deprecated name for ``suggest_float``."""
        return self.suggest_float(name, low, high)

    def suggest_loguniform(self, name: str, low: float, high: float) -> float:
        """Suggest a float on a log scale: Optuna's deprecated name for ``suggest_float(..., log=True)``."""
        return self.suggest_float(name, low, high, log=True)

    def suggest_discrete_uniform(self, name: str, low: float, high: float, q: float) -> float:
        """Suggest a multiple of *q* from *low*: Optuna's deprecated name for ``suggest_float(..., step=q)``."""
        return self.suggest_float(name, low, high, step=q)

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """Suggest one of *choices*, as Optuna does; the answer is the very object that stands among them.

        What JSON can hold may be a choice (it is stored as JSON).
        """
        given = tuple(choices)
        value = as_given(self._suggest(name, categorical(name, given)), given)
        if name in self.params:
            self.params[name] = value
        return value

    def _suggest(self, name: str, spec: Spec) -> Any:
        if name in self.params:
            self._check_again(name, spec)
            return self.params[name]
        name = self.unlogged(clean_name(name, "param"))
        if name in self._known and contains(spec, _stored(self._known[name])):
            value = _stored(self._known[name])
        elif self._channel is None:
            raise UserError(f"param {name!r} has no value that lies in its range: pass one to FixedTrial")
        else:
            value = self._channel.suggest(self, name, spec)
        self.params[name] = value
        self.specs[name] = spec
        self.new_params[name] = value
        return value

    def _check_again(self, name: str, spec: Spec) -> None:
        known = self.specs.setdefault(name, spec)
        if not same_kind(known, spec):
            raise UserError(f"param {name!r} was suggested before with another kind of distribution")
        value = _stored(self.params[name])
        if known != spec and name in self.facts.distributions and not contains(spec, value):
            raise UserError(
                f"param {name!r} is {value!r}, from the declared space, and that is outside the range it is suggested "
                "with here: use the same range in both places"
            )

    @property
    def distributions(self) -> dict[str, optuna.distributions.BaseDistribution]:
        """Optuna's distribution of each param."""
        from trackers.interop.optuna import to_distributions

        return to_distributions(self.specs)

    @property
    def relative_params(self) -> dict[str, Any]:
        """The values that came with the dispatch."""
        return dict(self._known)

    # ---- reports

    def report(self, value: float, step: int) -> None:
        """Report the objective's *value* at *step* (an integer from 0 up); a second report at a step is ignored.

        Raises ResultError for what is no number or no step, UserError where there are several objectives, and
        TrialStopped where the service takes the trial back.
        """
        if len(self.facts.directions) > 1:
            raise UserError("trial.report is for one objective: log several with trial.log_metrics")
        number = _as_float(value, "trial.report takes a float")
        at = as_step(step)
        if at < 0:
            raise ResultError(f"trial.report takes a step from 0 up, not {at}")
        if at in self._steps:
            warnings.warn(f"step {at} of trial {self.number} was reported before: ignored", stacklevel=2)
            return
        self._steps.add(at)
        self.reports.append((at, number, now_us()))
        if self._channel is not None:
            self._obey(self._channel.reported(self))

    def should_prune(self) -> bool:
        """Tell whether the trial is hopeless, as of its last report: raise ``hpo.TrialPruned`` then.

        Raises UserError where there are several objectives, and TrialStopped as ``report`` does.
        """
        if len(self.facts.directions) > 1:
            raise UserError("trial.should_prune is for one objective")
        if self._channel is None or not self.reports:
            return False
        return self._obey(self._channel.judged(self)) is Verdict.PRUNE

    def _obey(self, verdict: Verdict) -> Verdict:
        if verdict is Verdict.STOP:
            raise TrialStopped
        return verdict

    def _is_reported(self, key: str) -> bool:
        return key == self.facts.metric_names[0] and len(self.facts.directions) == 1

    def _report(self, value: float, step: int | None) -> None:
        if step is None:
            step = max(self._steps, default=-1) + 1
        if step not in self._steps:
            self.report(value, step)

    # ---- attributes

    @property
    def user_attrs(self) -> dict[str, Any]:
        """A copy of the user attributes."""
        return dict(self._user_attrs)

    def set_user_attr(self, key: str, value: Any) -> None:
        """Set a user attribute; *value* must be JSON. Raises UserError for what is not."""
        self.set_attr("user", key, value)
        self._user_attrs[key] = value

    @property
    def _trial_id(self) -> int:  # read by optuna-integration's callbacks
        return self.run_id

    @property
    def constraints(self) -> dict[str, float]:
        """A copy of the constraints set so far."""
        return dict(self._constraints)

    def set_constraint(self, key: str, value: float) -> None:
        """Set a constraint: feasible at or below 0.0. Raises ResultError for NaN and for what is no number."""
        number = _as_float(value, f"constraint {key!r} takes a float")
        if number != number:
            raise ResultError(f"constraint {key!r} is NaN: give a number, feasible at or below 0.0")
        self._constraints[key] = number
        self.set_attr("system", f"constraints:{key}", number)

    @property
    def datetime_start(self) -> datetime:
        """When this attempt started."""
        return self.started

    @property
    def seed(self) -> int:
        """A 32-bit seed of this trial, derived from the study's seed and the number."""
        return seed_of(self.facts.seed, self.number)

    # ---- models and checkpoints

    def log_model(self, model: Any, name: str = "model", **options: Any) -> bool:
        """Save *model*; called once a report, the model of the best report is kept.

        *options* are those of ``trackers.models.save``: ``input_example=``, ``signature=``, ``flavor=``, ``code=``,
        ``pip_requirements=``, and for PyTorch ``factory=`` and ``factory_kwargs=``. Returns whether it was saved. A
        model that cannot be saved does not fail the trial: the reason is kept and shown beside its value.
        """
        last = self.reports[-1] if self.reports else None
        best = self._best_models.get(name, self._earlier_best(name))
        if last is not None and best is not None and not self._better(last[1], best):
            return False
        saved = self.pack_model(model, name, last, options)
        if saved and last is not None:
            self._best_models[name] = last[1]
        return saved

    def _earlier_best(self, name: str) -> float | None:
        """Return the value of an earlier attempt's model, where this attempt goes on after it."""
        value, step = self._earlier_models.get(name, (None, 0))
        return value if self.reports and self.reports[0][0] > step else None

    def _better(self, new: float, old: float) -> bool:
        if new != new:
            return False
        if old != old:
            return True
        return new > old if self.facts.directions[0] == "maximize" else new < old

    def checkpoint(self, state: Any) -> bool:
        """Keep *state* (anything that pickles) as the newest checkpoint; a retry of this trial finds it.

        It is safe once this returns True: the file is in the artifact store and the service knows it. Where it cannot
        be stored (a full disk) the trial goes on, its log says why, and an earlier checkpoint stays.
        """
        kept = self.pack_checkpoint(state, self.reports[-1][0] if self.reports else None)
        if self._channel is not None:
            self._obey(self._channel.flush(self))
        return kept

    def restore(self) -> Any:
        """Return the newest checkpoint of an earlier attempt of this trial, None where there is none."""
        return None if self._checkpoint is None else self.unpack_checkpoint(self._checkpoint)


def _as_declared(value: Any, spec: Spec) -> Any:
    """Return *value* as the declared space has it: a tuple that was stored as a list is one again."""
    return as_given(value, read_choices(spec)) if "tuples" in spec else value


def _stored(value: Any) -> Any:
    """Return a choice as it is stored; anything else as it is."""
    return plain(value, "") if isinstance(value, tuple | list | dict | str) else value


def _opener(facts: StudyFacts, channel: Channel | None) -> Callable[[], ArtifactStore] | None:
    root = facts.artifacts
    if root is None:
        return None
    if channel is not None:
        return channel.artifacts
    from trackers.artifacts import ArtifactStore

    return lambda: ArtifactStore(root, facts.store_uid)


def _as_float(value: Any, what: str) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise ResultError(f"{what}, not {type(value).__name__}") from None


class FixedTrial(Trial):
    """A trial with given *params*, to call an objective by hand: nothing is recorded, nothing is pruned.

    *number* is the trial's number; *seed* the study's seed.
    """

    def __init__(
        self, params: Mapping[str, Any], number: int = 0, *, seed: int = 0, directions: Sequence[str] = ()
    ) -> None:
        facts = StudyFacts(
            "fixed",
            tuple(directions) or ("minimize",),
            tuple(f"value_{i}" for i in range(len(directions))) if len(directions) > 1 else ("value",),
            seed,
        )
        super().__init__(Assignment(number, 0, -1, dict(params)), facts, None)
        self.params.update(params)
