"""Trials written by a manager are read back equal, on every database."""

from __future__ import annotations

import math
import pickle

import pytest

import trackers
from tests.conformance.managed import Manager, manage
from trackers.changes import (
    ArtifactsLogged,
    AttemptEnded,
    AttrsSet,
    CheckpointSaved,
    DistributionsSeen,
    InputLogged,
    LogKept,
    ModelDropped,
    ModelLogged,
    ParamsSet,
    PointsLogged,
    StudyChanged,
    TagsSet,
    TrialCreated,
    TrialFinished,
    TrialRequeued,
)
from trackers.clock import now_us
from trackers.errors import InvalidValueError, NotFoundError, StateError
from trackers.states import RunState
from trackers.store import Store

ODD = "\x00 nul, \x1a sub, \x1au0000, \ud800 lone, 𝄞 four bytes, é, ' \" \\ %s ?"


def test_a_whole_trial_in_one_group_is_read_back_as_written(store: Store) -> None:
    manager = manage(store)
    manager.lease.submit(manager.whole(0.25)).wait(10)
    (trial,) = store.get_trials(manager.lease.study.id)
    assert (trial.number, trial.state, trial.values, trial.value) == (0, RunState.COMPLETE, (0.25,), 0.25)
    assert trial.params == {"lr": 0.1, "layers": 3, "optimizer": "adam"}
    assert list(trial.params) == ["lr", "layers", "optimizer"]
    assert trial.intermediate_values == {0: 0.25, 1: 1.25, 2: 2.25}
    assert trial.metrics == {"accuracy": 2.25}
    assert trial.path == "s/0"
    (attempt,) = trial.attempts
    assert (attempt.worker, attempt.host, attempt.pid, attempt.cpus, attempt.gpus) == (
        "worker-1",
        "host",
        4711,
        2.0,
        0.5,
    )
    assert attempt.outcome == "complete"
    assert attempt.ended_at is not None
    assert trial.started_at == attempt.started_at
    assert [event.seq for event in store.events(manager.lease.study.id)] == [1, 2]
    assert store.count_trials(manager.lease.study.id) == {RunState.COMPLETE: 1}
    assert store.get_trial(manager.lease.study.id, 0) == trial


def test_the_same_records_in_one_group_or_in_many_give_the_same_trial(store: Store) -> None:
    one, many = manage(store, "one"), manage(store, "many")
    one.lease.submit(one.whole()).wait(10)
    for change in many.whole():
        many.lease.submit([change]).wait(10)
    (a,), (b,) = store.get_trials(one.lease.study.id), store.get_trials(many.lease.study.id)
    for name in ("number", "state", "params", "values", "intermediate_values", "metrics"):
        assert getattr(a, name) == getattr(b, name), name
    assert [e.kind for e in store.events(many.lease.study.id)] == ["asked", "finished"]


def test_every_param_value_comes_back_equal_and_of_the_same_type(store: Store) -> None:
    params = {
        "int": 7,
        "big": 2**62 + 1,
        "huge": 10**400,
        "negative": -3,
        "float": 0.1,
        "whole": 3.0,
        "inf": math.inf,
        "-inf": -math.inf,
        "nan": math.nan,
        "max": 1.7976931348623157e308,
        "true": True,
        "none": None,
        "text": ODD,
        "empty": "",
        "list": [1, "a", None, {"deep": math.inf}],
        "schlüssel": "é",
    }
    manager = manage(store)
    manager.lease.submit([manager.created(params)]).wait(10)
    found = store.get_trial(manager.lease.study.id, 0).params
    assert list(found) == list(params)
    for name, value in params.items():
        assert type(found[name]) is type(value), name
        assert found[name] == value or (value != value and found[name] != found[name]), name


def test_nan_and_infinities_survive_in_results_points_and_attributes(store: Store) -> None:
    manager = manage(store, directions=["maximize"] * 3, metric_names=["a", "b", "c"])
    trial = manager.created()
    now = now_us()
    line = tuple((step, 0, now, value) for step, value in enumerate([math.nan, math.inf, -math.inf, 1.0]))
    manager.lease.submit(
        [
            trial,
            PointsLogged(trial.run_id, "a", line),
            AttrsSet(trial.run_id, "user", {"x": math.nan, "text": ODD, "nested": {"y": [math.inf]}}),
            TrialFinished(trial.run_id, now, RunState.COMPLETE, (math.nan, math.inf, -math.inf)),
        ]
    ).wait(10)
    found = store.get_trial(manager.lease.study.id, 0)
    assert found.values is not None
    assert math.isnan(found.values[0])
    assert found.values[1:] == (math.inf, -math.inf)
    assert math.isnan(found.intermediate_values[0])
    assert [found.intermediate_values[step] for step in (1, 2, 3)] == [math.inf, -math.inf, 1.0]
    assert math.isnan(found.user_attrs["x"])
    assert found.user_attrs["text"] == ODD
    assert found.user_attrs["nested"] == {"y": [math.inf]}


