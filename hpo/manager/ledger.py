"""The trials of a managed study: what each message and command means for the store, the sampler and the pruner."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from hpo import engine as eng
from hpo.distribution import Spec, same_kind
from hpo.errors import SpaceError, SpaceExhausted, UserError
from hpo.execution.messages import News, Outcome
from hpo.manager.live import Live
from hpo.manager.models import Models
from hpo.manager.scribe import Scribe
from hpo.trial import Assignment
from trackers.changes import (
    ArtifactsLogged,
    AttemptEnded,
    AttrsSet,
    Change,
    CheckpointDropped,
    CheckpointSaved,
    DistributionsSeen,
    InputLogged,
    LogKept,
    ModelLogged,
    ParamsDropped,
    ParamsLogged,
    ParamsSet,
    PointsLogged,
    StudyChanged,
    TagsSet,
    TrialCreated,
    TrialFinished,
    TrialRequeued,
    TrialStarted,
)
from trackers.clock import now_us
from trackers.states import RunState

if TYPE_CHECKING:
    from hpo.manager.plan import Plan
    from hpo.sampling import Pruner, Sampler
    from trackers.values import LoggedModel, Trial

FROM_WORKERS = (
    PointsLogged,
    ParamsLogged,
    AttrsSet,
    TagsSet,
    ArtifactsLogged,
    ModelLogged,
    CheckpointSaved,
    InputLogged,
)
"""The only records a worker may send, and about its own trial: everything else is the manager's to say."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A trial whose final state is being committed. *asked*: the sampler knows it."""

    number: int
    state: RunState
    values: tuple[float, ...] | None
    constraints: Mapping[str, float] = field(default_factory=dict)
    last_value: float | None = None
    seq: int = 0
    asked: bool = True


