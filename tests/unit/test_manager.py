"""A manager driven message by message, on a real store, without Ray."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hpo.errors import UserError
from hpo.execution.messages import Fetch, News, Pull, Put, Report, StopStudy, Suggest
from hpo.space import Int
from hpo.trial import Verdict
from tests.unit.bench import bench, ended, new_store, now, working
from trackers.states import RunState


def test_a_worker_that_died_and_still_speaks_is_sent_away(tmp_path: Path) -> None:
    with bench(tmp_path, total=2) as b:
        b.join("a")
        b.manager.gone("a", "killed")
        late = b.pull("a")
        assert late.exit
        assert not late.trials
        b.join("b")
        (trial,) = b.pull("b").trials
        assert trial.number == 0, "the dead worker got no trial"


def test_a_worker_that_joins_after_its_death_is_not_counted(tmp_path: Path) -> None:
    with bench(tmp_path, total=2) as b:
        b.manager.gone("a", "killed")
        b.join("a")
        assert b.manager.progress().workers == 0


def test_a_worker_with_trials_in_its_queue_is_answered_while_the_study_stops(tmp_path: Path) -> None:
    with bench(tmp_path, total=10) as b:
        b.join("a")
        first, second, third = b.pull("a", want=3).trials
        b.manager.stop("enough", 30.0)
        work = b.pull("a", ended(first), want=1)
        assert work.exit, "it is told to give back what it has not begun"
        assert b.pull("a", ended(second, None), ended(third, None)).exit
        assert b.finish() == "stopped"
        assert [t.state for t in b.trials] == [RunState.COMPLETE, RunState.WAITING, RunState.WAITING]


def test_a_slot_does_not_inherit_the_trial_of_its_dead_mate(tmp_path: Path) -> None:
    with bench(tmp_path, total=1, workers=2, slots=2) as b:
        b.join("a", slots=2)
        (trial,) = b.pull("a.0").trials
        b.post(Pull("a.1", 1))
        b.manager.gone("a", "killed")
        b.settle()
        b.join("b")
        (again,) = b.pull("b").trials
        assert (again.number, again.attempt) == (trial.number, 1)


def test_nobody_is_blamed_where_it_is_not_known_who_killed_the_worker(tmp_path: Path) -> None:
    with bench(tmp_path, total=3, max_retries=0) as b:
        b.join("a")
        assert len(b.pull("a", want=3).trials) == 3
        b.manager.gone("a", "segmentation fault")
        b.join("b")
        (alone,) = b.pull("b", want=3).trials
        assert alone.attempt == 1, "a trial under suspicion runs by itself"
        b.manager.gone("b", "segmentation fault")
        b.settle()
        states = {t.number: t.state for t in b.trials}
        assert states.pop(alone.number) is RunState.FAIL
        assert set(states.values()) == {RunState.WAITING}


def test_enqueued_params_that_no_longer_fit_cost_that_trial_and_no_worker_waits(tmp_path: Path) -> None:
    with new_store(tmp_path) as (store, study_id), working(store, study_id, total=2) as b:
        b.manager._enqueue({"x": 77.0}, {})
        b.settle()
        b.join("a")
        (trial,) = b.pull("a").trials
        assert trial.number == 1
        assert b.pull("a", ended(trial)).exit
        assert b.finish() == "complete"
        refused, ran = b.trials
        assert refused.state is RunState.FAIL
        assert "77" in (refused.error or "")
        assert refused.error_type == "SpaceError"
        assert ran.state is RunState.COMPLETE


@pytest.mark.parametrize("sampler", ["random", "tpe", "grid"])
def test_an_enqueued_trial_of_an_exhausted_space_leaves_the_others_alone(tmp_path: Path, sampler: str) -> None:
    with bench(tmp_path, space={"n": Int(1, 3)}, sampler=sampler) as b:
        b.join("a")
        for number in range(3):
            (trial,) = b.pull("a").trials
            assert trial.number == number
            b.post(Pull("a", 0, (ended(trial),)))
            b.settle()
        b.manager._enqueue({}, {})
        work = b.pull("a")
        assert work.exit
        assert b.finish() == "complete"
        assert [t.state for t in b.trials] == [RunState.COMPLETE] * 3 + [RunState.FAIL]


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_an_enqueued_value_that_makes_no_sense_costs_that_trial(tmp_path: Path, sampler: str) -> None:
    spec = {"name": "FloatDistribution", "attributes": {"step": None, "low": 0.0, "high": 1.0, "log": False}}
    with bench(tmp_path, space=None, sampler=sampler, total=2) as b:
        b.join("a")
        b.manager._enqueue({"x": "much"}, {})
        (trial,) = b.pull("a").trials
        answer = b.ask(Suggest("a", trial.number, trial.attempt, "x", spec))
        assert answer.error or answer.value == "much"
        assert b.pull("a", ended(trial, RunState.FAIL)).trials


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_the_params_of_a_trial_that_killed_its_workers_stay(tmp_path: Path, sampler: str) -> None:
    spec = {"name": "FloatDistribution", "attributes": {"step": None, "low": 0.0, "high": 1.0, "log": False}}
    with bench(tmp_path, space=None, sampler=sampler, total=1, max_retries=1) as b:
        b.join("a")
        (trial,) = b.pull("a").trials
        value = b.ask(Suggest("a", trial.number, 0, "x", spec)).value
        b.ask(Report("a", News(trial.number, 0, ((0, 1.0, now()),), (-1,), params={"x": value}, specs={"x": spec})))
        b.manager.gone("a", "segmentation fault")
        b.join("b")
        (again,) = b.pull("b").trials
        assert (again.attempt, dict(again.params)) == (1, {"x": value})
        b.manager.gone("b", "segmentation fault")
        b.settle()
        (failed,) = b.trials
    assert failed.state is RunState.FAIL
    assert failed.params == {"x": value}, "what it asked for is not known, and where else would one look?"


def test_enqueue_after_the_end_is_refused_and_the_study_ends_well(tmp_path: Path) -> None:
    with bench(tmp_path, total=1) as b:
        b.join("a")
        (trial,) = b.pull("a").trials
        b.pull("a", ended(trial))
        with pytest.raises(UserError, match="ended"):
            b.manager._enqueue({"x": 1.0}, {})
        command = b.store.send_command(b.study_id, "enqueue", {"params": {"x": 1.0}})
        b.manager._commands.carry([command])
        assert b.finish() == "complete"
        answer = b.store.get_command(command.id).answer or {}
        assert answer["done"] is False


@pytest.mark.parametrize(
    ("kind", "args"),
    [
        ("stop", {"grace": "soon"}),
        ("budget", {"total": "many"}),
        ("enqueue", {"params": "x"}),
        ("enqueue", {"params": {"bad\nname": 1}}),
        ("dance", {}),
    ],
)
def test_a_command_that_makes_no_sense_is_answered_and_changes_nothing(
    tmp_path: Path, kind: str, args: dict[str, object]
) -> None:
    with bench(tmp_path, total=1) as b:
        command = b.store.send_command(b.study_id, kind, args)
        b.until(lambda: b.store.get_command(command.id).answer is not None)
        answer = b.store.get_command(command.id).answer
        assert answer is not None
        assert answer["done"] is False
        assert answer["reason"]
        b.join("a")
        (trial,) = b.pull("a").trials
        assert b.pull("a", ended(trial)).exit
        assert b.finish() == "complete"
        assert len(b.trials) == 1


def test_a_file_that_cannot_be_served_is_answered(tmp_path: Path) -> None:
    with bench(tmp_path, total=1) as b:
        b.join("a")
        assert isinstance(b.ask(Fetch("no digest")), Exception)
        assert isinstance(b.ask(Fetch("ab" * 32)), Exception)
        assert isinstance(b.ask(Put("text")), Exception)  # type: ignore[arg-type]


def test_stop_inside_an_objective_lets_running_trials_end(tmp_path: Path) -> None:
    with bench(tmp_path, total=10) as b:
        b.join("a")
        b.join("b")
        (one,) = b.pull("a").trials
        (two,) = b.pull("b").trials
        b.ask(StopStudy("a"))
        assert b.report("a", one, 0, 1.0).verdict is Verdict.CONTINUE
        assert b.report("b", two, 0, 1.0).verdict is Verdict.CONTINUE
        b.post(Pull("b", 1, (ended(two),)))
        b.post(Pull("a", 1, (ended(one),)))
        assert b.finish() == "stopped"
        assert [t.state for t in b.trials] == [RunState.COMPLETE] * 2


def test_the_failures_of_an_earlier_run_do_not_end_this_one(tmp_path: Path) -> None:
    with new_store(tmp_path) as (store, study_id):
        for total, status in ((20, "failed"), (25, "complete")):
            with working(store, study_id, total=total) as b:
                b.join(f"w{total}")
                work = b.pull(f"w{total}")
                first = True
                while work.trials:
                    (trial,) = work.trials
                    good = status == "complete" and not first
                    first = False
                    work = b.pull(f"w{total}", ended(trial, RunState.COMPLETE if good else RunState.FAIL))
                assert b.finish() == status
        states = [t.state for t in store.get_trials(study_id)]
        assert states == [RunState.FAIL] * 11 + [RunState.COMPLETE] * 14


def test_retries_count_over_the_whole_life_of_a_trial(tmp_path: Path) -> None:
    with new_store(tmp_path) as (store, study_id):
        for run in range(3):
            with working(store, study_id, total=1, max_retries=2) as b:
                b.join(f"w{run}")
                (trial,) = b.pull(f"w{run}").trials
                assert trial.attempt == run
                b.manager.gone(f"w{run}", "killed")
                b.settle()
                if run < 2:
                    b.manager.stop("enough", 0.0)
                b.finish()
        (lost,) = store.get_trials(study_id)
        assert lost.state is RunState.FAIL
        assert [a.outcome for a in lost.attempts] == ["lost"] * 3
        assert "3 attempts" in (lost.error or "")


def test_a_total_below_what_was_started_ends_at_once_and_is_not_recorded(tmp_path: Path) -> None:
    with new_store(tmp_path) as (store, study_id):
        with working(store, study_id, total=3) as b:
            b.join("a")
            work = b.pull("a")
            while work.trials:
                work = b.pull("a", ended(work.trials[0]))
            b.finish()
        with working(store, study_id, total=1) as b:
            b.join("b")
            assert b.pull("b").exit
            assert b.finish() == "complete"
        assert store.get_study(study_id).total_trials == 3


def test_a_pruned_trial_counts_with_the_value_of_its_last_step(tmp_path: Path) -> None:
    with bench(tmp_path, total=2) as b:
        b.join("a")
        (trial,) = b.pull("a").trials
        b.report("a", trial, 5, 0.5)
        b.report("a", trial, 2, 0.2)
        (second,) = b.pull("a", ended(trial, RunState.PRUNED)).trials
        b.report("a", second, 0, float("nan"))
        b.pull("a", ended(second, RunState.PRUNED))
        b.finish()
        assert [t.values for t in b.trials] == [(0.5,), None]


def test_one_trial_at_a_time_is_handed_out_inline(tmp_path: Path) -> None:
    with bench(tmp_path, total=20, workers=0) as b:
        b.join("inline")
        work = b.pull("inline", want=16)
        assert len(work.trials) == 1, "each choice follows from all results before it"


def test_an_echo_brought_inline_is_answered(tmp_path: Path) -> None:
    with bench(tmp_path, total=2, workers=0) as b:
        b.join("inline")
        (trial,) = b.pull("inline").trials
        b.settle()
        stray = ended(trial)
        assert b.pull("inline", stray).trials
        b.settle()
        box = b.post(Pull("inline", 1, (stray,)))
        b.settle()
        assert box, "nothing was written, and nothing is waited for"


def test_what_is_left_of_a_broken_manager_lets_its_study_go(tmp_path: Path) -> None:
    with new_store(tmp_path) as (store, study_id):
        with working(store, study_id, total=2) as b:
            b.join("a")
            b.pull("a")
        row = store.get_study(study_id)
        assert row.status == "stopped"
        with working(store, study_id, total=2) as b:
            b.join("b")
            assert b.pull("b").trials[0].attempt == 1


def test_a_fault_in_a_turn_answers_every_worker_that_waits(tmp_path: Path) -> None:
    class Broken(Exception):
        pass

    def fail(*args: object) -> None:
        raise Broken

    with bench(tmp_path, total=1) as b:
        b.join("a")
        b.join("b")
        b.pull("a")
        waiting = b.post(Pull("b", 1))
        b.settle()
        assert not waiting
        b.manager._scribe.flush = fail  # type: ignore[method-assign, assignment]
        with pytest.raises(Broken):
            b.manager.turn(0.01)
        assert waiting[0].exit
        assert b.hands.closed


def test_an_error_at_loading_ends_the_study_and_says_it(tmp_path: Path) -> None:
    with bench(tmp_path, total=3) as b:
        b.join("a")
        b.pull("a")
        b.join("b", error="a worker cannot load the objective: no module")
        b.until(lambda: "a" in b.hands.killed)
        b.manager.gone("a", "ended")
        assert b.finish() == "failed"
        assert b.manager.summary is not None
        assert "no module" in b.manager.summary.reason


def test_reports_of_an_attempt_that_was_taken_back_are_told_to_stop(tmp_path: Path) -> None:
    with bench(tmp_path, total=1) as b:
        b.join("a")
        (trial,) = b.pull("a").trials
        b.manager.gone("a", "killed")
        answer = b.ask(Report("a", News(trial.number, trial.attempt, ((0, 1.0, now()),), (-1,)), True))
        assert answer.verdict is Verdict.STOP
        assert b.ask(Suggest("a", 0, 0, "y", {})).error


def test_exactly_as_many_trials_as_asked_for_though_more_wait(tmp_path: Path) -> None:
    with new_store(tmp_path) as (store, study_id):
        with working(store, study_id, total=1) as b:
            for value in (1.0, 2.0, 3.0):
                b.manager._enqueue({"x": value}, {})
            b.join("a")
            (trial,) = b.pull("a").trials
            b.manager.stop("enough", 10.0)
            b.pull("a", ended(trial))
            b.finish()
        with working(store, study_id, total=2) as b:
            b.join("b")
            (trial,) = b.pull("b").trials
            assert trial.number == 1
            assert b.pull("b", ended(trial)).exit
            assert b.finish() == "complete"
        assert [t.state.name for t in store.get_trials(study_id)] == ["COMPLETE", "COMPLETE", "WAITING"]


def test_an_attempt_begins_when_its_worker_begins_it(tmp_path: Path) -> None:
    with bench(tmp_path, total=2) as b:
        b.join("a")
        first, second = b.pull("a", want=2).trials
        b.settle()
        outcome = replace(ended(second), started=now() + 5_000_000, ended=now() + 6_000_000)
        b.post(Pull("a", 1, (ended(first), outcome)))
        b.finish()
        one, two = (t.attempts[0] for t in b.trials)
        assert (two.started_at - one.started_at).total_seconds() > 4.0
