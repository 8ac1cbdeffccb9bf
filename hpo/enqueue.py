"""Write to a study, whoever runs it: have a trial with given params run next, set an attribute."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from hpo.choice import key
from hpo.errors import SpaceError, UserError
from hpo.manager.here import here
from hpo.space import Space
from trackers.changes import (
    Change,
    DistributionsSeen,
    EventHappened,
    PointsLogged,
    StudyChanged,
    TrialCreated,
    TrialFinished,
    clean_name,
)
from trackers.clock import now_us
from trackers.errors import StudyBusyError
from trackers.states import RunState
from trackers.values import Trial

if TYPE_CHECKING:
    from trackers.store import Store, StudyLease
    from trackers.values import StudyRow

PATIENCE = 3.0
"""Seconds to wait for a running manager's answer: it reads its commands once a second."""


def enqueue(
    store: Store,
    row: StudyRow,
    params: Mapping[str, Any],
    user_attrs: Mapping[str, Any],
    *,
    skip_if_exists: bool = False,
) -> int | None:
    """Create a WAITING trial: ourselves where nobody runs the study, by a command where somebody does.

    *skip_if_exists*: none, where a trial has exactly these params or was enqueued with them.
    """
    given = checked(row, params)
    if skip_if_exists and any(_same(t, given) for t in store.get_trials(row.id, points=False)):
        return None
    manager = here(row.uid)
    if manager is not None:
        try:
            return manager.enqueue(given, user_attrs)
        except UserError:  # its run has just ended: the next one finds the command
            return _by_command(store, row, given, user_attrs, 0.0)
    try:
        lease = store.acquire_study(row.id, lease_seconds=PATIENCE)
    except StudyBusyError:
        return _by_command(store, row, given, user_attrs, PATIENCE)
    try:
        number, now = lease.next_number, now_us()
        created = TrialCreated(
            next(iter(store.allocate_ids(1))),
            store.new_uid(),
            number,
            RunState.WAITING,
            now,
            given,
            system_attrs={"fixed_params": given},
            user_attrs=dict(user_attrs),
        )
        lease.submit([created, EventHappened(lease.next_seq, "enqueue", now, number)]).wait()
    finally:
        _let_go(lease, row)
    return number


def _same(trial: Trial, params: Mapping[str, Any]) -> bool:
    """Tell, as Optuna does, whether *trial* has these params and no others, or was enqueued with them."""
    theirs = trial.system_attrs.get("fixed_params", trial.params)
    return theirs.keys() == params.keys() and all(_equal(theirs[name], value) for name, value in params.items())


def _equal(there: Any, given: Any) -> bool:
    if isinstance(given, float) and isinstance(there, int | float) and not isinstance(there, bool):
        return math.isclose(there, given, rel_tol=1e-5) or (there != there and given != given)
    return key(there) == key(given)


def adopt(store: Store, row: StudyRow, trials: Sequence[Any]) -> None:
    """Write trials that ran elsewhere, in one transaction: ours, or Optuna's.

    Raises: StudyBusyError while somebody runs the study, UserError for a trial that does not fit it.
    """
    frozen = [trial.to_optuna() if isinstance(trial, Trial) else trial for trial in trials]
    for trial in frozen:
        _check_fits(row, trial)
    if here(row.uid) is not None:
        raise UserError(f"study {row.name!r} runs: add trials when it has ended, or enqueue them")
    lease = store.acquire_study(row.id, lease_seconds=PATIENCE)
    try:
        first, changes = lease.next_number, []
        for i, (run_id, trial) in enumerate(zip(store.allocate_ids(len(frozen)), frozen, strict=True)):
            changes += _adopted(row, trial, run_id, store.new_uid(), first + i)
            changes.append(EventHappened(lease.next_seq + i, "add", now_us(), first + i))
        lease.submit(changes).wait()
    finally:
        _let_go(lease, row)