def test_texts_of_any_kind_come_back_equal(store: Store) -> None:
    manager = manage(store)
    trial = manager.created()
    manager.lease.submit(
        [
            trial,
            manager.started(trial.run_id),
            TagsSet(trial.run_id, {"note": ODD}),
            LogKept(trial.run_id, 0, ODD),
            TrialFinished(trial.run_id, now_us(), RunState.FAIL, None, "ValueError", ODD, "Traceback\n" + ODD),
        ]
    ).wait(10)
    found = store.get_trial(manager.lease.study.id, 0)
    assert found.tags == {"note": ODD}
    assert (found.error_type, found.error, found.traceback) == ("ValueError", ODD, "Traceback\n" + ODD)
    assert store.trial_log(trial.run_id) == ODD


def test_a_retry_from_a_checkpoint_hides_what_the_lost_attempt_reported_after_it(store: Store) -> None:
    manager = manage(store)
    trial = manager.created()
    run_id = trial.run_id
    now = now_us()
    manager.lease.submit(
        [trial, manager.started(run_id), PointsLogged(run_id, "accuracy", _line(0, 5, attempt=0))]
    ).wait(10)
    manager.lease.submit([AttemptEnded(run_id, 0, now, "lost", "killed"), TrialRequeued(run_id, now)]).wait(10)
    assert store.get_trial(manager.lease.study.id, 0).state is RunState.WAITING
    manager.lease.submit([manager.started(run_id, 1), PointsLogged(run_id, "accuracy", _line(3, 4, attempt=1))]).wait(
        10
    )
    found = store.get_trial(manager.lease.study.id, 0)
    assert found.state is RunState.RUNNING
    assert found.intermediate_values == {0: 0.0, 1: 1.0, 2: 2.0, 3: 103.0}
    assert found.metrics == {"accuracy": 103.0}
    assert [attempt.outcome for attempt in found.attempts] == ["lost", None]
    assert found.attempts[0].reason == "killed"


def _line(start: int, stop: int, attempt: int) -> tuple[tuple[int, int, int, float], ...]:
    return tuple((step, attempt, now_us(), step + 100.0 * attempt) for step in range(start, stop))


def test_illegal_moves_are_refused_and_change_nothing(store: Store) -> None:
    manager = manage(store)
    trial = manager.created()
    now = now_us()
    manager.lease.submit([trial, TrialFinished(trial.run_id, now, RunState.COMPLETE, (1.0,))]).wait(10)
    before = store.get_trials(manager.lease.study.id)
    for changes in (
        [TrialFinished(trial.run_id, now, RunState.FAIL)],
        [TrialFinished(trial.run_id, now, RunState.COMPLETE, (2.0,))],
        [TrialRequeued(trial.run_id, now)],
        [manager.started(trial.run_id, 1)],
        [TagsSet(trial.run_id, {"a": "b"}), TrialFinished(trial.run_id, now, RunState.PRUNED)],
        [TrialFinished(trial.run_id, now, RunState.WAITING)],
        [AttemptEnded(trial.run_id, 0, now, "complete")],
    ):
        with pytest.raises(StateError):
            manager.lease.submit(changes).wait(10)
        assert store.get_trials(manager.lease.study.id) == before
    with pytest.raises(NotFoundError):
        manager.lease.submit([TrialFinished(2**40, now, RunState.FAIL)]).wait(10)
    with pytest.raises(NotFoundError):
        manager.lease.submit([TagsSet(2**40, {"a": "b"})]).wait(10)


def test_a_waiting_trial_cannot_complete_but_may_be_pruned(store: Store) -> None:
    manager = manage(store)
    first, second = manager.created(state=RunState.WAITING), manager.created(state=RunState.WAITING)
    manager.lease.submit([first, second]).wait(10)
    with pytest.raises(StateError, match=f"run {manager.lease.study.name}/0 is WAITING and cannot become COMPLETE"):
        manager.lease.submit([TrialFinished(first.run_id, now_us(), RunState.COMPLETE, (1.0,))]).wait(10)
    manager.lease.submit([TrialFinished(second.run_id, now_us(), RunState.PRUNED)]).wait(10)
    with pytest.raises(StateError, match=f"run {manager.lease.study.name}/1 has reached its final state already$"):
        manager.lease.submit([TrialFinished(second.run_id, now_us(), RunState.PRUNED)]).wait(10)
    assert store.count_trials(manager.lease.study.id) == {RunState.WAITING: 1, RunState.PRUNED: 1}


