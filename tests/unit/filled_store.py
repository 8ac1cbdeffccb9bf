"""A store with studies whose every number is known, written through the front door of ``trackers``."""

from __future__ import annotations

import time
from pathlib import Path

import trackers
from trackers.changes import (
    AttemptEnded,
    AttrsSet,
    Change,
    DistributionsSeen,
    LogKept,
    PointsLogged,
    StudyChanged,
    TrialCreated,
    TrialFinished,
    TrialStarted,
)
from trackers.states import RunState

NOW = time.time_ns() // 1000
SECOND = 1_000_000


def fill(path: Path) -> str:
    """Fill a store at *path*: ``digits`` (6 trials in five states), ``pareto`` (3 complete, two objectives), ``empty``."""
    url = f"sqlite:///{path}"
    with trackers.connect(url) as store:
        store.create_study("empty", directions=["minimize"], metric_names=["loss"])
        _pareto(store)
        _digits(store)
    return url


def _digits(store: trackers.Store) -> None:
    space = {"lr": {"name": "FloatDistribution", "attributes": {"low": 0.001, "high": 1.0, "log": True, "step": None}}}
    row = store.create_study(
        "digits", directions=["maximize"], metric_names=["accuracy"], total_trials=6, settings={"workers": 2}, seed=7
    )
    lease = store.acquire_study(row.id)
    ids = store.allocate_ids(6)
    changes: list[Change] = [DistributionsSeen(space)]
    ends = [
        (RunState.COMPLETE, (0.5,)),
        (RunState.COMPLETE, (0.97,)),
        (RunState.PRUNED, None),
        (RunState.FAIL, None),
        (RunState.COMPLETE, (0.75,)),
        (None, None),
    ]
    for number, (state, values) in enumerate(ends):
        run, start = ids[number], NOW + number * SECOND
        created = TrialCreated(run, store.new_uid(), number, RunState.RUNNING, start, {"lr": 0.001 * (number + 1)})
        changes += [created, TrialStarted(run, 0, start, "worker-0", "here", 42, cpus=2.0)]
        changes.append(PointsLogged(run, "accuracy", ((0, 0, start, 0.1), (1, 0, start, 0.2 + number / 10))))
        changes.append(AttrsSet(run, "user", {"note": "ünïcode", "nan": float("nan")}))
        if state is None:
            continue
        failed = state is RunState.FAIL
        error = (
            ("ValueError", "ValueError: no such image", "Traceback ...\nValueError: no such image") if failed else ()
        )
        changes += [
            AttemptEnded(run, 0, start + SECOND, state.name.lower()),
            TrialFinished(run, start + SECOND, state, values, *error),
            LogKept(run, 0, f"\x1b[1mepoch 1\x1b[0m of trial {number}\x1b]0;title\x07\x1b[2J\r\n"),
        ]
    changes.append(StudyChanged(status="stopped", reason="stopped by a test", settings={"workers": 2}))
    lease.submit(changes).wait()
    lease.release("stopped", "stopped by a test")


def _pareto(store: trackers.Store) -> None:
    row = store.create_study(
        "pareto", directions=["maximize", "minimize"], metric_names=["accuracy", "size"], total_trials=3
    )
    lease = store.acquire_study(row.id)
    changes: list[Change] = []
    for number, (run, values) in enumerate(
        zip(store.allocate_ids(3), [(0.9, 10.0), (0.8, 5.0), (0.7, 50.0)], strict=True)
    ):
        created = TrialCreated(run, store.new_uid(), number, RunState.RUNNING, NOW, {"depth": number})
        changes += [
            created,
            TrialStarted(run, 0, NOW, "worker-0", "here", 42),
            AttemptEnded(run, 0, NOW + SECOND, "complete"),
            TrialFinished(run, NOW + SECOND, RunState.COMPLETE, values),
        ]
    lease.submit(changes).wait()
    lease.release("complete", "")
