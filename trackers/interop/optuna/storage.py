"""A store as a storage of Optuna: ``optuna.create_study(storage=OptunaStorage(url))``.

Studies made here are *shared*: any number of processes run them at once, each trial is a run of the store, and
everything that reads runs reads them. A study that hpo manages can be read here, and enqueued to; its manager alone
writes it. Contract: ``optuna.storages.BaseStorage``.
"""

from __future__ import annotations

import copy
import os
import threading
import uuid
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

from optuna.distributions import (
    BaseDistribution,
    check_distribution_compatibility,
)
from optuna.exceptions import DuplicatedStudyError, UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial, TrialState

from trackers import changes as c
from trackers.clock import now_us
from trackers.errors import AlreadyExistsError, NotFoundError, StateError, StoreError, StudyBusyError
from trackers.interop.optuna.mirror import Mirror
from trackers.interop.optuna.values import check_json, check_key, from_distribution, to_direction, to_distribution
from trackers.processes import host_name
from trackers.states import RunState

if TYPE_CHECKING:
    from trackers.sql.commit import Commit
    from trackers.store import Store

PATIENCE = 5.0
"""Seconds to wait for a manager's answer to an enqueued trial: it reads its commands once a second."""

_METRIC_NAMES = "study:metric_names"
"""The attribute in which Optuna keeps the names of a study's objectives."""