def _check_fits(row: StudyRow, trial: Any) -> None:
    state = RunState(int(trial.state))
    if not state.is_finished() and state is not RunState.WAITING:
        raise UserError(f"a trial that is {state.name} cannot be added: add it when it has ended")
    if state is RunState.COMPLETE and len(trial.values or ()) != len(row.directions):
        has = f"{len(trial.values or ())} and the study {len(row.directions)}"
        raise UserError(f"a trial to add has as many values as the study has objectives: it has {has}")


def _adopted(row: StudyRow, trial: Any, run_id: int, uid: str, number: int) -> list[Change]:
    """Return what *trial*, one of Optuna's, is in the store."""
    from trackers.interop.optuna import from_distribution

    state = RunState(int(trial.state))
    begun = _microseconds(trial.datetime_start)
    waits = state is RunState.WAITING
    made: list[Change] = [
        TrialCreated(
            run_id,
            uid,
            number,
            RunState.WAITING if waits else RunState.RUNNING,
            begun,
            dict(trial.params),
            dict(trial.system_attrs),
            dict(trial.user_attrs),
            started=None if waits else begun,
        )
    ]
    if trial.distributions:
        made.append(DistributionsSeen({name: from_distribution(d) for name, d in trial.distributions.items()}))
    if trial.intermediate_values:
        points = tuple((step, 0, begun, value) for step, value in trial.intermediate_values.items())
        made.append(PointsLogged(run_id, row.metric_names[0], points))
    if not waits:
        values = None if trial.values is None else tuple(trial.values)
        made.append(
            TrialFinished(run_id, _microseconds(trial.datetime_complete), state, values, metrics=row.metric_names)
        )
    return made


def _microseconds(time: datetime | None) -> int:
    """Return Optuna's naive local time (None: now) in microseconds since the epoch."""
    return now_us() if time is None else round(time.astimezone().timestamp() * 1e6)


def set_user_attrs(store: Store, row: StudyRow, attrs: Mapping[str, Any]) -> None:
    """Set attributes of the study, which must be JSON. Raises UserError for one that is not."""
    clean = {clean_name(name, "attribute"): value for name, value in attrs.items()}
    for name, value in clean.items():
        try:
            json.dumps(value)
        except (TypeError, ValueError) as exc:
            raise UserError(f"attribute {name!r} is not JSON ({exc}): use numbers, text, lists and mappings") from None
    manager = here(row.uid)
    if manager is not None:
        manager.set_attrs(clean)
        return
    try:
        lease = store.acquire_study(row.id, lease_seconds=PATIENCE)
    except StudyBusyError:
        _command(store, row, "attrs", {"user_attrs": clean}, PATIENCE)
        return
    try:
        lease.submit([StudyChanged(user_attrs=clean)]).wait()
    finally:
        _let_go(lease, row)


def _let_go(lease: StudyLease, row: StudyRow) -> None:
    # "running" is what a manager that was killed left behind: it does not run any more.
    lease.release("stopped" if row.status == "running" else row.status, row.reason)


def checked(row: StudyRow, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return *params* where they lie in the declared space. Raises SpaceError, which names the one that does not."""
    if row.space is None:
        return dict(params)
    space = Space.from_json(row.space)
    for name, value in params.items():
        if name not in space:
            raise SpaceError(f"the space of {row.name!r} has no param {name!r}: it has {', '.join(space)}")
        if not space[name].contains(value):
            raise SpaceError(f"param {name!r} cannot be {value!r}: it is {space[name]!r}")
    return dict(params)


def _by_command(
    store: Store, row: StudyRow, params: Mapping[str, Any], user_attrs: Mapping[str, Any], patience: float
) -> int | None:
    args = {"params": dict(params), "user_attrs": dict(user_attrs)}
    answer = _command(store, row, "enqueue", args, patience)
    if answer.get("done") is False:
        raise UserError(f"the trial was not enqueued: {answer.get('reason')}")
    number = answer.get("number")
    return None if number is None else int(number)


def _command(store: Store, row: StudyRow, kind: str, args: Mapping[str, Any], patience: float) -> Mapping[str, Any]:
    """Tell whoever runs the study; return the answer, empty where none came within *patience* seconds."""
    command = store.send_command(row.id, kind, args)
    return store.await_command(command, patience).answer or {}
