"""The engine under random events: after each step every invariant holds."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpo import engine as eng
from hpo.trial import Verdict
from trackers.states import RunState


class World:
    """Workers and a service as the engine sees them, driven by a seeded random."""

    def __init__(self, seed: int, limits: eng.Limits, space: int | None = None) -> None:
        self.random = random.Random(seed)
        self.engine = eng.Engine(limits)
        self.space = space
        self.now = 0.0
        self.held: dict[str, list[tuple[int, int]]] = {}
        self.pulling: set[str] = set()
        self.created: set[int] = set()
        self.final: dict[int, RunState] = {}
        self.starts: Counter[int] = Counter()
        self.killed: set[str] = set()
        self.end: eng.End | None = None
        self.made = 0

    def step(self, event: eng.Event) -> list[eng.Command]:
        self.now += self.random.random()
        commands = self.engine.step(event, self.now)
        if not any(isinstance(c, eng.Start) for c in commands):
            self.engine.check()
        self.obey(commands)
        self.engine.check()
        return commands

    def obey(self, commands: list[eng.Command]) -> None:
        dry = None
        for command in commands:
            assert self.end is None or isinstance(command, eng.Dismiss), "nothing happens after the end"
            match command:
                case eng.Start(worker, number, attempt, fresh):
                    if fresh and self.space is not None and len(self.created) >= self.space:
                        dry = number if dry is None else dry
                        continue
                    assert number not in self.final, "a finished trial never starts again"
                    assert attempt == self.starts[number]
                    assert fresh == (number not in self.created)
                    self.created.add(number)
                    self.starts[number] += 1
                    self.held.setdefault(worker, []).append((number, attempt))
                    self.pulling.discard(worker)
                case eng.Enqueue(number):
                    self.created.add(number)
                case eng.Finish(number, _, state, _, _):
                    assert number not in self.final, "a trial finishes once"
                    self.final[number] = state
                case eng.Kill(worker, _):
                    self.killed.add(worker)
                case eng.Dismiss(worker):
                    self.pulling.discard(worker)
                case eng.End():
                    self.end = command
        if dry is not None:
            self.step(eng.Exhausted(dry))

    def random_event(self) -> None:
        busy = [w for w, held in self.held.items() if held]
        free = [w for w in self.held if not self.held[w] and w not in self.pulling]
        roll = self.random.random()
        if roll < 0.15 and len(self.held) < 6:
            self.made += 1
            self.held[f"w{self.made}"] = []
        elif roll < 0.45 and free:
            worker = self.random.choice(free)
            self.pulling.add(worker)
            self.step(eng.Pulled(worker, self.random.randint(1, 4)))
        elif roll < 0.75 and busy:
            worker = self.random.choice(busy)
            number, attempt = self.held[worker].pop(0)
            state = self.random.choice([RunState.COMPLETE, RunState.COMPLETE, RunState.PRUNED, RunState.FAIL])
            self.step(eng.Finished(worker, number, attempt, state, self.random.random() < 0.5, "it failed"))
        elif roll < 0.82 and busy:
            worker = self.random.choice(busy)
            number, attempt = self.held[worker][0]
            answer = self.step(eng.Reported(worker, number, attempt, self.random.random() < 0.3))
            if any(isinstance(a, eng.Answer) and a.verdict is Verdict.STOP for a in answer) and not self.end:
                self.held[worker].pop(0)
                self.step(eng.Released(worker, number, attempt))
        elif roll < 0.9 and self.held:
            worker, *mates = self.random.sample(
                sorted(self.held), min(len(self.held), self.random.choice([1, 1, 1, 2]))
            )
            for name in (worker, *mates):
                del self.held[name]
                self.pulling.discard(name)
            self.step(eng.Lost(worker, "killed", self.random.random() < 0.8, tuple(mates)))
        elif roll < 0.93:
            self.step(eng.Enqueued())
        elif roll < 0.97:
            self.now += self.random.random() * 20
            self.step(eng.Ticked())
            for worker in sorted(self.killed & set(self.held)):
                del self.held[worker]
                self.step(eng.Lost(worker, "ended"))
        elif roll < 0.98:
            self.step(eng.BudgetSet(self.random.randint(1, 60)))

    def drain(self) -> None:
        """Let everything end as it does in a calm world."""
        for _ in range(3000):
            if self.end is not None:
                return
            busy = [w for w, held in self.held.items() if held]
            free = [w for w in self.held if not self.held[w] and w not in self.pulling]
            if not self.held:
                self.made += 1
                self.held[f"w{self.made}"] = []
            elif busy:
                number, attempt = self.held[busy[0]].pop(0)
                self.step(eng.Finished(busy[0], number, attempt, RunState.COMPLETE))
            elif free:
                self.pulling.add(free[0])
                self.step(eng.Pulled(free[0], 1))
            else:
                self.step(eng.Ticked())
        raise AssertionError("the study never ends")


@settings(max_examples=150)
@given(
    seed=st.integers(0, 2**32),
    total=st.one_of(st.none(), st.integers(1, 40)),
    retries=st.integers(0, 3),
    trial_timeout=st.one_of(st.none(), st.floats(1, 30)),
    space=st.one_of(st.none(), st.integers(1, 30)),
    stop=st.booleans(),
)
def test_every_invariant_holds_after_every_event(
    seed: int, total: int | None, retries: int, trial_timeout: float | None, space: int | None, stop: bool
) -> None:
    world = World(seed, eng.Limits(total, retries, trial_timeout, trial_timeout), space)
    for _ in range(120):
        if world.end is not None:
            break
        world.random_event()
    if total is None or stop:
        world.step(eng.StopAsked("enough", 0.0))
        for worker in sorted(world.killed & set(world.held)):
            del world.held[worker]
            world.step(eng.Lost(worker, "ended"))
    world.drain()
    engine = world.engine
    assert sorted(world.created) == list(range(engine.started)), "numbers are dense, and each was created"
    if world.end is not None and world.end.status == "complete":
        assert set(world.final) == world.created, "a complete study has a final state for each trial"
    assert all(engine.states[n] is s for n, s in world.final.items())


def test_a_lost_batch_blames_nobody_and_its_trials_run_again_one_by_one() -> None:
    engine = eng.Engine(eng.Limits(total=5, max_retries=1))
    engine.step(eng.Pulled("a", 3), 0.0)
    commands = engine.step(eng.Lost("a", "killed"), 1.0)
    requeued = [c for c in commands if isinstance(c, eng.Requeue)]
    assert [(r.number, r.counts) for r in requeued] == [(0, False), (1, False), (2, False)]
    starts = [c for c in engine.step(eng.Pulled("b", 3), 2.0) if isinstance(c, eng.Start)]
    assert [s.number for s in starts] == [0]
    (again,) = [c for c in engine.step(eng.Lost("b", "killed"), 3.0) if isinstance(c, eng.Requeue)]
    assert (again.number, again.counts) == (0, True), "now it is known"


def test_a_stop_that_waits_lets_trials_report_to_their_end_until_a_timeout() -> None:
    engine = eng.Engine(eng.Limits(total=10, deadline=100.0))
    engine.step(eng.Pulled("a"), 0.0)
    engine.step(eng.StopAsked("the objective said so", None), 1.0)
    assert engine.step(eng.Reported("a", 0, 0), 50.0) == [eng.Answer("a", 0, Verdict.CONTINUE)]
    engine.step(eng.Ticked(), 100.5)
    assert engine.step(eng.Reported("a", 0, 0), 101.0) == [eng.Answer("a", 0, Verdict.STOP)]
    engine.step(eng.Released("a", 0, 0), 101.1)
    assert engine.ended == eng.End("stopped", "the objective said so")


def test_a_budget_without_room_leaves_the_last_that_wait_for_later() -> None:
    engine = eng.Engine(eng.Limits(total=2))
    engine.restore([(0, RunState.COMPLETE, 1, 0), *((n, RunState.WAITING, 0, 0) for n in (1, 2, 3))])
    engine.check()
    starts = [c for c in engine.step(eng.Pulled("a", 3), 0.0) if isinstance(c, eng.Start)]
    assert [s.number for s in starts] == [1]
    engine.step(eng.BudgetSet(5), 1.0)
    engine.step(eng.Finished("a", 1, 0, RunState.COMPLETE), 2.0)
    starts = [c for c in engine.step(eng.Pulled("a", 5), 3.0) if isinstance(c, eng.Start)]
    assert [s.number for s in starts] == [2, 3, 4]
    engine.check()


def test_a_trial_whose_worker_dies_too_often_fails_with_the_reason() -> None:
    engine = eng.Engine(eng.Limits(total=1, max_retries=2))
    for attempt in range(3):
        engine.step(eng.Pulled(f"w{attempt}"), float(attempt))
        commands = engine.step(eng.Lost(f"w{attempt}", "its process was killed"), attempt + 0.5)
    finish = next(c for c in commands if isinstance(c, eng.Finish))
    assert finish.state is RunState.FAIL
    assert "its process was killed" in finish.reason
    assert "3 attempts" in finish.reason


def test_a_hung_trial_is_killed_and_fails_without_a_retry() -> None:
    engine = eng.Engine(eng.Limits(total=2, trial_timeout=5.0))
    engine.step(eng.Pulled("a"), 0.0)
    assert engine.step(eng.Ticked(), 4.0) == []
    (kill,) = engine.step(eng.Ticked(), 5.5)
    assert isinstance(kill, eng.Kill)
    assert engine.step(eng.Ticked(), 6.0) == [], "it is killed once"
    finish = engine.step(eng.Lost("a", "ended"), 6.1)[0]
    assert isinstance(finish, eng.Finish)
    assert (finish.state, finish.outcome) == (RunState.FAIL, "timeout")


def test_ten_failures_at_the_start_end_the_study_and_one_success_prevents_it() -> None:
    for good in (False, True):
        engine = eng.Engine(eng.Limits(total=30))
        for number in range(12):
            if engine.ended:
                break
            engine.step(eng.Pulled("a"), float(number))
            state = RunState.COMPLETE if good and number == 0 else RunState.FAIL
            engine.step(eng.Finished("a", number, 0, state, reason="ValueError: no"), number + 0.5)
        assert (engine.ended is None) == good
        if not good:
            assert engine.ended == eng.End("failed", "the first 10 trials all failed: ValueError: no")


def test_a_stop_lets_reports_end_trials_and_kills_what_is_silent() -> None:
    engine = eng.Engine(eng.Limits(total=10))
    engine.step(eng.Pulled("a"), 0.0)
    engine.step(eng.Pulled("b"), 0.0)
    engine.step(eng.StopAsked("enough", 10.0), 1.0)
    (answer,) = engine.step(eng.Reported("a", 0, 0), 2.0)
    assert answer == eng.Answer("a", 0, Verdict.STOP)
    engine.step(eng.Released("a", 0, 0), 2.1)
    assert engine.step(eng.Pulled("a"), 2.2) == [], "nothing new starts"
    (kill,) = engine.step(eng.Ticked(), 11.5)
    assert kill == eng.Kill("b", "enough")
    *_, end = engine.step(eng.Lost("b", "ended"), 11.6)
    assert end == eng.End("stopped", "enough")
    assert engine.retries == {0: 0, 1: 0}


def test_a_resumed_study_queues_what_was_running_before_anything_fresh() -> None:
    engine = eng.Engine(eng.Limits(total=4))
    stored = [(0, RunState.COMPLETE, 1, 0), (1, RunState.RUNNING, 2, 1), (2, RunState.WAITING, 0, 0)]
    (requeue,) = engine.restore(stored)
    assert requeue == eng.Requeue(1, 1, "lost", "its manager ended", False)
    starts = [c for c in engine.step(eng.Pulled("a", 3), 0.0) if isinstance(c, eng.Start)]
    assert [(s.number, s.attempt, s.fresh) for s in starts] == [(1, 2, False), (2, 0, False), (3, 0, True)]


def test_an_event_of_an_attempt_that_was_given_up_changes_nothing() -> None:
    engine = eng.Engine(eng.Limits(total=2))
    engine.step(eng.Pulled("a"), 0.0)
    engine.step(eng.Lost("a", "killed"), 1.0)
    engine.step(eng.Pulled("b"), 2.0)
    assert engine.step(eng.Finished("a", 0, 0, RunState.COMPLETE), 3.0) == []
    assert engine.states[0] is RunState.RUNNING


def test_an_illegal_state_is_told_with_its_story() -> None:
    engine = eng.Engine(eng.Limits(total=2))
    engine.waiting.append(7)
    engine.states[7] = RunState.RUNNING
    with pytest.raises(eng.IllegalEvent, match="not dense"):
        engine.check()