class OptunaStorage(BaseStorage):
    """A store that Optuna's own studies are kept in. Thread-safe, and pickles (the copy connects again).

    *store* is a URL or path for ``trackers.connect``, or a connected store; *artifacts* as there. What a running
    trial reports and sets is written a few milliseconds later, together; asking for a trial and telling its end
    wait for the commit, so a result that ``tell`` returned from is there whatever happens after. Errors of what was
    written in between are raised by the next call for that trial.
    """

    def __init__(self, store: str | os.PathLike[str] | Store, *, artifacts: str | None = None) -> None:
        from trackers.store import connect

        self.store = connect(store, artifacts=artifacts)
        self._open()

    def _open(self) -> None:
        self._lock = threading.RLock()
        self._mirrors: dict[int, Mirror] = {}
        self._homes: dict[int, tuple[int, int]] = {}
        self._late: dict[int, list[Commit]] = {}

    def __getstate__(self) -> dict[str, Any]:
        self.store.flush()
        return {"store": self.store}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.store = state["store"]
        self._open()

    # --- studies -----------------------------------------------------------------------------------------------

    def create_new_study(self, directions: Sequence[StudyDirection], study_name: str | None = None) -> int:
        """Make a shared study and return its id. Raises DuplicatedStudyError."""
        name = f"no-name-{uuid.uuid4()}" if study_name is None else study_name
        words = [direction.name.lower() for direction in directions]
        metrics = ["value"] if len(words) == 1 else [f"value_{i}" for i in range(len(words))]
        try:
            return self.store.create_study(name, directions=words, metric_names=metrics, mode="shared").id
        except AlreadyExistsError as exc:
            raise DuplicatedStudyError(str(exc)) from exc

    def delete_study(self, study_id: int) -> None:
        """Delete a shared study: it can be restored for a while, as any study of the store.

        Raises StudyBusyError for a managed one: its models and its place in the registry go with it, and Optuna's tools
        delete what they have copied, to rename it.
        """
        with _keyed():
            row = self.store.get_study(study_id)
            if row.mode == "managed":
                raise StudyBusyError(
                    f"study {row.name!r} is managed by hpo: rename it with `hpo rename {row.name} NAME`, delete it with "
                    f"`hpo delete {row.name}`"
                )
            self.store.delete_study(study_id)
        with self._lock:
            self._mirrors.pop(study_id, None)

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        """Write an attribute of a study, also of a managed one. Raises TypeError for what is no JSON."""
        check_json(key, value)
        with _keyed():
            self.store.share_study(study_id).set_attrs("user", {key: value})

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        """Write an attribute of a study, also of a managed one. Raises TypeError for what is no JSON."""
        check_json(key, value)
        with _keyed():
            self.store.share_study(study_id).set_attrs("system", {key: value})
            if key == _METRIC_NAMES:
                self.store.share_study(study_id).name_metrics(list(value))
                self._mirror(study_id).metrics = self.store.get_study(study_id).metric_names

    def get_study_id_from_name(self, study_name: str) -> int:
        """Return the id of a study. Raises KeyError."""
        with _keyed():
            return self.store.get_study(study_name).id

    def get_study_name_from_id(self, study_id: int) -> str:
        """Return the name of a study. Raises KeyError."""
        with _keyed():
            return self.store.get_study(study_id).name

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        """Return the directions of a study. Raises KeyError."""
        with _keyed():
            return [to_direction(word) for word in self.store.get_study(study_id).directions]

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        """Return the attributes of a study. Raises KeyError."""
        with _keyed():
            return dict(self.store.get_study(study_id).user_attrs)

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        """Return Optuna's own attributes of a study. Raises KeyError."""
        with _keyed():
            return dict(self.store.get_study(study_id).system_attrs)

    def get_all_studies(self) -> list[FrozenStudy]:
        """Return every study, managed ones too, by id."""
        rows = sorted(self.store.list_studies(), key=lambda row: row.id)
        return [
            FrozenStudy(
                study_name=row.name,
                direction=None,
                directions=[to_direction(word) for word in row.directions],
                user_attrs=dict(row.user_attrs),
                system_attrs=dict(row.system_attrs),
                study_id=row.id,
            )
            for row in rows
        ]

    # --- trials, written ---------------------------------------------------------------------------------------

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """Make a trial, RUNNING here or as *template_trial* is, and return its id once it is committed."""
        with _keyed():
            mirror = self._mirror(study_id)
            if mirror.study.standing().mode == "managed":
                return self._enqueue(study_id, template_trial)
            trial_id = self.store.allocate_ids(1)[0]
            mirror.study.submit(self._creation(mirror, trial_id, template_trial)).wait()
            mirror.look()
        number = self.get_trial_number_from_id(trial_id)
        frozen = mirror.find(number)
        if template_trial is None and frozen is not None:
            mirror.own[trial_id] = frozen
        return trial_id

    def add_trials(self, study_id: int, templates: Sequence[FrozenTrial]) -> None:
        """Make trials of a shared study as *templates* are, in their order, a few commits for all of them."""
        with _keyed():
            mirror = self._mirror(study_id)
            ids = self.store.allocate_ids(len(templates))
            commits = [
                mirror.study.submit(self._creation(mirror, trial_id, template))
                for trial_id, template in zip(ids, templates, strict=True)
            ]
            for commit in commits:
                commit.wait()

    def _start(self, trial_id: int, attempt: int, now: int, *, claimed: bool = False) -> c.TrialStarted:
        launch = self.store.own_launch()
        return c.TrialStarted(
            trial_id, attempt, now, "optuna", host_name(), os.getpid(), launch=launch, claimed=claimed
        )

    def _creation(self, mirror: Mirror, trial_id: int, template: FrozenTrial | None) -> list[c.Change]:
        now = now_us()
        if template is None:
            return [
                c.TrialCreated(trial_id, self.store.new_uid(), None, RunState.RUNNING, now),
                self._start(trial_id, 0, now),
                c.SharedEvent("ask", now, trial_id),
            ]
        state = RunState(int(template.state))
        first = RunState.WAITING if state is RunState.WAITING else RunState.RUNNING
        begun = _microseconds(template.datetime_start)
        made: list[c.Change] = [
            c.TrialCreated(
                trial_id,
                self.store.new_uid(),
                None,
                first,
                now,
                dict(template.params),
                dict(template.system_attrs),
                dict(template.user_attrs),
                started=begun,
            ),
            c.SharedEvent("enqueue" if state is RunState.WAITING else "add", now, trial_id),
        ]
        own = {n: spec for n, d in template.distributions.items() if (spec := self._agree(mirror, n, d)) is not None}
        if own:
            made.append(c.AttrsSet(trial_id, "dist", own))
        if template.intermediate_values:
            at = begun or now
            points = tuple((step, 0, at, value) for step, value in template.intermediate_values.items())
            made.append(c.PointsLogged(trial_id, mirror.metrics[0], points))
        if state.is_finished():
            ended = _microseconds(template.datetime_complete) or now
            values = None if template.values is None else tuple(template.values)
            made.append(c.TrialFinished(trial_id, ended, state, values, metrics=mirror.metrics))
        return made

    def _enqueue(self, study_id: int, template: FrozenTrial | None) -> int:
        """Have the manager of a study enqueue a trial, and return its id."""
        if template is None or template.state is not TrialState.WAITING:
            self._refuse(study_id)
        assert template is not None
        params = template.system_attrs.get("fixed_params", template.params)
        args = {"params": dict(params), "user_attrs": dict(template.user_attrs)}
        command = self.store.await_command(self.store.send_command(study_id, "enqueue", args), PATIENCE)
        answer = command.answer
        if answer is None:
            raise StudyBusyError(
                "nobody runs the study now: the trial waits for the next `hpo run`, which takes it; do not enqueue it again"
            )
        if answer.get("done") is not True:
            raise StudyBusyError(f"the trial was not enqueued: {answer.get('reason')}")
        return self.get_trial_id_from_study_id_trial_number(study_id, int(answer["number"]))

    def _refuse(self, study_id: int) -> None:
        name = self.store.get_study(study_id).name
        raise StudyBusyError(
            f"study {name!r} is managed by hpo, which alone writes its trials: read it here, enqueue trials, or go on "
            "with `hpo resume`"
        )

    def set_trial_param(
        self, trial_id: int, param_name: str, param_value_internal: float, distribution: BaseDistribution
    ) -> None:
        """Write a param of a trial. Raises ValueError for a distribution that the study's does not go with."""
        check_key(param_name, "param")
        mirror, frozen = self._writable(trial_id)
        own = self._agree(mirror, param_name, distribution)
        value = distribution.to_external_repr(param_value_internal)
        made: list[c.Change] = [c.ParamsSet(trial_id, {param_name: value})]
        if own is not None:
            made.append(c.AttrsSet(trial_id, "dist", {param_name: own}))
        self._write(mirror, frozen, made)
        self._replace(
            mirror,
            frozen,
            params={**frozen.params, param_name: value},
            distributions={**frozen.distributions, param_name: distribution},
        )

    def _agree(self, mirror: Mirror, name: str, distribution: BaseDistribution) -> Mapping[str, Any] | None:
        """Return the distribution in Optuna's JSON form where it is not the study's own, else None."""
        spec = from_distribution(distribution)
        known = mirror.specs.get(name)
        if known is None:
            known = mirror.specs[name] = mirror.study.agree(name, spec)
        if known == spec:
            return None
        check_distribution_compatibility(to_distribution(known), distribution)
        return spec

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        """Move a trial; return False where another process has claimed it first."""
        mirror, frozen = self._writable(trial_id)
        now = now_us()
        attempt = mirror.attempts.get(trial_id, 0)
        change: list[c.Change]
        if state is TrialState.RUNNING:
            if frozen.state is TrialState.RUNNING:
                return False
            change = [self._start(trial_id, attempt, now, claimed=True), c.SharedEvent("ask", now, trial_id)]
        elif state is TrialState.WAITING:
            change = [c.TrialRequeued(trial_id, now), c.SharedEvent("requeue", now, trial_id)]
            change += [c.AttemptEnded(trial_id, attempt - 1, now, "released")] if attempt else []
        else:
            found = None if values is None else tuple(map(float, values))
            change = [c.TrialFinished(trial_id, now, RunState(int(state)), found, metrics=mirror.metrics)]
            change += [c.AttemptEnded(trial_id, attempt - 1, now, state.name.lower())] if attempt else []
            change.append(c.SharedEvent("finish", now, trial_id, {"state": state.name}))
        try:
            self._settle(trial_id)
            with _keyed():
                mirror.study.submit(change).wait()
        except StateError as exc:
            mirror.own.pop(trial_id, None)
            mirror.look()
            if self.get_trial(trial_id).state.is_finished():
                raise UpdateFinishedTrialError(str(exc)) from exc
            return False
        mirror.own.pop(trial_id, None)
        mirror.look()
        if state is TrialState.RUNNING:
            mirror.own[trial_id] = self.get_trial(trial_id)
        return True

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        """Write what a trial reports; a step that was reported before is replaced."""
        if not -(2**63) <= int(step) < 2**63:
            raise ValueError(f"a step has 64 bits: {step} is out of range")
        mirror, frozen = self._writable(trial_id)
        now = now_us()
        attempt = max(0, mirror.attempts.get(trial_id, 1) - 1)
        point = (int(step), attempt, now, float(intermediate_value))
        reported = c.SharedEvent("report", now, trial_id, {"step": int(step)})
        self._write(mirror, frozen, [c.PointsLogged(trial_id, mirror.metrics[0], (point,)), reported])
        line = {**frozen.intermediate_values, step: intermediate_value}
        self._replace(mirror, frozen, intermediate_values=line)

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Write an attribute of a trial. Raises TypeError for what is no JSON."""
        check_json(key, value)
        mirror, frozen = self._writable(trial_id)
        self._write(mirror, frozen, [c.AttrsSet(trial_id, "user", {key: value})])
        self._replace(mirror, frozen, user_attrs={**frozen.user_attrs, key: value})

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Write one of Optuna's own attributes of a trial. Raises TypeError for what is no JSON."""
        check_json(key, value)
        mirror, frozen = self._writable(trial_id)
        self._write(mirror, frozen, [c.AttrsSet(trial_id, "system", {key: value})])
        self._replace(mirror, frozen, system_attrs={**frozen.system_attrs, key: value})

    def _writable(self, trial_id: int) -> tuple[Mirror, FrozenTrial]:
        """Return a trial that may be written. Raises KeyError, UpdateFinishedTrialError and StudyBusyError."""
        study_id, _ = self._home(trial_id)
        mirror = self._mirror(study_id)
        frozen = mirror.own.get(trial_id)
        if frozen is None:
            frozen = self.get_trial(trial_id)
            if mirror.study.standing().mode == "managed":
                self._refuse(study_id)
        self.check_trial_is_updatable(trial_id, frozen.state)
        return mirror, frozen

    def _write(self, mirror: Mirror, frozen: FrozenTrial, made: list[c.Change]) -> None:
        """Write: what this process runs a few milliseconds later, anything else at once."""
        trial_id = frozen._trial_id
        commit = mirror.study.submit(made)
        if trial_id in mirror.own:
            self._late.setdefault(trial_id, []).append(commit)
            if len(self._late[trial_id]) > 64:
                self._settle(trial_id)
            return
        try:
            with _keyed():
                commit.wait()
        except StateError as exc:
            raise UpdateFinishedTrialError(str(exc)) from exc

    def _settle(self, trial_id: int) -> None:
        """Wait for what was written of a trial; raise what went wrong."""
        for commit in self._late.pop(trial_id, ()):
            with _keyed():
                commit.wait()

    def _replace(self, mirror: Mirror, frozen: FrozenTrial, **changed: Any) -> None:
        """Keep a changed copy of a trial that this process runs: what was handed out stays as it is."""
        if frozen._trial_id in mirror.own:
            new = copy.copy(frozen)
            for name, value in changed.items():
                setattr(new, "_distributions" if name == "distributions" else name, value)
            mirror.own[frozen._trial_id] = new

    # --- trials, read ------------------------------------------------------------------------------------------

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """Return a trial. Raises KeyError."""
        study_id, number = self._home(trial_id)
        mirror = self._mirror(study_id)
        found = mirror.own.get(trial_id)
        if found is None:
            with _keyed():
                mirror.look()
            found = mirror.find(number)
        if found is None:
            raise KeyError(f"there is no trial with the id {trial_id}")
        return found

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """Return the trials of a study by number, those in *states*. Raises KeyError."""
        with _keyed():
            mirror = self._mirror(study_id)
            mirror.look()
        found = mirror.trials(states)
        return copy.deepcopy(found) if deepcopy else found

    def get_n_trials(self, study_id: int, state: tuple[TrialState, ...] | TrialState | None = None) -> int:
        """Return the number of trials, of those in *state*."""
        states = (state,) if isinstance(state, TrialState) else state
        return len(self.get_all_trials(study_id, deepcopy=False, states=states))

    def get_best_trial(self, study_id: int) -> FrozenTrial:
        """Return the best complete trial. Raises KeyError, ValueError without one, RuntimeError for several objectives."""
        with _keyed():
            mirror = self._mirror(study_id)
            mirror.look()
        if len(mirror.directions) > 1:
            raise RuntimeError("Best trial can be obtained only for single-objective optimization.")
        best = mirror.best()
        if best is None:
            raise ValueError("No trials are completed yet.")
        return best

    def get_trial_id_from_study_id_trial_number(self, study_id: int, trial_number: int) -> int:
        """Return the id of a trial by its number. Raises KeyError."""
        with _keyed():
            mirror = self._mirror(study_id)
            mirror.look()
        found = mirror.find(trial_number)
        if found is None:
            raise KeyError(f"there is no trial {trial_number} in study {study_id}")
        return found._trial_id

    def get_trial_number_from_id(self, trial_id: int) -> int:
        """Return the number of a trial. Raises KeyError."""
        return self._home(trial_id)[1]

    def get_trial_param(self, trial_id: int, param_name: str) -> float:
        """Return a param as its distribution's internal number. Raises KeyError."""
        trial = self.get_trial(trial_id)
        return trial.distributions[param_name].to_internal_repr(trial.params[param_name])

    def remove_session(self) -> None:
        """Wait until everything is written; connections stay open until the store is closed."""
        try:
            self.store.flush()
        except StoreError:
            pass  # whoever writes next is told

    # --- where things are --------------------------------------------------------------------------------------

    def _mirror(self, study_id: int) -> Mirror:
        with self._lock:
            mirror = self._mirrors.get(study_id)
            if mirror is None:
                with _keyed():
                    row = self.store.get_study(study_id)
                directions = [to_direction(word) for word in row.directions]
                mirror = Mirror(self.store.share_study(study_id), directions, row.metric_names)
                self._mirrors[study_id] = mirror
            return mirror

    def _home(self, trial_id: int) -> tuple[int, int]:
        """Return the study and the number of a trial. Raises KeyError."""
        found = self._homes.get(trial_id)
        if found is None:
            with _keyed():
                found = self._homes[trial_id] = self.store.find_trial(trial_id)
        return found


@contextmanager
def _keyed() -> Iterator[None]:
    """Turn what is not there into the KeyError that Optuna expects."""
    try:
        yield
    except NotFoundError as exc:
        raise KeyError(str(exc)) from exc


def _microseconds(moment: datetime | None) -> int | None:
    """Return microseconds since the epoch of one of Optuna's times: naive, and local."""
    if moment is None:
        return None
    return round(moment.replace(microsecond=0).timestamp()) * 1_000_000 + moment.microsecond
