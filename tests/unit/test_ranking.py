from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hpo.errors import SettingsError
from hpo.ranking import Group, Keeper, Ranking, non_domination_ranks, order
from hpo.ranking.kept import RESERVE
from trackers.states import RunState
from trackers.values import Attempt, LoggedModel, StudyRow, Trial

START = datetime(2026, 1, 1, tzinfo=UTC)
COMPLETE, PRUNED, FAIL = RunState.COMPLETE, RunState.PRUNED, RunState.FAIL


def study(*directions: str, **kwargs: Any) -> StudyRow:
    names = ("accuracy", "seconds", "size")[: len(directions)]
    return StudyRow(
        id=1, uid="0" * 32, name="digits", directions=directions, metric_names=names, created_at=START, **kwargs
    )


def done(number: int, *values: float, **kwargs: Any) -> Trial:
    return Trial(number, COMPLETE, {"lr": 0.1 * number}, values=values, run_id=number, study="digits", **kwargs)


def numbers(trials: list[Trial], *directions: str) -> list[int]:
    return [place.trial.number for place in order(trials, directions)]


def test_the_best_value_comes_first_in_either_direction():
    trials = [done(0, 0.5), done(1, 0.9), done(2, 0.1)]
    assert numbers(trials, "maximize") == [1, 0, 2]
    assert numbers(trials, "minimize") == [2, 0, 1]


def test_equal_values_share_a_rank_and_the_earlier_number_stands_first():
    places = order([done(3, 0.9), done(1, 0.9), done(0, 0.5), done(2, 0.95)], ["maximize"])
    assert [(place.trial.number, place.rank) for place in places] == [(2, 1), (1, 2), (3, 2), (0, 4)]


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_nan_stands_behind_every_number_whatever_the_direction(direction):
    trials = [done(0, math.nan), done(1, math.inf), done(2, -math.inf), done(3, 1.0)]
    places = order(trials, [direction])
    assert places[-1].trial.number == 0
    assert places[-1].rank is None
    assert places[-1].group is Group.NAN
    assert [place.trial.number for place in places[:3]] == ([2, 3, 1] if direction == "minimize" else [1, 3, 2])


def test_infeasible_trials_follow_the_feasible_ones_by_total_violation():
    trials = [
        done(0, 0.99, constraints={"a": 2.0, "b": 1.0}),
        done(1, 0.98, constraints={"a": 2.5, "b": -9.0}),
        done(2, 0.10, constraints={"a": 0.0}),
        done(3, 0.97, constraints={"a": math.nan}),
    ]
    ranking = Ranking(study("maximize"), trials)
    assert [standing.trial.number for standing in ranking] == [2, 1, 0, 3]
    assert [standing.rank for standing in ranking] == [1, None, None, None]
    assert ranking[1].note == "infeasible"
    assert ranking[1].violation == 2.5


def test_pruned_trials_follow_by_steps_reached_then_by_last_value_and_failed_ones_close():
    trials = [
        Trial(0, FAIL, error="boom"),
        Trial(1, PRUNED, intermediate_values={1: 0.99}),
        Trial(2, PRUNED, intermediate_values={1: 0.5, 5: 0.6}),
        Trial(3, PRUNED, intermediate_values={5: 0.7}),
        Trial(4, PRUNED),
        Trial(5, PRUNED, intermediate_values={5: math.nan}),
        done(6, 0.1),
        Trial(7, RunState.RUNNING),
        Trial(8, RunState.WAITING),
    ]
    assert numbers(trials, "maximize") == [6, 3, 2, 5, 1, 4, 0, 7, 8]
    notes = {standing.trial.number: standing.note for standing in Ranking(study("maximize"), trials)}
    assert notes[3] == "pruned at step 5"
    assert notes[0] == "failed"
    assert notes[6] == ""