def test_a_number_is_given_once(store: Store) -> None:
    manager = manage(store)
    manager.lease.submit([manager.created()]).wait(10)
    manager.number = 0
    with pytest.raises(StateError, match="number"):
        manager.lease.submit([manager.created()]).wait(10)


def test_events_continue_without_a_gap(store: Store) -> None:
    manager = manage(store)
    manager.lease.submit([manager.event("one"), manager.event("two")]).wait(10)
    manager.seq += 1
    with pytest.raises(StateError, match="does not follow"):
        manager.lease.submit([manager.event("four")]).wait(10)
    study_id = manager.lease.study.id
    assert [e.kind for e in store.events(study_id, since=1)] == ["two"]
    assert len(store.events(study_id, limit=1)) == 1
    assert store.get_study(study_id).last_seq == 2


def test_params_that_become_known_later_come_after_the_first(store: Store) -> None:
    manager = manage(store)
    trial = manager.created({"z": 1})
    manager.lease.submit([trial, ParamsSet(trial.run_id, {"y": 2.5})]).wait(10)
    manager.lease.submit([ParamsSet(trial.run_id, {"x": "a"}), ParamsSet(trial.run_id, {"a": None})]).wait(10)
    found = store.get_trial(manager.lease.study.id, 0).params
    assert list(found.items()) == [("z", 1), ("y", 2.5), ("x", "a"), ("a", None)]


def test_distributions_are_kept_once_a_study_and_given_with_each_trial(store: Store) -> None:
    spec = {"name": "FloatDistribution", "attributes": {"low": 0.0, "high": 1.0, "log": False, "step": None}}
    manager = manage(store)
    manager.lease.submit([DistributionsSeen({"lr": spec}), manager.created({"lr": 0.5})]).wait(10)
    manager.lease.submit([DistributionsSeen({"lr": spec}), manager.created({"lr": 0.7})]).wait(10)
    assert store.get_study("s").distributions == {"lr": spec}
    assert [t.distribution_specs for t in store.get_trials(manager.lease.study.id)] == [{"lr": spec}] * 2


def test_files_models_checkpoints_and_inputs_are_recorded(store: Store) -> None:
    manager = manage(store)
    trial, other = manager.created(), manager.created()
    run_id, now = trial.run_id, now_us()
    digests = [f"{n:064x}" for n in range(4)]
    manager.lease.submit(
        [
            trial,
            other,
            ArtifactsLogged(run_id, now, {"plots/a.png": (digests[0], 10), "b.txt": (digests[0], 10)}),
            CheckpointSaved(run_id, now, digests[1], 5, step=1),
            CheckpointSaved(run_id, now, digests[2], 5, step=2),
            ModelLogged(
                run_id, now, "a" * 32, manifest={"flavor": "sklearn"}, files={"model": (digests[3], 3)}, value=0.1
            ),
            ModelLogged(other.run_id, now, why_not="the disk was full"),
            InputLogged(run_id, "train", digests[0], rows=10),
            InputLogged(run_id, "train", digests[0], role="test"),
        ]
    ).wait(10)
    found, without = store.get_trials(manager.lease.study.id)
    assert found.checkpoint == digests[2]
    assert found.model == "a" * 32
    assert (without.model, without.model_error) == (None, "the disk was full")
    replaced = ModelLogged(run_id, now, "b" * 32, manifest={"flavor": "python"}, files={"model": (digests[3], 3)})
    manager.lease.submit([replaced]).wait(10)
    assert store.get_trial(manager.lease.study.id, 0).model == "b" * 32
    manager.lease.submit([ModelDropped(run_id, now, "beaten by trial 7")]).wait(10)
    assert store.get_trial(manager.lease.study.id, 0).model is None


def test_a_study_row_changes_by_what_is_given(store: Store) -> None:
    manager = manage(store)
    change = StudyChanged(
        total_trials=50,
        settings={"workers": 4},
        user_attrs={"a": math.nan, "b": ODD},
        system_attrs={"cma": [1, 2]},
        code={"commit": "abc"},
        workers=(("host", 12),),
    )
    manager.lease.submit([change]).wait(10)
    manager.lease.submit([StudyChanged(settings={"workers": 5}, user_attrs={"b": 1})]).wait(10)
    row = store.get_study("s")
    assert (row.total_trials, row.settings, row.code) == (50, {"workers": 5}, {"commit": "abc"})
    assert math.isnan(row.user_attrs["a"])
    assert row.user_attrs["b"] == 1
    assert row.system_attrs == {"cma": [1, 2]}
    assert row.owner is not None
    assert row.owner.workers == (("host", 12),)


