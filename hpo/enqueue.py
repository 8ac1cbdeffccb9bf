"""Write to a study, whoever runs it: have a trial with given params run next, set an attribute."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hpo.errors import SpaceError, UserError
from hpo.manager.here import here
from hpo.manager.scribe import now_us
from hpo.space import Space
from trackers.changes import EventHappened, StudyChanged, TrialCreated, clean_name
from trackers.errors import StudyBusyError
from trackers.states import RunState

if TYPE_CHECKING:
    from trackers.store import Store, StudyLease
    from trackers.values import StudyRow

PATIENCE = 3.0
"""Seconds to wait for a running manager's answer: it reads its commands once a second."""


def enqueue(store: Store, row: StudyRow, params: Mapping[str, Any], user_attrs: Mapping[str, Any]) -> int | None:
    """Create a WAITING trial: ourselves where nobody runs the study, by a command where somebody does."""
    given = checked(row, params)
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
            user_attrs=dict(user_attrs),
        )
        lease.submit([created, EventHappened(lease.next_seq, "enqueue", now, number)]).wait()
    finally:
        _let_go(lease, row)
    return number


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
    until = time.monotonic() + patience
    while command.answer is None and time.monotonic() < until:
        time.sleep(0.05)  # the answer is a row in the store: there is nothing to wait on but the clock
        command = store.get_command(command.id)
    return command.answer or {}
