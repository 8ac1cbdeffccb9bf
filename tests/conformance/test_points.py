from __future__ import annotations

import math
import random
from typing import Any

import pytest

from trackers.active import ActiveRun
from trackers.changes import PointsLogged
from trackers.clock import now_us
from trackers.errors import InvalidValueError
from trackers.sql import tables as t
from trackers.sql.chunks import SIZE
from trackers.sql.points import seal_series
from trackers.store import Store
from trackers.values import MetricPoint

SPECIAL = [math.nan, math.inf, -math.inf, 0.1, 5e-324, 1.7976931348623157e308, 1 / 3]


def log(run: ActiveRun, points: list[tuple[int, int, int, float]], *sizes: int, key: str = "loss") -> None:
    """Log *points* in groups of *sizes*, each committed before the next one is handed in."""
    start = 0
    for size in [*sizes, len(points)]:
        run.write([PointsLogged(run.id, key, tuple(points[start : start + size]))])
        run.flush()
        start += size


def made(dice: random.Random, count: int, attempt: int = 0, first: int = 0) -> list[tuple[int, int, int, float]]:
    time = now_us()
    return [
        (first + index, attempt, time + index * 7, dice.choice(SPECIAL) if dice.random() < 0.1 else dice.random())
        for index in range(count)
    ]


def plain(points: list[MetricPoint]) -> list[Any]:
    return [(p.step, p.attempt, round(p.time.timestamp() * 1e6), repr(p.value)) for p in points]


def counted(store: Store, table: Any) -> int:
    from sqlalchemy import func, select

    with store.database.reading() as connection:
        return int(connection.execute(select(func.count()).select_from(table)).scalar_one())


@pytest.mark.parametrize("sizes", [(), (SIZE,), (1, 998, 1, 1), (99,) * 12, (400, 400, 400, 400), (2 * SIZE, 3)])
def test_points_are_read_as_they_were_logged_wherever_they_are_cut_into_chunks(
    store: Store, sizes: tuple[int, ...]
) -> None:
    points = made(random.Random(1), 2 * SIZE + 345)
    run = store.start_run()
    log(run, points, *sizes)
    assert plain(store.metric_history(run, "loss")) == [(s, a, time, repr(value)) for s, a, time, value in points]
    assert counted(store, t.chunks) >= 2
    assert counted(store, t.points) < SIZE
    (summary,) = store.metrics(run)
    assert (summary.count, summary.last_step) == (len(points), points[-1][0])
    run.end()


def test_steps_that_come_out_of_order_are_read_by_step_and_then_as_they_came(store: Store) -> None:
    dice = random.Random(2)
    points = made(dice, 3 * SIZE)
    shuffled = [(dice.randrange(SIZE), *point[1:]) for point in points]
    run = store.start_run()
    log(run, shuffled, 700, 700, 700)
    expected = sorted(shuffled, key=lambda point: point[0])
    assert plain(store.metric_history(run, "loss")) == [(s, a, time, repr(value)) for s, a, time, value in expected]
    run.end()


@pytest.mark.parametrize("again", [0, 500, SIZE, 1500, 2400])
def test_a_later_attempt_hides_the_sealed_points_of_older_ones_from_its_first_step_on(store: Store, again: int) -> None:
    dice = random.Random(3)
    older, newer = made(dice, 2500), made(dice, 1200, attempt=1, first=again)
    run = store.start_run()
    log(run, older, 1300)
    log(run, newer, 100, 900)
    expected = [point for point in older if point[0] < again] + newer
    assert plain(store.metric_history(run, "loss")) == [(s, a, time, repr(value)) for s, a, time, value in expected]
    assert store.metrics(run)[0].count == len(expected)
    few = store.metric_history(run, "loss", max_points=50)
    assert set(plain(few)) <= {(s, a, time, repr(value)) for s, a, time, value in expected}
    run.end()