def test_trials_can_be_read_by_state_and_number_and_without_their_points(store: Store) -> None:
    manager = manage(store)
    for value in range(5):
        manager.lease.submit(manager.whole(float(value)))
    manager.lease.submit([manager.created()]).wait(10)
    study_id = manager.lease.study.id
    assert [t.number for t in store.get_trials(study_id, states=[RunState.RUNNING])] == [5]
    assert [t.number for t in store.get_trials(study_id, numbers=[4, 1, 99])] == [1, 4]
    assert [t.number for t in store.get_trials(study_id, numbers=range(1, 5000))] == [1, 2, 3, 4, 5]
    assert store.get_trials(study_id, states=[]) == []
    assert all(not t.intermediate_values for t in store.get_trials(study_id, points=False))
    with pytest.raises(NotFoundError, match="it has 6"):
        store.get_trial(study_id, 6)


def test_a_final_value_that_nobody_reported_is_found_by_its_name_and_is_no_report(store: Store) -> None:
    names = ("accuracy", "size", "value")
    manager = manage(store, directions=["maximize"] * 3, metric_names=names)

    def finished(trial: TrialCreated, *values: float) -> TrialFinished:
        return TrialFinished(trial.run_id, now_us(), RunState.COMPLETE, values, metrics=names)

    new, old, nan, told, telling = (manager.created() for _ in range(5))
    manager.lease.submit([new, finished(new, 0.9, 3.0, 1.0), old, nan, told]).wait(10)
    manager.lease.submit([PointsLogged(told.run_id, "accuracy", ((7, 0, now_us(), 0.1),))]).wait(10)
    manager.lease.submit([finished(old, 0.8, math.inf, 1.0), finished(nan, math.nan, 5.0, 1.0)])
    manager.lease.submit([finished(told, 0.95, 6.0, 1.0)]).wait(10)
    line = PointsLogged(telling.run_id, "accuracy", ((3, 0, now_us(), 0.2),), "split=val")
    manager.lease.submit([telling, line, finished(telling, 0.7, 9.0, 1.0)]).wait(10)

    def found(filter: str, order: str = "metrics.accuracy desc") -> list[int | None]:
        return [run.number for run in store.search_runs(filter, order_by=order)]

    assert found("metrics.accuracy > 0.15") == [0, 1, 4]
    assert found("") == [0, 1, 4, 3, 2], "a NaN comes last, and what was reported counts"
    assert found("metrics.size >= 5 and metrics.size < 9", "metrics.size") == [2, 3]
    assert found("best(metrics.size) > 9") == [1]
    assert found("metrics.value is not null") == [], "a result without a name is attributes.value"
    assert [point.step for point in store.metric_history("s/3", "accuracy")] == [7]
    (point,) = store.metric_history("s/4", "accuracy")
    assert (point.value, point.step, point.attempt) == (0.7, 0, -1)
    trials = store.get_trials(manager.lease.study.id)
    assert [trial.intermediate_values for trial in trials] == [{}, {}, {}, {7: 0.1}, {}]
    assert trials[4].metrics == {"accuracy": 0.7, "accuracy{split=val}": 0.2, "size": 9.0}
    assert store.fsck().findings == ()


def test_a_name_that_cannot_be_kept_is_refused_with_a_sentence(store: Store) -> None:
    manager = manage(store)
    for bad in ("", " a", "a\x00b", "x" * 251, "line\nbreak", "\ud800"):
        with pytest.raises(InvalidValueError, match="name of a param"):
            manager.lease.submit([manager.created({bad: 1})]).wait(10)
        manager.number -= 1
    trial = manager.created()
    with pytest.raises(InvalidValueError, match="cannot be kept as JSON"):
        manager.lease.submit([trial, AttrsSet(trial.run_id, "user", {"a": object()})]).wait(10)
    assert store.get_trials(manager.lease.study.id) == []


def test_a_pickled_store_sees_what_was_submitted(store: Store) -> None:
    manager = manage(store)
    manager.lease.submit(manager.whole())
    with pickle.loads(pickle.dumps(store)) as copy:
        assert copy.get_trials(manager.lease.study.id)[0].state is RunState.COMPLETE


def test_what_was_committed_is_there_after_connecting_again(store: Store, store_url: str) -> None:
    manager = manage(store)
    manager.lease.submit(manager.whole()).wait(10)
    before = store.get_trials(manager.lease.study.id)
    with trackers.connect(store_url) as again:
        assert again.get_trials(manager.lease.study.id) == before
        assert again.artifact_root == store.artifact_root


def test_closing_writes_what_was_submitted(store_url: str, tmp_path: object) -> None:
    with trackers.connect(store_url) as store:
        manager: Manager = manage(store)
        commits = [manager.lease.submit(manager.whole()) for _ in range(20)]
    assert all(commit.done() and commit.exception() is None for commit in commits)
    with trackers.connect(store_url) as store:
        assert len(store.get_trials(manager.lease.study.id)) == 20
