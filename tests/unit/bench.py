"""A manager on a bench: a real store in a folder, no Ray; the test is the executor and the workers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import trackers
from hpo.driver.making import make_manager
from hpo.driver.order import Order
from hpo.execution.messages import Join, Message, News, Outcome, Pull, Report, Work
from hpo.execution.port import Gone, Post
from hpo.execution.worker import Job
from hpo.space import Float, Param, Space
from hpo.trial import Assignment
from trackers.states import RunState
from trackers.store import Store
from trackers.values import Trial

SPACE: Mapping[str, Param] = {"x": Float(-5.0, 5.0)}


class Hands:
    """An executor that brings up nothing and notes whom it was told to end."""

    name = "bench"

    def __init__(self) -> None:
        self.killed: list[str] = []
        self.closed = False

    def begin(self, post: Post, gone: Gone) -> None:
        """The test joins workers itself."""

    def joined(self, worker: str) -> None:
        """It knows."""

    def kill(self, worker: str, reason: str) -> None:
        """Take note."""
        if worker not in self.killed:
            self.killed.append(worker)

    def close(self) -> None:
        """Take note."""
        self.closed = True


class Bench:
    """One manager and the messages of its workers."""

    def __init__(self, store: Store, study_id: int, **order: Any) -> None:
        self.store, self.study_id = store, study_id
        self.hands = Hands()
        given = {"workers": 2, "sampler": "random", "pruner": "none", "lease_seconds": 0.2, **order}
        self.manager = make_manager(Order(store.url, study_id, _no_job, **given), lambda epoch: self.hands)
        self.manager.begin()

    def join(self, worker: str, slots: int = 1, error: str | None = None) -> Any:
        return self.ask(Join(worker, "host", 1, slots, error))

    def post(self, message: Message) -> list[Any]:
        """Hand in a message; return the box that its answer will lie in."""
        box: list[Any] = []
        self.manager.post(message, box.append)
        return box

    def ask(self, message: Message) -> Any:
        """Hand in a message and wait for its answer."""
        box = self.post(message)
        self.until(lambda: bool(box))
        return box[0]

    def pull(self, worker: str, *outcomes: Outcome, want: int = 1) -> Work:
        work: Work = self.ask(Pull(worker, want, outcomes))
        return work

    def report(self, worker: str, trial: Assignment, step: int, value: float) -> Any:
        return self.ask(Report(worker, News(trial.number, trial.attempt, ((step, value, now()),), (-1,)), True))

    def until(self, condition: Callable[[], bool], seconds: float = 10.0) -> None:
        """Let the manager take turns until *condition* holds."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, "it never came"
            self.manager.turn(0.01)

    def settle(self) -> None:
        """Let the manager take everything that was said, and let it be committed."""
        said: list[None] = []
        self.manager._inbox.put(lambda: said.append(None))
        self.until(lambda: bool(said) and self.manager._scribe.flying == 0)

    def finish(self) -> str:
        """Let the study end; return how it did."""
        self.until(lambda: self.manager.over)
        self.manager.close()
        assert self.manager.summary is not None
        return self.manager.summary.status

    @property
    def trials(self) -> list[Trial]:
        return self.store.get_trials(self.study_id)


@contextmanager
def bench(folder: Path, *, space: Mapping[str, Param] | None = SPACE, **order: Any) -> Iterator[Bench]:
    """Put a manager of a new study (one objective, minimized) on the bench."""
    with new_store(folder, space) as (store, study_id), working(store, study_id, **order) as made:
        yield made


@contextmanager
def new_store(folder: Path, space: Mapping[str, Param] | None = SPACE) -> Iterator[tuple[Store, int]]:
    """Make a store with one study, and close it."""
    with trackers.connect(f"sqlite:///{folder}/hpo.db") as store:
        declared = None if space is None else Space.of(space).to_json()
        row = store.create_study("s", directions=["minimize"], metric_names=["value"], space=declared)
        yield store, row.id


@contextmanager
def working(store: Store, study_id: int, **order: Any) -> Iterator[Bench]:
    """Put a manager of a stored study on the bench, and close it."""
    made = Bench(store, study_id, **order)
    try:
        yield made
    finally:
        made.manager.close()


def ended(
    trial: Assignment, state: RunState | None = RunState.COMPLETE, value: float = 1.0, news: News | None = None
) -> Outcome:
    """Return the outcome of an attempt; *state* None gives it back."""
    values = (value,) if state is RunState.COMPLETE else None
    error = "ValueError: no" if state is RunState.FAIL else None
    kind = "ValueError" if error else None
    return Outcome(news or News(trial.number, trial.attempt), state, now(), now(), values, kind, error)


def now() -> int:
    return time.time_ns() // 1000


def _no_job() -> Job:
    raise AssertionError("the bench runs no objective")
