"""A small manager for the suites of the store: it writes trials as the real one does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trackers.changes import (
    AttemptEnded,
    Change,
    EventHappened,
    PointsLogged,
    TrialCreated,
    TrialFinished,
    TrialStarted,
)
from trackers.clock import now_us
from trackers.sql.leases import StudyLease
from trackers.states import RunState
from trackers.store import Store
from trackers.values import StudyRow


def new_study(store: Store, name: str = "s", **kwargs: Any) -> StudyRow:
    return store.create_study(name, **{"directions": ["maximize"], "metric_names": ["accuracy"], **kwargs})


class Manager:
    """Writes trials under a lease and remembers the next number and event."""

    def __init__(self, store: Store, lease: StudyLease) -> None:
        self.store, self.lease = store, lease
        self.number, self.seq = lease.next_number, lease.next_seq

    def event(self, kind: str, number: int | None = None) -> EventHappened:
        self.seq += 1
        return EventHappened(self.seq - 1, kind, now_us(), number, {"about": kind})

    def created(self, params: Mapping[str, Any] | None = None, state: RunState = RunState.RUNNING) -> TrialCreated:
        run_id = self.store.allocate_ids(1)[0]
        self.number += 1
        uid = self.store.new_uid()
        return TrialCreated(
            run_id, uid, self.number - 1, state, now_us(), params if params is not None else {"lr": 0.1}
        )

    def started(self, run_id: int, attempt: int = 0) -> TrialStarted:
        return TrialStarted(run_id, attempt, now_us(), "worker-1", "host", 4711, 2.0, 0.5)

    def whole(self, value: float = 0.5, points: int = 3) -> list[Change]:
        """Return every record of a trial that runs once and completes."""
        trial = self.created({"lr": 0.1, "layers": 3, "optimizer": "adam"})
        now = now_us()
        line = tuple((step, 0, now, value + step) for step in range(points))
        return [
            trial,
            self.event("asked", trial.number),
            self.started(trial.run_id),
            PointsLogged(trial.run_id, "accuracy", line),
            AttemptEnded(trial.run_id, 0, now, "complete"),
            TrialFinished(trial.run_id, now, RunState.COMPLETE, (value,)),
            self.event("finished", trial.number),
        ]


def manage(store: Store, name: str = "s", **kwargs: Any) -> Manager:
    return Manager(store, store.acquire_study(new_study(store, name, **kwargs).id))