@pytest.mark.parametrize("count", [10, 3000, 12_000, 60_000])
def test_a_thinned_series_keeps_its_ends_and_its_extremes(store: Store, count: int) -> None:
    dice = random.Random(count)
    points = [(step, attempt, time, dice.gauss(0, 1)) for step, attempt, time, _ in made(dice, count)]
    places = dice.sample(range(count), 2)
    for place, value in zip(places, (-99.5, 77.25), strict=True):
        points[place] = (*points[place][:3], value)
    run = store.start_run()
    log(run, points, count // 2)
    everything = set(plain(store.metric_history(run, "loss")))
    for max_points in (4, 100, 1000):
        few = store.metric_history(run, "loss", max_points=max_points)
        assert len(few) <= max_points
        assert len(few) >= min(count, max_points) * 0.4
        assert [point.step for point in few] == sorted({point.step for point in few})
        assert (few[0].step, few[-1].step) == (0, count - 1)
        assert {-99.5, 77.25} <= {point.value for point in few}
        assert set(plain(few)) <= everything
    run.end()


def test_infinities_and_stretches_of_nan_are_seen_in_a_thinned_series(store: Store) -> None:
    points = [(i, 0, now_us(), math.nan if 3000 <= i < 9000 else 0.5) for i in range(20_000)]
    points[12_345] = (*points[12_345][:3], math.inf)
    points[500] = (*points[500][:3], -math.inf)
    run = store.start_run()
    log(run, points)
    for most in (20, 100, 1000):
        values = [point.value for point in store.metric_history(run, "loss", max_points=most)]
        assert math.inf in values
        assert -math.inf in values
        assert any(value != value for value in values)
    run.end()


def test_series_beside_each_other_are_sealed_each_for_itself(store: Store) -> None:
    dice = random.Random(4)
    run = store.start_run()
    series = {f"m{index}": made(dice, 950 + index * 40) for index in range(4)}
    for part in range(10):
        run.write(
            [PointsLogged(run.id, key, tuple(points[part * 120 : part * 120 + 120])) for key, points in series.items()]
        )
        run.flush()
    for key, points in series.items():
        assert plain(store.metric_history(run, key)) == [(s, a, at, repr(v)) for s, a, at, v in points[:1200]]
    run.end()


def test_a_series_of_an_older_release_is_sealed_without_a_change_to_what_is_read(store: Store) -> None:
    from sqlalchemy import insert, select

    run = store.start_run()
    points = made(random.Random(5), 2300)
    log(run, points[:1])
    rows = [
        {
            "ordinal": i,
            "step": s,
            "attempt": a,
            "time": at,
            "value": v if math.isfinite(v) else None,
            "kind": 0 if math.isfinite(v) else 1,
        }
        for i, (s, a, at, v) in enumerate(points)
    ][1:]
    finite = [(s, a, at, v if math.isfinite(v) else math.nan) for s, a, at, v in points]

    def write(connection: Any) -> None:
        series_id = connection.execute(select(t.series.c.id)).scalar_one()
        connection.execute(t.series.update().values(count=len(points)))
        connection.execute(insert(t.points), [{"series_id": series_id, **row} for row in rows])
        seal_series(connection, series_id)

    store.writer.call(write)
    expected = [(s, a, at, repr(v)) for s, a, at, v in [points[0], *finite[1:]]]
    assert plain(store.metric_history(run, "loss")) == expected
    assert counted(store, t.chunks) == 3
    log(run, made(random.Random(6), 800, first=2300))
    assert len(store.metric_history(run, "loss")) == 3100
    run.end()


@pytest.mark.parametrize("wrong", [0, 3, -1, True])
def test_too_few_points_are_refused_with_a_sentence(store: Store, wrong: Any) -> None:
    with store.start_run() as run:
        run.log_metric("loss", 1.0)
        with pytest.raises(InvalidValueError, match="max_points must be 4 or more"):
            store.metric_history(run, "loss", max_points=wrong)


def test_a_trial_with_very_many_reports_has_all_of_them(store: Store) -> None:
    from tests.conformance.managed import manage

    manager = manage(store)
    study = manager.lease.study
    run_id = store.get_trials(study.id)[0].run_id if store.get_trials(study.id) else None
    if run_id is None:
        manager.lease.submit(manager.whole()).wait(10)
        run_id = store.get_trials(study.id)[0].run_id
    name = study.metric_names[0]
    points = tuple((step, 9, now_us(), step / 7) for step in range(2500))
    manager.lease.submit([PointsLogged(run_id, name, points)]).wait(10)
    (trial,) = [one for one in store.get_trials(study.id) if one.run_id == run_id]
    assert trial.intermediate_values == {step: step / 7 for step in range(2500)}
