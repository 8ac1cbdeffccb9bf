"""However the records of trials are cut into groups, the store holds the same."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

import trackers
from tests.conformance.managed import Manager, manage
from trackers.changes import (
    AttemptEnded,
    AttrsSet,
    Change,
    ParamsDropped,
    ParamsSet,
    PointsLogged,
    TagsSet,
    TrialCreated,
    TrialFinished,
    TrialRequeued,
    TrialStarted,
)
from trackers.states import RunState
from trackers.values import Trial

START = 1_700_000_000_000_000


def story(rng: random.Random, manager: Manager, trials: int) -> list[Change]:
    """Tell what happens to some trials, one after the other in time but mixed with each other."""
    waiting = [_life(rng, manager) for _ in range(trials)]
    told: list[Change] = [life.pop(0) for life in waiting]
    while waiting := [life for life in waiting if life]:
        told.append(rng.choice(waiting).pop(0))
    return told


def _life(rng: random.Random, manager: Manager) -> list[Change]:
    time = START + manager.number * 1000
    run_id = manager.store.allocate_ids(1)[0]
    first = rng.choice([RunState.RUNNING, RunState.WAITING])
    manager.number += 1
    uid = manager.store.new_uid()
    life: list[Change] = [TrialCreated(run_id, uid, manager.number - 1, first, time, {"lr": rng.random()})]
    for attempt in range(rng.randint(1, 3)):
        life.append(TrialStarted(run_id, attempt, time + 1 + attempt, "w", "h", 1))
        life += [_report(rng, run_id, attempt, time) for _ in range(rng.randint(0, 3))]
        if rng.random() < 0.7:
            life.append(AttemptEnded(run_id, attempt, time + 9, rng.choice(["lost", "complete"])))
        life.append(TrialRequeued(run_id, time + 9))
    if rng.random() < 0.3:
        return life
    life.pop()
    final = rng.choice([RunState.COMPLETE, RunState.PRUNED, RunState.FAIL])
    values = (rng.random(),) if final is RunState.COMPLETE else None
    error = "why" if final is RunState.FAIL else None
    life.append(TrialFinished(run_id, time + 10, final, values, None, error, metrics=("accuracy",)))
    return life


def _report(rng: random.Random, run_id: int, attempt: int, time: int) -> Change:
    value = rng.choice([rng.random(), float("inf"), -1.0])
    kind = rng.randrange(6)
    if kind == 0:
        return TagsSet(run_id, {rng.choice("ab"): str(value)})
    if kind == 1:
        return AttrsSet(run_id, rng.choice(["user", "system"]), {rng.choice("ab"): value})
    if kind == 2:
        return ParamsSet(run_id, {rng.choice("xyz"): value})
    if kind == 3:
        return ParamsDropped(run_id, tuple(rng.sample(["x", "y", "z", "lr"], rng.randint(1, 2))))
    line = tuple((rng.randrange(6), attempt, time + 2, rng.random()) for _ in range(rng.randint(1, 3)))
    return PointsLogged(run_id, rng.choice(["accuracy", "loss"]), line, rng.choice(["", "validation"]))


def outcome(trials: list[Trial]) -> list[object]:
    names = (
        "number",
        "state",
        "values",
        "params",
        "intermediate_values",
        "metrics",
        "user_attrs",
        "system_attrs",
        "tags",
    )
    more = ("attempts", "created_at", "started_at", "ended_at", "error")
    return [[getattr(trial, name) for name in names + more] + [list(trial.params)] for trial in trials]


@settings(max_examples=25)
@given(st.integers(0, 2**32), st.integers(1, 6))
def test_any_cut_of_a_story_into_groups_leaves_the_same_trials(seed: int, trials: int) -> None:
    with tempfile.TemporaryDirectory() as folder, trackers.connect(Path(folder) / "hpo.db") as store:
        outcomes = []
        for cut in ("whole", "single", "random"):
            manager = manage(store, cut)
            told = story(random.Random(seed), manager, trials)
            rng = random.Random(seed + 1)
            while told:
                size = {"whole": len(told), "single": 1, "random": rng.randint(1, 6)}[cut]
                manager.lease.submit(told[:size]).wait(20)
                told = told[size:]
            outcomes.append(outcome(store.get_trials(manager.lease.study.id)))
        assert outcomes[0] == outcomes[1] == outcomes[2]