class Ledger:
    """Unfinished trials by number. *new_id* hands out ``(run id, uid)``. The manager's thread only."""

    def __init__(
        self, plan: Plan, scribe: Scribe, sampler: Sampler, pruner: Pruner, new_id: Callable[[], tuple[int, str]]
    ) -> None:
        self.live: dict[int, Live] = {}
        self.models = Models(plan.keeper, scribe)
        self._facts, self._cpus, self._gpus, self._launch = plan.facts, plan.cpus, plan.gpus, plan.launch
        self._metric = plan.facts.metric_names[0]
        self._scribe, self._sampler, self._pruner = scribe, sampler, pruner
        self._new_id = new_id
        self._seen: dict[str, Spec] = dict(plan.facts.distributions)
        self._learned = scribe.seq - 1
        self._finished_ids: dict[int, int] = {}

    def restore(self, trials: Sequence[Trial], models: Sequence[LoggedModel]) -> None:
        """Take over stored trials, in number order, and their models."""
        self.models.restore(trials, models)
        saved: dict[int, dict[str, tuple[float, int]]] = {}
        for model in models:
            if model.value is not None and model.step is not None:
                saved.setdefault(model.run_id, {})[model.name] = (model.value, model.step)
        for trial in trials:
            if trial.attempts or trial.state.is_finished():  # an enqueued one is asked for when it starts
                self._sampler.add(trial)
                self._pruner.add(trial)
            for name, spec in trial.distribution_specs.items():
                self._seen.setdefault(name, spec)
            if trial.state.is_finished():
                self._finished_ids[trial.number] = trial.run_id
            else:
                asked = bool(trial.attempts)
                self.live[trial.number] = Live(
                    trial.number,
                    trial.run_id,
                    dict(trial.params),
                    dict(trial.user_attrs),
                    dict(trial.constraints),
                    asked,
                    trial.checkpoint,
                    models=saved.get(trial.run_id, {}),
                    stored=set(trial.params),
                )

    # ---- what the engine says

    def enqueue(self, number: int, params: Mapping[str, Any], user_attrs: Mapping[str, Any]) -> None:
        """Create a WAITING trial with given *params*."""
        run_id, uid = self._new_id()
        self.live[number] = Live(number, run_id, dict(params), dict(user_attrs), stored=set(params))
        self._scribe.write(
            TrialCreated(
                run_id,
                uid,
                number,
                RunState.WAITING,
                now_us(),
                dict(params),
                {"fixed_params": dict(params)},
                dict(user_attrs),
            )
        )
        self._scribe.event("enqueue", number)

    def start(self, command: eng.Start, worker: str, host: str, pid: int) -> Assignment:
        """Prepare an attempt.

        Raises SpaceExhausted where a fresh trial finds nothing to suggest, UserError for an enqueued one that cannot
        run.
        """
        number = command.number
        live = self.live.get(number)
        if live is None:
            params = self._sampler.ask(number)
            live = self._create(number, params)
        elif not live.asked:
            self._complete(live)
        live.reports, live.used, live.logged = [], set(), {}
        self._scribe.write(
            TrialStarted(
                live.run_id, command.attempt, now_us(), worker, host, pid, self._cpus, self._gpus, self._launch
            )
        )
        return Assignment(
            number, command.attempt, live.run_id, live.params, live.checkpoint, live.user_attrs, dict(live.models)
        )

    def _complete(self, live: Live) -> None:
        """Have the params sampled that an enqueued trial was not given."""
        given = live.params
        try:
            live.params = dict(self._sampler.ask(live.number, given))
        except SpaceExhausted as exc:
            raise SpaceError(f"{exc}; an enqueued trial needs all of its params then") from exc
        live.asked = True
        more = {k: v for k, v in live.params.items() if k not in given}
        if more and self._facts.distributions:
            self._scribe.write(ParamsSet(live.run_id, more))

    def _create(self, number: int, params: Mapping[str, Any]) -> Live:
        run_id, uid = self._new_id()
        live = self.live[number] = Live(number, run_id, dict(params), asked=True)
        # Without a declared space these are only what the objective may ask for: its own calls make them params.
        known = dict(params) if self._facts.distributions else {}
        self._scribe.write(TrialCreated(run_id, uid, number, RunState.RUNNING, now_us(), known))
        self._scribe.event("ask", number, seen=self._learned)
        self._write_sampler_state()
        return live

    def requeue(self, command: eng.Requeue, outcome: Outcome | None) -> None:
        """Put a trial back: its next attempt starts from its newest checkpoint."""
        live = self.live[command.number]
        started, ended = (None, now_us()) if outcome is None else (outcome.started, outcome.ended)
        self._scribe.write(
            AttemptEnded(live.run_id, command.attempt, ended, command.outcome, command.reason, command.counts, started),
            TrialRequeued(live.run_id, ended),
        )
        if outcome is not None and outcome.log:
            self._scribe.write(LogKept(live.run_id, command.attempt, outcome.log))
        self._scribe.event("requeue", command.number, outcome=command.outcome, reason=command.reason)
        self._sampler.tell(command.number, RunState.WAITING, None, {})
        self._pruner.forget(command.number)

    def finish(self, command: eng.Finish, outcome: Outcome | None) -> Finished:
        """Write a trial's final state; what it teaches is learned after the commit (see ``learn``)."""
        live = self.live.pop(command.number)
        self._finished_ids[command.number] = live.run_id
        self._drop_unused(live, known=outcome is not None)
        state, values = command.state, None if outcome is None else outcome.values
        last = live.reports[-1][1] if live.reports else None
        if state is RunState.PRUNED and live.reports:
            _, at_end = max(live.reports, key=itemgetter(0))  # as Optuna: of the last step, whenever it was reported
            values = (at_end,) if at_end == at_end else None
        ended = outcome.ended if outcome is not None else now_us()
        error = (outcome.error if outcome is not None else None) or command.reason or None
        kind = (
            outcome.error_type
            if outcome is not None
            else {"timeout": "TrialTimeout"}.get(command.outcome, "WorkerLost")
        )
        started = None if outcome is None else outcome.started
        self._scribe.write(
            AttemptEnded(live.run_id, command.attempt, ended, command.outcome, command.reason, started=started),
            TrialFinished(
                live.run_id,
                ended,
                state,
                values,
                kind if state is RunState.FAIL else None,
                error if state is RunState.FAIL else None,
                None if outcome is None else outcome.traceback,
                () if live.reports else self._facts.metric_names,
            ),
        )
        if outcome is not None and outcome.log:
            self._scribe.write(LogKept(live.run_id, command.attempt, outcome.log))
        if live.checkpoint is not None:
            self._scribe.write(CheckpointDropped(live.run_id))
            self.models.replaced((live.checkpoint,))
        seq = self._scribe.event("finish", command.number, state=state.name)
        finished = Finished(command.number, state, values, live.constraints, last, seq)
        self.models.finished(finished, live.run_id)
        return finished

    def _drop_unused(self, live: Live, known: bool) -> None:
        """Take the params from a trial that its last attempt did not ask for: they had no part in its result.

        Not *known* is what it asked for where its worker died with it: then its params are all there is to look for
        the cause in.
        """
        unused = (live.params.keys() | live.stored) - live.used - self._facts.distributions.keys()
        self._sampler.discard(live.number, unused if known else unused - live.stored)
        gone = tuple(sorted(unused & live.stored))
        if known and gone:
            self._scribe.write(ParamsDropped(live.run_id, gone))
            if again := {name: live.logged[name] for name in gone if name in live.logged}:
                self._scribe.write(ParamsLogged(live.run_id, again))

    def refuse(self, number: int, why: UserError) -> Finished:
        """Fail an enqueued trial that cannot begin."""
        live = self.live.pop(number)
        self._finished_ids[number] = live.run_id
        self._scribe.write(TrialFinished(live.run_id, now_us(), RunState.FAIL, None, type(why).__name__, str(why)))
        seq = self._scribe.event("finish", number, state=RunState.FAIL.name)
        return Finished(number, RunState.FAIL, None, seq=seq, asked=live.asked)

    def learn(self, finished: Finished) -> None:
        """Let sampler and pruner know a committed result, and drop the models that it beat."""
        if finished.asked:
            self._sampler.tell(finished.number, finished.state, finished.values, finished.constraints)
        value = finished.values[0] if finished.values else finished.last_value
        self._pruner.finish(finished.number, finished.state, value)
        self._learned = finished.seq
        self._write_sampler_state()
        self.models.tidy()

    # ---- what workers say

    def take(self, news: News, ask: bool) -> bool:
        """Write what an attempt produced; where *ask*, return whether its last report makes it hopeless."""
        live = self.live[news.number]
        if news.params:
            self._take_params(live, news)
        if news.log is not None:
            self._scribe.write(LogKept(live.run_id, news.attempt, news.log))
        for record in news.records:
            if isinstance(record, FROM_WORKERS) and record.run_id == live.run_id:
                self._take_record(live, record)
        return self._take_reports(live, news, ask) if news.reports else False

    def _take_params(self, live: Live, news: News) -> None:
        live.params.update(news.params)
        live.used.update(news.params)
        live.stored.update(news.params)
        fresh = {name: spec for name, spec in news.specs.items() if name not in self._seen}
        if fresh:
            self._seen.update(fresh)
            self._scribe.write(DistributionsSeen(fresh))
        self._scribe.write(ParamsSet(live.run_id, dict(news.params)))

    def _take_record(self, live: Live, record: Change) -> None:
        self._scribe.write(record)
        match record:
            case CheckpointSaved():
                self.models.replaced((live.checkpoint,))
                live.checkpoint = record.digest
            case ModelLogged():
                self.models.logged(live.number, live.run_id, record)
                if record.manifest is not None and record.value is not None and record.step is not None:
                    live.models[record.name] = (record.value, record.step)
            case ParamsLogged():
                live.logged.update(record.params)
            case AttrsSet() if record.scope == "system":
                prefix = "constraints:"
                live.constraints.update({k[len(prefix) :]: v for k, v in record.attrs.items() if k.startswith(prefix)})

    def _take_reports(self, live: Live, news: News, ask: bool) -> bool:
        points = tuple((step, news.attempt, time, value) for step, value, time in news.reports)
        self._scribe.write(PointsLogged(live.run_id, self._metric, points))
        hopeless = False
        for position, (step, value, _) in enumerate(news.reports):
            live.reports.append((step, value))
            self._sampler.report(live.number, step, value)
            if ask and position == len(news.reports) - 1:
                hopeless = self._pruner.report(live.number, step, value)
            else:
                self._pruner.observe(live.number, step, value)
        decided = [r for r in news.rules if r >= 0]
        rule = {"rule": decided[-1]} if decided else {}
        self._scribe.event("reports", live.number, count=len(points), last=points[-1][0], **rule)
        return hopeless

    def suggest(self, number: int, name: str, spec: Spec) -> Any:
        """Return a value for a param that a running trial's dispatch did not carry."""
        known = self._seen.get(name)
        if known is not None and not same_kind(known, spec):
            raise UserError(
                f"param {name!r} was suggested with another kind of distribution before: choose another name"
            )
        value = self._sampler.suggest(number, name, spec)
        live = self.live[number]
        live.params[name] = value
        live.used.add(name)
        return value

    def _write_sampler_state(self) -> None:
        for part in (self._sampler, self._pruner):
            of_trials, of_study = part.drain()
            for number, attrs in of_trials.items():
                live = self.live.get(number)
                run_id = self._finished_ids.get(number) if live is None else live.run_id
                if run_id is not None:
                    self._scribe.write(AttrsSet(run_id, "system", attrs))
            if of_study:
                self._scribe.write(StudyChanged(system_attrs=of_study))