def test_several_objectives_rank_by_front_and_the_most_balanced_trial_stands_first():
    trials = [done(0, 1.0, 10.0), done(1, 0.0, 0.0), done(2, 0.9, 2.0), done(3, 0.9, 3.0)]
    ranking = Ranking(study("maximize", "minimize"), trials)
    assert [(standing.trial.number, standing.rank) for standing in ranking] == [(2, 1), (0, 1), (1, 1), (3, 2)]
    assert {trial.number for trial in ranking.front} == {0, 1, 2}
    assert ranking.best is trials[2]


def test_infinite_values_of_several_objectives_are_ordered_and_not_nan():
    trials = [done(0, math.inf, 1.0), done(1, 0.5, -math.inf), done(2, 0.1, math.inf), done(3, -math.inf, 0.0)]
    assert numbers(trials, "minimize", "minimize")[0] in (1, 3)
    assert all(place.rank is not None for place in order(trials, ["minimize", "minimize"]))


def test_an_unknown_direction_is_named():
    with pytest.raises(SettingsError, match="'up'"):
        order([], ["up"])


def test_nothing_ranked_means_no_best_and_no_front():
    ranking = Ranking(study("minimize"), [Trial(0, FAIL), done(1, math.nan)])
    assert ranking.best is None
    assert ranking.front == ()
    assert Ranking(study("minimize"), []).to_rows() == []
    assert "0 trials" in repr(Ranking(study("minimize"), []))


def test_a_row_holds_time_cost_model_and_code():
    attempts = (
        Attempt(0, "w1", started_at=START, ended_at=START + timedelta(seconds=5), outcome="lost", cpus=2.0),
        Attempt(1, "w2", started_at=START, ended_at=START + timedelta(seconds=10), outcome="complete", cpus=2.0),
    )
    trials = [
        done(
            0,
            0.5,
            attempts=(*attempts[:-1], replace(attempts[-1], code="abcdef01")),
            model="m0",
            intermediate_values={0: 0.1, 1: 0.5},
        ),
        done(1, 0.4, model_error="cannot be pickled"),
        done(2, 0.3),
        Trial(3, PRUNED, started_at=START, ended_at=START + timedelta(seconds=3), run_id=3),
    ]
    gone = LoggedModel("u", 2, "model", "python", {}, {}, 1, START, deleted_at=START, deleted_why="beaten by trial 0")
    ranking = Ranking(study("maximize"), trials, [gone])
    first, second, third, last = ranking.to_rows()
    assert (first["seconds"], first["cost"], first["steps"], first["last_step"]) == (15.0, 30.0, 2, 1)
    assert (first["model"], first["code"], first["values"]) == (True, "abcdef01", {"accuracy": 0.5})
    assert (second["model"], second["model_reason"]) == (False, "cannot be pickled")
    assert third["model_reason"] == "beaten by trial 0"
    assert (last["seconds"], last["cost"]) == (3.0, None)


def test_a_trial_that_ran_other_code_says_so():
    trials = [
        done(0, 0.5, attempts=(Attempt(0, code="12345678"),)),
        done(1, 0.4, attempts=(Attempt(0, code="ffffffff"),)),
    ]
    rows = Ranking(study("maximize"), trials).to_rows()
    assert [row["code"] for row in rows] == ["12345678", "ffffffff"]


def test_the_table_shows_a_pruned_value_in_parentheses_and_says_what_it_left_out():
    trials = [done(i, i / 100) for i in range(30)] + [Trial(30, PRUNED, values=(0.7,), intermediate_values={3: 0.7})]
    ranking = Ranking(study("maximize"), trials)
    assert repr(ranking).endswith("… and 11 more trials")
    assert "digits · maximize accuracy · 31 trials: 30 completed, 1 pruned" in repr(ranking)
    assert "(0.7)" in ranking.to_text(limit=None)
    assert all(len(line) <= 60 for line in ranking.to_text(width=60).splitlines()[1:])


