"""A run goes on after a crash: no point comes twice, none is lost, and no hidden point is a last, min or max."""

from __future__ import annotations

import math
import random
import time
from typing import Any

import pytest

import trackers
from tests.processes import start
from trackers.errors import InvalidValueError, StateError, StoreAwayError, StoreError
from trackers.store import Store

VICTIM = """
import sys, trackers
store = trackers.connect(sys.argv[1])
run = store.start_run("e")
for step in range(200):
    run.log_metrics({"loss": 100.0 - step, "spike": 1e9 if step in (120, 150) else -1e9 if step == 130 else 0.0}, step=step)
run.flush()
print(run.uid, flush=True)
while True:
    step += 1
    run.log_metric("loss", 100.0 - step, step=step)
"""


def test_a_killed_run_goes_on_at_its_checkpoint(store: Store) -> None:
    with start(VICTIM, store.url) as victim:
        uid = victim.line()
        victim.kill()
    run = store.resume_run(uid)
    run.log_metrics({"loss": 0.0, "spike": 5.0}, step=100)
    run.log_metrics({"loss": 50.5, "spike": 6.0}, step=101)
    run.flush()
    history = store.metric_history(uid, "loss")
    assert [point.step for point in history] == list(range(102))
    assert [point.attempt for point in history] == [0] * 100 + [1] * 2
    loss, spike = store.metrics(uid)
    assert (loss.last, loss.last_step, loss.min, loss.max) == (50.5, 101, 0.0, 100.0)
    assert (spike.last, spike.min, spike.max) == (6.0, 0.0, 6.0), "the hidden spikes are no extremes"
    assert (loss.count, spike.count) == (102, len(store.metric_history(uid, "spike"))), "what is hidden is not counted"
    assert [found.uid for found in store.search_runs("max(metrics.spike) = 6 and min(metrics.spike) = 0")] == [uid]
    run.log_metric("loss", -1.0, step=90)  # goes back further: hides more
    run.end()
    assert [point.step for point in store.metric_history(uid, "loss")] == [*range(90), 90, 100, 101]
    assert store.metrics(uid)[0].min == -1.0
    with store.database.reading() as connection:
        seen = f"SELECT count FROM trackers_v_metrics WHERE run_id = '{uid}' AND \"key\" = 'loss'"
        assert connection.exec_driver_sql(seen).scalar() == store.metrics(uid)[0].count == 93
        kept = "SELECT sum(count) FROM trackers_series WHERE \"key\" = 'loss'"
        assert connection.exec_driver_sql(kept).scalar() >= 203, "what is hidden is kept"


def expected(points: list[tuple[int, int, float]]) -> list[tuple[int, float]]:
    """Return what must be seen of (attempt, step, value) in the order logged: by the rule, said the slow way."""
    seen = [
        (step, index, value)
        for index, (attempt, step, value) in enumerate(points)
        if not any(other > attempt and first <= step for other, first, _ in points)
    ]
    return [(step, value) for step, _, value in sorted(seen)]


@pytest.mark.parametrize("seed", range(8))
def test_summaries_are_those_of_the_points_that_are_seen(store: Store, seed: int) -> None:
    luck = random.Random(seed)
    handles: list[Any] = [store.start_run("e")]
    logged: list[tuple[int, int, float]] = []
    for _ in range(12):
        if luck.random() < 0.35:
            handles[-1].flush()
            handles.append(store.resume_run(handles[0].uid))
        attempt = len(handles) - 1
        if attempt and luck.random() < 0.2:
            attempt -= 1  # an older process that never heard of its end
            handles[attempt]._superseded = False
        for _ in range(luck.randrange(1, 6)):
            step, value = luck.randrange(30), luck.choice([luck.gauss(0, 10), math.nan, math.inf, -math.inf])
            handles[attempt].log_metric("m", value, step=step)
            logged.append((attempt, step, value))
        handles[attempt].flush()
    want = expected(logged)
    history = store.metric_history(handles[0].uid, "m")
    assert [(p.step, repr(p.value)) for p in history] == [(step, repr(value)) for step, value in want]
    (summary,) = store.metrics(handles[0].uid)
    numbers = [value for _, value in want if not math.isnan(value)]
    assert summary.count == len(want)
    assert (summary.min, summary.max) == (min(numbers), max(numbers)) if numbers else math.isnan(summary.min)
    newest = max(attempt for attempt, _, _ in logged)
    last = max((step, index) for index, (attempt, step, _) in enumerate(logged) if attempt == newest)
    assert repr(summary.last) == repr(logged[last[1]][2])


def test_an_older_handle_of_a_run_that_goes_on_takes_nothing_more(store: Store) -> None:
    with store.start_run("e") as first:
        first.log_metric("a", 1.0)
        second = store.resume_run(first.uid)
        assert second.uid == first.uid
        with pytest.raises(StateError, match="it goes on with what resume_run returned"):
            first.log_metric("a", 2.0)
        with pytest.raises(StateError, match="was resumed"):
            first.end()
    assert store.get_run(first.uid).state.name == "RUNNING", "leaving the block of the older one ends nothing"
    second.log_metric("a", 3.0)
    second.end()
    assert [point.value for point in store.metric_history(first.uid, "a")] == [1.0, 3.0]
    assert [attempt.outcome for attempt in store.attempts(first.uid)] == ["lost", "complete"]


def test_a_run_that_is_resumed_stays_the_active_one_and_its_machine_is_watched(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    first = store.start_run("e", system_metrics=0.1)
    first.activate()
    second = store.resume_run(first.uid)
    assert trackers.active_run() is second
    until = time.monotonic() + 20
    while not any(one.key.startswith("system/") for one in store.metrics(second)) and time.monotonic() < until:
        time.sleep(0.05)
    second.end()
    assert trackers.active_run() is None
    assert any(one.key.startswith("system/") for one in store.metrics(second))
    assert not caplog.records
    with pytest.raises(StateError):
        store.resume_run(first.uid)


def test_arguments_of_another_kind_are_refused_in_a_sentence(store: Store) -> None:
    with store.start_run("e") as run:
        run.log_metric("a", 1.0)
    for call in (
        lambda: store.metric_history(run, "a", max_points="x"),  # type: ignore[arg-type]
        lambda: store.load_table("x", runs=5.5),  # type: ignore[arg-type]
        lambda: store.runs_with_data(5),  # type: ignore[arg-type]
    ):
        with pytest.raises(InvalidValueError):
            call()


def test_a_store_that_is_closed_reads_nothing(store: Store) -> None:
    with trackers.connect(store.url) as other:
        other.search_runs()
    with pytest.raises(StoreError, match="closed"):
        other.search_runs()


def test_who_starts_while_the_server_is_away_is_told_of_offline() -> None:
    with pytest.raises(StoreAwayError) as told:
        trackers.connect("postgresql+psycopg://nobody@127.0.0.1:1/none")
    assert "offline=True" in told.value.__notes__[0]
    with pytest.raises(StoreAwayError) as told:
        trackers.connect("postgresql+psycopg://nobody@127.0.0.1:1/none", create=False)
    assert not hasattr(told.value, "__notes__"), "who reads is not helped by it"
