"""The real manager on a real store, under workers that do what they please: the store is whole in the end."""

from __future__ import annotations

import random
import tempfile
from collections import deque
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from hpo.execution.messages import Join, News, Outcome, Pull, Report, StopStudy, Work
from hpo.space import Float, Int, Param
from hpo.trial import Assignment, Verdict
from tests.unit.bench import Bench, ended, new_store, now, working
from trackers.changes import AttrsSet, PointsLogged
from trackers.states import RunState
from trackers.store import Store
from trackers.values import Trial

STATES = [RunState.COMPLETE, RunState.COMPLETE, RunState.COMPLETE, RunState.PRUNED, RunState.FAIL, None]


class Slot:
    """One slot of a worker that may die: what it holds, what it has not sent yet, and the answer it waits for."""

    def __init__(self, name: str, process: str) -> None:
        self.name, self.process = name, process
        self.queue: deque[Assignment] = deque()
        self.unsent: list[Outcome] = []
        self.box: list[Any] | None = None
        self.exited = False


class Crowd:
    """Workers of one manager, driven by a seeded random until the study ends."""

    def __init__(self, bench: Bench, seed: int, slots: int, rate: float) -> None:
        self.bench, self.random, self.slots_each, self.rate = bench, random.Random(seed), slots, rate
        self.slots: list[Slot] = []
        self.made = 0
        self.buried: set[str] = set()
        self.boxes: list[tuple[str, list[Any]]] = []
        self.finished: dict[int, int] = {}

    def run(self) -> None:
        """Let it happen, then let everything end."""
        manager = self.bench.manager
        for _ in range(4000):
            if manager.over:
                break
            self.bury()
            if len({s.process for s in self.slots if not s.exited}) < 3 and not manager.engine.ended:
                self.arrive()
            elif any(not s.exited for s in self.slots):
                self.act(self.random.choice([s for s in self.slots if not s.exited]))
            if not manager.over:
                manager.turn(0.0005)
            self.listen()
        assert manager.over, "the study never ends"
        for process, box in self.boxes:
            assert box or process in self.buried, "a worker waits for ever"

    def post(self, slot: Slot, message: Any) -> list[Any]:
        box = self.bench.post(message)
        self.boxes.append((slot.process, box))
        return box

    def arrive(self) -> None:
        name = f"w{self.made}"
        self.made += 1
        self.bench.post(Join(name, "host", self.made, self.slots_each))
        names = [name] if self.slots_each == 1 else [f"{name}.{i}" for i in range(self.slots_each)]
        self.slots += [Slot(n, name) for n in names]

    def bury(self) -> None:
        """What the manager ended is gone."""
        for process in {s.process for s in self.slots} & set(self.bench.hands.killed):
            self.die(process, "ended")

    def die(self, process: str, reason: str) -> None:
        self.slots = [s for s in self.slots if s.process != process]
        self.buried.add(process)
        self.bench.manager.gone(process, reason)

    def act(self, slot: Slot) -> None:
        if self.random.random() < self.rate:
            self.die(slot.process, "killed")
        elif slot.box is not None:
            self.interfere()
        elif slot.queue and self.random.random() < 0.85:
            self.work(slot, slot.queue[0])
        else:
            want = self.random.randint(1, 4) - len(slot.queue)
            slot.box = self.post(slot, Pull(slot.name, want, tuple(slot.unsent)))
            slot.unsent = []

    def work(self, slot: Slot, trial: Assignment) -> None:
        roll = self.random.random()
        news = News(trial.number, trial.attempt, ((self.random.randint(0, 9), self.random.random(), now()),), (-1,))
        if roll < 0.3:
            answer = self.bench.ask(Report(slot.name, news, True))
            if answer.verdict is Verdict.STOP:
                slot.queue.popleft()
                slot.unsent.append(ended(trial, None))
            return
        slot.queue.popleft()
        records = (AttrsSet(trial.run_id, "user", {"attempt": trial.attempt}), PointsLogged(trial.run_id, "loss", ()))
        news = News(trial.number, trial.attempt, records=records)
        slot.unsent.append(ended(trial, self.random.choice(STATES), self.random.random(), news))

    def interfere(self) -> None:
        """What others do meanwhile, now and then."""
        roll = self.random.random()
        manager = self.bench.manager
        if roll < 0.02:
            self.bench.store.send_command(
                self.bench.study_id, "enqueue", {"params": {"x": self.random.choice([1, 99])}}
            )
        elif roll < 0.03 and not manager.over and manager._ending is None:
            manager._enqueue({"x": self.random.choice([0.5, 99.0])}, {})
        elif roll < 0.033 and self.rate:
            manager.stop("enough", self.random.choice([0.0, 10.0]))
        elif roll < 0.036 and self.slots:
            self.post(self.slots[0], StopStudy(self.slots[0].name))

    def listen(self) -> None:
        for slot in self.slots:
            if not slot.box:
                continue
            work: Work = slot.box[0]
            slot.box = None
            slot.queue.extend(work.trials)
            if work.exit and slot.queue:
                slot.unsent += [ended(trial, None) for trial in slot.queue]
                slot.queue.clear()
            elif work.exit:
                slot.exited = True


def check(trials: list[Trial]) -> None:
    """Check what must hold after every run of a manager."""
    assert [t.number for t in trials] == list(range(len(trials)))
    for trial in trials:
        outcomes = [a.outcome for a in trial.attempts]
        final = [o for o in outcomes if o in ("complete", "pruned", "timeout")]
        assert trial.state is not RunState.RUNNING
        assert None not in outcomes, "every attempt ended"
        assert [a.number for a in trial.attempts] == list(range(len(outcomes)))
        assert len(final) == (trial.state in (RunState.COMPLETE, RunState.PRUNED))
        assert trial.values is None or trial.state in (RunState.COMPLETE, RunState.PRUNED)
        assert trial.values is not None or trial.state is not RunState.COMPLETE
        if trial.state is RunState.WAITING:
            assert sum(a.counts for a in trial.attempts) <= 2


def events_are_whole(store: Store, study_id: int) -> None:
    seqs = [e.seq for e in store.events(study_id, limit=100_000)]
    assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))


@settings(max_examples=25)
@given(
    seed=st.integers(0, 2**32),
    total=st.integers(1, 30),
    slots=st.integers(1, 3),
    rate=st.sampled_from([0.0, 0.02, 0.15]),
    finite=st.booleans(),
    inline=st.booleans(),
)
def test_whatever_workers_do_the_store_is_whole(
    seed: int, total: int, slots: int, rate: float, finite: bool, inline: bool
) -> None:
    space: dict[str, Param] = {"x": Int(0, 12)} if finite else {"x": Float(-5.0, 5.0)}
    workers = 0 if inline else 3
    with tempfile.TemporaryDirectory() as folder, new_store(Path(folder), space) as (store, study_id):
        for run in range(4):
            total = max(total, len(store.get_trials(study_id)))  # what was enqueued counts
            with working(store, study_id, total=total, slots=slots, workers=workers) as b:
                Crowd(b, seed + run, slots, rate if run < 3 else 0.0).run()
                assert b.manager.summary is not None
                b.manager.close()
            trials = store.get_trials(study_id)
            check(trials)
            events_are_whole(store, study_id)
            if b.manager.summary.status == "complete":
                assert all(t.state.is_finished() for t in trials)
                assert len(trials) == b.manager.engine.total or "exhausted" in b.manager.summary.reason
                break
            assert b.manager.summary.status in ("stopped", "failed")