def test_versions_of_the_code_are_a_column_where_they_differ():
    def ran(number: int, code: str) -> Trial:
        return done(number, float(number), attempts=(Attempt(0, code=code),))

    one = Ranking(study("maximize"), [ran(0, "fa04cfb0"), ran(1, "fa04cfb0")])
    two = Ranking(study("maximize"), [ran(0, "fa04cfb0"), ran(1, "75b77678")])
    assert "fa04cfb0" not in one.to_text()
    heads, *lines = two.to_text().splitlines()[1:]
    assert "code" in heads.split()
    assert ["75b77678" in lines[0], "fa04cfb0" in lines[1]] == [True, True]
    assert "75b77678" in two._repr_html_()


def test_a_notebook_shows_hostile_names_as_text():
    trial = Trial(0, COMPLETE, {"<script>alert(1)</script>": "<b>\x00\n"}, values=(0.5,))
    shown = Ranking(study("maximize"), [trial])._repr_html_()
    assert "<script>" not in shown
    assert "<b>" not in shown
    assert "&lt;script&gt;" in shown


def test_a_data_frame_has_the_names_of_optuna_columns():
    frame = Ranking(study("maximize"), [done(0, 0.5), done(1, 0.9)]).to_pandas()
    assert list(frame.columns[:4]) == ["rank", "number", "value", "params_lr"]
    assert list(frame["number"]) == [1, 0]
    many = Ranking(study("maximize", "minimize"), [done(0, 0.5, 1.0)]).to_pandas()
    assert {"values_accuracy", "values_seconds"} <= set(many.columns)


def beaten(trials, keep, directions):
    keeper = Keeper(keep, directions)
    for trial in trials:
        if trial.state.is_finished():
            keeper.add(trial, True)
    return keeper.beaten()


def test_the_best_three_models_are_kept():
    trials = [done(i, value, model="m") for i, value in enumerate([0.1, 0.5, 0.3, 0.5, 0.4])]
    assert beaten(trials, 3, ["maximize"]) == [0, 2]
    assert beaten(trials, "all", ["maximize"]) == []
    assert beaten(trials, 0, ["maximize"]) == [0, 1, 2, 3, 4]
    assert beaten(trials[:2], 3, ["maximize"]) == []


def test_the_model_of_a_running_trial_is_neither_dropped_nor_counted():
    trials = [done(0, 0.5, model="m"), Trial(1, RunState.RUNNING, model="m"), Trial(2, PRUNED, model="m")]
    assert beaten(trials, 1, ["maximize"]) == [2]
    assert beaten(trials, 2, ["maximize"]) == []


@pytest.mark.parametrize("keep", [-1, "some", True, 2.5])
def test_a_wrong_number_of_models_to_keep_is_named(keep):
    with pytest.raises(SettingsError, match="keep_models"):
        beaten([], keep, ["maximize"])


def test_a_model_that_others_dominate_goes_at_once_and_one_of_the_front_waits_in_reserve():
    ways = ["maximize", "minimize"]
    front = [done(i, float(i), float(i), model="m") for i in range(5)]
    assert beaten(front, 3, ways) == [], "each of them may become the most balanced one"
    behind = done(5, 1.5, 3.5, model="m")
    dominated = done(6, 1.0, 3.5, model="m")
    assert beaten([*front, behind, dominated], 3, ways) == [6], (
        "2 and 3 dominate trial 5; 1, 2, 3 and 5 dominate trial 6"
    )
    crowd = [done(i, float(i), float(i), model="m") for i in range(40)]
    assert len(beaten(crowd, 3, ways)) == 40 - 3 - RESERVE


def test_trials_without_a_model_count_for_the_order_and_take_no_place():
    keeper = Keeper(1, ["maximize", "minimize"])
    keeper.add(done(0, 1.0, 1.0, model="m"), True)
    keeper.add(done(1, 3.0, 0.5), False)
    keeper.add(done(2, 2.0, 1.0, model="m"), True)
    assert keeper.beaten() == [0], "trial 2 dominates it and has a model"
    assert keeper.beaten() == []


def test_points_of_different_widths_are_refused():
    with pytest.raises(ValueError, match="one per objective"):
        non_domination_ranks([(1.0,), (1.0, 2.0)])
